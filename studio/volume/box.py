"""Box of the capture volume, to move single faces."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.types import VolumeSettings
from core.types.arrays import F64

_STEP_MM = 10.0
_LEAST_MM = (500.0, 500.0, 1000.0)
_MOST_MM = 100_000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeBox:
    """Two opposite corners of the capture volume.

    Attributes:
        low_mm: (3,) lowest corner.
        high_mm: (3,) highest corner.
    """

    low_mm: F64
    high_mm: F64

    def with_face(self, face: int, place_mm: float) -> VolumeBox:
        """Return the box with one face moved along its axis, rounded to centimetres and within limits.

        Args:
            face: Index of the face as in `face_centres`.
            place_mm: New coordinate of the face.
        """
        axis, high = divmod(face, 2)
        ends = np.stack([self.low_mm, self.high_mm])
        other = ends[1 - high, axis]
        sign = 1.0 if high else -1.0
        size = np.clip(sign * (place_mm - other), _LEAST_MM[axis], _MOST_MM)
        ends[high, axis] = other + sign * _STEP_MM * np.round(size / _STEP_MM)
        return VolumeBox(low_mm=ends[0], high_mm=ends[1])

    def settings(self, chosen: VolumeSettings) -> VolumeSettings:
        """Return the settings of a capture volume with this box."""
        centre, size = (self.low_mm + self.high_mm) / 2, self.high_mm - self.low_mm
        return replace(chosen, centre_mm=tuple(centre.tolist()), size_mm=tuple(size.tolist()))
