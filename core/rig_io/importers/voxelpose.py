"""Import of VoxelPose's JSON for Shelf and Campus: a mapping of names to R, T, fx, fy, cx, cy, k, p.

T is the camera centre in mm, and the world is z up: x_cam = R (x - T). k has three radial and p two tangential
coefficients. The image size is not in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.files import read_json
from core.rig_io.importers.raw import RawRig, RigImporter, guessed_size, invalid_file, matrix, numbers, text
from core.types.camera import Camera

_KEYS = ("R", "T", "fx", "fy", "cx", "cy")


def _recognises(path: Path, content: str) -> bool:
    return path.suffix.lower() == ".json" and all(f'"{key}"' in content for key in ("R", "T", "fx", "cx"))


def _read(path: Path) -> RawRig:
    document = read_json(path)
    if not isinstance(document, Mapping) or not document:
        raise invalid_file(path, "it is not a mapping of camera names to cameras")
    cameras, guessed = [], []
    for name, table in document.items():
        if not isinstance(table, Mapping) or any(key not in table for key in _KEYS):
            raise invalid_file(path, f"camera {name} does not have all of {', '.join(_KEYS)}")
        camera, certain = _camera(text(name), table, path)
        cameras.append(camera)
        if not certain:
            guessed.append(camera.name)
    return RawRig(cameras=tuple(cameras), unit="mm", up="z", guessed_sizes=frozenset(guessed))


def _camera(name: str, table: Mapping[str, Any], path: Path) -> tuple[Camera, bool]:
    def one(key: str) -> float:
        return float(matrix(table[key], (1,), path, f"camera {name}: {key}")[0])

    k = numbers(table.get("k", ()), path, f"camera {name}: k")
    p = numbers(table.get("p", ()), path, f"camera {name}: p")
    if k.size > 3 or p.size > 2:
        raise invalid_file(path, f"camera {name} has {k.size} radial and {p.size} tangential terms, expected 3 and 2")
    k, p = np.pad(k, (0, 3 - k.size)), np.pad(p, (0, 2 - p.size))
    R = matrix(table["R"], (3, 3), path, f"camera {name}: R")
    centre = matrix(table["T"], (3,), path, f"camera {name}: T")
    cx, cy = one("cx"), one("cy")
    size = _stated_size(table, path, name)
    camera = Camera(
        name=name,
        size_px=size or guessed_size(cx, cy),
        K=np.array([[one("fx"), 0, cx], [0, one("fy"), cy], [0, 0, 1]]),
        distortion=np.array([k[0], k[1], p[0], p[1], k[2]]),
        R=R,
        t_mm=-R @ centre,
    )
    return camera, size is not None


def _stated_size(table: Mapping[str, Any], path: Path, name: str) -> tuple[int, int] | None:
    """Return the image size if the file has it under one of the names in use."""
    for key in ("size", "resolution", "image_size"):
        if key in table:
            width, height = matrix(table[key], (2,), path, f"camera {name}: {key}")
            return round(width), round(height)
    if "width" in table and "height" in table:
        width, height = (matrix(table[k], (1,), path, f"camera {name}: {k}")[0] for k in ("width", "height"))
        return round(width), round(height)
    return None


IMPORTER = RigImporter(
    name="voxelpose", title="VoxelPose (JSON)", patterns=("*.json",), recognises=_recognises, read=_read
)
