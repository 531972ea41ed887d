"""Drawing geometry of a skeleton, for the 3D view and the videos: bones, joint sizes, added midpoints."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types import Pose3DSequence, Skeleton
from core.types.arrays import F32, F64

_FACE = ("left_eye", "right_eye", "left_ear", "right_ear")
_FACE_SIZE = 0.55
_GIRTH = {"hip": 1.75, "knee": 1.2, "ankle": 0.75, "shoulder": 1.35, "elbow": 1.05, "wrist": 0.7}
"""Thickness of bones at the joints of limbs, which taper."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkeletonGeometry:
    """Skeleton prepared for drawing.

    Attributes:
        bones: (B, 2) indices into the points of `points`.
        size: (J + M,) size of each point relative to a normal joint; 0 for midpoints, which are not joints.
        girth: (B, 2) thickness of each bone at its ends relative to a normal bone.
        midpoints: (M, 2) joint pairs whose midpoint is added, such as a neck if the set has only shoulders.
    """

    bones: NDArray[np.int64]
    size: F32
    girth: F32
    midpoints: NDArray[np.int64]

    def points(self, xyz: F64, score: F64) -> tuple[F64, F64]:
        """Append the midpoints to joints.

        Args:
            xyz: (..., J, D) joints.
            score: (..., J) scores.

        Returns:
            Points (..., J + M, D) and scores (..., J + M); a midpoint has the lower score of its joints.
        """
        first, second = self.midpoints.T
        middle = (xyz[..., first, :] + xyz[..., second, :]) / 2
        lower = np.minimum(score[..., first], score[..., second])
        return np.concatenate([xyz, middle], -2), np.concatenate([score, lower], -1)


@functools.lru_cache(maxsize=16)
def skeleton_geometry(skeleton: Skeleton) -> SkeletonGeometry:
    """Return the geometry of a skeleton. Without a neck joint, the nose is connected to the shoulder midpoint."""
    joints = skeleton.joints
    bones = list(skeleton.bones)
    midpoints: list[tuple[int, int]] = []
    if "neck" not in joints and {"nose", "left_shoulder", "right_shoulder"} <= set(joints):
        midpoints.append((joints.index("left_shoulder"), joints.index("right_shoulder")))
        bones.append((joints.index("nose"), len(joints)))
    size = [_FACE_SIZE if joint in _FACE else 1.0 for joint in joints] + [0.0] * len(midpoints)
    ends = np.array(bones, np.int64).reshape(-1, 2)
    girth = [_GIRTH.get(joint.rpartition("_")[2], 1.0) for joint in joints] + [1.0] * len(midpoints)
    # Bones to the face are as thin as its joints are small.
    thin = np.where(np.array(size) > 0, size, 1.0)[ends].min(-1, keepdims=True)
    return SkeletonGeometry(
        bones=ends,
        size=np.array(size, np.float32),
        girth=(thin * np.array(girth)[ends]).astype(np.float32),
        midpoints=np.array(midpoints, np.int64).reshape(-1, 2),
    )


def head_centres_mm(skeleton: Skeleton, xyz_mm: F64) -> F64:
    """Return the midpoint (P, 3) between the ears of people (P, J, 3); NaN where they are unknown."""
    if not {"left_ear", "right_ear"} <= set(skeleton.joints):
        return np.full((len(xyz_mm), 3), np.nan)
    return np.asarray((xyz_mm[:, skeleton.index("left_ear")] + xyz_mm[:, skeleton.index("right_ear")]) / 2)


def person_centres_mm(poses: Pose3DSequence) -> F64:
    """Return (T, P, 3) person centres: the mean of both hips, else of all known joints; NaN where absent."""
    xyz = poses.xyz_mm
    known = np.asarray(np.isfinite(xyz).all(-1))
    count = np.maximum(known.sum(-1), 1)[..., None]
    centre = np.where(known[..., None], xyz, 0.0).sum(-2) / count
    centre[~known.any(-1)] = np.nan
    if {"left_hip", "right_hip"} <= set(poses.skeleton.joints):
        hips = (xyz[..., poses.skeleton.index("left_hip"), :] + xyz[..., poses.skeleton.index("right_hip"), :]) / 2
        centre = np.where(np.isfinite(hips), hips, centre)
    return np.asarray(centre)
