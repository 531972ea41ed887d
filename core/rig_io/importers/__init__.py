"""Import of rigs from the files of other programs; a new format is one module and one line in `IMPORTERS`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.files import read_text
from core.registry import Registry
from core.rig_io.import_findings import READING_TEXT, pose_findings, unread_findings
from core.rig_io.raw import MAX_RIG_BYTES, MM_PER, RawRig, RigImporter, Unit, distances
from core.rig_io.readings import PoseReading, RotationReading, reread_poses
from core.types.arrays import F64
from core.types.axes import Axis, rotation_to_z_up
from core.types.camera import Camera, CameraRig
from core.types.finding import Finding

IMPORTERS: Registry[RigImporter] = Registry(
    "rig format",
    {
        "metashape": "core.rig_io.importers.metashape:IMPORTER",
        "optitrack": "core.rig_io.importers.optitrack:IMPORTER",
        "qca": "core.rig_io.importers.qca:IMPORTER",
        "xcp": "core.rig_io.importers.xcp:IMPORTER",
        "caliscope": "core.rig_io.importers.caliscope:IMPORTER",
        "anipose": "core.rig_io.importers.anipose:IMPORTER",
        "panoptic": "core.rig_io.importers.panoptic:IMPORTER",
        "voxelpose": "core.rig_io.importers.voxelpose:IMPORTER",
        "colmap": "core.rig_io.importers.colmap:IMPORTER",
        "kalibr": "core.rig_io.importers.kalibr:IMPORTER",
        "easymocap": "core.rig_io.importers.easymocap:IMPORTER",
        "opencv": "core.rig_io.importers.opencv:IMPORTER",
    },
)
_UNIT_NAMES = {"mm": "millimetres", "cm": "centimetres", "m": "metres"}
# Log-normal prior of the distance of cameras that film people, and prior of units; centimetres are rare.
_TYPICAL_MM, _LOG_SD = 4000.0, np.log(3.0)
_PRIOR = {"m": 0.45, "mm": 0.5, "cm": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRig:
    """A rig from a file.

    Attributes:
        rig: The rig.
        findings: Findings on unrecognised fields, and on a more plausible convention of the poses.
    """

    rig: CameraRig
    findings: tuple[Finding, ...]


def read_rig(
    path: Path | str,
    format: str = "auto",
    units: Unit | Literal["auto"] = "auto",
    *,
    up: Axis | Literal["auto"] = "auto",
    pose_is: PoseReading | Literal["auto"] = "auto",
    rotation_is: RotationReading = "as_stated",
    sizes_px: Mapping[str, tuple[int, int]] | None = None,
) -> CameraRig:
    """Read a rig file; see `import_rig_file`."""
    return import_rig_file(path, format, units, up=up, pose_is=pose_is, rotation_is=rotation_is, sizes_px=sizes_px).rig


def import_rig_file(
    path: Path | str,
    format: str = "auto",
    units: Unit | Literal["auto"] = "auto",
    *,
    up: Axis | Literal["auto"] = "auto",
    pose_is: PoseReading | Literal["auto"] = "auto",
    rotation_is: RotationReading = "as_stated",
    sizes_px: Mapping[str, tuple[int, int]] | None = None,
) -> ImportedRig:
    """Read a rig file of any known format and convert it to mm and z up.

    Args:
        path: File, folder with one file per camera (OpenCV), or folder that contains one rig file.
        format: Name in `IMPORTERS`, or "auto" to recognise it by content.
        units: Length unit of the file; "auto" for that of the format, else the most plausible one, which the rig's
            `source` notes.
        up: Up axis of the file; "auto" for that of the format, else z.
        pose_is: Meaning of the poses in the file; "auto" for that of the format.
        rotation_is: Unit of rotation vectors, or order of quaternions.
        sizes_px: Image sizes by camera, used if the format does not hold them.

    Raises:
        CoreError: A missing, unknown or damaged file, or values that are not valid for a camera.
    """
    path = Path(path).expanduser()
    importer, path = _importer(path, format)
    raw = _read(importer, path)
    notes = list(raw.notes)
    findings = [*unread_findings(raw)]
    if pose_is == "auto" and rotation_is == "as_stated":
        findings += pose_findings(raw)
    else:
        raw = _reread(raw, raw.pose_is if pose_is == "auto" else pose_is, rotation_is, path)
        notes.append(f"The poses were read as {READING_TEXT[raw.pose_is]}.")
    unit: Unit
    if units != "auto":
        unit = units
    elif raw.unit is not None:
        unit = raw.unit
    else:
        unit = plausible_unit(raw)
        posed = [c.centre_mm for c in raw.cameras if c.posed]
        if len(posed) > 1 and np.ptp(posed, 0).any():
            metres = float(np.median(distances(posed))) * MM_PER[unit] / 1000
            notes.append(f"Lengths were read as {_UNIT_NAMES[unit]}: the cameras are {metres:.2g} m apart.")
    rotation = rotation_to_z_up(up if up != "auto" else raw.up or "z")
    cameras = tuple(_in_world(camera, MM_PER[unit], rotation) for camera in raw.cameras)
    if raw.guessed_sizes:
        known = sizes_px or {}
        cameras = tuple(
            c.replace(size_px=known.get(c.name, c.size_px)) if c.name in raw.guessed_sizes else c for c in cameras
        )
        guessed = [
            f"{c.name} {c.size_px[0]}x{c.size_px[1]}" for c in cameras if c.name in raw.guessed_sizes - set(known)
        ]
        if guessed:
            notes.append(f"The file has no image sizes; derived from the principal points: {', '.join(guessed)}.")
    try:
        rig = CameraRig(
            cameras=cameras,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            source=" ".join([f"{importer.title}: {path.name}.", *notes]),
            floor_guessed=raw.up is None,
        )
    except CoreError as error:
        raise CoreError(f"{path.name}: {error.message}", error.hint) from error
    return ImportedRig(rig=rig, findings=tuple(findings))


def rig_suffixes() -> tuple[str, ...]:
    """Return the file name suffixes of all formats, such as ".toml", in alphabetical order."""
    return tuple(sorted({Path(pattern).suffix for importer in IMPORTERS.entries() for pattern in importer.patterns}))


def plausible_unit(raw: RawRig) -> Unit:
    """Return the length unit in which the distances of the cameras are most likely."""
    if not _posed(raw):
        return "mm"
    distance = float(np.median(distances(c.centre_mm for c in raw.cameras if c.posed)))
    if distance <= 0:
        return "mm"
    score = {u: np.log(_PRIOR[u]) - (np.log(distance * MM_PER[u] / _TYPICAL_MM) / _LOG_SD) ** 2 / 2 for u in MM_PER}
    return max(score, key=lambda u: float(score[u]))


def _read(importer: RigImporter, path: Path) -> RawRig:
    """Return the result of an importer; errors of the domain types get the file name."""
    try:
        return importer.read(path)
    except RecursionError as error:
        raise CoreError(f"{path.name} is nested too deeply for a rig file.", "Choose the calibration file.") from error
    except CoreError as error:
        if path.name in error.message:
            raise
        raise CoreError(f"{path.name}: {error.message}", error.hint) from error


def _reread(raw: RawRig, reading: PoseReading, rotation: RotationReading, path: Path) -> RawRig:
    """Return the rig with another meaning of its poses.

    Raises:
        CoreError: The file has no rotation vectors or quaternions to reinterpret.
    """
    wanted, kind = {
        "degrees": (raw.rotation_vectors, "rotation vectors"),
        "radians": (raw.rotation_vectors, "rotation vectors"),
        "xyzw": (raw.quaternions, "quaternions"),
        "wxyz": (raw.quaternions, "quaternions"),
    }.get(rotation, ({"": 0}, ""))
    if not wanted:
        raise CoreError(f"{path.name} has no {kind}.", "Import it without rotation_is.")
    cameras = reread_poses(raw.cameras, raw.pose_is, reading, rotation, raw.rotation_vectors, raw.quaternions)
    return dataclasses.replace(raw, cameras=cameras, pose_is=reading)


def _posed(raw: RawRig) -> bool:
    return any(camera.posed for camera in raw.cameras)


def _in_world(camera: Camera, mm_per_unit: float, rotation: F64) -> Camera:
    if not camera.posed:
        return camera
    R, t = camera.pose
    return dataclasses.replace(camera, R=R @ rotation.T, t_mm=t * mm_per_unit)


def _importer(path: Path, format: str) -> tuple[RigImporter, Path]:
    if not path.exists():
        raise CoreError(f"The rig file {path} does not exist.", "Check the path.")
    if format != "auto":
        importer = IMPORTERS.get(format)
        return importer, path
    content = _content(path)
    for importer in IMPORTERS.entries():
        if importer.recognises(path, content):
            return importer, path
    if path.is_dir():
        inside = [(_recognised(p), p) for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]
        known = [(importer, p) for importer, p in inside if importer is not None]
        if len(known) == 1:
            return known[0]
        if known:
            names = ", ".join(p.name for _, p in known[:5])
            raise CoreError(f"The folder {path} has several rig files: {names}.", "Choose one of them.")
    if path.is_file() and path.stat().st_size == 0:
        raise CoreError(f"{path.name} is empty (0 bytes).", "Export or copy it again.")
    titles = "; ".join(importer.title for importer in IMPORTERS.entries())
    raise CoreError(f"{path.name} is not a rig file of a known format.", f"Known formats: {titles}.")


def _recognised(path: Path) -> RigImporter | None:
    if path.suffix.lower() not in rig_suffixes():
        return None
    try:
        content = _content(path)
    except CoreError:
        return None  # too large, or not a text file
    return next((i for i in IMPORTERS.entries() if i.recognises(path, content)), None)


def _content(path: Path) -> str:
    if path.is_dir() or path.suffix.lower() == ".bin":
        return ""
    try:
        return read_text(path, MAX_RIG_BYTES)
    except CoreError:
        if path.suffix.lower() in rig_suffixes():
            raise
        return ""  # neither text nor named like a rig file
