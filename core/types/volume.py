"""Capture volume: the box in the world that the networks process, and its settings."""

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
MAX_VOXELS = 1_000_000
_SIZE_MM = (500.0, 100_000.0)
_SPACING_MM = (10.0, 1000.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaptureVolume:
    """An axis-aligned box divided into voxels.

    Attributes:
        centre_mm: (3,) centre of the box.
        size_mm: (3,) edge lengths.
        voxels: Number of points per axis (X, Y, Z), end points included; multiples of 4, as networks downsample twice.
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
        """Return the box between two corners (3,) with voxels about `spacing_mm` apart."""
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
        """(3,) distance of neighbouring voxels."""
        return np.asarray(self.size_mm / (np.array(self.voxels) - 1))

    def contains(self, xyz_mm: F64) -> Any:
        """Return (...,) bool: whether points (..., 3) are in the box."""
        return np.all((xyz_mm >= self.low_mm) & (xyz_mm <= self.high_mm), axis=-1)

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values for YAML and JSON."""
        return {"centre_mm": self.centre_mm.tolist(), "size_mm": self.size_mm.tolist(), "voxels": list(self.voxels)}

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> CaptureVolume:
        """Create a capture volume from the values of `to_mapping`.

        Raises:
            CoreError: A key is missing, or a value is out of range.
        """
        try:
            return cls(centre_mm=values["centre_mm"], size_mm=values["size_mm"], voxels=tuple(values["voxels"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CoreError(
                f"The capture volume is incomplete: {error}.", "It needs centre_mm, size_mm and voxels."
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRange:
    """Margins of the capture volume within which the hips of synthetic people are placed.

    Attributes:
        side_share: Margin at the sides, as a share of the edge length.
        lowest_mm: Margin above the bottom, mm; as in SelfPose3d.
        highest_mm: Margin below the top, mm; as in SelfPose3d.
    """

    side_share: float = 0.06
    lowest_mm: float = 250.0
    highest_mm: float = 300.0

    def __post_init__(self) -> None:
        if not 0 <= self.side_share < 0.5 or min(self.lowest_mm, self.highest_mm) < 0:
            raise CoreError(
                f"Margins of synthetic people are out of range: side_share {self.side_share:g}, lowest_mm "
                f"{self.lowest_mm:g}, highest_mm {self.highest_mm:g}.",
                "Use a share from 0 to below 0.5, and heights of at least 0.",
            )

    def corners_mm(self, volume: CaptureVolume) -> tuple[F64, F64]:
        """Return the lowest and the highest corner, (3,) each, of the positions of the hips."""
        inside = np.array([*(self.side_share * volume.size_mm[:2]), self.lowest_mm])
        inside_top = np.array([*inside[:2], self.highest_mm])
        return np.asarray(volume.low_mm + inside), np.asarray(volume.high_mm - inside_top)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSettings:
    """Settings of a capture volume, stored as `volume.yaml` of a session.

    Attributes:
        centre_mm: Centre of the box, mm.
        size_mm: Edge lengths of the box, mm.
        spacing_mm: Distance of voxels, mm; None for that of the training settings.
        synthetic: Margins for synthetic people.
        rig: Digest of the rig for which the volume was set; empty if unknown.
        schema: Schema number of the file.
    """

    centre_mm: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    spacing_mm: float | None = None
    synthetic: SyntheticRange = field(default_factory=SyntheticRange)
    rig: str = ""
    schema: int = VOLUME_SCHEMA

    def __post_init__(self) -> None:
        if not np.isfinite([*self.centre_mm, *self.size_mm]).all():
            raise CoreError("The capture volume has a centre or a size that is not finite.", "Give numbers in mm.")
        if not all(_SIZE_MM[0] <= edge <= _SIZE_MM[1] for edge in self.size_mm):
            raise CoreError(
                f"The capture volume is {' x '.join(f'{e / 1000:g}' for e in self.size_mm)} m large.",
                f"Every edge must be {_SIZE_MM[0] / 1000:g} to {_SIZE_MM[1] / 1000:g} m long.",
            )
        if self.spacing_mm is not None and not _SPACING_MM[0] <= self.spacing_mm <= _SPACING_MM[1]:
            raise CoreError(
                f"The voxel spacing is {self.spacing_mm:g} mm.", f"Use {_SPACING_MM[0]:g} to {_SPACING_MM[1]:g} mm."
            )
        if self.synthetic.lowest_mm + self.synthetic.highest_mm >= self.size_mm[2]:
            raise CoreError(
                f"The capture volume is {self.size_mm[2]:g} mm high, less than the margins of synthetic people.",
                "Make it higher, or reduce lowest_mm and highest_mm.",
            )

    def volume(self, spacing_mm: float) -> CaptureVolume:
        """Return the box with its voxels.

        Args:
            spacing_mm: Distance of voxels if these settings have none.

        Raises:
            CoreError: More voxels than `MAX_VOXELS`.
        """
        half = np.array(self.size_mm) / 2
        volume = CaptureVolume.between(self.centre_mm - half, self.centre_mm + half, self.spacing_mm or spacing_mm)
        if np.prod(volume.voxels) > MAX_VOXELS:
            raise CoreError(
                f"The capture volume would have {' x '.join(map(str, volume.voxels))} voxels, above {MAX_VOXELS:,}.",
                "Make it smaller, or increase the voxel spacing.",
            )
        return volume

    def save(self, path: Path) -> None:
        """Write the settings as YAML."""
        write_yaml(path, to_mapping(self))

    @classmethod
    def load(cls, path: Path) -> VolumeSettings:
        """Read a file written by `save`.

        Raises:
            CoreError: A missing or invalid file, or one of a newer schema.
        """
        values = read_yaml(path)
        schema = values.get("schema") if isinstance(values, dict) else None
        if isinstance(schema, int) and schema > VOLUME_SCHEMA:
            raise CoreError(
                f"{path} was written by a newer version (schema {schema}, expected up to {VOLUME_SCHEMA}).",
                "Update the program.",
            )
        try:
            return from_mapping(cls, values)
        except CoreError as error:
            hint = f"{error.hint} Or delete the file, so that the capture volume is derived from the rig."
            raise CoreError(f"{path}: {error.message}", hint) from error
