"""Import of files with named fields (YAML, JSON or XML) in their common layouts.

One camera per file (also ROS camera_info), all cameras in one file as nested mappings or a list, keys with the camera
name appended (`K_cam01`, `cameraMatrix1`, `K_left`), a stereo pair with R and T of the second camera, or a folder of
such files. The fields and their names in OpenCV, ROS, MC-Calib, multical, XRPrimer, RICH, 4D Association and others are
those of `core.rig_io.fields`. Without a statement in the file the pose is world to camera. Length unit and up axis are
not in the file, except for the `length_unit` that this program writes.
"""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import CoreError
from core.files import read_text
from core.rig_io.cameras import CameraReader
from core.rig_io.filestorage import Table, read_document
from core.rig_io.layouts import cameras_of_documents, join_poses
from core.rig_io.raw import MAX_RIG_BYTES, MM_PER, RawRig, RigImporter, invalid_file, text

_SUFFIXES = (".yml", ".yaml", ".json", ".xml")
_MAX_FOLDER_FILES = 1000
_MAX_CAMERA_BYTES = 1 << 20  # of a file with one camera among others


def _recognises(path: Path, content: str) -> bool:
    if path.is_dir():
        files = _files(path)
        return 1 < len(files) <= _MAX_FOLDER_FILES and any(_mentions_matrix(_text(file)) for file in files)
    return path.suffix.lower() in _SUFFIXES and _mentions_matrix(content)


def _text(path: Path) -> str:
    try:
        return read_text(path, MAX_RIG_BYTES)
    except CoreError:
        return ""


def _mentions_matrix(content: str) -> bool:
    names = "left_?|right_?|camera_?matrix|cam_?matrix|intrinsic(_?(matrix|parameter))?s?|mtx|K|M"
    lens = rf"(^|[\s\"'<])(?:{names}){{1,2}}(_?[\w-]+)?[\"'>\s]*[:\s>]"
    return re.search(lens, content, re.IGNORECASE) is not None or all(
        re.search(rf"(^|[\s\"'<]){axis}[\"'>\s]*[:\s>]", content) for axis in ("fx", "fy")
    )


def _read(path: Path) -> RawRig:
    files = _files(path) if path.is_dir() else _with_sibling(path)
    documents = [(read_document(file), file.stem) for file in files]
    units = {text(document.get("length_unit", "")) for document, _ in documents}
    if not path.is_dir() and len(documents) == 2 and not _same_names(*(document for document, _ in documents)):
        # Intrinsics and extrinsics of a stereo pair in two files.
        documents = [({**documents[0][0], **documents[1][0]}, path.stem)]
    tables, notes = join_poses(cameras_of_documents(documents, path), path)
    if not tables:
        hint = "Each camera needs camera_matrix (or K), or fx, fy, cx and cy."
        raise invalid_file(path, "it has no camera matrix", hint)
    reader = CameraReader(path)
    for name, fields in tables.items():
        reader.add(name, fields)
    unit = next((u for u in MM_PER if units == {u}), None)
    return reader.result(unit, notes)


def _files(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())
    return sorted(p for p in files if p.stat().st_size < _MAX_CAMERA_BYTES)


def _with_sibling(path: Path) -> list[Path]:
    """Return a file of intrinsics and its sibling of extrinsics, or the reverse."""
    pairs = {"intrinsics": "extrinsics", "extrinsics": "intrinsics", "intrinsic": "extrinsic", "extrinsic": "intrinsic"}
    sibling = path.with_stem(pairs.get(path.stem, path.stem))
    return [path, sibling] if sibling != path and sibling.is_file() else [path]


def _same_names(one: Table, other: Table) -> bool:
    """Return True if two documents have camera tables of the same name."""
    return any(isinstance(one[key], dict) and "data" not in one[key] for key in set(one) & set(other))


IMPORTER = RigImporter(
    name="opencv",
    title="OpenCV and similar (YAML, JSON, XML; a file or a folder)",
    patterns=("*.yml", "*.yaml", "*.json", "*.xml"),
    recognises=_recognises,
    read=_read,
)
