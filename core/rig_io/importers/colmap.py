"""Import of the COLMAP text model: `cameras.txt` with intrinsics and `images.txt` with poses, in one folder.

Quaternion (w x y z) and translation are world to camera (x right, y down, z forward). COLMAP's pixel (0, 0) is the
top-left corner of the image, not the centre of its first pixel, so half a pixel is subtracted from principal points. A
reconstruction from images alone has an arbitrary scale and up axis. The two text files are parsed here, since pycolmap
is a large compiled dependency.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from core.files import read_text
from core.rig_io.importers.raw import MM_PER, RawRig, RigImporter, Unit, invalid_file, numbers, rotation_from_quaternion
from core.types.arrays import F64
from core.types.camera import Camera

# Parameters in COLMAP's order; f is both focal lengths.
MODELS: dict[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
_BROWN = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
CORNER_TO_CENTRE_PX = 0.5


def _recognises(path: Path, content: str) -> bool:
    if path.is_dir():
        return all((path / name).is_file() for name in ("cameras.txt", "images.txt"))
    return path.name in ("cameras.txt", "images.txt") and (path.parent / "images.txt").is_file()


def _read(path: Path) -> RawRig:
    folder = path if path.is_dir() else path.parent
    intrinsics = dict(_intrinsics(folder / "cameras.txt"))
    images = list(_images(folder / "images.txt"))
    if not images:
        raise invalid_file(
            folder / "images.txt",
            "it has no images",
            "Export a model with registered images.",
        )
    names = _camera_names([name for _, name, _, _ in images], folder / "images.txt")
    cameras = []
    for (number, image, R, t), name in zip(images, names, strict=True):
        if number not in intrinsics:
            raise invalid_file(
                folder / "images.txt", f"image {image} refers to camera {number}, missing in cameras.txt"
            )
        cameras.append(intrinsics[number].replace(name=name, R=R, t_mm=t))
    unit = _stated_unit(folder / "images.txt")
    notes = () if unit else ("COLMAP's scale is arbitrary: set it by a measured distance.",)
    return RawRig(cameras=tuple(cameras), unit=unit, up=None, notes=notes)


def _intrinsics(path: Path) -> Iterator[tuple[str, Camera]]:
    """Yield the number and the unposed camera of each line: number, model, width, height, parameters."""
    lines = [line for line in _lines(path) if line.strip()]
    _check_count(path, "cameras", len(lines))
    for line in lines:
        number, *words = line.split()
        model = words.pop(0) if words else ""
        if model not in MODELS:
            known = ", ".join(MODELS)
            raise invalid_file(path, f"camera {number} has the model '{model}'", f"Supported models: {known}.")
        values = numbers(words, path, f"camera {number}")
        if values.size != 2 + len(MODELS[model]):
            raise invalid_file(path, f"camera {number} has {values.size - 2} parameters, expected {len(MODELS[model])}")
        p = dict(zip(MODELS[model], values[2:].tolist(), strict=True))
        fisheye = model.endswith("FISHEYE")
        names = ("k1", "k2", "k3", "k4") if fisheye else _BROWN[: 8 if "k6" in p else 5]
        K = np.array(
            [
                [p.get("fx", p.get("f", 0.0)), 0, p["cx"] - CORNER_TO_CENTRE_PX],
                [0, p.get("fy", p.get("f", 0.0)), p["cy"] - CORNER_TO_CENTRE_PX],
                [0, 0, 1],
            ]
        )
        yield (
            number,
            Camera(
                name=number,
                size_px=(round(values[0]), round(values[1])),
                K=K,
                distortion=np.array([p.get(name, 0.0) for name in names]),
                distortion_model="fisheye" if fisheye else "pinhole",
            ),
        )


def _images(path: Path) -> Iterator[tuple[str, str, F64, F64]]:
    """Yield camera number, image name, rotation and translation; every second line lists points."""
    lines = _lines(path)[::2]
    while lines and not lines[-1].strip():
        lines.pop()
    _check_count(path, "images", len(lines))
    for line in lines:
        words = line.split(maxsplit=9)
        if len(words) != 10:
            raise invalid_file(path, f"a line has {len(words)} entries, expected 10: '{line[:40]}'")
        pose = numbers(words[1:8], path, f"image {words[0]}")
        if np.linalg.norm(pose[:4]) < 1e-6:
            raise invalid_file(path, f"the quaternion of image {words[0]} is zero")
        R = rotation_from_quaternion(pose[[1, 2, 3, 0]])
        yield words[8], words[9].strip(), R, pose[4:]


def _camera_names(images: list[str], path: Path) -> list[str]:
    """Return a camera name per image: the image's, or its folder's if image names repeat."""
    paths = [PurePosixPath(image.replace("\\", "/")) for image in images]
    for names in ([p.stem for p in paths], [p.parent.name for p in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    raise invalid_file(path, "it has several images per camera", "Keep one image per camera, all of one frame.")


def _lines(path: Path) -> list[str]:
    return [line for line in read_text(path).splitlines() if not line.startswith("#")]


def _check_count(path: Path, what: str, found: int) -> None:
    """Compare the number of entries with that stated in a comment: a difference means a truncated file."""
    stated = re.search(rf"^#\s*Number of {what}:\s*(\d{{1,9}})", read_text(path), re.MULTILINE)
    if stated and int(stated[1]) != found:
        raise invalid_file(path, f"it has {found} {what}, but states {stated[1]}")


def _stated_unit(path: Path) -> Unit | None:
    """Return the unit in the comment that this program writes."""
    stated = re.search(r"^#\s*Length unit:\s*(\w+)\s*$", read_text(path), re.MULTILINE)
    return next((unit for unit in MM_PER if stated and stated[1] == unit), None)


IMPORTER = RigImporter(
    name="colmap",
    title="COLMAP (cameras.txt and images.txt)",
    patterns=("cameras.txt", "images.txt"),
    recognises=_recognises,
    read=_read,
)
