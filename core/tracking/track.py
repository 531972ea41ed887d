"""Who is who over time.

Letters in shapes: T time, P columns of the input, Q people, J joint, N tracklets, B bone.

First people are followed from frame to frame: the best assignment of detections to where everyone is expected at
constant velocity. A gap longer than a frame ends such a tracklet. Then tracklets that end and begin in plausible
places with equal bone lengths are joined, and what was seen in a few frames only is dropped. Nothing is invented: a
person is where they were measured, or missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.tracking.config import TrackingConfig
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton

_FAR_MM = 1e6
_JOINT_CAP_MM = 1000.0  # A wild joint says "far", not how far.
_VELOCITY_MEMORY_S = 0.15
_NO_STITCH = 2.5  # Above any allowed cost, which is at most 1 for place and 1 for bones.
_LEAST_SHARED = 3  # Joints in common below which two skeletons cannot be compared.


@dataclass(slots=True)
class _Tracklet:
    """One person followed without a long gap.

    Attributes:
        frames: Frames in which they were seen.
        columns: Input column in each of them.
        xyz_mm: (J, 3) newest known place of each joint, moved along with the body.
        velocity: (3,) mm/s of the body as a whole.
        time_s: Of the last frame.
    """

    xyz_mm: F64
    time_s: float
    frames: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    velocity: F64 = field(default_factory=lambda: np.zeros(3))

    def expected(self, time_s: float) -> F64:
        """(J, 3) at constant velocity."""
        return self.xyz_mm + self.velocity * (time_s - self.time_s)

    def add(self, frame: int, column: int, time_s: float, xyz: F64) -> None:
        """Continues with a measurement (J, 3)."""
        elapsed = time_s - self.time_s
        if self.frames and elapsed > 0:
            shared = np.isfinite(xyz).all(-1) & np.isfinite(self.xyz_mm).all(-1)
            moved = np.median((xyz - self.xyz_mm)[shared], axis=0) if shared.any() else self.velocity * elapsed
            share = 1 - np.exp(-elapsed / _VELOCITY_MEMORY_S)
            self.velocity = self.velocity + share * (moved / elapsed - self.velocity)
            self.xyz_mm = np.where(np.isfinite(xyz), xyz, self.xyz_mm + moved)
        self.time_s = time_s
        self.frames.append(frame)
        self.columns.append(column)


def track_people(
    time_s: F64, xyz_mm: F64, score: F64, skeleton: Skeleton, config: TrackingConfig
) -> tuple[F64, F64, I64, I64]:
    """Puts each person of a take into one column.

    Args:
        time_s: (T,) increasing.
        xyz_mm: (T, P, J, 3), NaN where missing; columns of one frame have nothing to do with the next.
        score: (T, P, J), 0 where missing.
        skeleton: Joint set.
        config: Settings.

    Returns:
        xyz_mm (T, Q, J, 3), score (T, Q, J), ids (Q,) from 1 in the order of how often people were seen, and source
        (T, Q): the input column of each person in each frame, -1 where missing.
    """
    xyz_mm, score, time_s = np.asarray(xyz_mm, float), np.asarray(score, float), np.asarray(time_s, float)
    tracklets = _tracklets(time_s, xyz_mm, config)
    groups = _stitch(tracklets, time_s, xyz_mm, skeleton, config)
    needed = min(config.confirm_frames, len(time_s))
    sizes = [sum(len(tracklets[i].frames) for i in group) for group in groups]
    order = [g for g in np.argsort([-n for n in sizes], kind="stable") if sizes[g] >= needed]
    T, _, J, _ = xyz_mm.shape
    source = np.full((T, len(order)), -1, np.int64)
    for q, g in enumerate(order):
        for i in groups[g]:
            source[tracklets[i].frames, q] = tracklets[i].columns
    rows = np.arange(T)[:, None]
    present = (source >= 0)[..., None]
    if not order:
        return np.zeros((T, 0, J, 3)), np.zeros((T, 0, J)), np.zeros(0, np.int64), source
    out = np.where(present[..., None], xyz_mm[rows, source], np.nan)
    out_score = np.where(present, score[rows, source], 0.0)
    return out, out_score, np.arange(1, len(order) + 1), source


def follow(values: F64, source: I64) -> F64:
    """Values (T, P, ...) of input columns in the order of people, NaN where they are missing.

    Args:
        values: Of the input columns that `track_people` was given.
        source: (T, Q) as it gave them.
    """
    if not source.shape[1]:
        return np.zeros((len(source), 0, *values.shape[2:]))
    picked = values[np.arange(len(source))[:, None], source]
    picked[source < 0] = np.nan
    return picked


def _tracklets(time_s: F64, xyz_mm: F64, config: TrackingConfig) -> list[_Tracklet]:
    """Tracklets in order of birth."""
    finished: list[_Tracklet] = []
    active: list[_Tracklet] = []
    for t, now in enumerate(time_s):
        ended = [now - track.time_s > config.max_gap_s + 1e-9 for track in active]
        finished += [track for track, end in zip(active, ended, strict=True) if end]
        active = [track for track, end in zip(active, ended, strict=True) if not end]
        columns = np.flatnonzero(np.isfinite(xyz_mm[t]).all(-1).sum(-1) >= _LEAST_SHARED)
        taken = _assign(active, t, float(now), xyz_mm[t, columns], time_s, config)
        for i, c in taken.items():
            active[i].add(t, int(columns[c]), float(now), xyz_mm[t, columns[c]])
        for c in sorted(set(range(len(columns))) - set(taken.values())):
            born = _Tracklet(xyz_mm=xyz_mm[t, columns[c]], time_s=float(now))
            born.add(t, int(columns[c]), float(now), xyz_mm[t, columns[c]])
            active.append(born)
    return sorted(finished + active, key=lambda track: track.frames[0])


def _assign(
    active: list[_Tracklet], t: int, now: float, found: F64, time_s: F64, config: TrackingConfig
) -> dict[int, int]:
    """Tracklet index to detection index, for the best assignment within the gates."""
    if not active or not len(found):
        return {}
    expected = np.stack([track.expected(now) for track in active])
    cost = distance(expected[:, None], found[None])
    previous = float(time_s[t - 1])
    unseen = np.array([max(0.0, previous - track.time_s) for track in active])
    gate = config.max_distance_mm + config.drift_mm_s * unseen
    # A pair beyond the gate gains as little as no pair at all.
    gain = np.maximum(gate[:, None] - cost, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if gain[r, c] > 0}


def distance(a: F64, b: F64, cap_mm: float = _JOINT_CAP_MM) -> F64:
    """(...) mean distance of the shared joints of skeletons (..., J, 3) that broadcast, each capped.

    Far beyond any gate if they share too few.
    """
    apart = np.linalg.norm(a - b, axis=-1)
    known = np.isfinite(apart)
    total = np.where(known, np.minimum(np.where(known, apart, 0.0), cap_mm), 0.0).sum(-1)
    shared = known.sum(-1)
    return np.where(shared >= _LEAST_SHARED, total / np.maximum(shared, 1), _FAR_MM)


def _stitch(
    tracklets: list[_Tracklet], time_s: F64, xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig
) -> list[list[int]]:
    """Groups of tracklets that are one person, each in order of time."""
    n = len(tracklets)
    if n < 2:
        return [[i] for i in range(n)]
    bones = np.stack([bone_lengths(xyz_mm[t.frames, t.columns], skeleton) for t in tracklets])
    cost = np.full((n, n), _NO_STITCH)
    for i, before in enumerate(tracklets):
        for k, after in enumerate(tracklets):
            gap = float(time_s[after.frames[0]] - time_s[before.frames[-1]])
            if not 0 < gap <= config.stitch_gap_s or min(len(before.frames), len(after.frames)) < 2:
                continue
            # After a frame nobody keeps their course for sure: the place is somewhere on the way.
            course = before.velocity * min(gap, config.max_gap_s)
            start = xyz_mm[after.frames[0], after.columns[0]]
            reach = config.max_distance_mm + config.drift_mm_s * gap
            apart = float(distance(before.xyz_mm + course, start, 2 * reach))
            difference = _bone_difference(bones[i], bones[k])
            if apart <= reach and difference <= config.stitch_bones:
                cost[i, k] = apart / reach + difference / config.stitch_bones
    follows = dict(zip(*(x.tolist() for x in linear_sum_assignment(cost)), strict=True))
    follows = {i: k for i, k in follows.items() if cost[i, k] < _NO_STITCH}
    groups = []
    for first in sorted(set(range(n)) - set(follows.values())):
        chain = [first]
        while chain[-1] in follows:
            chain.append(follows[chain[-1]])
        groups.append(chain)
    return groups


def bone_lengths(xyz_mm: F64, skeleton: Skeleton) -> F64:
    """(B,) median bone lengths of one person's skeletons (T, J, 3), mm; NaN where a bone was never seen whole."""
    a, b = np.array(skeleton.bones).T
    lengths = np.linalg.norm(xyz_mm[:, a] - xyz_mm[:, b], axis=-1)
    out = np.full(lengths.shape[1], np.nan)
    seen = np.isfinite(lengths).any(0)
    out[seen] = np.nanmedian(lengths[:, seen], axis=0)
    return out


def _bone_difference(a: F64, b: F64) -> float:
    """Mean difference of the long bones relative to their length; inf where none can be compared."""
    known = np.isfinite(a) & np.isfinite(b) & (np.fmax(a, b) > 120.0)
    return float(np.mean(np.abs(a - b)[known] / ((a + b) / 2)[known])) if known.any() else np.inf
