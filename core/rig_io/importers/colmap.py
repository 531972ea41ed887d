"""COLMAP's text model: `cameras.txt` with the lenses and `images.txt` with the poses, in one folder.

The quaternion w x y z and the translation take the world to the camera (x right, y down, z forward). COLMAP's pixel
(0, 0) is the top-left corner of the image, not the middle of its first pixel, so half a pixel is taken off principal
points. A reconstruction from images alone has no scale and no up axis of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from core.files import read_text
from core.rig_io.importers.raw import MM_PER, RawRig, RigImporter, Unit, numbers, rotation_from_quaternion, wrong
from core.types.arrays import F64
from core.types.camera import Camera

# Parameters in COLMAP's order; f stands for both focal lengths.
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
    lenses = dict(_lenses(folder / "cameras.txt"))
    images = list(_images(folder / "images.txt"))
    if not images:
        raise wrong(folder / "images.txt", "it has no images", "COLMAP must have placed at least one image.")
    names = _camera_names([name for _, name, _, _ in images], folder / "images.txt")
    cameras = []
    for (lens, image, R, t), name in zip(images, names, strict=True):
        if lens not in lenses:
            raise wrong(folder / "images.txt", f"image {image} is of camera {lens}, which cameras.txt does not have")
        cameras.append(lenses[lens].replace(name=name, R=R, t_mm=t))
    unit = _stated_unit(folder / "images.txt")
    remarks = () if unit else ("COLMAP's scale is arbitrary: set it by a distance that you know.",)
    return RawRig(cameras=tuple(cameras), unit=unit, up=None, remarks=remarks)


def _lenses(path: Path) -> Iterator[tuple[str, Camera]]:
    """Camera number and unposed camera of each line: number, model, width, height, parameters."""
    lines = [line for line in _lines(path) if line.strip()]
    _check_count(path, "cameras", len(lines))
    for line in lines:
        number, *words = line.split()
        model = words.pop(0) if words else ""
        if model not in MODELS:
            known = ", ".join(MODELS)
            raise wrong(path, f"camera {number} has the model '{model}'", f"Models that can be read: {known}.")
        values = numbers(words, path, f"camera {number}")
        if values.size != 2 + len(MODELS[model]):
            raise wrong(path, f"camera {number} has {values.size - 2} parameters, {model} has {len(MODELS[model])}")
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
    """Camera number, image name, rotation and translation; every second line holds the image's points."""
    lines = _lines(path)[::2]
    while lines and not lines[-1].strip():
        lines.pop()
    _check_count(path, "images", len(lines))
    for line in lines:
        words = line.split(maxsplit=9)
        if len(words) != 10:
            raise wrong(path, f"a line has {len(words)} of 10 entries: '{line[:40]}'")
        pose = numbers(words[1:8], path, f"image {words[0]}")
        if np.linalg.norm(pose[:4]) < 1e-6:
            raise wrong(path, f"the quaternion of image {words[0]} is zero")
        R = rotation_from_quaternion(pose[[1, 2, 3, 0]])
        yield words[8], words[9].strip(), R, pose[4:]


def _camera_names(images: list[str], path: Path) -> list[str]:
    """A camera for each image: named after the image, or after its folder where images are named alike."""
    paths = [PurePosixPath(image.replace("\\", "/")) for image in images]
    for names in ([p.stem for p in paths], [p.parent.name for p in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    raise wrong(path, "it has several images of one camera", "Keep one image of each camera, at a frame common to all.")


def _lines(path: Path) -> list[str]:
    return [line for line in read_text(path).splitlines() if not line.startswith("#")]


def _check_count(path: Path, what: str, found: int) -> None:
    """COLMAP says in a comment how many entries follow: fewer mean that the file was cut."""
    stated = re.search(rf"^#\s*Number of {what}:\s*(\d{{1,9}})", read_text(path), re.MULTILINE)
    if stated and int(stated[1]) != found:
        raise wrong(path, f"it says that it has {stated[1]} {what} and has {found}")


def _stated_unit(path: Path) -> Unit | None:
    """The unit in the comment that this program writes."""
    stated = re.search(r"^#\s*Length unit:\s*(\w+)\s*$", read_text(path), re.MULTILINE)
    return next((unit for unit in MM_PER if stated and stated[1] == unit), None)


IMPORTER = RigImporter(
    name="colmap",
    title="COLMAP (cameras.txt and images.txt)",
    patterns=("cameras.txt", "images.txt"),
    recognises=_recognises,
    read=_read,
)
