"""Which detection of a view shows which 3D person.

Letters in shapes: T time, P person, D detection, J joint.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.types.arrays import F64, I64

_LEAST_SHARED = 3  # Joints in common below which a detection and a person cannot be compared.


def assign_detections(predicted_px: F64, found_px: F64, reach_px: F64) -> I64:
    """The best one-to-one assignment of detections to people, frame by frame, by mean joint distance.

    Args:
        predicted_px: (T, P, J, 2) people projected into the view, NaN where missing.
        found_px: (T, D, J, 2) detections, NaN where missing.
        reach_px: (T, D) a detection further than this from every person belongs to nobody.

    Returns:
        (T, D) person column of each detection, -1 for none.
    """
    out = np.full(found_px.shape[:2], -1, np.int64)
    cost = person_distance(predicted_px[:, None], found_px[:, :, None])  # (T, D, P)
    # A pair beyond the reach gains as little as no pair at all.
    reach = np.maximum(reach_px, 1e-9)[..., None]
    gain = np.maximum(1 - cost / reach, 0.0)
    for t in np.flatnonzero((gain > 0).any((1, 2))):
        detections, people = linear_sum_assignment(gain[t], maximize=True)
        good = gain[t, detections, people] > 0
        out[t, detections[good]] = people[good]
    return out


def person_distance(a: F64, b: F64) -> F64:
    """(...) mean distance of the shared joints of (..., J, n) that broadcast; inf where they share too few."""
    apart = np.linalg.norm(a - b, axis=-1)
    known = np.isfinite(apart)
    shared = known.sum(-1)
    mean = np.where(known, apart, 0.0).sum(-1) / np.maximum(shared, 1)
    return np.where(shared >= _LEAST_SHARED, mean, np.inf)


def size_px(xy_px: F64) -> F64:
    """(...) longer side of the box around the known joints of (..., J, 2); 0 where there are none."""
    known = np.isfinite(xy_px)
    high = np.where(known, xy_px, -np.inf).max(-2)
    low = np.where(known, xy_px, np.inf).min(-2)
    return np.asarray(np.maximum((high - low).max(-1), 0.0))
