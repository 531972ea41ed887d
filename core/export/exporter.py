"""What an exporter is, which ones there are, and the conversion of axes and units that they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from core.errors import CoreError
from core.registry import Registry
from core.types import Pose3DSequence
from core.types.arrays import F64

Units = Literal["mm", "cm", "m"]
UpAxis = Literal["y", "z"]
MM_PER: dict[Units, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
DECIMALS: dict[Units, int] = {"mm": 4, "cm": 5, "m": 7}
"""Digits behind the point in text files: a tenth of a micrometre, far below what any camera measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How a file's coordinates are written.

    Attributes:
        units: Length unit.
        up: Axis that points up. "z" is the session's own frame; "y" turns it by -90 degrees about x, so that
            (x, y, z) becomes (x, z, -y): still right-handed.
    """

    units: Units
    up: UpAxis


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which rig, model and version made the poses; every file that has a place for it says so.

    Attributes:
        take: Take name.
        poses: "baseline" or the name of the trained run.
        rig: Digest of the calibration.
        version: Program and version.
    """

    take: str
    poses: str
    rig: str
    version: str

    @property
    def sentence(self) -> str:
        """In one line of words."""
        return f"{self.version}; take {self.take}; poses {self.poses}; rig {self.rig}"


class Exporter(Protocol):
    """Writes one file format.

    Attributes:
        title: Name that a person knows the format by.
        units: Units that the format's readers understand, what they expect first.
        ups: Up axes that they understand, what they expect first.
    """

    title: str
    units: tuple[Units, ...]
    ups: tuple[UpAxis, ...]

    def describe(self, options: ExportOptions) -> str:
        """One sentence for the window: what the files hold and who reads them."""

    def write(self, poses: Pose3DSequence, stem: Path, options: ExportOptions, origin: Origin) -> list[Path]:
        """Writes the files, atomically.

        Args:
            poses: At least one person in at least one frame.
            stem: Folder and file name without ending; the folder exists.
            options: Among those that the format allows.
            origin: What made the poses.

        Returns:
            The files written.
        """


EXPORTERS: Registry[Exporter] = Registry(
    "exporter",
    {
        "c3d": "core.export.formats.c3d:EXPORTER",
        "trc": "core.export.formats.trc:EXPORTER",
        "csv": "core.export.formats.csv:EXPORTER",
        "json": "core.export.formats.json:EXPORTER",
        "netcdf": "core.export.formats.netcdf:EXPORTER",
    },
)


def resolve_options(
    exporter: Exporter, units: Literal["auto"] | Units = "auto", up: Literal["auto"] | UpAxis = "auto"
) -> ExportOptions:
    """The options of a format: what was asked for, where "auto" is what its readers expect.

    Raises:
        CoreError: The format cannot be written that way.
    """
    for asked, allowed, what in ((units, exporter.units, "in"), (up, exporter.ups, "with the up axis")):
        if asked != "auto" and asked not in allowed:
            raise CoreError(
                f"{exporter.title} cannot be written {what} {asked}.",
                f"Its readers expect {' or '.join(allowed)}: choose that, or auto.",
            )
    return ExportOptions(
        units=exporter.units[0] if units == "auto" else units, up=exporter.ups[0] if up == "auto" else up
    )


def write_poses(name: str, poses: Pose3DSequence, stem: Path, options: ExportOptions, origin: Origin) -> list[Path]:
    """Writes the poses with the exporter of that name.

    Args:
        name: Entry of `EXPORTERS`.
        poses: What to write.
        stem: Folder and file name without ending.
        options: From `resolve_options`.
        origin: What made the poses.

    Returns:
        The files written.

    Raises:
        CoreError: No such exporter, nobody in the poses, or the folder cannot be written.
    """
    exporter = EXPORTERS.get(name)
    if not poses.present.any():
        raise CoreError(
            f"There is nobody in the 3D poses '{origin.poses}' of take {origin.take}.",
            "Look at the 2D poses and the calibration first: nothing was matched across the cameras.",
        )
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        return exporter.write(poses, stem, options, origin)
    except OSError as error:
        raise CoreError(
            f"{stem.parent} cannot be written: {error.strerror or error}.",
            "Choose a folder that you may write to, on a disk with free space.",
        ) from error


def to_file_coordinates(xyz_mm: F64, options: ExportOptions) -> F64:
    """World points (..., 3), mm and z up, in the units and axes of the file."""
    x, y, z = np.moveaxis(np.asarray(xyz_mm, np.float64), -1, 0)
    turned = np.stack([x, z, -y] if options.up == "y" else [x, y, z], axis=-1)
    # Adding zero turns -0.0 into 0.0, which some readers print as "-0".
    return np.asarray(turned / MM_PER[options.units] + 0.0)


def frame_rate_hz(poses: Pose3DSequence) -> float:
    """Frame rate for formats that keep one; a single frame counts as one a second."""
    return poses.fps or 1.0


def person_label(person_id: int) -> str:
    """Prefix of a person's points and files."""
    return f"P{person_id}"
