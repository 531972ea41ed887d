"""Joining of tracks of one person across gaps that are too long for the tracker.

Letters in shapes: T time, P people of a frame, J joint, N track.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.tracking.config import TrackingConfig
from core.tracking.limits import gate_mm
from core.tracking.shape import BodyShape, body_lengths_mm, same_person
from core.tracking.tracker import TIME_EPS_S, PersonTrack, capped_pose_distance
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton

_NO_STITCH = 10.0  # Above any allowed cost.
_SHORTEST_S = 0.05  # Shorter tracks are more often ghosts than people.
_BRIDGED_FRAMES = 3.0  # Bridged gap in frames, if frames are far apart.
_MOST = 1.0  # Maximum cost of a join: that of the maximum distance with uninformative shapes.
_SHAPE_WEIGHT = 0.5  # Cost per unit of log likelihood of the shapes; the maximum distance costs 1.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracklet:
    """Track without long gaps, with its position in the take.

    Attributes:
        track: State after the last frame.
        frames: (F,) frame indices.
        columns: (F,) input column in each frame.
        error_mm: Position error of the joints.
    """

    track: PersonTrack
    frames: I64
    columns: I64
    error_mm: float


def stitch_tracklets(
    tracklets: list[Tracklet],
    time_s: F64,
    interval_s: float,
    xyz_mm: F64,
    skeleton: Skeleton,
    config: TrackingConfig,
) -> list[list[int]]:
    """Group tracklets by person.

    The cost of joining two tracklets is the distance between predicted and actual position relative to the gate, minus
    the weighted log likelihood ratio of their shapes. The set of joins minimises the total cost.

    Args:
        tracklets: N tracklets, sorted by first frame.
        time_s: (T,) times.
        interval_s: Time between frames.
        xyz_mm: (T, P, J, 3) people.
        skeleton: Joint set.
        config: Gates.

    Returns:
        Groups of indices into `tracklets`, each in temporal order.
    """
    n = len(tracklets)
    if n < 2:
        return [[i] for i in range(n)]
    longest_s = max(config.stitch_gap_s, _BRIDGED_FRAMES * interval_s) + TIME_EPS_S
    shapes = [BodyShape.of(body_lengths_mm(xyz_mm[t.frames, t.columns], skeleton), time_s[t.frames]) for t in tracklets]
    lasting = np.array([len(t.frames) * interval_s >= _SHORTEST_S for t in tracklets])
    first_s, last_s = (np.array([time_s[t.frames[end]] for t in tracklets]) for end in (0, -1))
    gap_s = first_s[None] - last_s[:, None]
    cost = np.full((n, n), _NO_STITCH)
    for i, k in np.argwhere((gap_s > 0) & (gap_s <= longest_s) & lasting[:, None] & lasting).tolist():
        before, after, gap = tracklets[i], tracklets[k], float(gap_s[i, k])
        start = xyz_mm[after.frames[0], after.columns[0]]
        reach = float(gate_mm(gap, config, max(before.error_mm, after.error_mm)))
        distance = float(capped_pose_distance(before.track.predict(before.track.time_s + gap), start, 2 * reach))
        total = distance / reach - _SHAPE_WEIGHT * float(same_person(shapes[i], shapes[k]))
        if distance <= reach and total <= _MOST:
            cost[i, k] = total
    successor = dict(zip(*(x.tolist() for x in linear_sum_assignment(cost)), strict=True))
    successor = {i: k for i, k in successor.items() if cost[i, k] < _NO_STITCH}
    groups = []
    for first in sorted(set(range(n)) - set(successor.values())):
        chain = [first]
        while chain[-1] in successor:
            chain.append(successor[chain[-1]])
        groups.append(chain)
    return groups
