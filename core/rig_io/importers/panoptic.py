"""Import of the JSON of the CMU Panoptic Studio: cameras with K, distCoef, R, t; centimetres, y down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.files import read_json
from core.rig_io.importers.raw import RawRig, RigImporter, invalid_file, matrix, numbers, text
from core.types.camera import Camera


def _recognises(path: Path, content: str) -> bool:
    return path.suffix.lower() == ".json" and all(f'"{key}"' in content for key in ("cameras", "distCoef", "R", "t"))


def _read(path: Path) -> RawRig:
    document = read_json(path)
    tables = document.get("cameras") if isinstance(document, Mapping) else None
    if not isinstance(tables, list) or not tables or not all(isinstance(t, Mapping) for t in tables):
        raise invalid_file(path, "it has no list of cameras")
    kinds = {text(t.get("type", "")) for t in tables}
    notes = []
    if "hd" in kinds and len(kinds) > 1:
        notes.append(f"Only the hd cameras of {len(tables)} were imported.")
        tables = [t for t in tables if text(t.get("type", "")) == "hd"]
    cameras = tuple(_camera(table, path) for table in tables)
    return RawRig(cameras=cameras, unit="cm", up="-y", notes=tuple(notes))


def _camera(table: Mapping[str, Any], path: Path) -> Camera:
    name = text(table.get("name", ""))
    missing = [key for key in ("resolution", "K", "R", "t") if key not in table]
    if missing:
        raise invalid_file(path, f"camera {name or '?'} has no {missing[0]}")
    width, height = matrix(table["resolution"], (2,), path, f"camera {name}: resolution")
    return Camera(
        name=name,
        size_px=(round(width), round(height)),
        K=matrix(table["K"], (3, 3), path, f"camera {name}: K"),
        distortion=numbers(table.get("distCoef", ()), path, f"camera {name}: distCoef"),
        R=matrix(table["R"], (3, 3), path, f"camera {name}: R"),
        t_mm=matrix(table["t"], (3,), path, f"camera {name}: t"),
    )


IMPORTER = RigImporter(
    name="panoptic", title="CMU Panoptic Studio (JSON)", patterns=("*.json",), recognises=_recognises, read=_read
)
