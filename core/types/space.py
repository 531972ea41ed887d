"""The box of the world that the networks look into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64, frozen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaptureSpace:
    """An axis-aligned box and its division into voxels.

    Attributes:
        centre_mm: (3,) middle of the box.
        size_mm: (3,) edge lengths.
        voxels: Points per axis (X, Y, Z), end points included; multiples of 4, so that the networks can halve twice.
    """

    centre_mm: F64
    size_mm: F64
    voxels: tuple[int, int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre_mm", frozen(self.centre_mm, (3,), "capture space: centre_mm"))
        object.__setattr__(self, "size_mm", frozen(self.size_mm, (3,), "capture space: size_mm"))
        object.__setattr__(self, "voxels", tuple(int(n) for n in self.voxels))
        if (self.size_mm <= 0).any():
            raise CoreError(
                f"The capture space has size {self.size_mm.tolist()} mm.", "Every edge must be longer than 0."
            )
        if len(self.voxels) != 3 or any(n < 4 or n % 4 for n in self.voxels):
            raise CoreError(f"The capture space has {self.voxels} voxels.", "Use multiples of 4 on each axis.")

    @property
    def low_mm(self) -> F64:
        """(3,) lowest corner."""
        return np.asarray(self.centre_mm - self.size_mm / 2)

    @property
    def high_mm(self) -> F64:
        """(3,) highest corner."""
        return np.asarray(self.centre_mm + self.size_mm / 2)

    @property
    def spacing_mm(self) -> F64:
        """(3,) distance of neighbouring voxel centres."""
        return np.asarray(self.size_mm / (np.array(self.voxels) - 1))

    def contains(self, xyz_mm: F64) -> Any:
        """(...,) bool of points (..., 3)."""
        return np.all((xyz_mm >= self.low_mm) & (xyz_mm <= self.high_mm), axis=-1)

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for YAML and JSON."""
        return {"centre_mm": self.centre_mm.tolist(), "size_mm": self.size_mm.tolist(), "voxels": list(self.voxels)}

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> CaptureSpace:
        """The reverse of `to_mapping`.

        Raises:
            CoreError: A key is missing or a value is out of range.
        """
        try:
            return cls(centre_mm=values["centre_mm"], size_mm=values["size_mm"], voxels=tuple(values["voxels"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CoreError(
                f"The capture space is not complete: {error}.", "It needs centre_mm, size_mm, voxels."
            ) from error
