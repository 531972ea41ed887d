"""Skeletons as capsule figures, and the trails of people on the floor.

Legend: T frame, P person, J joint, B bone.
"""

from __future__ import annotations

import numpy as np

from core.rendering.skeleton_geometry import head_centres_mm, skeleton_geometry
from core.rendering.surfaces import Surface, capsule_surface, join
from core.types import Skeleton
from core.types.arrays import F32, F64

_BONE_MM, _JOINT_MM, _HEAD_MM = 26.0, 36.0, 92.0
_TRAIL_MM, _TRAIL_POINTS = 9.0, 48


def figure_surface(skeleton: Skeleton, xyz_mm: F64, colours: F32) -> Surface:
    """Return people as capsule figures.

    Args:
        skeleton: Joint set.
        xyz_mm: (P, J, 3) joints, NaN where missing.
        colours: (P, 3) sRGB in 0..1.
    """
    geometry = skeleton_geometry(skeleton)
    points, _ = geometry.points(xyz_mm, np.ones(xyz_mm.shape[:2]))
    ends = points[:, geometry.bones]  # (P, B, 2, 3)
    P = len(points)
    bones = capsule_surface(
        ends[:, :, 0].reshape(-1, 3),
        ends[:, :, 1].reshape(-1, 3),
        np.tile(_BONE_MM * geometry.girth, (P, 1)),
        np.repeat(colours, len(geometry.bones), axis=0),
    )
    balls = np.where((geometry.size > 0)[:, None], points, np.nan).reshape(-1, 3)
    joints = capsule_surface(
        balls, balls, np.tile(_JOINT_MM * geometry.size, P), np.repeat(colours, points.shape[1], 0)
    )
    head = head_centres_mm(skeleton, xyz_mm)
    return join([bones, joints, capsule_surface(head, head, np.full(P, _HEAD_MM), colours)])


def trail_surface(path_mm: F64, colours: F32, floor: F32) -> Surface:
    """Return trails on the floor that fade towards the past.

    Args:
        path_mm: (T, P, 3) positions up to now, oldest first; NaN where missing.
        colours: (P, 3) sRGB in 0..1 of the people.
        floor: (3,) colour to which the past fades.
    """
    if len(path_mm) < 2:
        return join([])
    path = path_mm[np.unique(np.linspace(0, len(path_mm) - 1, _TRAIL_POINTS).round().astype(int))].copy()
    path[..., 2] = np.where(np.isfinite(path[..., 2]), _TRAIL_MM / 2, np.nan)
    age = np.linspace(0.1, 0.8, len(path) - 1, dtype=np.float32)[:, None, None]
    colour = floor + age * (colours[None] - floor)
    segments = path[:-1].reshape(-1, 3), path[1:].reshape(-1, 3)
    return capsule_surface(*segments, np.full(len(segments[0]), _TRAIL_MM), colour.reshape(-1, 3))
