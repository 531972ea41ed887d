"""Joining tracks of one person over gaps that are too long for the tracker.

Letters in shapes: T time, P people of a frame, J joint, N track, B bone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.tracking.config import TrackingConfig
from core.tracking.tracker import PersonTrack, capped_pose_distance
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton

_NO_STITCH = 2.5  # Above any allowed cost, which is at most 1 for position and 1 for bones.
_MIN_FRAMES = 2
_MIN_BONE_MM = 120.0  # Shorter bones are noise relative to their length.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracklet:
    """A track without long gaps, with its place in the take.

    Attributes:
        track: State after its last frame.
        frames: (F,) indices of its frames.
        columns: (F,) input column in each of them.
    """

    track: PersonTrack
    frames: I64
    columns: I64


def stitch_tracklets(
    tracklets: list[Tracklet], time_s: F64, xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig
) -> list[list[int]]:
    """Group tracklets by person.

    The cost of joining two tracklets is the distance between predicted and actual position relative to its gate, plus
    the difference of median bone lengths relative to its gate. The set of joins has the lowest total cost.

    Args:
        tracklets: N tracklets in order of birth.
        time_s: (T,) times.
        xyz_mm: (T, P, J, 3) people.
        skeleton: Joint set.
        config: Gates.

    Returns:
        Groups of indices into `tracklets`, each in order of time.
    """
    n = len(tracklets)
    if n < 2:
        return [[i] for i in range(n)]
    bones = np.stack([median_bone_lengths_mm(xyz_mm[t.frames, t.columns], skeleton) for t in tracklets])
    cost = np.full((n, n), _NO_STITCH)
    for i, before in enumerate(tracklets):
        for k, after in enumerate(tracklets):
            gap_s = float(time_s[after.frames[0]] - time_s[before.frames[-1]])
            if not 0 < gap_s <= config.stitch_gap_s or min(len(before.frames), len(after.frames)) < _MIN_FRAMES:
                continue
            # Velocity holds for a short time only, so the prediction stops after the longest gap of a track.
            predicted = before.track.predict(before.track.time_s + min(gap_s, config.max_gap_s))
            start = xyz_mm[after.frames[0], after.columns[0]]
            reach = config.max_distance_mm + config.drift_mm_s * gap_s
            distance = float(capped_pose_distance(predicted, start, 2 * reach))
            difference = _bone_difference(bones[i], bones[k])
            if distance <= reach and difference <= config.stitch_bones:
                cost[i, k] = distance / reach + difference / config.stitch_bones
    successor = dict(zip(*(x.tolist() for x in linear_sum_assignment(cost)), strict=True))
    successor = {i: k for i, k in successor.items() if cost[i, k] < _NO_STITCH}
    groups = []
    for first in sorted(set(range(n)) - set(successor.values())):
        chain = [first]
        while chain[-1] in successor:
            chain.append(successor[chain[-1]])
        groups.append(chain)
    return groups


def median_bone_lengths_mm(xyz_mm: F64, skeleton: Skeleton) -> F64:
    """Return the median length (B,) of each bone over poses (T, J, 3) of one person; NaN for bones never complete."""
    lengths = skeleton.bone_lengths(xyz_mm)
    out = np.full(lengths.shape[1], np.nan)
    seen = np.isfinite(lengths).any(0)
    out[seen] = np.nanmedian(lengths[:, seen], axis=0)
    return out


def _bone_difference(a: F64, b: F64) -> float:
    """Return the mean relative difference of long bones; inf where no bone can be compared."""
    known = np.isfinite(a) & np.isfinite(b) & (np.fmax(a, b) > _MIN_BONE_MM)
    return float(np.mean(np.abs(a - b)[known] / ((a + b) / 2)[known])) if known.any() else np.inf
