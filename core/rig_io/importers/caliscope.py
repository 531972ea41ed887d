"""caliscope's `camera_array.toml`: OpenCV's conventions in metres, a table `[cameras.N]` per camera.

It differs from Anipose's TOML: cameras are numbered and not named, the rotation is a Rodrigues vector or, in older
files, a matrix, cameras that have not been calibrated yet are in it, and what is not known is left out or the text
"null". `rotation_count` turns images for display only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.rig_io.importers.anipose import camera_of_table, parsed
from core.rig_io.importers.raw import RawRig, RigImporter, text, wrong
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
        raise wrong(path, "it has no numbered cameras", "Choose camera_array.toml of a caliscope workspace.")
    cameras: list[Camera] = []
    bare, ignored = [], []
    for key, table in tables.items():
        known = {k: v for k, v in table.items() if v != "null"}
        known["name"] = text(known.get("name", "")) or _name(key, known)
        if known.get("ignore") is True:
            ignored.append(known["name"])
        elif "matrix" not in known:
            bare.append(known["name"])
        else:
            cameras.append(camera_of_table(known, path))
    if not cameras:
        raise wrong(path, "none of its cameras is calibrated", "Calibrate them in caliscope first.")
    remarks = []
    if bare:
        remarks.append(f"Not calibrated, left out: {', '.join(bare)}.")
    if ignored:
        remarks.append(f"Marked to be ignored, left out: {', '.join(ignored)}.")
    return RawRig(cameras=tuple(cameras), unit="m", up=None, remarks=tuple(remarks))


def _tables(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Tables of numbered cameras: `[cameras.0]`, or `[cam_0]` in older files."""
    inner = document.get("cameras")
    tables = inner if isinstance(inner, Mapping) else document
    return {
        str(key): table
        for key, table in tables.items()
        if isinstance(table, Mapping) and "size" in table and any(number in table for number in _NUMBERS)
    }


def _name(key: str, table: Mapping[str, Any]) -> str:
    """Videos are named cam_0, cam_1; older versions say port_0."""
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
