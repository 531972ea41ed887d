"""Import of the JSON of the CMU Panoptic Studio: cameras with K, distCoef, R, t; centimetres, y down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.rig_io.cameras import CameraReader
from core.rig_io.fields import read_fields
from core.rig_io.filestorage import read_document
from core.rig_io.raw import RawRig, RigImporter, invalid_file, text


def _recognises(path: Path, content: str) -> bool:
    return path.suffix.lower() == ".json" and all(f'"{key}"' in content for key in ("cameras", "distCoef", "R", "t"))


def _read(path: Path) -> RawRig:
    tables = read_document(path).get("cameras")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, Mapping) for t in tables):
        raise invalid_file(path, "it has no list of cameras")
    kinds = {text(t.get("type", "")) for t in tables}
    notes = []
    if "hd" in kinds and len(kinds) > 1:
        notes.append(f"Only the hd cameras of {len(tables)} were imported.")
        tables = [t for t in tables if text(t.get("type", "")) == "hd"]
    reader = CameraReader(path)
    for table in tables:
        name = text(table.get("name", ""))
        missing = [key for key in ("resolution", "K", "R", "t") if key not in table]
        if missing:
            raise invalid_file(path, f"camera {name or '?'} has no {missing[0]}")
        reader.add(name, read_fields({str(key): value for key, value in table.items()}))
    return reader.result("cm", notes, up="-y")


IMPORTER = RigImporter(
    name="panoptic", title="CMU Panoptic Studio (JSON)", patterns=("*.json",), recognises=_recognises, read=_read
)
