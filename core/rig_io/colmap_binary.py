"""Reading of COLMAP's binary model, `cameras.bin` and `images.bin` (little endian)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.documents.limits import read_bounded
from core.rig_io.raw import invalid_file, numbers
from core.types.arrays import F64

# Name and number of parameters by COLMAP's number of the model.
_MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
)  # fmt: skip
_MAX_CAMERAS = 10_000
_MAX_NAME = 1000
_POINT_BYTES = 24  # x, y and the number of the point in space


def binary_cameras(path: Path) -> Iterator[tuple[str, str, F64]]:
    """Yield number, model, and image size with parameters of each camera.

    Raises:
        CoreError: A damaged file, or an unknown model.
    """
    stream = _Stream(path)
    for _ in range(stream.count()):
        number, model, width, height = stream.unpack("<iiQQ")
        if not 0 <= model < len(_MODELS):
            raise invalid_file(path, f"camera {number} has the model number {model}, expected 0 to {len(_MODELS) - 1}")
        name, count = _MODELS[model]
        values = stream.unpack(f"<{count}d")
        yield str(number), name, numbers([float(width), float(height), *values], path, f"camera {number}")


def binary_images(path: Path) -> Iterator[tuple[str, str, F64]]:
    """Yield camera number, name, and quaternion w x y z with translation of each image.

    Raises:
        CoreError: A damaged file.
    """
    stream = _Stream(path)
    for _ in range(stream.count()):
        number, *pose = stream.unpack("<i7d")
        (camera,) = stream.unpack("<i")
        name = stream.name()
        (points,) = stream.unpack("<Q")
        stream.skip(points * _POINT_BYTES)
        yield str(camera), name, numbers(np.array(pose), path, f"image {number}")


class _Stream:
    """Position in the bytes of a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, read_bounded(path), 0

    def unpack(self, form: str) -> tuple[int, ...]:
        end = self.at + struct.calcsize(form)
        if end > len(self.data):
            raise invalid_file(self.path, f"it ends at byte {len(self.data)}, in the middle of an entry")
        found = struct.unpack(form, self.data[self.at : end])
        self.at = end
        return found

    def count(self) -> int:
        (count,) = self.unpack("<Q")
        if count > _MAX_CAMERAS:
            raise invalid_file(self.path, f"it has {count} entries, more than {_MAX_CAMERAS}")
        return int(count)

    def name(self) -> str:
        end = self.data.find(b"\0", self.at, self.at + _MAX_NAME)
        if end < 0:
            raise invalid_file(self.path, f"the name at byte {self.at} does not end")
        name = self.data[self.at : end].decode(errors="replace")
        self.at = end + 1
        return name

    def skip(self, count: int) -> None:
        if count > len(self.data) - self.at:
            raise invalid_file(self.path, f"it ends at byte {len(self.data)}, in the middle of an entry")
        self.at += count
