"""Import of EasyMocap's `intri.yml` and `extri.yml`: FileStorage files whose keys end in the camera name.

Lengths are metres; `x_cam = Rot x_world + T`, and `R` is `Rot` as a Rodrigues vector. The distortion is OpenCV's k1 k2
p1 p2 k3. Only newer versions write image sizes (`H`, `W`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.rig_io.cameras import CameraReader
from core.rig_io.filestorage import read_document
from core.rig_io.layouts import cameras_of_documents, join_poses
from core.rig_io.raw import RawRig, RigImporter, invalid_file, text

_SUFFIXES = (".yml", ".yaml")
_SIBLING = {"intri": "extri", "extri": "intri"}


def _recognises(path: Path, content: str) -> bool:
    if path.is_dir():
        return any((path / f"intri{suffix}").is_file() for suffix in _SUFFIXES)
    return path.suffix.lower() in _SUFFIXES and re.search(r"^names\s*:", content, re.MULTILINE) is not None


def _read(path: Path) -> RawRig:
    if path.is_dir():
        path = next((p for suffix in _SUFFIXES if (p := path / f"intri{suffix}").is_file()), path / "intri.yml")
    sibling = path.with_stem(_SIBLING.get(path.stem, path.stem))
    files = [path, sibling] if sibling != path and sibling.is_file() else [path]
    documents = [(read_document(file), file.stem) for file in files]
    for (document, _), file in zip(documents, files, strict=True):
        _check_names(document, file)
    tables, notes = join_poses(cameras_of_documents(documents, path), path)
    if not tables:
        raise invalid_file(path, "it has no camera matrix", "Choose intri.yml; extri.yml must be in the same folder.")
    if len(files) == 1 and not any(fields.has_pose for fields in tables.values()):
        notes.append("There is no extri.yml in the same folder: the cameras have intrinsics only.")
    reader = CameraReader(path)
    for name, fields in tables.items():
        reader.add(name, fields)
    return reader.result("m", notes)


def _check_names(table: Mapping[str, Any], path: Path) -> None:
    """Check that every listed camera is present: a missing one means a truncated file."""
    names = table.get("names")
    if not isinstance(names, list):
        raise invalid_file(path, "it has no list of names")
    numbers = {_number(key.partition("_")[2]) for key in table if key.startswith(("K_", "T_"))}
    for name in (text(name)[:80] for name in names):
        if _number(name) not in numbers:
            raise invalid_file(path, f"it lists camera {name} but has neither K_{name} nor T_{name}")


def _number(name: str) -> str:
    """Return a name without leading zeros: YAML takes 01 without quotes for the number 1."""
    return name.lstrip("0") or "0"


IMPORTER = RigImporter(
    name="easymocap",
    title="EasyMocap (intri.yml and extri.yml)",
    patterns=("intri.yml", "extri.yml"),
    recognises=_recognises,
    read=_read,
)
