"""Import of the TOML of Anipose, Pose2Sim and this program: a table per camera, OpenCV conventions.

Lengths are metres in Pose2Sim and in the unit of the board in Anipose; only this program writes the unit. The up axis
is not in the file either, except in this program's `rig.toml`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.documents.syntax import parse_toml
from core.errors import CoreError
from core.rig_io.cameras import CameraReader
from core.rig_io.fields import CameraFields, read_fields
from core.rig_io.filestorage import read_document
from core.rig_io.raw import MM_PER, RawRig, RigImporter, invalid_file, text

_OWN = {"time_offset_s": "time_offset"}


def toml_tables(content: str) -> Mapping[str, Any]:
    """Return the tables of a TOML text; none if it is not valid."""
    try:
        return parse_toml(content, "")
    except CoreError:
        return {}


def table_fields(table: Mapping[str, Any]) -> CameraFields:
    """Return the fields of a camera's table."""
    fields = read_fields({key: value for key, value in table.items() if key not in _OWN})
    for key, name in _OWN.items():
        if key in table:
            fields.add(name, key, table[key])
    return fields


def _recognises(path: Path, content: str) -> bool:
    return path.suffix.lower() == ".toml" and any(_tables(toml_tables(content)))


def _read(path: Path) -> RawRig:
    document = read_document(path)
    metadata = document.get("metadata")
    unit = metadata.get("units") if isinstance(metadata, Mapping) else None
    if unit is not None and text(unit) not in MM_PER:
        raise invalid_file(path, f"the length unit is '{str(unit)[:40]}', expected mm, cm or m", "Correct its units.")
    reader, notes = CameraReader(path), []
    for key, table in _tables(document):
        name = text(table.get("name", "")) or key
        if table.get("ignore") is True:
            notes.append(f"Camera {name} is marked as ignored and was omitted.")
        else:
            reader.add(name, table_fields(table))
    if not reader.cameras:
        raise invalid_file(path, "it has no cameras", "Choose the file with the camera matrices, such as Calib.toml.")
    # Only this program writes a schema; its world is z up.
    own = isinstance(metadata, Mapping) and "schema" in metadata
    return reader.result(unit, notes, up="z" if own else None)


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the camera tables at the top level (`[cam_0]`) or one level below (`[cameras.0]`)."""
    for key, value in document.items():
        if isinstance(value, Mapping) and _is_camera(value):
            yield key, value
        elif isinstance(value, Mapping) and key != "metadata":
            yield from ((k, v) for k, v in value.items() if isinstance(v, Mapping) and _is_camera(v))


def _is_camera(table: Mapping[str, Any]) -> bool:
    return "matrix" in table or read_fields(table).has_lens


IMPORTER = RigImporter(
    name="anipose",
    title="Anipose, Pose2Sim (TOML)",
    patterns=("*.toml",),
    recognises=_recognises,
    read=_read,
)
