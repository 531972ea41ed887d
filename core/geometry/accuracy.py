"""Expected accuracy of triangulation over the floor, from the camera poses alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import CoreError
from core.geometry.capture_volume import capture_volume, seen_by
from core.types.arrays import F64
from core.types.camera import CameraRig

HEIGHTS_MM = (100.0, 900.0, 1600.0)
"""Heights of feet, hips and head."""
_CELL_MM, _MAX_CELLS = 250.0, 80  # side of a cell, at least; cells along the longer side, at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccuracyMap:
    """Expected position error of a point, if each camera that sees it observes it with the same noise.

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
        """Convert to plain JSON values: median errors per height, and the share of points with an error."""
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


def accuracy_map(rig: CameraRig, sigma_px: float = 1.0, heights_mm: tuple[float, ...] = HEIGHTS_MM) -> AccuracyMap:
    """Compute the expected error over the capture volume (Cramer-Rao bound of triangulation).

    A camera of focal length f at distance d locates a point to sigma d / f perpendicular to its ray, and not at all
    along it; the information of all cameras adds up.

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
    seen = np.asarray(seen_by(rig, points.reshape(-1, 3))).reshape(len(rig), *points.shape[:3])
    information = np.zeros((*points.shape[:3], 3, 3))
    for v, camera in enumerate(rig):
        ray = points - camera.centre_mm
        distance = np.linalg.norm(ray, axis=-1)
        ray = ray / np.maximum(distance, 1.0)[..., None]
        across = np.eye(3) - ray[..., :, None] * ray[..., None, :]
        weight = seen[v] * (float(camera.K[0, 0]) / (sigma_px * np.maximum(distance, 1.0))) ** 2
        information += weight[..., None, None] * across
    values, vectors = np.linalg.eigh(information)
    views = seen.sum(0)
    known = (views >= 2) & (values[..., 0] > 1e-9)
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
