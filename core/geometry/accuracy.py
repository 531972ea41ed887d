"""How well a point can be located, anywhere over the floor, from the cameras' places alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import CoreError
from core.geometry.capture_volume import capture_volume, seen_by
from core.types.arrays import F64
from core.types.camera import CameraRig

HEIGHTS_MM = (100.0, 900.0, 1600.0)  # feet, hips, head
_CELL_MM = 250.0
_MOST_CELLS = 80


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccuracyMap:
    """Expected errors of a point that every camera that sees it locates with the same error.

    Attributes:
        x_mm: (X,) middles of the cells.
        y_mm: (Y,).
        z_mm: (Z,) heights over the floor.
        error_mm: (X, Y, Z) root mean square error of the place; NaN where fewer than two cameras see it.
        worst: (X, Y, Z, 3) direction, of length 1, in which the error is largest.
        worst_mm: (X, Y, Z) error in that direction.
        views: (X, Y, Z) cameras that see it.
        sigma_px: Error of a coordinate that was assumed.
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
        """Plain JSON values: the middle of the floor, and shares of it."""
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
    """Expected error over the space that the cameras see (Cramer-Rao bound of triangulation).

    A view of focal length f at distance d locates a point to sigma d / f in each direction across its ray, and not at
    all along it; the views' informations add up.

    Args:
        rig: Posed cameras.
        sigma_px: Standard deviation of a coordinate in the image.
        heights_mm: Over the floor.

    Raises:
        CoreError: Fewer than two cameras.
    """
    if len(rig) < 2:
        raise CoreError("One camera locates nothing.", "Calibrate at least two cameras.")
    volume = capture_volume(rig)
    low, high = volume.centre_mm - volume.size_mm / 2, volume.centre_mm + volume.size_mm / 2
    cell = max(_CELL_MM, float((high - low)[:2].max()) / _MOST_CELLS)
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
