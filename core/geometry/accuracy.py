"""Expected accuracy of triangulation from the camera poses alone: at given points, and as a map over the floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import CoreError
from core.geometry import to_camera
from core.geometry.capture_volume import capture_volume, seen_by
from core.types.arrays import F64
from core.types.camera import CameraRig

HEIGHTS_MM = (100.0, 900.0, 1600.0)
"""Heights of feet, hips and head, in mm."""
DETECTION_SIGMA_PX = 5.0
"""Standard deviation of a coordinate of an estimated 2D joint, in an image of 1920 px on its longer side."""
_REFERENCE_PX = 1920.0
_LEAST_INFORMATION = 1e-9  # smallest eigenvalue, 1/mm²: an error of 30 m, larger than that of any intersecting rays
_CELL_MM, _MAX_CELLS = 250.0, 80  # smallest side of a cell; largest number of cells along the longer side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccuracyMap:
    """Expected position error of a point, assuming equal noise in all cameras that see it.

    Attributes:
        x_mm: (X,) x coordinates of the centres of the cells.
        y_mm: (Y,) y coordinates of the centres of the cells.
        z_mm: (Z,) heights above the floor.
        error_mm: (X, Y, Z) root mean square position error; NaN where fewer than two cameras see the point.
        worst: (X, Y, Z, 3) unit vector along which the error is largest.
        worst_mm: (X, Y, Z) error along `worst`.
        views: (X, Y, Z) number of cameras that see the point.
        sigma_px: Assumed standard deviation of an image coordinate.
    """

    x_mm: F64
    y_mm: F64
    z_mm: F64
    error_mm: F64
    worst: F64
    worst_mm: F64
    views: F64
    sigma_px: float

    def to_mapping(self) -> dict[str, Any]:
        """Convert to plain JSON values: median errors by height, and the fraction of points with an error."""
        known = np.isfinite(self.error_mm)
        return {
            "sigma_px": self.sigma_px,
            "median_mm": [
                round(float(np.median(self.error_mm[..., z][known[..., z]])), 2) if known[..., z].any() else None
                for z in range(len(self.z_mm))
            ],
            "heights_mm": [float(z) for z in self.z_mm],
            "seen_share": round(float(known.mean()), 3),
        }


def pixel_scale(rig: CameraRig) -> F64:
    """Return the longer image side over 1920 px (V,), the factor by which pixel settings scale with resolution."""
    return np.array([max(camera.size_px) / _REFERENCE_PX for camera in rig])


def expected_error_mm(rig: CameraRig, xyz_mm: F64, sigma_px: float | F64 | None = None) -> F64:
    """Return the root mean square position error of triangulated points: the Cramer-Rao bound of the rig.

    Args:
        rig: Posed cameras.
        xyz_mm: (..., 3) world points, NaN where missing.
        sigma_px: Standard deviation of an image coordinate, for all cameras or (V,) for each. The default is that of
            estimated joints, which grows with image size: estimators process the whole image at the resolution of their
            network.

    Returns:
        (...) mm; NaN where fewer than two images contain the point.
    """
    sigma = DETECTION_SIGMA_PX * pixel_scale(rig) if sigma_px is None else np.asarray(sigma_px, float)
    information, views = _information(rig, xyz_mm, np.broadcast_to(sigma, len(rig)))
    values = np.linalg.eigvalsh(information)
    known = (views >= 2) & (values[..., 0] > _LEAST_INFORMATION)
    return np.where(known, np.sqrt((1 / np.where(known[..., None], values, 1.0)).sum(-1)), np.nan)


def accuracy_map(rig: CameraRig, sigma_px: float = 1.0, heights_mm: tuple[float, ...] = HEIGHTS_MM) -> AccuracyMap:
    """Compute the expected error over the capture volume; see `expected_error_mm`.

    Args:
        rig: Posed cameras.
        sigma_px: Standard deviation of an image coordinate.
        heights_mm: Heights above the floor.

    Raises:
        CoreError: Fewer than two cameras.
    """
    if len(rig) < 2:
        raise CoreError("One camera cannot triangulate.", "Calibrate at least two cameras.")
    volume = capture_volume(rig)
    low, high = volume.centre_mm - volume.size_mm / 2, volume.centre_mm + volume.size_mm / 2
    cell = max(_CELL_MM, float((high - low)[:2].max()) / _MAX_CELLS)
    x, y = (np.arange(low[i] + cell / 2, high[i], cell) for i in (0, 1))
    z = np.asarray(heights_mm, float)
    points = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1)
    information, views = _information(rig, points, np.full(len(rig), sigma_px))
    values, vectors = np.linalg.eigh(information)
    known = (views >= 2) & (values[..., 0] > _LEAST_INFORMATION)
    variance = 1 / np.where(known[..., None], values, 1.0)
    return AccuracyMap(
        x_mm=x,
        y_mm=y,
        z_mm=z,
        error_mm=np.where(known, np.sqrt(variance.sum(-1)), np.nan),
        worst=np.where(known[..., None], vectors[..., 0], np.nan),
        worst_mm=np.where(known, np.sqrt(variance[..., 0]), np.nan),
        views=views.astype(float),
        sigma_px=sigma_px,
    )


def _information(rig: CameraRig, xyz_mm: F64, sigma_px: F64) -> tuple[F64, F64]:
    """Return the inverse covariance (..., 3, 3) of points (..., 3), and the number (...) of cameras that see them.

    Each camera adds J^T J / sigma^2, with J the derivative of its pixel, without distortion, with respect to the point.
    It locates the point to about sigma d / f across its ray at distance d, and not at all along the ray.
    """
    seen = seen_by(rig, xyz_mm)
    information = np.zeros((*xyz_mm.shape[:-1], 3, 3))
    for v, camera in enumerate(rig):
        R = camera.pose[0]
        local = np.where(seen[v][..., None], to_camera(camera, xyz_mm), (0.0, 0.0, 1.0))
        plane = local[..., :2] / local[..., 2:]
        by_point = (R[:2] - plane[..., None] * R[2]) / local[..., 2, None, None]  # (..., 2, 3)
        by_point = by_point * (np.diag(camera.K)[:2, None] / sigma_px[v])
        information += np.where(seen[v][..., None, None], np.swapaxes(by_point, -1, -2) @ by_point, 0.0)
    return information, seen.sum(0)
