"""Pinned joints, and picking of joints by their projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.types import Pose3DSequence
from core.types.arrays import F64, I64
from studio.pages.view.joints.series import JointMotions, JointSeries, Quantity, joint_text
from studio.viewport.scene_data import nearest_frames

_REACH_PX = 14.0


class Pin(NamedTuple):
    """Joint of a person, independent of the result.

    Attributes:
        person_id: Number of the person.
        joint: Name of the joint.
    """

    person_id: int
    joint: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointCurve:
    """Motion of a pinned joint in one result.

    Attributes:
        person: Column of the person, which determines the colour.
        series: Motion over the frames of the result.
        index: (T,) frame of the result at each frame of the take, -1 for none.
    """

    person: int
    series: JointSeries
    index: I64

    def shown(self, quantity: Quantity) -> F64 | None:
        """Return a quantity (T,) at the frames of the take, NaN where missing; None if unknown."""
        values = self.series.shown(quantity)
        return None if values is None else np.where(self.index >= 0, values[np.maximum(self.index, 0)], np.nan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PinnedCurve:
    """Pinned joint with its motion.

    Attributes:
        pin: The joint.
        selected: Motion in the selected result; None if it lacks the joint.
        compared: Motion in the compared result; None if it lacks the joint.
    """

    pin: Pin
    selected: JointCurve | None
    compared: JointCurve | None

    @classmethod
    def of(cls, pin: Pin, selected: JointMotions | None, compared: JointMotions | None, time_s: F64) -> PinnedCurve:
        """Return a pinned joint with its motion in two results at times (T,)."""
        return cls(pin=pin, selected=joint_curve(selected, pin, time_s), compared=joint_curve(compared, pin, time_s))

    @property
    def known(self) -> tuple[JointCurve, ...]:
        """Motions in the results that have the joint, the compared one first, to be drawn below."""
        return tuple(curve for curve in (self.compared, self.selected) if curve is not None)

    @property
    def name(self) -> str:
        """Display name."""
        return f"Person {self.pin.person_id}, {joint_text(self.pin.joint)}"


def joint_curve(motions: JointMotions | None, pin: Pin, time_s: F64) -> JointCurve | None:
    """Return the motion of a pinned joint at times (T,); None if the result lacks the joint."""
    found = None if motions is None else find_pin(motions.poses, pin)
    if motions is None or found is None or not len(motions.poses.time_s):
        return None
    index = nearest_frames(motions.poses, time_s)
    return JointCurve(person=found[0], series=motions.series(*found), index=index)


def nearest_point(xy_px: F64, pointer_px: tuple[float, float], reach_px: float = _REACH_PX) -> int | None:
    """Return the index of the point (N, 2) nearest to the pointer; None if none is within reach."""
    if not len(xy_px):
        return None
    distance = np.linalg.norm(xy_px - pointer_px, axis=-1)
    distance = np.where(np.isfinite(distance), distance, np.inf)
    index = int(distance.argmin())
    return index if distance[index] <= reach_px else None


def pinned(poses: Pose3DSequence, person: int, joint: int) -> Pin:
    """Return the pin of a joint of a result."""
    return Pin(poses.person_ids[person], poses.skeleton.joints[joint])


def find_pin(poses: Pose3DSequence, pin: Pin) -> tuple[int, int] | None:
    """Return the column of the person and the index of the joint in a result; None if either is missing."""
    if pin.person_id not in poses.person_ids or pin.joint not in poses.skeleton.joints:
        return None
    return poses.person_ids.index(pin.person_id), poses.skeleton.joints.index(pin.joint)
