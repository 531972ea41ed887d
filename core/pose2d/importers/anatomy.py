"""Check of joint sets by anatomy: in the right order, the bones of people are about as short as lines can be.

The measure is the length of all bones relative to the shortest tree that connects the same joints. It does
not depend on size, position and posture, and is near 1 for bodies; a wrong order of joints gives lines across the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.pose2d.importers.joint_sets import JOINT_SETS, JointSet
from core.types.arrays import F64
from core.types.skeleton import COCO17

_TREE = (
    "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear left_ear-left_shoulder "
    "right_ear-right_shoulder left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow "
    "right_elbow-right_wrist left_shoulder-left_hip right_shoulder-right_hip left_hip-left_knee left_knee-left_ankle "
    "right_hip-right_knee right_knee-right_ankle"
)
_BONES = np.array([[COCO17.index(end) for end in bone.split("-")] for bone in _TREE.split()])
_MIN_BONES = 8  # fewest bones of a person that is measured
_MAX_PEOPLE = 400  # people of a take that are measured: a median needs no more
_MIN_PEOPLE = 5
_MAX_STRETCH = 2.2  # median of people above which joints form no bodies; real people have 1.3 to 1.7
_CLEARER = 1.08  # ratio to the second-best joint set from which the best is certain


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSetChoice:
    """Joint set that the people of a file have.

    Attributes:
        joints: The most plausible set.
        stretch: Median length of the bones relative to the shortest tree; NaN if there are too few people to tell.
        others: Sets of the same size that are as plausible.
    """

    joints: JointSet
    stretch: float
    others: tuple[JointSet, ...] = ()

    @property
    def measured(self) -> bool:
        """True if there were enough people to measure."""
        return bool(np.isfinite(self.stretch))

    @property
    def forms_bodies(self) -> bool:
        """True if the joints form plausible bodies, or if there are too few people to decide."""
        return not self.stretch > _MAX_STRETCH


def choose_joint_set(people: Sequence[F64], size: int) -> JointSetChoice | None:
    """Return the joint set of people by their number of joints and their anatomy; None if no set has that number.

    Args:
        people: People of any images, each (J, 3): x, y in any unit, and confidence.
        size: Number of joints J.
    """
    candidates = [joints for joints in JOINT_SETS.values() if len(joints.joints) == size]
    if not candidates:
        return None
    measured = [(stretch(people, joints), joints) for joints in candidates]
    measured.sort(key=lambda pair: np.nan_to_num(pair[0], nan=np.inf))
    best, joints = measured[0]
    others = [other for value, other in measured[1:] if not value > _CLEARER * best]
    return JointSetChoice(joints=joints, stretch=best, others=tuple(others))


def stretch(people: Sequence[F64], joints: JointSet) -> float:
    """Return the median length of people's bones relative to the shortest tree; NaN for too few people.

    Args:
        people: People, each (J, 3) in the order of the set.
        joints: The joint set.
    """
    step = max(1, len(people) // _MAX_PEOPLE)
    sample = [person for person in people[::step] if len(person) == len(joints.joints)]
    if len(sample) < _MIN_PEOPLE:
        return float("nan")
    rows = np.array(joints.rows)
    xyc = np.stack(sample)[:, rows]
    known: np.ndarray = (rows >= 0) & np.isfinite(xyc).all(-1) & (xyc[..., 2] > 0)
    xy = np.where(known[:, :, None], xyc[..., :2], np.nan)
    length = np.linalg.norm(xy[:, _BONES[:, 0]] - xy[:, _BONES[:, 1]], axis=-1)
    bones = np.isfinite(length)
    ends = np.zeros(known.shape, bool)
    for bone, (a, b) in enumerate(_BONES):
        ends[:, a] |= bones[:, bone]
        ends[:, b] |= bones[:, bone]
    shortest = _tree_length(np.where(ends[..., None], xy, np.nan))
    usable = (bones.sum(-1) >= _MIN_BONES) & (shortest > 0)
    if usable.sum() < _MIN_PEOPLE:
        return float("nan")
    edges = np.maximum(ends.sum(-1) - 1, 1)
    ratio = np.nansum(length, -1) / bones.sum(-1) / np.where(shortest > 0, shortest / edges, 1.0)
    return float(np.median(ratio[usable]))


def _tree_length(xy: F64) -> F64:
    """Return the length (N,) of the shortest tree through the known points of (N, J, 2), by Prim's algorithm."""
    known = np.asarray(np.isfinite(xy).all(-1))
    gap = np.linalg.norm(xy[:, :, None] - xy[:, None], axis=-1)
    gap = np.where(known[:, :, None] & known[:, None], gap, np.inf)
    people = np.arange(len(xy))
    inside = np.zeros(known.shape, bool)
    start = known.argmax(-1)
    inside[people, start] = True
    reach, total = gap[people, start], np.zeros(len(xy))
    for _ in range(xy.shape[1] - 1):
        open_ = np.where(inside, np.inf, reach)
        nearest = open_.argmin(-1)
        step = open_[people, nearest]
        total += np.where(np.isfinite(step), step, 0.0)
        inside[people, nearest] |= np.isfinite(step)
        reach = np.minimum(reach, np.where(np.isfinite(step)[:, None], gap[people, nearest], np.inf))
    return total
