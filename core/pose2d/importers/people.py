"""Conversion of imported people to 2D poses: joint sets, faulty values, and people who are reported more than once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.pose2d.importers.joint_sets import JointSet
from core.pose2d.nms import pose_nms
from core.types.arrays import F64
from core.types.pose2d import Pose2D
from core.types.skeleton import COCO17, Skeleton

_MAX_SCORE = 1.05  # Some programs state confidences slightly above 1.
_MAX_PX = 1e5  # Coordinates beyond this size belong to no image.
_SHARED = 2  # most joints that two halves of a person share
_SAME = 0.1  # largest distance of a shared joint of two halves, in lengths of the trunk
_TRUNK = (0.5, 1.8)  # length of the trunk in lengths of the thigh and of 1.4 upper arms, foreshortened or not
_SHOULDERS, _ELBOWS = COCO17.indices("left_shoulder", "right_shoulder"), COCO17.indices("left_elbow", "right_elbow")
_HIPS, _KNEES = COCO17.indices("left_hip", "right_hip"), COCO17.indices("left_knee", "right_knee")


@dataclass(slots=True)
class Faults:
    """Numbers of values that were left out or changed.

    Attributes:
        not_finite: Joints with NaN or an infinite value and a confidence above 0.
        far: Joints further from the image than any could be.
        negative: Joints with a negative confidence.
        above_one: Joints with a confidence above 1.
        highest: Highest of these.
        twice: People who were reported twice.
        halves: People who were reported as two halves.
    """

    not_finite: int = 0
    far: int = 0
    negative: int = 0
    above_one: int = 0
    highest: float = 0.0
    twice: int = 0
    halves: int = 0

    def sentences(self, camera: str) -> list[str]:
        """Return a sentence for each kind of fault."""
        left_out = "joints are left out: their"
        texts = {
            f"{self.not_finite} {left_out} values are not numbers (NaN or infinite)": self.not_finite,
            f"{self.far} {left_out} positions are further than {_MAX_PX:.0f} px": self.far,
            f"{self.negative} {left_out} confidences are negative": self.negative,
            f"{self.above_one} joints have a confidence above 1, up to {self.highest:.4g}; it counts as 1": (
                self.above_one
            ),
            f"{self.twice} detections repeat a person in the same image and are merged with it": self.twice,
            f"{self.halves} people were reported as two halves, which are joined": self.halves,
        }
        return [f"{camera}: {text}." for text, count in texts.items() if count]


def to_coco17(people: Sequence[F64], joints: JointSet, faults: Faults) -> list[F64]:
    """Return people (17, 3) in the order of COCO-17 from people (J, 3) of a joint set.

    A joint that is missing, or whose values are no position and confidence, is NaN with confidence 0.
    """
    rows = np.array(joints.rows)
    converted = []
    for person in people:
        taken = np.where((rows >= 0)[:, None], person[rows], [np.nan, np.nan, 0.0])
        score = taken[:, 2]
        finite = np.isfinite(taken).all(-1)
        far = finite & (np.abs(taken[:, :2]) > _MAX_PX).any(-1) & (score > 0)
        above = finite & ~far & (score > _MAX_SCORE)
        # A joint that was not found has no position, or the confidence 0, in one way or another.
        faults.not_finite += int(((rows >= 0) & ~finite & ~(np.isnan(taken[:, :2]).all(-1)) & ~(score == 0)).sum())
        faults.far += int(far.sum())
        faults.negative += int((finite & (score < 0)).sum())
        faults.above_one += int(above.sum())
        faults.highest = max(faults.highest, float(score[above].max(initial=0.0)))
        missing = ~finite | far | ~(score > 0)
        converted.append(
            np.where(missing[:, None], [np.nan, np.nan, 0.0], np.minimum(np.nan_to_num(taken), [np.inf, np.inf, 1.0]))
        )
    return converted


def merge_people(people: Sequence[F64], faults: Faults) -> list[F64]:
    """Merge the people (17, 3) of an image who are the same: duplicates as estimators have them, and halves."""
    found = [person for person in people if np.isfinite(person[:, 0]).any()]
    if len(found) < 2:
        return found
    stacked = np.stack(found)
    xy, score = stacked[..., :2], stacked[..., 2]
    keep = pose_nms(xy, _sizes(xy), score.mean(-1))
    kept = {int(k): stacked[k].copy() for k in sorted(keep.tolist())}
    for p in set(range(len(found))) - kept.keys():
        # A duplicate may have joints that the better detection lacks.
        gap = np.linalg.norm(xy[list(kept)] - xy[p], axis=-1)
        shared = np.isfinite(gap)
        median = np.where(shared.any(-1), np.nanmedian(np.where(shared.any(-1)[:, None], gap, 0.0), -1), np.inf)
        own = kept[list(kept)[int(median.argmin())]]
        own[:] = np.where(np.isfinite(own[:, :1]), own, stacked[p])
        faults.twice += 1
    return _joined(list(kept.values()), faults)


def _sizes(xy: F64) -> F64:
    """Return the longer side (P,) of the box around people (P, J, 2)."""
    known = np.isfinite(xy)
    extent = np.where(known, xy, -np.inf).max(-2) - np.where(known, xy, np.inf).min(-2)
    return np.asarray(np.maximum(extent.max(-1), 1.0))


def _joined(people: list[F64], faults: Faults) -> list[F64]:
    """Join upper and lower halves that fit each other and nobody else."""
    uppers = [p for p, person in enumerate(people) if _known(person, _SHOULDERS) and not _known(person, _KNEES)]
    lowers = [p for p, person in enumerate(people) if _known(person, _HIPS) and not _known(person, _SHOULDERS)]
    pairs = [(u, lo) for u in uppers for lo in lowers if u != lo and _fits(people[u], people[lo])]
    gone = set()
    for u, lo in pairs:
        if sum(u == other for other, _ in pairs) == 1 and sum(lo == other for _, other in pairs) == 1:
            better = people[lo][:, 2] > people[u][:, 2]
            people[u] = np.where(better[:, None], people[lo], people[u])
            gone.add(lo)
            faults.halves += 1
    return [person for p, person in enumerate(people) if p not in gone]


def _known(person: F64, joints: Sequence[int]) -> bool:
    return bool(np.isfinite(person[list(joints), 0]).any())


def _fits(upper: F64, lower: F64) -> bool:
    """Return whether two halves are of one person: by the length of the trunk, and by joints that both have."""
    trunk = float(np.linalg.norm(_middle(upper, _SHOULDERS) - _middle(lower, _HIPS)))
    shared = np.isfinite(upper[:, 0]) & np.isfinite(lower[:, 0])
    if shared.sum() > _SHARED or not np.isfinite(trunk):
        return False
    apart = np.linalg.norm(upper[shared, :2] - lower[shared, :2], axis=-1)
    if (apart > _SAME * trunk).any():
        return False
    thigh = np.linalg.norm(lower[_HIPS, :2] - lower[_KNEES, :2], axis=-1)
    arm = 1.4 * np.linalg.norm(upper[_SHOULDERS, :2] - upper[_ELBOWS, :2], axis=-1)
    lengths = np.concatenate([thigh, arm])
    lengths = lengths[np.isfinite(lengths)]
    if not len(lengths):
        return False
    return bool(_TRUNK[0] <= trunk / max(float(np.max(lengths)), 1e-9) <= _TRUNK[1])


def _middle(person: F64, joints: Sequence[int]) -> F64:
    points = person[list(joints), :2]
    points = points[np.isfinite(points).all(-1)]
    return np.asarray(points.mean(0)) if len(points) else np.full(2, np.nan)


def stack_people(camera: str, skeleton: Skeleton, people: Sequence[Sequence[F64]]) -> Pose2D:
    """Stack the people in each frame to the 2D poses of a camera.

    Args:
        camera: Camera name.
        skeleton: Joint set of J joints.
        people: People in each of T frames, each (J, 3): x, y in px and confidence. A joint is missing if its
            confidence is not positive or a coordinate is not finite; confidences are clipped to 1.

    Raises:
        CoreError: A person has another shape.
    """
    J = len(skeleton)
    most = max(map(len, people), default=0)
    xy, score = np.full((len(people), most, J, 2), np.nan), np.zeros((len(people), most, J))
    for t, frame in enumerate(people):
        for p, person in enumerate(frame):
            if person.shape != (J, 3):
                raise CoreError(
                    f"{camera}: a person in frame {t} has shape {person.shape}, expected {(J, 3)}.",
                    "Check the program and the joint set of the file.",
                )
            seen = np.isfinite(person).all(-1) & (person[:, 2] > 0)
            xy[t, p, seen], score[t, p, seen] = person[seen, :2], np.minimum(person[seen, 2], 1.0)
    return Pose2D(
        camera=camera,
        skeleton=skeleton,
        xy_px=xy.astype(np.float32),
        score=score.astype(np.float32),
        box_px=_boxes(xy).astype(np.float32),
    )


def _boxes(xy_px: F64, margin: float = 0.1) -> F64:
    """Return boxes (T, P, 4) around joints (T, P, J, 2), with a margin relative to the longer side."""
    known = np.asarray(np.isfinite(xy_px).all(-1, keepdims=True))
    some = np.asarray(known.any(-2))
    low = np.where(some, np.where(known, xy_px, np.inf).min(-2, initial=np.inf), np.nan)
    high = np.where(some, np.where(known, xy_px, -np.inf).max(-2, initial=-np.inf), np.nan)
    padding = margin * (high - low).max(-1, keepdims=True)
    return np.concatenate([low - padding, high + padding], -1)
