"""Interface of rig exporters, and the requirements of formats on a camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

ANY_INTRINSICS = "Export as rig.toml, OpenCV YAML or JSON, or Anipose TOML, which hold all distortion models."
"""Hint for cameras whose intrinsics a format cannot hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A rig as the text of its files.

    Attributes:
        texts: Text by file name; an empty name is the path itself, other names are files in that folder.
        notes: Sentences on what the format omits or approximates.
    """

    texts: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RigExporter:
    """A file format for export.

    Attributes:
        name: Name in the registry.
        title: Title in menus and messages.
        summary: Sentences on the programs that read it, units, axes and limits.
        default_name: Default name of the file or folder.
        suffixes: File name suffixes, the default first; empty if the format is a folder of files.
        render: Function that returns the text; raises CoreError if the format cannot hold a camera.
    """

    name: str
    title: str
    summary: str
    default_name: str
    suffixes: tuple[str, ...]
    render: Callable[[CameraRig], Rendered]

    @property
    def folder(self) -> bool:
        """True if the format is a folder of files instead of one file."""
        return not self.suffixes

    @property
    def file_filter(self) -> str:
        """Filter for a file dialogue; empty for a folder."""
        return "" if self.folder else f"{self.title} ({' '.join('*' + suffix for suffix in self.suffixes)})"


def require_poses(rig: CameraRig, title: str) -> tuple[Camera, ...]:
    """Return the cameras of a rig for a format without unposed cameras.

    Raises:
        CoreError: A camera is unposed.
    """
    for camera in rig:
        if not camera.posed:
            raise CoreError(
                f"Camera {camera.name} has no pose, which {title} requires of every camera.",
                "Calibrate its extrinsics first, or export as rig.toml, Anipose TOML, OpenCV or EasyMocap.",
            )
    return rig.cameras


def brown_coefficients(camera: Camera, title: str, count: int = 5) -> F64:
    """Return the first coefficients (count,), k1 k2 p1 p2 [k3 [k4 k5 k6]], for a format that holds no more.

    Raises:
        CoreError: A fisheye model, or further coefficients that are not zero.
    """
    d = camera.distortion
    if camera.distortion_model == "fisheye":
        raise CoreError(f"Camera {camera.name} has the fisheye model, which {title} does not support.", ANY_INTRINSICS)
    if d[count:].any():
        raise CoreError(
            f"Camera {camera.name} has {d.size} distortion coefficients, but {title} holds {count}.", ANY_INTRINSICS
        )
    return np.pad(d[:count], (0, max(0, count - d.size)))


def focal_and_centre(camera: Camera, title: str) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy of a camera, for a format without skew.

    Raises:
        CoreError: The camera matrix has a skew.
    """
    K = camera.K
    if K[0, 1] or K[1, 0]:
        raise CoreError(
            f"The camera matrix of {camera.name} has a skew, which {title} does not support.",
            "Calibrate without skew, or export as rig.toml, Anipose TOML, OpenCV, EasyMocap or CMU Panoptic.",
        )
    return float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])


def quaternion(camera: Camera) -> F64:
    """Return the unit quaternion (4,) x y z w, w >= 0, of a posed camera's rotation, world to camera."""
    from scipy.spatial.transform import Rotation

    xyzw = Rotation.from_matrix(camera.pose[0]).as_quat()
    return np.asarray(xyzw if xyzw[3] >= 0 else -xyzw)


def time_offset_notes(rig: CameraRig, title: str) -> tuple[str, ...]:
    """Return a note if cameras have time offsets, for a format without them."""
    names = [c.name for c in rig if c.time_offset_s]
    return (f"{title} does not hold the time offsets of {', '.join(names)}.",) if names else ()
