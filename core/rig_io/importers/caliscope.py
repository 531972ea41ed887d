"""Import of caliscope's `camera_array.toml`: OpenCV conventions, metres, a table `[cameras.N]` per camera.

It differs from Anipose's TOML: cameras have numbers instead of names, the rotation is a Rodrigues vector or, in older
files, a matrix, cameras that are not calibrated yet are included, and unknown values are missing or the string "null".
`rotation_count` rotates images for display only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.rig_io.cameras import CameraReader
from core.rig_io.filestorage import read_document
from core.rig_io.importers.anipose import table_fields, toml_tables
from core.rig_io.raw import RawRig, RigImporter, invalid_file, text

_NUMBERS = ("cam_id", "port")


def _recognises(path: Path, content: str) -> bool:
    return path.suffix.lower() == ".toml" and bool(_tables(toml_tables(content)))


def _read(path: Path) -> RawRig:
    tables = _tables(read_document(path))
    if not tables:
        raise invalid_file(path, "it has no numbered cameras", "Choose camera_array.toml of a caliscope workspace.")
    reader = CameraReader(path)
    uncalibrated, ignored = [], []
    for key, table in tables.items():
        known = {k: v for k, v in table.items() if v != "null"}
        name = text(known.get("name", "")) or _name(key, known)
        fields = table_fields(known)
        if known.get("ignore") is True:
            ignored.append(name)
        elif not fields.has_lens:
            uncalibrated.append(name)
        else:
            reader.add(name, fields)
    if not reader.cameras:
        raise invalid_file(path, "none of its cameras is calibrated", "Calibrate them in caliscope first.")
    notes = []
    if uncalibrated:
        notes.append(f"Omitted because not calibrated: {', '.join(uncalibrated)}.")
    if ignored:
        notes.append(f"Omitted because marked as ignored: {', '.join(ignored)}.")
    return reader.result("m", notes)


def _tables(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the tables of numbered cameras: `[cameras.0]`, or `[cam_0]` in older files."""
    inner = document.get("cameras")
    tables = inner if isinstance(inner, Mapping) else document
    return {
        str(key): table
        for key, table in tables.items()
        if isinstance(table, Mapping) and "size" in table and any(number in table for number in _NUMBERS)
    }


def _name(key: str, table: Mapping[str, Any]) -> str:
    """Return the name of the camera's videos: cam_0, or port_0 in older versions."""
    if "cam_id" in table:
        return f"cam_{table['cam_id']}"
    return f"port_{table['port']}" if "port" in table else key


IMPORTER = RigImporter(
    name="caliscope",
    title="caliscope (camera_array.toml)",
    patterns=("*.toml",),
    recognises=_recognises,
    read=_read,
)
