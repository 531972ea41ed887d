"""Manifests of exports, written last so that an interrupted export does not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from core.config import from_mapping, to_mapping
from core.disk import saying_why
from core.errors import CoreError
from core.files import read_json, sha256, write_json
from core.session.naming import result_slug

EXPORT_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """File of an export.

    Attributes:
        name: Path relative to the manifest, with at most one folder.
        bytes: Size in bytes.
        sha256: Hexadecimal hash of the content.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportManifest:
    """Content of the manifest of an export.

    Attributes:
        take: Name of the take.
        poses: Name of the 3D result.
        rig: Digest of the rig of the result.
        created: Time of creation, ISO 8601.
        files: Exported files.
        result: Identifier of the exported version of the result, see `core.session.inputs.result_id`.
        bodies: Identifier of the exported bodies, see `core.session.inputs.bodies_id`; empty without.
        schema: Version of the file format.
    """

    take: str
    poses: str
    rig: str
    created: str
    files: tuple[ExportedFile, ...]
    result: str = ""
    bodies: str = ""
    schema: int = EXPORT_SCHEMA


def export_stem(take: str, poses: str) -> str:
    """Return the common prefix of the file names of an export."""
    return f"{take}_{result_slug(poses)}"


def begin_export(folder: Path, take: str, poses: str, kind: str = "") -> None:
    """Create the folder of an export, and remove the manifest of an earlier export that it replaces.

    Args:
        folder: Folder of the export.
        take: Name of the take.
        poses: Name of the 3D result.
        kind: Kind of film; empty for an export of 3D poses.

    Raises:
        CoreError: The folder cannot be created or written.
    """
    path = _manifest(folder, take, poses, kind)
    with saying_why(path):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:
            raise CoreError(f"The folder {folder} cannot be created.", "Choose another folder.") from error
        path.unlink(missing_ok=True)


def finish_export(
    folder: Path,
    take: str,
    poses: str,
    rig: str,
    files: Sequence[Path],
    result: str = "",
    bodies: str = "",
    kind: str = "",
) -> Path:
    """Write the manifest of an export whose files are complete, and return its path.

    Raises:
        DiskError: The folder cannot be written.
    """
    listed = tuple(
        ExportedFile(name=p.relative_to(folder).as_posix(), bytes=p.stat().st_size, sha256=sha256(p)) for p in files
    )
    manifest = ExportManifest(
        take=take,
        poses=poses,
        rig=rig,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        files=listed,
        result=result,
        bodies=bodies,
    )
    path = _manifest(folder, take, poses, kind)
    write_json(path, to_mapping(manifest))
    return path


def exported_files(folder: Path, take: str, poses: str) -> list[Path]:
    """Return the unchanged files of the latest complete export of a result."""
    manifest = export_manifest(folder, take, poses)
    paths = (
        [(folder.joinpath(*_parts(file.name)), file.bytes) for file in manifest.files] if manifest is not None else []
    )
    return [path for path, size in paths if path.is_file() and path.stat().st_size == size]


def newest_export(folder: Path) -> list[Path]:
    """Return the files of the latest export in a folder of which any files exist; films are ignored."""
    found = []
    for path in folder.glob("*.export.json"):
        try:
            manifest = from_mapping(ExportManifest, read_json(path))
        except CoreError:
            continue  # damaged or written by a newer version
        if path == _manifest(folder, manifest.take, manifest.poses):
            found.append((manifest.created, exported_files(folder, manifest.take, manifest.poses)))
    return max(((created, files) for created, files in found if files), default=("", []))[1]


def export_manifest(folder: Path, take: str, poses: str) -> ExportManifest | None:
    """Return the manifest of the latest complete export of a result; None if there is none."""
    try:
        return from_mapping(ExportManifest, read_json(_manifest(folder, take, poses)))
    except CoreError:
        return None  # not exported, or interrupted


def _parts(name: str) -> tuple[str, ...]:
    """Return the path components of a listed name; empty for one outside the folder of the manifest."""
    return tuple(part for part in PurePosixPath(name).parts[-2:] if part not in ("/", ".."))


def _manifest(folder: Path, take: str, poses: str, kind: str = "") -> Path:
    return folder / f"{'_'.join(part for part in (export_stem(take, poses), kind) if part)}.export.json"
