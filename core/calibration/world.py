"""World coordinates of a rig: floor, up axis, origin and scale."""

from __future__ import annotations

from typing import Literal

import numpy as np

from core.errors import CoreError
from core.geometry.similarity import Similarity
from core.geometry.so3 import exp, mean
from core.types.arrays import F64
from core.types.camera import CameraRig

WorldAxis = Literal["x", "y", "z"]


def rotate_quarters(axis: WorldAxis, quarters: int) -> Similarity:
    """Return the rotation of the world by quarter turns about an axis, counterclockwise seen from its tip."""
    vector = np.zeros(3)
    vector["xyz".index(axis)] = quarters * np.pi / 2
    return Similarity(R=np.round(exp(vector)))


def turn_upside_down() -> Similarity:
    """Return the exchange of up and down by half a turn about x; a reflection would exchange left and right."""
    return rotate_quarters("x", 2)


def move_origin(by_mm: F64) -> Similarity:
    """Return the translation that makes a point (3,) the origin."""
    return Similarity(origin_mm=np.asarray(by_mm, float))


def scale_to_distance(rig: CameraRig, first: str, second: str, distance_mm: float) -> Similarity:
    """Return the scaling that gives two cameras their measured distance.

    Raises:
        CoreError: An unknown or unposed camera, coincident cameras, or a distance that is not positive.
    """
    distance = float(np.linalg.norm(rig[first].centre_mm - rig[second].centre_mm))
    if first == second or not (np.isfinite(distance_mm) and distance_mm > 0) or distance < 1:
        raise CoreError(
            f"The distance of {first} and {second} cannot be {distance_mm:g} mm.",
            "Give the measured distance between the lenses of two different cameras, in mm.",
        )
    return Similarity(scale=distance_mm / distance)


def world_from_points(origin_mm: F64, along_x_mm: F64, on_floor_mm: F64, rig: CameraRig) -> Similarity:
    """Return the change to world coordinates given by three floor points; up is the side of the cameras.

    Args:
        origin_mm: (3,) new origin.
        along_x_mm: (3,) point in the direction of x.
        on_floor_mm: (3,) third point of the floor.
        rig: Cameras.

    Raises:
        CoreError: The points are collinear.
    """
    origin = np.asarray(origin_mm, float)
    x, other = np.asarray(along_x_mm) - origin, np.asarray(on_floor_mm) - origin
    normal = np.cross(x, other)
    if np.linalg.norm(normal) < 1e-2 * np.linalg.norm(x) * np.linalg.norm(other) or not np.linalg.norm(normal) > 0:
        raise CoreError("The three points are collinear.", "Choose a third point off the line of the first two.")
    return _floor(origin, x, normal, rig)


def world_from_board_pose(R: F64, t_mm: F64, rig: CameraRig) -> Similarity:
    """Return the change to the world coordinates of a board on the floor, from its pose (board to world).

    The thickness of the board is unknown: its printed side is taken for the floor.
    """
    return _floor(np.asarray(t_mm), R[:, 0], R[:, 2], rig)


def world_from_floor_points(xyz_mm: F64, rig: CameraRig) -> Similarity:
    """Return the change that levels the floor, from many floor points (N, 3) such as standing feet.

    The plane is fitted with outliers rejected (three standard deviations by the median absolute deviation). Heading and
    origin change as little as possible.

    Raises:
        CoreError: Too few points, or points that cover no area.
    """
    points = np.asarray(xyz_mm, float).reshape(-1, 3)
    points = points[np.isfinite(points).all(1)]
    keep = np.ones(len(points), bool)
    if len(points) < 10:
        raise CoreError(
            f"{len(points)} floor points were found, expected at least 10.", "Use a take in which people walk."
        )
    for _ in range(5):
        middle = points[keep].mean(0)
        _, size, axes = np.linalg.svd(points[keep] - middle, full_matrices=False)
        height = (points - middle) @ axes[2]
        keep = np.abs(height) <= max(3 * 1.4826 * float(np.median(np.abs(height[keep]))), 10.0)
    if size[1] < 3 * size[2] or size[1] / np.sqrt(keep.sum()) < 100:
        raise CoreError(
            "The floor points are collinear or cover too small an area.", "Let people walk over all of the floor."
        )
    normal, x = axes[2], np.array([1.0, 0, 0])
    # The new origin is the old one projected onto the floor.
    origin = normal * float(middle @ normal)
    return _floor(origin, x, normal, rig)


def guess_world(rig: CameraRig, board_mm: F64) -> tuple[Similarity, str]:
    """Guess world coordinates: cameras are upright, and the board was never below the floor.

    Args:
        rig: Posed cameras in any coordinates.
        board_mm: (N, 3) positions of the board's points.

    Returns:
        The change of coordinates, and a sentence on it.
    """
    posed = [c for c in rig if c.posed]
    down = np.stack([c.pose[0][1] for c in posed])
    up = -down.sum(0)
    if np.linalg.norm(up) < 0.5 * len(posed):
        up = np.linalg.svd(np.stack([c.pose[0][2] for c in posed]))[2][2]  # across all optical axes
        up = up if up @ -down.sum(0) >= 0 else -up
        reason = "no two cameras have the same up direction"
    else:
        # Cameras pitch but do not roll: up is perpendicular to all image rows.
        rows = np.stack([c.pose[0][0] for c in posed])
        level = np.linalg.svd(rows)[2][2]
        level = level if level @ up >= 0 else -level
        up = level if len(posed) > 2 and level @ up > 0.9 * np.linalg.norm(up) else up
        reason = "the cameras were assumed to be upright"
    up = up / np.linalg.norm(up)
    height = board_mm @ up
    origin = board_mm.mean(0) + up * (float(np.percentile(height, 0.5)) - float(board_mm.mean(0) @ up))
    forward = posed[0].pose[0][2]
    x = np.cross(forward, up)
    change = _upright(origin, x if np.linalg.norm(x) > 1e-3 else posed[0].pose[0][0], up, guessed=True)
    return change, f"The floor is a guess: {reason}, and the lowest position of the board is taken for the floor."


def _floor(origin: F64, x: F64, normal: F64, rig: CameraRig) -> Similarity:
    """Return coordinates on a floor plane; up is the side of most cameras."""
    above = sum(float(np.sign((c.centre_mm - origin) @ normal)) for c in rig if c.posed)
    return _upright(origin, x, normal if above >= 0 else -normal, guessed=False)


def _upright(origin: F64, x: F64, up: F64, *, guessed: bool) -> Similarity:
    z = up / np.linalg.norm(up)
    x = x - z * (x @ z)
    if np.linalg.norm(x) < 1e-9:
        x = np.cross((0.0, 1.0, 0.0), z)
    x = x / np.linalg.norm(x)
    return Similarity(R=np.stack([x, np.cross(z, x), z]), origin_mm=origin, floor_guessed=guessed)


def align_rig(rig: CameraRig, to: CameraRig) -> Similarity:
    """Return the rigid change that best aligns a rig with another one of the same cameras.

    Raises:
        CoreError: The rigs share fewer than two posed cameras.
    """
    names = [c.name for c in rig if c.posed and c.name in to.names and to[c.name].posed]
    if len(names) < 2:
        raise CoreError(f"The rigs share {len(names)} posed cameras, expected at least 2.", "Set the floor again.")
    rotation = mean(np.stack([to[n].pose[0].T @ rig[n].pose[0] for n in names]))
    source, target = (np.stack([r[n].centre_mm for n in names]).mean(0) for r in (rig, to))
    return Similarity(R=rotation, origin_mm=source - rotation.T @ target, floor_guessed=to.floor_guessed)
