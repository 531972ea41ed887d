"""Import of OpenCV FileStorage files (YAML, JSON or XML) in their common layouts.

One camera per file (also ROS camera_info), all cameras in one file as nested mappings or a list, keys with the camera
name appended (`K_cam01`, `dist_cam01`), or a folder of such files. The rotation is world to camera. Length unit and up
axis are not in the file, except for the `length_unit` that this program writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.rig_io.importers.filestorage import Table, read_document, values
from core.rig_io.importers.raw import (
    MM_PER,
    RawRig,
    RigImporter,
    guessed_size,
    invalid_file,
    matrix,
    rotation_matrix,
    text,
)
from core.types.arrays import F64
from core.types.camera import Camera

_SUFFIXES = (".yml", ".yaml", ".json", ".xml")
# Names of a field in different programs, in lower case without underscores.
_NAMES = {
    "K": ("k", "cameramatrix", "intrinsicmatrix", "intrinsic", "intrinsics", "mtx"),
    "distortion": ("dist", "distortion", "distortioncoefficients", "distcoeffs", "distortioncoeffs", "distcoef", "d"),
    "rotation": ("rot", "r", "rvec", "rotation", "rotationmatrix", "rotationvector"),
    "translation": ("t", "tvec", "translation", "translationvector"),
    "pose": ("rt", "extrinsic", "extrinsics", "extrinsicmatrix", "worldtocamera"),
    "size": ("size", "imagesize", "resolution"),
    "width": ("width", "imagewidth", "w"),
    "height": ("height", "imageheight", "h"),
    "name": ("name", "cameraname"),
    "model": ("cameramodel", "distortionmodel", "lens", "fisheye"),
    "time_offset": ("timeoffsets",),
}
_FIELD = {spelling: field for field, spellings in _NAMES.items() for spelling in spellings}


def _recognises(path: Path, content: str) -> bool:
    if path.is_dir():
        files = [p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES and p.stat().st_size < 1 << 20]
        return (
            len(files) > 1 and sum(_mentions_matrix(p.read_text(encoding="utf-8", errors="replace")) for p in files) > 0
        )
    return path.suffix.lower() in _SUFFIXES and _mentions_matrix(content)


def _mentions_matrix(content: str) -> bool:
    names = "camera_?matrix|intrinsic(_?matrix)?s?|mtx|K"
    return re.search(rf"(^|[\s\"'<])({names})(_[\w-]+)?[\"'>\s]*[:\s>]", content, re.IGNORECASE) is not None


def _read(path: Path) -> RawRig:
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES) if path.is_dir() else _with_sibling(path)
    tables: dict[str, Table] = {}
    units = set()
    for file in files:
        document = read_document(file)
        units.add(text(document.get("length_unit", "")))
        for name, table in _cameras(document, file.stem):
            tables.setdefault(name, {}).update(table)
    tables = {name: table for name, table in tables.items() if "K" in table}
    if not tables:
        raise invalid_file(path, "it has no camera matrix", "Each camera needs camera_matrix (or K).")
    cameras, guessed = [], set()
    for name, table in tables.items():
        camera, certain = _camera(name, table, path)
        cameras.append(camera)
        if not certain:
            guessed.add(camera.name)
    unit = next((u for u in MM_PER if units == {u}), None)
    return RawRig(cameras=tuple(cameras), unit=unit, up=None, guessed_sizes=frozenset(guessed))


def _with_sibling(path: Path) -> list[Path]:
    """Return a file of intrinsics and its sibling of extrinsics, or the reverse."""
    pairs = {"intrinsics": "extrinsics", "extrinsics": "intrinsics"}
    sibling = path.with_stem(pairs.get(path.stem, path.stem))
    return [path, sibling] if sibling != path and sibling.is_file() else [path]


def _cameras(document: Table, stem: str) -> Iterator[tuple[str, Table]]:
    """Yield the camera tables of a document in any of the layouts, with the field names of `_NAMES`."""
    top = _fields(document)
    if "K" in top or "rotation" in top or "pose" in top:
        yield text(top.get("name", "")) or stem, top
        return
    for key, value in document.items():
        if isinstance(value, Mapping) and "data" not in value:
            yield from _cameras({str(k): v for k, v in value.items()}, key)
        elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value):
                yield from _cameras({str(k): v for k, v in item.items()}, f"cam_{number}")
    appended: dict[str, Table] = {}
    for key, value in document.items():
        prefix, _, name = key.partition("_")
        field = _FIELD.get(prefix.lower())
        if field and name and not _FIELD.get(_spelled(key)):
            table = appended.setdefault(name, {})
            # Some files have both the vector R_cam and the matrix Rot_cam; the first is kept.
            table.setdefault(field, value)
    yield from appended.items()


def _fields(table: Mapping[str, Any]) -> Table:
    found: Table = {}
    for key, value in table.items():
        field = _FIELD.get(_spelled(key))
        if field:
            found.setdefault(field, value)
    return found


def _spelled(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def _camera(name: str, table: Table, path: Path) -> tuple[Camera, bool]:
    K = matrix(values(table["K"], path, f"camera {name}: K"), (3, 3), path, f"camera {name}: K")
    distortion = values(table.get("distortion", ()), path, f"camera {name}: distortion")
    model = str(table.get("model", "")).lower()
    fisheye = model in ("fisheye", "equidistant", "true", "1", "1.0", "[1.0]")
    size = _size(table, path, name)
    R, t = _pose(table, path, name)
    camera = Camera(
        name=text(table.get("name", "")) or name,
        size_px=size or guessed_size(K[0, 2], K[1, 2]),
        K=K,
        distortion=distortion[:4] if fisheye else distortion,
        distortion_model="fisheye" if fisheye else "pinhole",
        R=R,
        t_mm=t,
        time_offset_s=_one(table.get("time_offset", 0.0), path, f"camera {name}: time offset"),
    )
    return camera, size is not None


def _one(value: Any, path: Path, what: str) -> float:
    return float(matrix(values(value, path, what), (1,), path, what)[0])


def _pose(table: Table, path: Path, name: str) -> tuple[F64 | None, F64 | None]:
    if "rotation" in table and "translation" in table:
        R = rotation_matrix(values(table["rotation"], path, f"camera {name}: rotation"), path, name)
        what = f"camera {name}: translation"
        return R, matrix(values(table["translation"], path, what), (3,), path, what)
    if "pose" in table:
        both = values(table["pose"], path, f"camera {name}: extrinsics")
        if both.size not in (12, 16):
            raise invalid_file(path, f"camera {name}: the extrinsics have {both.size} values, expected 12 or 16")
        both = both.reshape(-1, 4)[:3]
        return rotation_matrix(both[:, :3], path, name), np.ascontiguousarray(both[:, 3])
    return None, None


def _size(table: Table, path: Path, name: str) -> tuple[int, int] | None:
    if "size" in table:
        width, height = matrix(values(table["size"], path, f"camera {name}: size"), (2,), path, f"camera {name}: size")
    elif "width" in table and "height" in table:
        width, height = (_one(table[k], path, f"camera {name}: {k}") for k in ("width", "height"))
    else:
        return None
    return round(float(width)), round(float(height))


IMPORTER = RigImporter(
    name="opencv",
    title="OpenCV (YAML, JSON, XML; a file or a folder)",
    patterns=("*.yml", "*.yaml", "*.json", "*.xml"),
    recognises=_recognises,
    read=_read,
)
