"""What an exporter of rigs is, and what formats ask of a camera before they can hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

ANY_LENS = "Export as this program's own rig.toml, OpenCV's YAML or JSON, or Anipose's TOML: they hold every lens."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A rig as a format's text.

    Attributes:
        texts: File name to text; the empty name is the file that was asked for, other names lie in that folder.
        notes: Sentences on what the format does not say or says only nearly.
    """

    texts: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RigExporter:
    """One file format.

    Attributes:
        name: As in the registry.
        title: For menus and messages.
        summary: Who reads it, in which units and axes, and what it cannot say.
        default_name: A usual name for the file or folder.
        suffixes: Endings of the file, the usual one first; empty where the format is a folder of files.
        render: The text; raises CoreError with a remedy where the format cannot hold a camera.
    """

    name: str
    title: str
    summary: str
    default_name: str
    suffixes: tuple[str, ...]
    render: Callable[[CameraRig], Rendered]

    @property
    def folder(self) -> bool:
        """Whether it writes a folder of files instead of one."""
        return not self.suffixes

    @property
    def file_filter(self) -> str:
        """For a file dialogue; empty for a folder."""
        return "" if self.folder else f"{self.title} ({' '.join('*' + suffix for suffix in self.suffixes)})"


def posed(rig: CameraRig, title: str) -> tuple[Camera, ...]:
    """The cameras of a rig, for a format that keeps no camera without a pose.

    Raises:
        CoreError: One has none.
    """
    for camera in rig:
        if not camera.posed:
            raise CoreError(
                f"Camera {camera.name} has no pose, and {title} cannot leave it out.",
                "Calibrate its extrinsics first, or export as rig.toml, TOML, OpenCV or EasyMocap.",
            )
    return rig.cameras


def brown(camera: Camera, title: str, count: int = 5) -> F64:
    """(count,) coefficients k1 k2 p1 p2 [k3 [k4 k5 k6]] of a camera's lens, for a format that knows no more.

    Raises:
        CoreError: A fisheye lens, or coefficients beyond those.
    """
    d = camera.distortion
    if camera.distortion_model == "fisheye":
        raise CoreError(f"Camera {camera.name} has a fisheye lens, which {title} does not know.", ANY_LENS)
    if d[count:].any():
        raise CoreError(
            f"The lens of camera {camera.name} has {d.size} coefficients, and {title} keeps {count}.", ANY_LENS
        )
    return np.pad(d[:count], (0, max(0, count - d.size)))


def focal_and_centre(camera: Camera, title: str) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of a camera, for a format that has no place for a skew.

    Raises:
        CoreError: The camera's K has one.
    """
    K = camera.K
    if K[0, 1] or K[1, 0]:
        raise CoreError(
            f"The pixels of camera {camera.name} are skewed, and {title} has no place for that.",
            "Calibrate the lens without skew, or export as rig.toml, TOML, OpenCV, EasyMocap or CMU Panoptic.",
        )
    return float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])


def quaternion(camera: Camera) -> F64:
    """Return the unit quaternion (4,) x y z w, w >= 0, of a posed camera's rotation, world to camera."""
    from scipy.spatial.transform import Rotation

    xyzw = Rotation.from_matrix(camera.pose[0]).as_quat()
    return np.asarray(xyzw if xyzw[3] >= 0 else -xyzw)


def lost(rig: CameraRig, title: str) -> tuple[str, ...]:
    """A note where cameras have time offsets and the format has no place for them."""
    late = [c.name for c in rig if c.time_offset_s]
    return (f"{title} has no place for the time offsets of {', '.join(late)}.",) if late else ()
