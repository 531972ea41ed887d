"""Online multi-person tracking.

Letters in shapes: P people of a frame, J joint, N track.

Each track predicts its pose with constant velocity. People are assigned to predictions by the Hungarian algorithm on
mean joint distance within a gate, as SORT does for image boxes (Bewley et al., ICIP 2016), and on bone lengths where
positions are ambiguous. The velocity is one vector per track: the exponentially smoothed median displacement over
joints. Tracking libraries work on image boxes; this tracker works on 3D joints, for takes and for live streams. All
parameters are in seconds, so that they are independent of the frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.errors import CoreError
from core.tracking.config import TrackingConfig
from core.tracking.limits import gate_mm
from core.tracking.shape import BodyShape, ShapeEstimate, body_lengths_mm, same_person
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton

_FAR_MM = 1e6
_JOINT_CAP_MM = 1000.0  # Bounds the influence of a single outlier joint on the mean distance.
_VELOCITY_MEMORY_S = 0.15
_WIDE = 2.0  # Gate, relative to the narrowest, beyond which motion is uninformative.
# Gains of assigning a person to a track, in units of the gain from distance gate to distance 0.
_PRESENT = 5.0  # Continuing any track: more than shape and motion together.
_ESTABLISHED = 0.3  # Continuing an established track rather than a new one, such as that of a duplicate.
_SHAPE_WEIGHT, _MOST_WEIGHT = 0.05, 0.2  # Per unit of log likelihood of the shapes: at the narrowest gate, and maximum.
_OTHER = -3.0  # Log likelihood ratio of shapes below which people are different.
MIN_SHARED_JOINTS = 3
"""Minimum number of shared joints for a distance between poses, and of joints for tracking a person."""
TIME_EPS_S = 1e-9
"""Tolerance of comparisons of times."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleFrame:
    """3D people of one frame, in any order.

    Attributes:
        time_s: Time of the frame.
        xyz_mm: (P, J, 3) joints in world coordinates, NaN where missing.
        score: (P, J) confidences in 0..1, 0 where missing.
        error_mm: (P,) position error of the joints, see `person_error_mm`; None for 0.
    """

    time_s: float
    xyz_mm: F64
    score: F64
    error_mm: F64 | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class PersonTrack:
    """State of one tracked person.

    Attributes:
        id: Identity, counted from 1 in order of the first measurement.
        born_s: Time of the first measurement.
        time_s: Time of the last measurement.
        xyz_mm: (J, 3) last position of each joint; missing joints move with the person.
        velocity_mm_s: (3,) velocity of the person.
        shape: Current estimate of the bone lengths.
        holds_s: Time for which the velocity is valid.
    """

    id: int
    born_s: float
    time_s: float
    xyz_mm: F64
    velocity_mm_s: F64
    shape: ShapeEstimate
    holds_s: float
    _before: tuple[float, F64, F64] | None = None

    def predict(self, time_s: float) -> F64:
        """Predict the joints (J, 3) at a later time, with constant velocity for `holds_s` and then at rest."""
        return self.xyz_mm + self.velocity_mm_s * min(time_s - self.time_s, self.holds_s)

    def predict_without_last(self, time_s: float) -> F64:
        """Predict the joints (J, 3) without the last measurement; NaN if it is the only one."""
        if self._before is None:
            return np.full_like(self.xyz_mm, np.nan)
        before_s, xyz_mm, velocity_mm_s = self._before
        return xyz_mm + velocity_mm_s * min(time_s - before_s, self.holds_s)

    def correct(self, time_s: float, xyz_mm: F64, lengths_mm: F64) -> None:
        """Update the state with joints (J, 3) and body lengths (K,) measured at a later time."""
        elapsed = time_s - self.time_s
        self._before = self.time_s, self.xyz_mm, self.velocity_mm_s
        shared = np.isfinite(xyz_mm).all(-1) & np.isfinite(self.xyz_mm).all(-1)
        n_shared = int(shared.sum())
        # Same as np.median, in a third of the time.
        ordered = np.sort((xyz_mm - self.xyz_mm)[shared], axis=0)
        middle = (ordered[(n_shared - 1) // 2] + ordered[n_shared // 2]) / 2 if n_shared else None
        moved = self.velocity_mm_s * elapsed if middle is None else middle
        gain = 1 - np.exp(-elapsed / _VELOCITY_MEMORY_S)
        self.velocity_mm_s = self.velocity_mm_s + gain * (moved / elapsed - self.velocity_mm_s)
        self.xyz_mm = np.where(np.isfinite(xyz_mm), xyz_mm, self.xyz_mm + moved)
        self.shape.add(lengths_mm, elapsed)
        self.time_s = time_s


class Tracker:
    """Online tracker that assigns identities to the people of successive frames.

    Only past frames are used, so this works on live streams. Joining tracks across longer gaps needs the complete take;
    see `core.tracking.track.track_people`.
    """

    def __init__(self, config: TrackingConfig, skeleton: Skeleton) -> None:
        self._config, self._skeleton = config, skeleton
        self._last_s = -np.inf
        self._n_born = 0
        self.active: list[PersonTrack] = []
        """Tracks that the next frame can continue, sorted by first measurement."""

    def update(self, frame: PeopleFrame) -> I64:
        """Assign the people of the next frame to tracks; unassigned people begin new tracks.

        Returns:
            (P,) identity of each person, counted from 1; 0 for people with too few joints to be tracked.

        Raises:
            CoreError: The frame is not later than the previous one.
        """
        if not frame.time_s > self._last_s:
            raise CoreError(
                f"A frame at {frame.time_s:.4f} s follows one at {self._last_s:.4f} s.",
                "Pass frames to the tracker in order of time.",
            )
        max_gap_s = self._config.max_gap_s + TIME_EPS_S
        self.active = [
            track for track in self.active if track.time_s == self._last_s or frame.time_s - track.time_s <= max_gap_s
        ]
        columns = np.flatnonzero(np.isfinite(frame.xyz_mm).all(-1).sum(-1) >= MIN_SHARED_JOINTS)
        xyz_mm = frame.xyz_mm[columns]
        lengths_mm = body_lengths_mm(xyz_mm, self._skeleton)
        error_mm = np.zeros(len(columns)) if frame.error_mm is None else frame.error_mm[columns]
        matches = self._assign(frame.time_s, xyz_mm, lengths_mm, error_mm)
        ids = np.zeros(len(frame.xyz_mm), np.int64)
        for i, c in matches.items():
            self.active[i].correct(frame.time_s, xyz_mm[c], lengths_mm[c])
            ids[columns[c]] = self.active[i].id
        for c in sorted(set(range(len(columns))) - set(matches.values())):
            ids[columns[c]] = self._begin(frame.time_s, xyz_mm[c], lengths_mm[c])
        self._last_s = frame.time_s
        return ids

    def _begin(self, time_s: float, xyz_mm: F64, lengths_mm: F64) -> int:
        self._n_born += 1
        track = PersonTrack(
            id=self._n_born,
            born_s=time_s,
            time_s=time_s,
            xyz_mm=xyz_mm,
            velocity_mm_s=np.zeros(3),
            shape=ShapeEstimate(lengths_mm),
            holds_s=self._config.max_gap_s,
        )
        self.active.append(track)
        return self._n_born

    def _assign(self, time_s: float, xyz_mm: F64, lengths_mm: F64, error_mm: F64) -> dict[int, int]:
        """Return the best assignment within the gates, from indices of active tracks to indices of people."""
        if not self.active or not len(xyz_mm):
            return {}
        predicted = np.stack([track.predict(time_s) for track in self.active])
        distance = capped_pose_distance(predicted[:, None], xyz_mm[None])
        elapsed_s = np.array([time_s - track.time_s for track in self.active])[:, None]
        gate, narrow = gate_mm(elapsed_s, self._config, error_mm), gate_mm(0.0, self._config, error_mm)
        # People also stop or turn around between frames.
        rested = capped_pose_distance(np.stack([track.xyz_mm for track in self.active])[:, None], xyz_mm[None])
        seen_before = np.array([track.time_s == self._last_s for track in self.active])[:, None]
        near = np.where(seen_before, np.minimum(distance, rested), distance) < gate
        if not near.any(1).all():
            # The last measurement may have been a ghost.
            without = np.stack([track.predict_without_last(time_s) for track in self.active])
            spared = capped_pose_distance(without[:, None], xyz_mm[None])
            distance = np.where(near, distance, spared)
            near |= spared < gate
        wide = gate > _WIDE * narrow
        alike = np.zeros(distance.shape)
        if (near.sum(0) > 1).any() or (near.sum(1) > 1).any() or wide.any():
            shapes = BodyShape.stack([track.shape.now() for track in self.active])
            alike = same_person(shapes[:, None], BodyShape.single(lengths_mm, error_mm))
        # A pair beyond the gate gains nothing, as no assignment does. Where motion is uninformative, different bones
        # mean a different person.
        possible = near & ((alike > _OTHER) | ~wide)
        known_for_s = np.array([track.time_s - track.born_s for track in self.active])[:, None]
        worth = _PRESENT + _ESTABLISHED * (known_for_s >= self._config.confirm_s)
        weight = np.minimum(_SHAPE_WEIGHT * gate / narrow, _MOST_WEIGHT)
        gain = np.where(possible, worth + 1 - distance / gate + weight * alike, 0.0)
        rows, columns = linear_sum_assignment(gain, maximize=True)
        return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if gain[r, c] > 0}


def capped_pose_distance(a: F64, b: F64, cap_mm: float = _JOINT_CAP_MM) -> F64:
    """Return the mean distance (...) of shared joints of broadcastable poses (..., J, 3), each capped at `cap_mm`.

    The distance of poses with fewer than `MIN_SHARED_JOINTS` shared joints is far beyond any gate.
    """
    gap = np.linalg.norm(a - b, axis=-1)
    known = np.isfinite(gap)
    total = np.where(known, np.minimum(np.where(known, gap, 0.0), cap_mm), 0.0).sum(-1)
    shared = known.sum(-1)
    return np.where(shared >= MIN_SHARED_JOINTS, total / np.maximum(shared, 1), _FAR_MM)
