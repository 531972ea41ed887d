"""Protocol and registry of exporters, and the conversion of units and axes that they share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from core.body.sequence import BodyMotion
from core.errors import CoreError
from core.registry import Registry
from core.session import Take
from core.types import Pose3DSequence
from core.types.arrays import F64

_BLOCK_FRAMES = 1000
Content = Literal["points", "rotations", "mesh"]
"""Part of a 3D result: joint positions, joint rotations, or a body surface."""
Units = Literal["mm", "cm", "m"]
UpAxis = Literal["y", "z"]
UnitsChoice = Literal["auto", Units]
UpChoice = Literal["auto", UpAxis]
MM_PER: dict[Units, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
DECIMALS: dict[Units, int] = {"mm": 4, "cm": 5, "m": 7}
"""Decimal places in text files: 0.1 micrometres, far below the error of any camera system."""
FIT_BODIES = "Run 'fit-body' on the take first: it fits bodies to the 3D poses."
"""Remedy for missing content that only bodies have."""
_CONTENT_NAMES: dict[Content, str] = {
    "points": "joint positions",
    "rotations": "joint rotations",
    "mesh": "a body mesh",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Coordinates of an exported file.

    Attributes:
        units: Length unit.
        up: Axis that points up. "z" keeps world coordinates; "y" rotates them by -90 degrees about x, which maps
            (x, y, z) to (x, z, -y) and stays right-handed.
    """

    units: Units
    up: UpAxis


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Origin of the poses; written into every file whose format can store it.

    Attributes:
        take: Take name.
        poses: "baseline" or the name of the training run.
        rig: Digest of the calibration.
        version: Program and version.
    """

    take: str
    poses: str
    rig: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExportedResult:
    """3D result of a take.

    Attributes:
        poses: Joint positions, at least one person in at least one frame.
        origin: Origin of the poses.
        motion: Bodies that were fitted to the poses, with their model, or None.
        report: Function that receives the written fraction of a file, and may raise to cancel.
    """

    poses: Pose3DSequence
    origin: Origin
    motion: BodyMotion | None = None
    report: Callable[[float], None] = lambda _share: None

    @property
    def content(self) -> frozenset[Content]:
        """Content that exporters can write."""
        return _content(self.motion is not None)

    @property
    def bodies(self) -> BodyMotion:
        """Bodies of the result.

        Raises:
            CoreError: The result has no bodies.
        """
        if self.motion is None:
            raise CoreError(f"The 3D poses '{self.origin.poses}' have no bodies.", FIT_BODIES)
        return self.motion


class Exporter(Protocol):
    """Writer of one file format.

    Attributes:
        title: Common name of the format.
        needs: Content that a result must have to be written.
        units: Length units that readers of the format support; the first one is the default.
        ups: Up axes that readers of the format support; the first one is the default.
        constant_rate: True if the format stores a frame rate instead of the time of each frame.
        by_default: True if the format is written when no formats are selected.
    """

    title: str
    needs: tuple[Content, ...]
    units: tuple[Units, ...]
    ups: tuple[UpAxis, ...]
    constant_rate: bool
    by_default: bool = True

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the files and the tools that read them."""

    def unavailable(self) -> str:
        """Return the reason why the format cannot be written on this computer, and the remedy; empty if it can."""
        return ""

    def notes(self, result: ExportedResult) -> list[str]:
        """Return sentences on the differences between the files and the result."""
        return []

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write the files, atomically.

        Args:
            result: Result with the content that the format needs.
            stem: Folder and file name without extension; the folder exists.
            options: Options that the format supports.

        Returns:
            The files written.
        """


EXPORTERS: Registry[Exporter] = Registry(
    "export format",
    {
        "c3d": "core.export.formats.c3d:EXPORTER",
        "trc": "core.export.formats.trc:EXPORTER",
        "csv": "core.export.formats.csv:EXPORTER",
        "json": "core.export.formats.json:EXPORTER",
        "netcdf": "core.export.formats.netcdf:EXPORTER",
        "glb": "core.export.formats.glb:EXPORTER",
        "bvh": "core.export.formats.bvh:EXPORTER",
        "angles": "core.export.formats.angles:EXPORTER",
        "amass": "core.export.formats.amass:EXPORTER",
        "segments": "core.export.formats.segments:EXPORTER",
        "landmarks": "core.export.formats.landmarks:EXPORTER",
        "usd": "core.export.formats.usd:EXPORTER",
        "obj": "core.export.formats.meshes:OBJ",
        "ply": "core.export.formats.meshes:PLY",
    },
)


def content_of(take: Take, poses: str) -> frozenset[Content]:
    """Return the content of a stored 3D result: rotations and a surface only if bodies were fitted to it."""
    return _content(take.has_bodies(poses))


def _content(bodies: bool) -> frozenset[Content]:
    return frozenset({"points", "rotations", "mesh"} if bodies else {"points"})


def suitable_formats(content: Collection[Content]) -> tuple[str, ...]:
    """Return the names of all exporters whose needs are met by this content."""
    return tuple(name for name in EXPORTERS if set(EXPORTERS.get(name).needs) <= set(content))


def default_formats(content: Collection[Content]) -> tuple[str, ...]:
    """Return the names of the exporters that write this content when no formats are selected."""
    return tuple(name for name in suitable_formats(content) if EXPORTERS.get(name).by_default)


def check_content(exporter: Exporter, content: Collection[Content]) -> None:
    """Check that the result has the content and the computer the packages that an exporter needs.

    Raises:
        CoreError: Content or a package is missing; the message names it.
    """
    missing = [_CONTENT_NAMES[need] for need in exporter.needs if need not in content]
    if missing:
        raise CoreError(
            f"{exporter.title} needs {' and '.join(missing)}, which these 3D poses do not have.",
            f"{FIT_BODIES} Or choose another format: {', '.join(suitable_formats(content))}.",
        )
    if reason := exporter.unavailable():
        raise CoreError(f"{exporter.title} cannot be written on this machine.", reason)


def resolve_options(exporter: Exporter, units: UnitsChoice = "auto", up: UpChoice = "auto") -> ExportOptions:
    """Return the options of a format, with its defaults in place of "auto".

    Raises:
        CoreError: The format does not support the unit or the axis.
    """
    for value, supported, what in ((units, exporter.units, "in"), (up, exporter.ups, "with the up axis")):
        if value != "auto" and value not in supported:
            raise CoreError(
                f"{exporter.title} cannot be written {what} {value}.",
                f"Choose {' or '.join(supported)}, or auto.",
            )
    return ExportOptions(
        units=exporter.units[0] if units == "auto" else units, up=exporter.ups[0] if up == "auto" else up
    )


def write_result(name: str, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
    """Write a 3D result with the exporter of that name.

    Args:
        name: Entry of `EXPORTERS`.
        result: Result to write.
        stem: Folder and file name without extension.
        options: Options of the format, see `resolve_options`.

    Returns:
        The files written.

    Raises:
        CoreError: Unknown exporter, content that it needs is missing, no person in the poses, or a folder that cannot
            be written to.
    """
    exporter = EXPORTERS.get(name)
    check_content(exporter, result.content)
    if not result.poses.present.any():
        raise CoreError(
            f"The 3D poses '{result.origin.poses}' of take {result.origin.take} contain no person.",
            "Check the 2D poses and the calibration: no person was matched across cameras.",
        )
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        return exporter.write(result, stem, options)
    except OSError as error:
        raise CoreError(
            f"Cannot write to {stem.parent}: {error.strerror or error}.",
            "Choose a writable folder on a disk with free space.",
        ) from error


def to_file_coordinates(xyz_mm: F64, options: ExportOptions) -> F64:
    """Convert world points (..., 3), mm and z up, to the units and axes of a file."""
    x, y, z = np.moveaxis(np.asarray(xyz_mm, np.float64), -1, 0)
    rotated = np.stack([x, z, -y] if options.up == "y" else [x, y, z], axis=-1)
    # Adding zero turns -0.0 into 0.0, which some readers print as "-0".
    return np.asarray(rotated / MM_PER[options.units] + 0.0)


def frames_in_file_coordinates(poses: Pose3DSequence, options: ExportOptions) -> Iterator[F64]:
    """Yield the points (P, J, 3) of each frame in the units and axes of a file, converted a block at a time."""
    for start in range(0, len(poses.xyz_mm), _BLOCK_FRAMES):
        yield from to_file_coordinates(poses.xyz_mm[start : start + _BLOCK_FRAMES], options)


def frame_rate_hz(poses: Pose3DSequence) -> float:
    """Return the frame rate for formats that store a constant one; 1 Hz for a single frame."""
    return poses.fps or 1.0


def person_label(person_id: int) -> str:
    """Return the prefix of a person's points and files."""
    return f"P{person_id}"
