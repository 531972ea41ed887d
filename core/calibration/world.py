"""The world frame of a rig: where the floor is, which way is up, and how long a millimetre is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.geometry.so3 import exp, mean
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

WorldAxis = Literal["x", "y", "z"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Similarity:
    """A change of the world frame: x_new = scale * R (x_old - origin_mm)."""

    R: F64 = field(default_factory=lambda: np.eye(3))
    origin_mm: F64 = field(default_factory=lambda: np.zeros(3))
    scale: float = 1.0

    def camera(self, camera: Camera) -> Camera:
        """The same camera in the new frame; an unposed one stays."""
        if not camera.posed:
            return camera
        R, t_mm = camera.pose
        return camera.replace(R=R @ self.R.T, t_mm=self.scale * (R @ self.origin_mm + t_mm))

    def rig(self, rig: CameraRig, remark: str = "") -> CameraRig:
        """The same rig in the new frame, with a remark on where it comes from."""
        source = " ".join(part for part in (rig.source, remark) if part)
        return dataclasses.replace(rig, cameras=tuple(self.camera(c) for c in rig), source=source)

    def points(self, xyz_mm: F64) -> F64:
        """Points (..., 3) in the new frame."""
        return np.asarray(self.scale * (np.asarray(xyz_mm) - self.origin_mm) @ self.R.T)


def rotate_quarters(axis: WorldAxis, quarters: int) -> Similarity:
    """The world turned by quarters about one of its axes, counterclockwise as seen from the axis's tip."""
    vector = np.zeros(3)
    vector["xyz".index(axis)] = quarters * np.pi / 2
    return Similarity(R=np.round(exp(vector)))


def turn_upside_down() -> Similarity:
    """Up and down exchanged, by half a turn about x: a mirror image would turn left hands into right ones."""
    return rotate_quarters("x", 2)


def move_origin(by_mm: F64) -> Similarity:
    """The origin moved."""
    return Similarity(origin_mm=np.asarray(by_mm, float))


def scale_to_distance(rig: CameraRig, first: str, second: str, distance_mm: float) -> Similarity:
    """All lengths changed so that two cameras are as far apart as measured.

    Raises:
        CoreError: A camera that is not there or has no pose, or a distance that is none.
    """
    apart = float(np.linalg.norm(rig[first].centre_mm - rig[second].centre_mm))
    if first == second or not (np.isfinite(distance_mm) and distance_mm > 0) or apart < 1:
        raise CoreError(
            f"{first} and {second} cannot be {distance_mm:g} mm apart.",
            "Measure the distance between two lenses, in mm.",
        )
    return Similarity(scale=distance_mm / apart)


def world_from_points(origin_mm: F64, along_x_mm: F64, on_floor_mm: F64, rig: CameraRig) -> Similarity:
    """Floor, origin and x axis from three points of the floor; up is the side on which the cameras are.

    Raises:
        CoreError: The points lie on one line.
    """
    origin = np.asarray(origin_mm, float)
    x, other = np.asarray(along_x_mm) - origin, np.asarray(on_floor_mm) - origin
    normal = np.cross(x, other)
    if np.linalg.norm(normal) < 1e-2 * np.linalg.norm(x) * np.linalg.norm(other) or not np.linalg.norm(normal) > 0:
        raise CoreError("The three points lie on one line.", "Choose the third one off to the side.")
    return _floor(origin, x, normal, rig)


def world_from_board_pose(R: F64, t_mm: F64, rig: CameraRig) -> Similarity:
    """Floor, origin and x axis from a board that lies on the floor, by its pose (board to world).

    The board's own thickness is not known: its printed side is taken for the floor.
    """
    return _floor(np.asarray(t_mm), R[:, 0], R[:, 2], rig)


