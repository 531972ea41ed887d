"""Joint sets, and how one is derived from another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.registry import closest
from core.types.arrays import F64


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """A named set of joints.

    Attributes:
        name: Such as "coco17".
        joints: Joint names in index order, left and right from the person's own view.
        bones: Pairs of joint indices to draw and to measure.
        root: Index of the mid-hip, or None where the set has none.
        mirror: (J,) index of each joint's counterpart on the other side, itself for middle joints.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    root: int | None
    mirror: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Index of a joint by name.

        Raises:
            CoreError: The set has no such joint.
        """
        try:
            return self.joints.index(joint)
        except ValueError:
            raise CoreError(
                f"Skeleton {self.name} has no joint '{joint}'.", closest(joint, list(self.joints))
            ) from None


def _build(name: str, joints: str, bones: str, root: str | None) -> Skeleton:
    names = tuple(joints.split())
    at = {n: i for i, n in enumerate(names)}

    def other(joint: str) -> str:
        for a, b in (("left_", "right_"), ("right_", "left_")):
            if joint.startswith(a):
                return b + joint.removeprefix(a)
        return joint

    pairs = tuple((at[a], at[b]) for a, b in (bone.split("-") for bone in bones.split()))
    mirror = tuple(at[other(n)] for n in names)
    return Skeleton(name=name, joints=names, bones=pairs, root=None if root is None else at[root], mirror=mirror)


COCO17 = _build(
    "coco17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear left_shoulder-right_shoulder "
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip left_hip-left_knee left_knee-left_ankle "
    "right_hip-right_knee right_knee-right_ankle",
    None,
)
PANOPTIC15 = _build(
    "panoptic15",
    "neck nose mid_hip left_shoulder left_elbow left_wrist left_hip left_knee left_ankle right_shoulder right_elbow "
    "right_wrist right_hip right_knee right_ankle",
    "neck-nose neck-mid_hip neck-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist neck-right_shoulder "
    "right_shoulder-right_elbow right_elbow-right_wrist mid_hip-left_hip mid_hip-right_hip left_hip-left_knee "
    "left_knee-left_ankle right_hip-right_knee right_knee-right_ankle",
    "mid_hip",
)
SHELF14 = _build(
    "shelf14",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow right_shoulder "
    "left_shoulder left_elbow left_wrist head_bottom head_top",
    "right_ankle-right_knee right_knee-right_hip left_hip-left_knee left_knee-left_ankle right_wrist-right_elbow "
    "right_elbow-right_shoulder left_shoulder-left_elbow left_elbow-left_wrist head_bottom-head_top "
    "right_shoulder-left_shoulder right_hip-left_hip right_shoulder-right_hip left_shoulder-left_hip "
    "right_shoulder-head_bottom left_shoulder-head_bottom",
    None,
)
"""The joints of the Shelf and Campus data sets; `core.evaluation.shelf` derives its head from other sets."""
SKELETONS = {s.name: s for s in (COCO17, PANOPTIC15, SHELF14)}
_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}


def skeleton(name: str) -> Skeleton:
    """The skeleton of that name.

    Raises:
        CoreError: There is none.
    """
    if name not in SKELETONS:
        raise CoreError(f"There is no skeleton named '{name}'.", closest(name, list(SKELETONS)))
    return SKELETONS[name]


def convert(points: F64, score: F64, source: Skeleton, target: Skeleton) -> tuple[F64, F64]:
    """Joints of one set as those of another: by name, neck and mid-hip as the mean of both shoulders or hips.

    A middle joint of which one side is missing stays missing: put on the seen side, it would be half a
    shoulder's width off.

    Args:
        points: (..., J, D) in any unit, NaN where missing.
        score: (..., J) confidences, 0 where missing.
        source: Joint set of the input.
        target: Joint set wanted.

    Returns:
        Points (..., K, D) and scores (..., K); joints that cannot be derived are NaN with score 0.
    """
    if source.name == target.name:
        return points, score
    out = np.full((*points.shape[:-2], len(target), points.shape[-1]), np.nan, points.dtype)
    out_score = np.zeros(out.shape[:-1], score.dtype)
    for k, joint in enumerate(target.joints):
        if joint in source.joints:
            j = source.joints.index(joint)
            out[..., k, :], out_score[..., k] = points[..., j, :], score[..., j]
        elif joint in _MIDDLES and all(side in source.joints for side in _MIDDLES[joint]):
            a, b = (source.joints.index(side) for side in _MIDDLES[joint])
            out[..., k, :] = (points[..., a, :] + points[..., b, :]) / 2
            out_score[..., k] = np.minimum(score[..., a], score[..., b])
    missing = ~np.isfinite(out).all(-1) | (out_score <= 0)
    out[missing], out_score[missing] = np.nan, 0
    return out, out_score
