"""Import of EasyMocap's `intri.yml` and `extri.yml`: FileStorage files whose keys end in the camera name.

Lengths are metres; `x_cam = Rot x_world + T`, and `R` is `Rot` as a Rodrigues vector. The distortion is OpenCV's k1 k2
p1 p2 k3. Only newer versions write image sizes (`H`, `W`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.rig_io.importers.filestorage import Table, read_document, values
from core.rig_io.importers.raw import RawRig, RigImporter, guessed_size, invalid_file, matrix, rotation_matrix, text
from core.types.arrays import F64
from core.types.camera import Camera

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
    table: Table = {}
    notes = []
    for file in files:
        found = read_document(file)
        _check_names(found, file)
        table |= found
    if len(files) == 1 and not any(key.startswith("T_") for key in table):
        notes.append("There is no extri.yml in the same folder: the cameras have intrinsics only.")
    names = [key[2:] for key in table if key.startswith("K_") and key[2:]]
    if not names:
        raise invalid_file(path, "it has no camera matrix", "Choose intri.yml; extri.yml must be in the same folder.")
    cameras = tuple(_camera(name, table, path) for name in names)
    guessed = frozenset(name for name in names if _size(name, table, path) is None)
    return RawRig(cameras=cameras, unit="m", up=None, notes=tuple(notes), guessed_sizes=guessed)


def _check_names(table: Mapping[str, Any], path: Path) -> None:
    """Check that every listed camera is present: a missing one means a truncated file."""
    names = table.get("names")
    if not isinstance(names, list):
        raise invalid_file(path, "it has no list of names")
    for name in map(text, names):
        if not any(key in table for key in (f"K_{name}", f"T_{name}")):
            raise invalid_file(path, f"it lists camera {name} but has neither K_{name} nor T_{name}")


def _camera(name: str, table: Table, path: Path) -> Camera:
    def get(key: str, shape: tuple[int, ...]) -> F64:
        what = f"camera {name}: {key}"
        return matrix(values(table[f"{key}_{name}"], path, what), shape, path, what)

    K = get("K", (3, 3))
    R = t = None
    rotation = next((table[key] for key in (f"Rot_{name}", f"R_{name}") if key in table), None)
    if (rotation is None) != (f"T_{name}" not in table):
        raise invalid_file(path, f"camera {name} has only one of rotation and translation")
    if rotation is not None:
        R, t = rotation_matrix(values(rotation, path, f"camera {name}: rotation"), path, name), get("T", (3,))
    distortion = values(table.get(f"dist_{name}", ()), path, f"camera {name}: dist")
    return Camera(
        name=name,
        size_px=_size(name, table, path) or guessed_size(K[0, 2], K[1, 2]),
        K=K,
        distortion=np.asarray(distortion),
        R=R,
        t_mm=t,
    )


def _size(name: str, table: Table, path: Path) -> tuple[int, int] | None:
    keys = [f"{side}_{name}" for side in "WH"]
    if not all(key in table for key in keys):
        return None
    width, height = (matrix(values(table[key], path, key), (1,), path, key)[0] for key in keys)
    return round(float(width)), round(float(height))


IMPORTER = RigImporter(
    name="easymocap",
    title="EasyMocap (intri.yml and extri.yml)",
    patterns=("intri.yml", "extri.yml"),
    recognises=_recognises,
    read=_read,
)
