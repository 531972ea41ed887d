"""YAML, JSON or XML as OpenCV's FileStorage writes it, in the layouts that people make of it.

One camera per file (also ROS's camera_info), all cameras in one file as nested mappings or a list, or keys with the
camera's name appended (`K_cam01`, `dist_cam01`, as EasyMocap's intri.yml and extri.yml); a folder of such files. The
rotation takes the world to the camera. Length unit and up axis are not in the file.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from core.calibration.importers.raw import (
    RawRig,
    RigImporter,
    guessed_size,
    matrix,
    numbers,
    rotation_matrix,
    safe_xml,
    text,
    wrong,
)
from core.files import read_text
from core.types.arrays import F64
from core.types.camera import Camera

Table = dict[str, Any]
_SUFFIXES = (".yml", ".yaml", ".json", ".xml")
# What the same thing is called by different programs, in lower case without underscores.
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
}
_FIELD = {spelling: field for field, spellings in _NAMES.items() for spelling in spellings}


class _Loader(yaml.SafeLoader):
    """Safe YAML that knows OpenCV's matrices and refuses aliases, which can stand for any amount of data."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses aliases, which a calibration does not need")
        return super().compose_node(parent, index)


def _plain_matrix(loader: _Loader, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.YAMLError("an OpenCV matrix is not a mapping")
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _plain_matrix)


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
    for file in files:
        for name, table in _cameras(_document(file), file.stem):
            tables.setdefault(name, {}).update(table)
    tables = {name: table for name, table in tables.items() if "K" in table}
    if not tables:
        raise wrong(path, "no camera matrix was found in it", "It needs camera_matrix (or K) for each camera.")
    cameras, guessed = [], set()
    for name, table in tables.items():
        camera, certain = _camera(name, table, path)
        cameras.append(camera)
        if not certain:
            guessed.add(camera.name)
    return RawRig(cameras=tuple(cameras), unit=None, up=None, guessed_sizes=frozenset(guessed))


def _with_sibling(path: Path) -> list[Path]:
    """A file of intrinsics with the extrinsics that lie beside it, or the reverse, as EasyMocap splits them."""
    pairs = {"intri": "extri", "extri": "intri", "intrinsics": "extrinsics", "extrinsics": "intrinsics"}
    sibling = path.with_stem(pairs.get(path.stem, path.stem))
    return [path, sibling] if sibling != path and sibling.is_file() else [path]


def _document(path: Path) -> Table:
    if path.suffix.lower() == ".xml":
        return {child.tag: _from_xml(child) for child in safe_xml(path)}
    content = read_text(path)
    try:
        if path.suffix.lower() == ".json":
            document = json.loads(content)
        else:
            # FileStorage begins with "%YAML:1.0", which is no directive of YAML's.
            document = yaml.load(re.sub(r"\A\s*%YAML[^\n]*\n(---)?", "", content), _Loader)
    except (yaml.YAMLError, json.JSONDecodeError, ValueError) as error:
        raise wrong(path, f"it is damaged ({error})") from error
    if isinstance(document, list):
        document = {"cameras": document}
    if not isinstance(document, dict):
        raise wrong(path, "it is not a mapping of names to values")
    return {str(key): value for key, value in document.items()}


def _from_xml(node: ElementTree.Element) -> Any:
    if len(node):
        return {child.tag: _from_xml(child) for child in node}
    words = (node.text or "").split()
    try:
        return [float(word) for word in words] if words else ""
    except ValueError:
        return " ".join(words)


def _cameras(document: Table, stem: str) -> Iterator[tuple[str, Table]]:
    """Camera tables of a document with the field names of `_NAMES`, in any of the layouts."""
    own = _fields(document)
    if "K" in own or "rotation" in own or "pose" in own:
        yield text(own.get("name", "")) or stem, own
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
            # EasyMocap gives both the vector R_cam and the matrix Rot_cam; they agree, the first is kept.
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


def _values(value: Any, path: Path, what: str) -> F64:
    """Numbers of a plain list or of an OpenCV matrix with rows, cols and data."""
    return numbers(value["data"] if isinstance(value, Mapping) and "data" in value else value, path, what)


def _camera(name: str, table: Table, path: Path) -> tuple[Camera, bool]:
    K = matrix(_values(table["K"], path, f"camera {name}: K"), (3, 3), path, f"camera {name}: K")
    distortion = _values(table.get("distortion", ()), path, f"camera {name}: distortion")
    model = str(table.get("model", "")).lower()
    fisheye = model in ("fisheye", "equidistant", "true", "1", "1.0", "[1.0]")
    size = _size(table, path, name)
    R, t = _pose(table, path, name)
    camera = Camera(
        name=text(table.get("name", "")) or name,
        size_px=size or guessed_size(K[0, 2], K[1, 2]),
        K=K,
        distortion=distortion[:4] if fisheye else distortion,
        lens="fisheye" if fisheye else "pinhole",
        R=R,
        t_mm=t,
    )
    return camera, size is not None


def _pose(table: Table, path: Path, name: str) -> tuple[F64 | None, F64 | None]:
    if "rotation" in table and "translation" in table:
        R = rotation_matrix(_values(table["rotation"], path, f"camera {name}: rotation"), path, name)
        what = f"camera {name}: translation"
        return R, matrix(_values(table["translation"], path, what), (3,), path, what)
    if "pose" in table:
        values = _values(table["pose"], path, f"camera {name}: extrinsics")
        if values.size not in (12, 16):
            raise wrong(path, f"camera {name}: extrinsics have {values.size} values, expected a 3x4 or 4x4 matrix")
        both = values.reshape(-1, 4)[:3]
        return rotation_matrix(both[:, :3], path, name), np.ascontiguousarray(both[:, 3])
    return None, None


def _size(table: Table, path: Path, name: str) -> tuple[int, int] | None:
    if "size" in table:
        width, height = matrix(_values(table["size"], path, f"camera {name}: size"), (2,), path, f"camera {name}: size")
    elif "width" in table and "height" in table:
        width, height = (float(_values(table[k], path, f"camera {name}: {k}")[0]) for k in ("width", "height"))
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
