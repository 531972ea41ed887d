"""Meanings of a stored pose, and a test of which one makes the cameras look at a common volume.

Programs store a rotation A and a vector b per camera, and rarely say what they mean. A wrong meaning is consistent in
itself: it shows only in where the cameras look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from core.geometry import so3
from core.types.arrays import F64
from core.types.camera import Camera

PoseReading = Literal[
    "world_to_camera",
    "camera_to_world",
    "rotation_and_centre",
    "transposed",
    "camera_to_world_opengl",
    "world_to_camera_opengl",
]
"""Meaning of A and b: x_c = A x + b; x = A x_c + b; x_c = A (x - b); x_c = A^T x + b; the first two with OpenGL's axes
of the camera."""
RotationReading = Literal["as_stated", "degrees", "radians", "xyzw", "wxyz"]
READINGS: tuple[PoseReading, ...] = get_args(PoseReading)
_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])
_MIN_CONVERGENCE = 0.02  # smallest eigenvalue of the normal matrix of the optical axes, per camera
_MIN_SHARE = 0.8  # of the cameras that have the common point in their image
_DISORDER, _ORDER = 0.6, 0.8  # lengths of the mean direction of cameras that have nothing, and much, in common
_IN_IMAGE = 0.9  # of half the diagonal angle of view
_MAX_HALF_VIEW_RAD = np.radians(70.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where the cameras look in one reading of their poses.

    Attributes:
        common: True if the cameras look at a common volume.
        upright: Length of the mean up direction of the images, 1 if all are upright.
        order: The same of up or of the viewing direction, whichever is longer; small for rotations that have nothing to
            do with each other.
        miss: Mean angle by which the optical axes miss the common point, relative to the limit.
        up: World axis nearest to the up direction, such as "z" or "-y".
        heights: (V,) positions of the cameras along that axis, in the length unit of the file.
    """

    common: bool
    upright: float
    order: float
    miss: float
    up: str
    heights: F64

    @property
    def score(self) -> float:
        """Rank among readings that look at a common volume."""
        return self.upright - self.miss


def stored_to_pose(A: F64, b: F64, reading: PoseReading) -> tuple[F64, F64]:
    """Return rotation and translation, world to camera with OpenCV's axes, of a stored pose."""
    F = _FROM_OPENGL if reading.endswith("opengl") else np.eye(3)
    if reading.startswith("world_to_camera"):
        return F @ A, F @ b
    if reading.startswith("camera_to_world"):
        return F @ A.T, -F @ A.T @ b
    if reading == "rotation_and_centre":
        return A, -A @ b
    return np.ascontiguousarray(A.T), b


def pose_to_stored(R: F64, t: F64, reading: PoseReading) -> tuple[F64, F64]:
    """Return the stored pose (A, b) that has this meaning; the inverse of `stored_to_pose`."""
    F = _FROM_OPENGL if reading.endswith("opengl") else np.eye(3)
    if reading.startswith("world_to_camera"):
        return F @ R, F @ t
    if reading.startswith("camera_to_world"):
        return (F @ R).T, -R.T @ t
    if reading == "rotation_and_centre":
        return R, -R.T @ t
    return np.ascontiguousarray(R.T), t


def reread_poses(
    cameras: Sequence[Camera],
    stated: PoseReading,
    reading: PoseReading,
    rotation: RotationReading = "as_stated",
    rotation_vectors: Mapping[str, F64] | None = None,
    quaternions: Mapping[str, F64] | None = None,
) -> tuple[Camera, ...]:
    """Return cameras whose poses are read in another way.

    Args:
        cameras: Cameras with poses in the reading `stated`.
        stated: Reading of the poses so far.
        reading: Wanted reading.
        rotation: Unit of rotation vectors, or order of quaternions.
        rotation_vectors: Rotation vectors as in the file, by camera.
        quaternions: Quaternions as in the file, by camera.
    """
    vectors, fours = rotation_vectors or {}, quaternions or {}
    found = []
    for camera in cameras:
        if camera.posed:
            A, b = pose_to_stored(*camera.pose, stated)
            if camera.name in vectors and rotation in ("degrees", "radians"):
                A = so3.exp(np.radians(vectors[camera.name]) if rotation == "degrees" else vectors[camera.name])
            elif camera.name in fours and rotation in ("xyzw", "wxyz"):
                A = _rotation_of(fours[camera.name] if rotation == "xyzw" else np.roll(fours[camera.name], -1))
            R, t = stored_to_pose(A, b, reading)
            camera = camera.replace(R=R, t_mm=t)
        found.append(camera)
    return tuple(found)


