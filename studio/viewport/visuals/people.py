"""Skeletons and trails as capsules."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.types.arrays import F64
from studio.viewport.layers import RGBA, SkeletonLayer, TrailLayer
from studio.viewport.visuals.capsules import CapsuleNode, Capsules, capsules

_BONE_MM, _JOINT_MM = 17.0, 27.0
_GHOST_BONE_MM = 7.0
_TRAIL_MM = 9.0
_FAINTEST = 0.3
_CERTAIN = 0.6


class SkeletonDrawing:
    """Bones as tubes, joints as balls: the surer the larger, the less sure the paler. Ghosts are thin tubes only."""

    def __init__(self, parent: Any) -> None:
        self._node = CapsuleNode(shade=1.0, sort=True, parent=parent)
        self._node.order = 50

    def show(self, layer: SkeletonLayer) -> None:
        """Draws these people."""
        self._node.set_capsules(*skeleton_capsules(layer))
        self._node.visible = True

    def hide(self) -> None:
        """Draws nobody."""
        self._node.visible = False


class TrailDrawing:
    """Paths that fade towards the past."""

    def __init__(self, parent: Any) -> None:
        self._node = CapsuleNode(flat=True, parent=parent)
        self._node.order = 11

    def show(self, layer: TrailLayer) -> None:
        """Draws these paths."""
        self._node.set_capsules(trail_capsules(layer))
        self._node.visible = True

    def hide(self) -> None:
        """Draws no path."""
        self._node.visible = False


def skeleton_capsules(layer: SkeletonLayer) -> list[Capsules]:
    """Bones first, then joints; a bone is as pale as its less certain end."""
    certainty = np.clip(layer.score / _CERTAIN, 0.0, 1.0)
    ends: F64 = layer.xyz_mm[:, layer.bones]  # (P, B, 2, 3)
    weakest = certainty[:, layer.bones].min(-1)
    if layer.ghost:
        return [capsules(ends[..., 0, :], ends[..., 1, :], _GHOST_BONE_MM, 0.8, layer.colour[:, None])]
    # A bone to the face is as thin as the face's joints are small.
    size = np.where(layer.size > 0, layer.size, 1.0)[layer.bones].min(-1)
    thickness = np.broadcast_to(_BONE_MM * size, weakest.shape).astype(np.float32)
    radius = (_JOINT_MM * layer.size * (0.7 + 0.3 * certainty)).astype(np.float32)
    balls = np.where((layer.size > 0)[:, None], layer.xyz_mm, np.nan)
    return [
        capsules(ends[..., 0, :], ends[..., 1, :], thickness, 1.2, _faded(layer.colour, weakest)),
        capsules(balls, balls, radius, 2.0, _faded(layer.colour, certainty)),
    ]


def trail_capsules(layer: TrailLayer) -> Capsules:
    """Segments from old to new."""
    count = layer.xyz_mm.shape[1]
    age = np.linspace(0.05, 0.7, max(count - 1, 0))
    colour = np.repeat(layer.colour[:, None], max(count - 1, 0), 1)
    colour[..., 3] *= age
    return capsules(layer.xyz_mm[:, :-1], layer.xyz_mm[:, 1:], _TRAIL_MM, 0.9, colour)


def _faded(colour: RGBA, certainty: F64) -> RGBA:
    """(P, N, 4) each person's colour, its alpha by certainty (P, N)."""
    out = np.repeat(colour[:, None], certainty.shape[1], 1)
    out[..., 3] *= _FAINTEST + (1 - _FAINTEST) * certainty
    return out
