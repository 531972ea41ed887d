"""How a skeleton is drawn, in 3D and over the videos: which bones, which joints, and links that a joint set lacks."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types import Skeleton
from core.types.arrays import F32, F64

_FACE = ("left_eye", "right_eye", "left_ear", "right_ear")
_FACE_SIZE = 0.55


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkeletonGeometry:
    """A skeleton made ready for drawing.

    Attributes:
        bones: (B, 2) indices into the points of `points`.
        size: (J + M,) size of each point's ball relative to a normal joint; 0 for middles, which are no joints.
        middles: (M, 2) joint pairs of which a middle is added: a neck where the set has only shoulders.
    """

    bones: NDArray[np.int64]
    size: F32
    middles: NDArray[np.int64]

    def points(self, xyz: F64, score: F64) -> tuple[F64, F64]:
        """Joints (..., J, D) with their scores (..., J), the middles appended: (..., J + M, D) and (..., J + M)."""
        first, second = self.middles.T
        middle = (xyz[..., first, :] + xyz[..., second, :]) / 2
        certainty = np.minimum(score[..., first], score[..., second])
        return np.concatenate([xyz, middle], -2), np.concatenate([score, certainty], -1)


@functools.lru_cache(maxsize=16)
def skeleton_geometry(skeleton: Skeleton) -> SkeletonGeometry:
    """The figure of a joint set. A set without a neck has its head joined to the middle of the shoulders."""
    joints = skeleton.joints
    bones = list(skeleton.bones)
    middles: list[tuple[int, int]] = []
    if "neck" not in joints and {"nose", "left_shoulder", "right_shoulder"} <= set(joints):
        middles.append((joints.index("left_shoulder"), joints.index("right_shoulder")))
        bones.append((joints.index("nose"), len(joints)))
    size = [_FACE_SIZE if joint in _FACE else 1.0 for joint in joints] + [0.0] * len(middles)
    return SkeletonGeometry(
        bones=np.array(bones, np.int64).reshape(-1, 2),
        size=np.array(size, np.float32),
        middles=np.array(middles, np.int64).reshape(-1, 2),
    )
