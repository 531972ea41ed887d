"""Correction of identities swapped when two people met, by their body shapes.

While people touch or occlude each other, positions are ambiguous. The bone lengths over many frames of the take
distinguish them afterwards.

Letters in shapes: T time, P people of a frame, Q tracked people, J joint, K lengths, M meetings.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np

from core.tracking.config import TrackingConfig
from core.tracking.limits import gate_mm
from core.tracking.shape import BodyShape, body_lengths_mm, same_person
from core.tracking.tracker import capped_pose_distance
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton

_CLEAR = 3.0  # Minimum log likelihood ratio for swapping two identities.
_MOST_MEETINGS = 4  # Maximum number of meetings between a swap and the swap back.


def exchange_identities(
    source: I64, time_s: F64, xyz_mm: F64, error_mm: F64, skeleton: Skeleton, config: TrackingConfig
) -> I64:
    """Swap the identities of two people between two meetings where their shapes give clear evidence.

    The swap of highest likelihood ratio of a pair is applied first; then the shapes are compared again.

    Args:
        source: (T, Q) input column of each person in each frame, -1 where missing.
        time_s: (T,) times.
        xyz_mm: (T, P, J, 3) people.
        error_mm: (T, P) position error of the joints of each person.
        skeleton: Joint set.
        config: Distance of a meeting, and time for which a missing person can be met.

    Returns:
        (T, Q) corrected `source`.
    """
    source = source.copy()
    lengths = body_lengths_mm(xyz_mm, skeleton)
    for a, b in combinations(range(source.shape[1]), 2):
        pair = source[:, [a, b]]
        frames, near = _meetings(pair, time_s, xyz_mm, error_mm, config)
        if not frames:
            continue
        # Frames in which they are near may mix joints of both.
        known = (pair >= 0) & ~near[:, None]
        of_pair = np.where(known[..., None], lengths[np.arange(len(pair))[:, None], pair], np.nan)
        parts = [slice(*ends) for ends in pairwise([0, *frames, len(pair)])]
        people = [[BodyShape.of(of_pair[part, k], time_s[part]) for k in (0, 1)] for part in parts]
        exchanged = _exchanges(BodyShape.stack([BodyShape.stack(two) for two in people]))
        for part in np.flatnonzero(exchanged):
            source[parts[part], a], source[parts[part], b] = pair[parts[part], 1], pair[parts[part], 0]
    return source


def _exchanges(shapes: BodyShape) -> np.ndarray:
    """Return the mask (M + 1,) of intervals between meetings in which two people (M + 1, 2, K) are swapped."""
    n = len(shapes.mm)
    spans = [(i, k) for i in range(1, n) for k in sorted({*range(i + 1, min(i + _MOST_MEETINGS, n)), n})]
    exchanged, given = np.zeros(n, bool), shapes
    for _ in range(n):
        gains = np.array([_gain(shapes, slice(*span)) for span in spans])
        best = slice(*spans[int(gains.argmax())])
        if gains.max() <= _CLEAR:
            break
        exchanged[best] ^= True
        order = np.where(exchanged[:, None], [1, 0], [0, 1])
        shapes = given[np.arange(n)[:, None], order]
    return exchanged


def _gain(shapes: BodyShape, span: slice) -> float:
    """Return the log likelihood ratio of swapping two people of shapes (M + 1, 2, K) in a span of intervals."""
    inside = np.zeros(len(shapes.mm), bool)
    inside[span] = True
    part, rest = shapes[inside].pooled(), shapes[~inside].pooled()
    return float((same_person(part, rest[[1, 0]]) - same_person(part, rest)).sum())


def _meetings(
    source: I64, time_s: F64, xyz_mm: F64, error_mm: F64, config: TrackingConfig
) -> tuple[list[int], np.ndarray]:
    """Return the frame of closest approach of each meeting of two people (T, 2), and the mask (T,) of near frames.

    A missing person stays at the last position, with a meeting distance that grows by the distance they can move.
    """
    at = np.where(source >= 0, np.arange(len(source))[:, None], -1)
    last = np.maximum.accumulate(at, axis=0)
    poses = xyz_mm[last, source[last, [0, 1]]]
    missing_s = np.where(last >= 0, time_s[:, None] - time_s[last], np.inf).max(1)
    distance = capped_pose_distance(poses[:, 0], poses[:, 1])
    error = error_mm[last, source[last, [0, 1]]].max(1)
    near = (missing_s <= config.stitch_gap_s) & (distance < gate_mm(missing_s, config, error))
    edges = np.flatnonzero(np.diff(near.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return [first + int(distance[first:end].argmin()) for first, end in edges.tolist()], near
