"""Import of caliscope's `camera_array.toml`: OpenCV conventions, metres, a table `[cameras.N]` per camera.

It differs from Anipose's TOML: cameras have numbers instead of names, the rotation is a Rodrigues vector or, in older
files, a matrix, cameras that are not calibrated yet are included, and unknown values are missing or the string "null".
`rotation_count` rotates images for display only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.rig_io.importers.anipose import camera_of_table, parsed
from core.rig_io.importers.raw import RawRig, RigImporter, invalid_file, text
from core.types.camera import Camera

_NUMBERS = ("cam_id", "port")


def _recognises(path: Path, content: str) -> bool:
    try:
        return path.suffix.lower() == ".toml" and bool(_tables(tomllib.loads(content)))
    except tomllib.TOMLDecodeError:
        return False


def _read(path: Path) -> RawRig:
    tables = _tables(parsed(path))
    if not tables:
        raise invalid_file(path, "it has no numbered cameras", "Choose camera_array.toml of a caliscope workspace.")
    cameras: list[Camera] = []
    uncalibrated, ignored = [], []
    for key, table in tables.items():
        known = {k: v for k, v in table.items() if v != "null"}
        known["name"] = text(known.get("name", "")) or _name(key, known)
        if known.get("ignore") is True:
            ignored.append(known["name"])
        elif "matrix" not in known:
            uncalibrated.append(known["name"])
        else:
            cameras.append(camera_of_table(known, path))
    if not cameras:
        raise invalid_file(path, "none of its cameras is calibrated", "Calibrate them in caliscope first.")
    notes = []
    if uncalibrated:
        notes.append(f"Omitted because not calibrated: {', '.join(uncalibrated)}.")
    if ignored:
        notes.append(f"Omitted because marked as ignored: {', '.join(ignored)}.")
    return RawRig(cameras=tuple(cameras), unit="m", up=None, notes=tuple(notes))


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
