"""Import of VoxelPose's JSON for Shelf and Campus: a mapping of names to R, T, fx, fy, cx, cy, k, p.

T is the camera centre in mm, and the world is z up: x_cam = R (x - T). k has three radial and p two tangential
coefficients. The image size is not in the file. Faster-VoxelPose's demo has the name of a sequence over a list of
cameras, which are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.rig_io.cameras import CameraReader
from core.rig_io.fields import read_fields
from core.rig_io.filestorage import read_document
from core.rig_io.raw import RawRig, RigImporter, invalid_file, text

_KEYS = ("R", "T", "fx", "fy", "cx", "cy")


def _recognises(path: Path, content: str) -> bool:
    return path.suffix.lower() == ".json" and all(f'"{key}"' in content for key in ("R", "T", "fx", "cx"))


def _read(path: Path) -> RawRig:
    document: Mapping[str, Any] = read_document(path)
    if len(document) == 1 and isinstance(cameras := next(iter(document.values())), list):
        document = {str(number): table for number, table in enumerate(cameras)}
    elif document and all(isinstance(cameras, list) for cameras in document.values()):
        names = ", ".join(list(document)[:8])
        hint = "Keep the sequence whose cameras you want in a file of its own."
        raise invalid_file(path, f"it has several sequences: {names}", hint)
    if not document:
        raise invalid_file(path, "it is not a mapping of camera names to cameras")
    reader = CameraReader(path)
    for name, table in document.items():
        if not isinstance(table, Mapping) or any(key not in table for key in _KEYS):
            raise invalid_file(path, f"camera {name} does not have all of {', '.join(_KEYS)}")
        fields = read_fields({str(key): value for key, value in table.items()})
        fields.values.pop("name", None)
        fields.values["centre"] = fields.values.pop("translation")
        reader.add(text(name), fields)
    return reader.result("mm", up="z")


IMPORTER = RigImporter(
    name="voxelpose",
    title="VoxelPose, Faster-VoxelPose (JSON)",
    patterns=("*.json",),
    recognises=_recognises,
    read=_read,
)
