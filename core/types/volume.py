"""The box of the world that the networks look into, and what a person may set of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.types.arrays import F64, frozen

VOLUME_SCHEMA = 1
MOST_VOXELS = 1_000_000
_SIZE_MM = (500.0, 100_000.0)
_SPACING_MM = (10.0, 1000.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaptureVolume:
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
        object.__setattr__(self, "centre_mm", frozen(self.centre_mm, (3,), "capture volume: centre_mm"))
        object.__setattr__(self, "size_mm", frozen(self.size_mm, (3,), "capture volume: size_mm"))
        object.__setattr__(self, "voxels", tuple(int(n) for n in self.voxels))
        if (self.size_mm <= 0).any():
            raise CoreError(
                f"The capture volume has size {self.size_mm.tolist()} mm.", "Every edge must be longer than 0."
            )
        if len(self.voxels) != 3 or any(n < 4 or n % 4 for n in self.voxels):
            raise CoreError(f"The capture volume has {self.voxels} voxels.", "Use multiples of 4 on each axis.")

    @classmethod
    def between(cls, low_mm: F64, high_mm: F64, spacing_mm: float) -> CaptureVolume:
        """The space between two corners (3,), divided about `spacing_mm` apart."""
        size = np.maximum(np.asarray(high_mm) - low_mm, 4 * spacing_mm)
        x, y, z = (int(n) for n in np.maximum(4 * np.round((size / spacing_mm + 1) / 4).astype(int), 8))
        return cls(centre_mm=(np.asarray(low_mm) + high_mm) / 2, size_mm=size, voxels=(x, y, z))

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
    def from_mapping(cls, values: dict[str, Any]) -> CaptureVolume:
        """The reverse of `to_mapping`.

        Raises:
            CoreError: A key is missing or a value is out of range.
        """
        try:
            return cls(centre_mm=values["centre_mm"], size_mm=values["size_mm"], voxels=tuple(values["voxels"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CoreError(
                f"The capture volume is not complete: {error}.", "It needs centre_mm, size_mm, voxels."
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRange:
    """Where in the capture volume the hips of synthetic people may be.

    Attributes:
        side_share: They stay this share of its edge inside its sides.
        lowest_mm: And this far above its bottom,
        highest_mm: and this far below its top (both as SelfPose3d has them).
    """

    side_share: float = 0.06
    lowest_mm: float = 250.0
    highest_mm: float = 300.0

    def __post_init__(self) -> None:
        if not 0 <= self.side_share < 0.5 or min(self.lowest_mm, self.highest_mm) < 0:
            raise CoreError(
                f"Synthetic people cannot stay {self.side_share:g} of an edge, {self.lowest_mm:g} and "
                f"{self.highest_mm:g} mm inside the capture volume.",
                "Use a share from 0 to below 0.5, and heights from 0.",
            )

    def corners_mm(self, volume: CaptureVolume) -> tuple[F64, F64]:
        """Lowest and highest corner, (3,) each, of where the hips may be."""
        inside = np.array([*(self.side_share * volume.size_mm[:2]), self.lowest_mm])
        inside_top = np.array([*inside[:2], self.highest_mm])
        return np.asarray(volume.low_mm + inside), np.asarray(volume.high_mm - inside_top)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSettings:
    """A capture volume as a person sets it: `volume.yaml` of a session.

    Attributes:
        centre_mm: Middle of the box.
        size_mm: Edge lengths.
        spacing_mm: Wanted distance of voxels; None leaves it to the settings of training.
        synthetic: Where synthetic people may be.
        rig: Digest of the rig that it was set for; empty where none is known.
        schema: Of the file.
    """

    centre_mm: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    spacing_mm: float | None = None
    synthetic: SyntheticRange = field(default_factory=SyntheticRange)
    rig: str = ""
    schema: int = VOLUME_SCHEMA

    def __post_init__(self) -> None:
        if not np.isfinite([*self.centre_mm, *self.size_mm]).all():
            raise CoreError("The capture volume has no finite place and size.", "Give numbers in mm.")
        if not all(_SIZE_MM[0] <= edge <= _SIZE_MM[1] for edge in self.size_mm):
            raise CoreError(
                f"The capture volume would be {' x '.join(f'{e / 1000:g}' for e in self.size_mm)} m large.",
                f"Every edge can be {_SIZE_MM[0] / 1000:g} to {_SIZE_MM[1] / 1000:g} m long.",
            )
        if self.spacing_mm is not None and not _SPACING_MM[0] <= self.spacing_mm <= _SPACING_MM[1]:
            raise CoreError(
                f"Voxels cannot be {self.spacing_mm:g} mm apart.", f"Use {_SPACING_MM[0]:g} to {_SPACING_MM[1]:g} mm."
            )
        if self.synthetic.lowest_mm + self.synthetic.highest_mm >= self.size_mm[2]:
            raise CoreError(
                f"A capture volume {self.size_mm[2]:g} mm high leaves no height for synthetic people.",
                "Make it higher, or let them be nearer to its bottom and top.",
            )

    def volume(self, spacing_mm: float) -> CaptureVolume:
        """The box and its voxels.

        Args:
            spacing_mm: Of the settings of training, where none is set here.

        Raises:
            CoreError: It would have more voxels than a computer holds.
        """
        half = np.array(self.size_mm) / 2
        volume = CaptureVolume.between(self.centre_mm - half, self.centre_mm + half, self.spacing_mm or spacing_mm)
        if np.prod(volume.voxels) > MOST_VOXELS:
            raise CoreError(
                f"The capture volume would have {' x '.join(map(str, volume.voxels))} voxels.",
                "Make it smaller, or its voxels larger.",
            )
        return volume

    def save(self, path: Path) -> None:
        """Writes the file."""
        write_yaml(path, to_mapping(self))

    @classmethod
    def load(cls, path: Path) -> VolumeSettings:
        """Reads what `save` wrote.

        Raises:
            CoreError: Missing, damaged, or of a newer version.
        """
        values = read_yaml(path)
        schema = values.get("schema") if isinstance(values, dict) else None
        if isinstance(schema, int) and schema > VOLUME_SCHEMA:
            raise CoreError(f"{path} was made by a newer version.", "Update the program.")
        try:
            return from_mapping(cls, values)
        except CoreError as error:
            hint = f"{error.hint} Or delete the file: the capture volume is then derived again."
            raise CoreError(f"{path}: {error.message}", hint) from error
