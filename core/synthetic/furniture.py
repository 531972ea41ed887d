"""Box-shaped occluders in a capture volume.

Legend: N box, V view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.types.arrays import F64
from core.types.camera import Camera

_KINDS = np.array([[1400.0, 700, 740], [1100.0, 450, 1250], [700.0, 700, 950]])
"""Length, depth and height of a table with a tablecloth, a shelf and a trolley, mm."""


@dataclass(frozen=True, slots=True, eq=False)
class Furniture:
    """Upright boxes on the floor.

    Attributes:
        low_mm: (N, 3) lowest corners.
        high_mm: (N, 3) highest corners.
    """

    low_mm: F64
    high_mm: F64

    @classmethod
    def scatter(cls, count: int, around_mm: float, rng: np.random.Generator) -> Furniture:
        """Place random pieces on a ring around the origin, between people inside and cameras outside.

        Args:
            count: Number of pieces.
            around_mm: Distance of their centres from the origin.
            rng: Random generator.
        """
        angle = 2 * np.pi * (np.arange(count) + rng.uniform(-0.3, 0.3, count)) / max(1, count)
        centre = rng.uniform(0.9, 1.1, count)[:, None] * around_mm * np.stack([np.cos(angle), np.sin(angle)], -1)
        size = _KINDS[rng.integers(len(_KINDS), size=count)]
        rotated = (rng.random(count) < 0.5)[:, None]
        half = np.where(rotated, size[:, [1, 0]], size[:, :2]) / 2
        low = np.column_stack([centre - half, np.zeros(count)])
        return cls(low, np.column_stack([centre + half, size[:, 2]]))

    def occludes(self, camera: Camera, xyz_mm: F64) -> np.ndarray:
        """Return the mask (...) of points (..., 3) whose line of sight from the camera crosses a box."""
        centre = camera.centre_mm
        ray = np.asarray(xyz_mm)[..., None, :] - centre
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (self.low_mm - centre) / ray, (self.high_mm - centre) / ray
        enter = np.nanmax(np.minimum(a, b), axis=-1, initial=0.0)
        leave = np.nanmin(np.maximum(a, b), axis=-1, initial=1.0)
        crossed: np.ndarray = (enter < leave) & (enter < 1.0) & np.isfinite(ray).all(-1)
        return np.asarray(crossed.any(-1))