def aim_of(cameras: Sequence[Camera]) -> Aim:
    """Return where posed cameras look."""
    posed = [camera for camera in cameras if camera.posed]
    centres = np.stack([c.centre_mm for c in posed])
    R = np.stack([c.pose[0] for c in posed])
    forward, ups = R[:, 2], -R[:, 1]
    mean_up = ups.mean(0)
    axis = int(np.argmax(np.abs(mean_up)))
    sign = -1.0 if mean_up[axis] < 0 else 1.0
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    normal = across.sum(0)
    common, miss = False, np.inf
    if np.linalg.eigvalsh(normal)[0] > _MIN_CONVERGENCE * len(posed):
        offset = np.linalg.solve(normal, np.einsum("vij,vj->i", across, centres)) - centres
        depth, distance = (offset * forward).sum(1), np.linalg.norm(offset, axis=1)
        angle = np.arccos(np.clip(depth / np.maximum(distance, 1e-12), -1, 1)) / _limits(posed)
        common = bool((angle < 1).mean() >= (_MIN_SHARE if len(posed) > 4 else 1.0))
        miss = float(angle.mean())
    return Aim(
        common=common,
        upright=float(np.linalg.norm(mean_up)),
        order=float(max(np.linalg.norm(mean_up), np.linalg.norm(forward.mean(0)))),
        miss=miss,
        up=("-" if sign < 0 else "") + "xyz"[axis],
        heights=sign * centres[:, axis],
    )


def better_readings(
    cameras: Sequence[Camera],
    stated: PoseReading,
    rotation_vectors: Mapping[str, F64],
    quaternions: Mapping[str, F64],
) -> list[tuple[PoseReading, RotationReading, Aim]]:
    """Return the readings in which the cameras look at a common volume, if they do not, or without order, as stated.

    Readings that differ in one respect come before those that differ in two, each in the order of plausibility.
    """
    count = sum(camera.posed for camera in cameras)
    if count < 2:
        return []
    # Any rotation makes a camera look at the origin if that is straight ahead: then only their order tells.
    now = aim_of(cameras)
    if now.common and (now.order > _DISORDER or count < 3):
        return []
    rotations: tuple[RotationReading, ...] = ("as_stated",)
    if rotation_vectors:
        rotations += ("degrees",)
    if quaternions:
        rotations += ("wxyz", "xyzw")
    found: list[tuple[int, float, PoseReading, RotationReading, Aim]] = []
    for reading in READINGS:
        for rotation in rotations:
            aim = aim_of(reread_poses(cameras, stated, reading, rotation, rotation_vectors, quaternions))
            if aim.common and (not now.common or aim.order > _ORDER):
                changes = int(reading != stated) + int(rotation != "as_stated")
                found.append((changes, -aim.score, reading, rotation, aim))
    return [(reading, rotation, aim) for _, _, reading, rotation, aim in sorted(found, key=lambda item: item[:2])]


def _limits(cameras: Sequence[Camera]) -> F64:
    """Return the angles (V,) from the optical axis within which a point is in the image."""
    half_px = [np.hypot(*c.size_px) / 2 for c in cameras]
    focal_px = np.array([np.sqrt(c.K[0, 0] * c.K[1, 1]) for c in cameras])
    ratio = np.array(half_px) / focal_px
    angle = np.where([c.distortion_model == "fisheye" for c in cameras], ratio, np.arctan(ratio))
    return np.asarray(_IN_IMAGE * np.minimum(angle, _MAX_HALF_VIEW_RAD))


def _rotation_of(xyzw: F64) -> F64:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat(xyzw).as_matrix())