def world_from_floor_points(xyz_mm: F64, rig: CameraRig) -> Similarity:
    """Up and height of the floor from many points of it (N, 3), such as standing feet; turn and place stay near.

    Raises:
        CoreError: Too few points, or they cover no area.
    """
    points = np.asarray(xyz_mm, float).reshape(-1, 3)
    points = points[np.isfinite(points).all(1)]
    keep = np.ones(len(points), bool)
    if len(points) < 10:
        raise CoreError(f"{len(points)} points are too few for a floor.", "Use a take in which people walk about.")
    for _ in range(5):
        middle = points[keep].mean(0)
        _, size, axes = np.linalg.svd(points[keep] - middle, full_matrices=False)
        off = (points - middle) @ axes[2]
        keep = np.abs(off) <= max(3 * 1.4826 * float(np.median(np.abs(off[keep]))), 10.0)
    if size[1] < 3 * size[2] or size[1] / np.sqrt(keep.sum()) < 100:
        raise CoreError("The points of the floor lie on one line.", "Let people walk over all of the floor.")
    normal, x = axes[2], np.array([1.0, 0, 0])
    # The origin stays where it was, but on the floor.
    origin = normal * float(middle @ normal)
    return _floor(origin, x, normal, rig)


def guess_world(rig: CameraRig, board_mm: F64) -> tuple[Similarity, str]:
    """A first frame until somebody sets the floor: the cameras stand upright, and the board never went below the floor.

    Args:
        rig: Posed cameras in any frame.
        board_mm: (N, 3) places that the board has been in.

    Returns:
        The change of frame, and a sentence about it.
    """
    posed = [c for c in rig if c.posed]
    down = np.stack([c.pose[0][1] for c in posed])
    up = -down.sum(0)
    if np.linalg.norm(up) < 0.5 * len(posed):
        up = np.linalg.svd(np.stack([c.pose[0][2] for c in posed]))[2][2]  # across all optical axes
        up = up if up @ -down.sum(0) >= 0 else -up
        how = "no two cameras stand the same way up"
    else:
        # Level cameras look up or down, but do not lean: up is at right angles to all rows of pixels.
        rows = np.stack([c.pose[0][0] for c in posed])
        level = np.linalg.svd(rows)[2][2]
        level = level if level @ up >= 0 else -level
        up = level if len(posed) > 2 and level @ up > 0.9 * np.linalg.norm(up) else up
        how = "the cameras were taken to stand upright"
    up = up / np.linalg.norm(up)
    height = board_mm @ up
    origin = board_mm.mean(0) + up * (float(np.percentile(height, 0.5)) - float(board_mm.mean(0) @ up))
    forward = posed[0].pose[0][2]
    x = np.cross(forward, up)
    frame = _upright(origin, x if np.linalg.norm(x) > 1e-3 else posed[0].pose[0][0], up)
    return frame, f"The floor is a guess: {how}, and the lowest place of the board is taken for the floor."


def _floor(origin: F64, x: F64, normal: F64, rig: CameraRig) -> Similarity:
    """Up is the side of the floor on which most cameras are."""
    above = sum(float(np.sign((c.centre_mm - origin) @ normal)) for c in rig if c.posed)
    return _upright(origin, x, normal if above >= 0 else -normal)


def _upright(origin: F64, x: F64, up: F64) -> Similarity:
    z = up / np.linalg.norm(up)
    x = x - z * (x @ z)
    if np.linalg.norm(x) < 1e-9:
        x = np.cross((0.0, 1.0, 0.0), z)
    x = x / np.linalg.norm(x)
    return Similarity(R=np.stack([x, np.cross(z, x), z]), origin_mm=origin)


def align_rig(rig: CameraRig, to: CameraRig) -> Similarity:
    """The rigid change of frame that lays a rig onto another one with the same cameras, as well as it goes.

    Raises:
        CoreError: They share fewer than two posed cameras.
    """
    names = [c.name for c in rig if c.posed and c.name in to.names and to[c.name].posed]
    if len(names) < 2:
        raise CoreError("The two rigs share fewer than two cameras.", "Set the floor anew.")
    turn = mean(np.stack([to[n].pose[0].T @ rig[n].pose[0] for n in names]))
    mine, theirs = (np.stack([r[n].centre_mm for n in names]).mean(0) for r in (rig, to))
    return Similarity(R=turn, origin_mm=mine - turn.T @ theirs)
