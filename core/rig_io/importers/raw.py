"""What an importer hands over, and the conversions that all of them need."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from core.errors import CoreError
from core.files import read_text
from core.types.arrays import F64, frozen
from core.types.axes import Axis
from core.types.camera import Camera

Unit = Literal["mm", "cm", "m"]
MM_PER: dict[Unit, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
# Sizes that cameras film in (and those of the Shelf and Campus recordings), to tell one from its principal point.
_SIZES = (
    (3840, 2160), (2704, 1520), (2560, 1440), (2048, 1536), (1920, 1200), (1920, 1080), (1600, 1200), (1440, 1080),
    (1280, 1024), (1280, 960), (1280, 720), (1032, 776), (1024, 768), (960, 540), (848, 480), (800, 600), (640, 480),
    (640, 360), (360, 288), (320, 240),
)  # fmt: skip
_LARGEST = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRig:
    """Cameras as a file has them, with rotations in OpenCV's sense already.

    Attributes:
        cameras: Their translation is still in the file's length unit.
        unit: Length unit, None where the format does not define it.
        up: World axis that points up, None where the format does not define it.
        remarks: Sentences on what was assumed or left out.
        guessed_sizes: Names of cameras whose image size is not in the file and was told from the principal point.
    """

    cameras: tuple[Camera, ...]
    unit: Unit | None
    up: Axis | None
    remarks: tuple[str, ...] = ()
    guessed_sizes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RigImporter:
    """One file format.

    Attributes:
        name: As in the registry.
        title: For menus and messages.
        patterns: File patterns for a file dialogue.
        recognises: Whether a file or folder is of this format, from its path and the text of the file ("" for a
            folder); cheap, never raises.
        read: Reads it; raises CoreError with a remedy for whatever is wrong.
    """

    name: str
    title: str
    patterns: tuple[str, ...]
    recognises: Callable[[Path, str], bool]
    read: Callable[[Path], RawRig]


def wrong(path: Path, what: str, hint: str = "Export it again from the program that made it.") -> CoreError:
    """The error for a file that does not hold what its format promises."""
    return CoreError(f"{path.name}: {what}.", hint)


def matrix(value: Any, shape: tuple[int, ...], path: Path, what: str) -> F64:
    """Numbers of a given shape, however they are nested in the file.

    Raises:
        CoreError: Not numbers, not finite, or not that many.
    """
    array = numbers(value, path, what)
    if array.size != int(np.prod(shape)):
        raise wrong(path, f"{what} has {array.size} values instead of {int(np.prod(shape))}")
    return array.reshape(shape)


def numbers(value: Any, path: Path, what: str) -> F64:
    """(n,) finite numbers, however they are nested in the file.

    Raises:
        CoreError: Not numbers, not finite, or so large that no camera has them and products of them overflow.
    """
    try:
        found = np.asarray(frozen(np.asarray(value, float).ravel(), ("n",), f"{path.name}: {what}"))
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong(path, f"{what} is not a list of numbers") from error
    if (np.abs(found) > _LARGEST).any():
        raise wrong(path, f"{what} has a number that no camera has: {float(np.abs(found).max()):.3g}")
    return found


def rotation_matrix(value: Any, path: Path, name: str) -> F64:
    """(3, 3) rotation from a matrix or a Rodrigues vector.

    Raises:
        CoreError: Neither, or a matrix that mirrors or scales (OpenCV would silently take the nearest rotation).
    """
    values = numbers(value, path, f"camera {name}: rotation")
    if values.size == 3:
        return np.asarray(cv2.Rodrigues(values.copy())[0], np.float64)
    R = matrix(values, (3, 3), path, f"camera {name}: rotation")
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise wrong(
            path,
            f"the rotation of camera {name} is mirrored or no rotation",
            "Export the calibration again; do not flip single axes of it by hand.",
        )
    return R


def rotation_from_quaternion(xyzw: F64) -> F64:
    """Return the rotation (3, 3) of a quaternion x y z w of any length but zero."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat(xyzw).as_matrix())


def safe_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file that declares no entities: those can blow up to any size or point elsewhere.

    Raises:
        CoreError: It does, or it is not XML.
    """
    content = read_text(path)
    if "<!DOCTYPE" in content.upper() or "<!ENTITY" in content.upper():
        raise wrong(path, "it declares XML entities, which a calibration does not need")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise wrong(path, f"it is not complete XML ({error})") from error


def guessed_size(cx: float, cy: float) -> tuple[int, int]:
    """The usual image size whose middle lies nearest to a principal point, else twice the principal point.

    Args:
        cx: Principal point, px from the left.
        cy: Principal point, px from the top.
    """
    sizes = np.array(_SIZES + tuple((h, w) for w, h in _SIZES))
    off = np.abs((sizes - 1) / 2 - (cx, cy)).max(1) / sizes.max(1)
    best = int(off.argmin())
    if off[best] < 0.04:
        return int(sizes[best][0]), int(sizes[best][1])
    return max(2, 2 * round(cx)), max(2, 2 * round(cy))


def text(value: Any) -> str:
    """A name from whatever the file has for one."""
    return str(value).strip()


def distances(centres: Iterable[F64]) -> F64:
    """(N (N - 1) / 2,) distances between camera centres; of a single camera, its distance from the origin."""
    points = np.array(list(centres))
    if len(points) == 1:
        return np.asarray(np.linalg.norm(points, axis=1))
    i, j = np.triu_indices(len(points), 1)
    return np.asarray(np.linalg.norm(points[i] - points[j], axis=1))
