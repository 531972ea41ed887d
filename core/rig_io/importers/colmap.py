"""Import of the COLMAP model: `cameras` with intrinsics and `images` with poses, text or binary, in one folder.

Quaternion (w x y z) and translation are world to camera (x right, y down, z forward). COLMAP's pixel (0, 0) is the
top-left corner of the image, not the centre of its first pixel, so half a pixel is subtracted from principal points. A
reconstruction from images alone has an arbitrary scale and up axis. The files are parsed here, since pycolmap is a
large compiled dependency. Text without the line of points below each image, common in handwritten files, is read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from core.errors import CoreError
from core.files import read_text
from core.rig_io.cameras import checked_quaternion
from core.rig_io.colmap_binary import binary_cameras, binary_images
from core.rig_io.raw import MAX_RIG_BYTES, MM_PER, RawRig, RigImporter, Unit, invalid_file, numbers
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
_SUFFIXES = (".txt", ".bin")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def _recognises(path: Path, content: str) -> bool:
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and (path.stem not in ("cameras", "images") or path.suffix not in _SUFFIXES):
        return False
    return _suffix(folder, path) is not None or _lone(folder) is not None


def _lone(folder: Path) -> tuple[str, str] | None:
    """Return the names of the only file of a model in text form, and of the one that is missing."""
    there, absent = (
        ("cameras.txt", "images.txt") if (folder / "cameras.txt").is_file() else ("images.txt", "cameras.txt")
    )
    try:
        words = _lines(folder / there)[0].split()
    except (CoreError, IndexError):
        return None
    typical = len(words) > 4 and (words[1] in MODELS if there == "cameras.txt" else len(words) == 10)
    return (there, absent) if typical and not (folder / absent).exists() else None


def _suffix(folder: Path, path: Path) -> str | None:
    """Return the suffix of the model's files: that of the chosen file, else text before binary."""
    suffixes = (path.suffix,) if path.suffix in _SUFFIXES else _SUFFIXES
    return next((s for s in suffixes if all((folder / f"{n}{s}").is_file() for n in ("cameras", "images"))), None)


def _read(path: Path) -> RawRig:
    folder = path if path.is_dir() else path.parent
    suffix = _suffix(folder, path) or ".txt"
    if lone := _lone(folder):
        raise CoreError(
            f"{lone[0]} of a COLMAP model has no {lone[1]} beside it.",
            "Intrinsics are in cameras.txt, poses in images.txt: copy both from the model into one folder.",
        )
    cameras_file, images_file = folder / f"cameras{suffix}", folder / f"images{suffix}"
    notes: list[str] = []
    if suffix == ".bin":
        intrinsics = {
            number: _camera(number, model, values, cameras_file)
            for number, model, values in binary_cameras(cameras_file)
        }
        images = list(binary_images(images_file))
        unit = None
    else:
        intrinsics = dict(_intrinsics(cameras_file))
        images = list(_images(images_file))
        unit = _stated_unit(images_file)
    if not images:
        raise invalid_file(images_file, "it has no images", "Export a model with registered images.")
    names = _camera_names([name for _, name, _ in images], images_file)
    cameras = []
    for (number, image, pose), name in zip(images, names, strict=True):
        if number not in intrinsics:
            raise invalid_file(
                images_file, f"image {image[:60]} refers to camera {number}, missing in {cameras_file.name}"
            )
        R = checked_quaternion(pose[[1, 2, 3, 0]], images_file, name, notes)
        cameras.append(intrinsics[number].replace(name=name, R=R, t_mm=pose[4:]))
    if not unit:
        notes.append("COLMAP's scale is arbitrary: set it by a measured distance.")
    quaternions = {name: pose[:4] for (_, _, pose), name in zip(images, names, strict=True)}
    return RawRig(cameras=tuple(cameras), unit=unit, up=None, notes=tuple(notes), quaternions=quaternions)


def _intrinsics(path: Path) -> Iterator[tuple[str, Camera]]:
    """Yield the number and the unposed camera of each line: number, model, width, height, parameters."""
    lines = [line for line in _lines(path) if line.strip()]
    _check_count(path, "cameras", len(lines))
    seen: set[str] = set()
    for line in lines:
        number, *words = line.split()
        if number in seen:
            raise invalid_file(path, f"it has camera {number} twice")
        seen.add(number)
        yield number, _camera(number, words[0] if words else "", numbers(words[1:], path, f"camera {number}"), path)


def _camera(number: str, model: str, values: F64, path: Path) -> Camera:
    """Return an unposed camera of a model, the image size and the parameters."""
    if model not in MODELS:
        known = ", ".join(MODELS)
        raise invalid_file(path, f"camera {number} has the model '{model[:40]}'", f"Supported models: {known}.")
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
    return Camera(
        name=number,
        size_px=(round(values[0]), round(values[1])),
        K=K,
        distortion=np.array([p.get(name, 0.0) for name in names]),
        distortion_model="fisheye" if fisheye else "pinhole",
    )


def _images(path: Path) -> Iterator[tuple[str, str, F64]]:
    """Yield camera number, image name, and quaternion w x y z with translation of each image.

    A line of points follows each image, which may be empty, or missing in handwritten files: a line of
    ten words is an image, since points are threes of numbers.
    """
    lines = _lines(path)
    count, points = 0, False
    for line in lines:
        words = line.split(maxsplit=9)
        if points and not _is_image(words):
            points = False
            if len(line.split()) % 3:
                raise invalid_file(path, f"a line of points has {len(line.split())} entries: '{line[:40]}'")
            continue
        if not words:
            continue
        if len(words) != 10:
            raise invalid_file(path, f"a line has {len(words)} entries, expected 10: '{line[:40]}'")
        count, points = count + 1, True
        yield words[8], words[9].strip(), numbers(words[1:8], path, f"image {words[0][:20]}")
    _check_count(path, "images", count)


def _is_image(words: list[str]) -> bool:
    """Return True for the line of an image: ten words, or a name with spaces; points are triples of numbers."""
    if len(words) < 10:
        return False
    name = words[9].split()
    return len(name) == 1 or not all(map(_NUMBER.fullmatch, name))


def _camera_names(images: list[str], path: Path) -> list[str]:
    """Return a camera name per image: the image's, or its folder's if image names repeat."""
    paths = [PurePosixPath(image.replace("\\", "/")) for image in images]
    for names in ([p.stem for p in paths], [p.parent.name for p in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    raise invalid_file(path, "it has several images per camera", "Keep one image per camera, all of one frame.")


def _lines(path: Path) -> list[str]:
    return [line for line in read_text(path, MAX_RIG_BYTES).splitlines() if not line.startswith("#")]


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
    title="COLMAP (cameras and images, .txt or .bin)",
    patterns=("cameras.txt", "images.txt", "cameras.bin", "images.bin"),
    recognises=_recognises,
    read=_read,
)
