"""Result and interface of rig importers, and conversions that they share."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.documents.syntax import parse_xml
from core.errors import CoreError
from core.files import read_text
from core.rig_io.readings import PoseReading
from core.types.arrays import F64, frozen
from core.types.axes import Axis
from core.types.camera import Camera
from core.types.finding import FindingLevel

Unit = Literal["mm", "cm", "m"]
MM_PER: dict[Unit, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
# Common image sizes, including Shelf's and Campus's, to derive one from the principal point.
_SIZES = (
    (3840, 2160), (2704, 1520), (2560, 1440), (2048, 1536), (1920, 1200), (1920, 1080), (1600, 1200), (1440, 1080),
    (1280, 1024), (1280, 960), (1280, 720), (1032, 776), (1024, 768), (960, 540), (848, 480), (800, 600), (640, 480),
    (640, 360), (360, 288), (320, 240),
)  # fmt: skip
_LARGEST = 1e15
MAX_RIG_BYTES = 16 << 20
_MAX_CENTRE_OFFSET = 0.04  # of the principal point from the image centre, as a share of the longer side


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A field of a camera that was not understood.

    Attributes:
        camera: Name of the camera.
        key: Key in the file.
        level: "error" if it may be distortion, "warning" if it holds numbers that may affect a projection, else "ok".
    """

    camera: str
    key: str
    level: FindingLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRig:
    """Cameras of a file, in its length unit and world axes, with rotations already in OpenCV's convention.

    Attributes:
        cameras: Cameras with translations in the length unit of the file.
        unit: Length unit; None if the format does not define it.
        up: Up axis of the world; None if the format does not define it.
        notes: Sentences on what was assumed or omitted.
        guessed_sizes: Names of cameras whose image size was derived from the principal point.
        unread: Fields that were not understood.
        pose_is: Meaning of the poses in the file, as the format or its fields state it.
        rotation_vectors: Rotation vectors as in the file, by camera, if it has any.
        quaternions: Quaternions as in the file, by camera, if their order is not certain.
    """

    cameras: tuple[Camera, ...]
    unit: Unit | None
    up: Axis | None
    notes: tuple[str, ...] = ()
    guessed_sizes: frozenset[str] = frozenset()
    unread: tuple[Unread, ...] = ()
    pose_is: PoseReading = "world_to_camera"
    rotation_vectors: Mapping[str, F64] = field(default_factory=dict)
    quaternions: Mapping[str, F64] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RigImporter:
    """A file format for import.

    Attributes:
        name: Name in the registry.
        title: Title in menus and messages.
        patterns: File patterns for a file dialogue.
        recognises: Function that returns whether a path is of this format, given its text ("" for a folder); never
            raises.
        read: Function that reads the path; raises CoreError for an invalid file.
    """

    name: str
    title: str
    patterns: tuple[str, ...]
    recognises: Callable[[Path, str], bool]
    read: Callable[[Path], RawRig]


def invalid_file(path: Path, what: str, hint: str = "Export it again from the program that wrote it.") -> CoreError:
    """Return the error for a file that does not conform to its format."""
    return CoreError(f"{path.name}: {what}.", hint)


def matrix(value: Any, shape: tuple[int, ...], path: Path, what: str) -> F64:
    """Return numbers in a given shape, whatever their nesting in the file.

    Raises:
        CoreError: Not numbers, not finite, or another count.
    """
    array = numbers(value, path, what)
    if array.size != int(np.prod(shape)):
        raise invalid_file(path, f"{what} has {array.size} values, expected {int(np.prod(shape))}")
    return array.reshape(shape)


def numbers(value: Any, path: Path, what: str) -> F64:
    """Return finite numbers (n,), whatever their nesting in the file.

    Raises:
        CoreError: Not numbers, not finite, or so large that products of them overflow.
    """
    try:
        found = np.asarray(frozen(np.asarray(value, float).ravel(), ("n",), f"{path.name}: {what}"))
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid_file(path, f"{what} is not a list of numbers") from error
    if (np.abs(found) > _LARGEST).any():
        raise invalid_file(path, f"{what} has an implausible number: {float(np.abs(found).max()):.3g}")
    return found


def rotation_matrix(value: Any, path: Path, name: str) -> F64:
    """Return the rotation (3, 3) of a matrix or a Rodrigues vector.

    Raises:
        CoreError: Neither, or a matrix with a reflection or a scale, for which OpenCV would take the nearest rotation.
    """
    values = numbers(value, path, f"camera {name}: rotation")
    if values.size == 3:
        from scipy.spatial.transform import Rotation  # imported late: the window lists formats without it

        return np.asarray(Rotation.from_rotvec(values.copy()).as_matrix())
    R = matrix(values, (3, 3), path, f"camera {name}: rotation")
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise invalid_file(
            path,
            f"the rotation of camera {name} has a reflection or a scale",
            "Export the calibration again, without flipping single axes.",
        )
    return R


def rotation_from_quaternion(xyzw: F64) -> F64:
    """Return the rotation (3, 3) of a quaternion x y z w of any length but zero."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat(np.array(xyzw, float)).as_matrix())


def safe_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file; entities are refused, as they can expand without limit or refer to other files.

    Raises:
        CoreError: The file declares entities, or is not XML.
    """
    return parse_xml(read_text(path, MAX_RIG_BYTES), path.name)


def guessed_size(cx: float, cy: float) -> tuple[int, int]:
    """Return the common image size whose centre is nearest to a principal point, else twice the principal point.

    Args:
        cx: Principal point, px from the left.
        cy: Principal point, px from the top.
    """
    sizes = np.array(_SIZES + tuple((h, w) for w, h in _SIZES))
    offset = np.abs((sizes - 1) / 2 - (cx, cy)).max(1) / sizes.max(1)
    best = int(offset.argmin())
    if offset[best] < _MAX_CENTRE_OFFSET:
        return int(sizes[best][0]), int(sizes[best][1])
    return max(2, 2 * round(cx)), max(2, 2 * round(cy))


def text(value: Any) -> str:
    """Return the value of a name in a file as a string."""
    return str(value).strip()


def distances(centres: Iterable[F64]) -> F64:
    """Return the pairwise distances of camera centres; of a single camera, the distance from the origin."""
    points = np.array(list(centres))
    if len(points) == 1:
        return np.asarray(np.linalg.norm(points, axis=1))
    i, j = np.triu_indices(len(points), 1)
    return np.asarray(np.linalg.norm(points[i] - points[j], axis=1))
