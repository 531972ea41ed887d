"""Assignment of the detections of a view to projected 3D people.

Letters in shapes: T time, P person, D detection, J joint.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.types.arrays import F64, I64

_MIN_SHARED_JOINTS = 3


def assign_detections(projected_px: F64, detected_px: F64, gate_px: F64) -> I64:
    """Assign detections to people, one to one, frame by frame, by mean joint distance.

    Args:
        projected_px: (T, P, J, 2) people projected into the view, NaN where missing.
        detected_px: (T, D, J, 2) detections, NaN where missing.
        gate_px: (T, D) largest distance between a detection and its person.

    Returns:
        (T, D) person column of each detection, -1 for none.
    """
    out = np.full(detected_px.shape[:2], -1, np.int64)
    cost = pose_distance(projected_px[:, None], detected_px[:, :, None])  # (T, D, P)
    gate = np.maximum(gate_px, 1e-9)[..., None]
    # A pair beyond the gate gains nothing, as no assignment does.
    gain = np.maximum(1 - cost / gate, 0.0)
    for t in np.flatnonzero((gain > 0).any((1, 2))):
        detections, people = linear_sum_assignment(gain[t], maximize=True)
        good = gain[t, detections, people] > 0
        out[t, detections[good]] = people[good]
    return out


def pose_distance(a: F64, b: F64) -> F64:
    """Return the mean distance (...) of shared joints of broadcastable poses (..., J, n); inf below three joints."""
    gap = np.linalg.norm(a - b, axis=-1)
    known = np.isfinite(gap)
    shared = known.sum(-1)
    mean = np.where(known, gap, 0.0).sum(-1) / np.maximum(shared, 1)
    return np.where(shared >= _MIN_SHARED_JOINTS, mean, np.inf)


def size_px(xy_px: F64) -> F64:
    """Return the longer side (...) of the bounding box of known joints (..., J, 2); 0 without any."""
    known = np.isfinite(xy_px)
    high = np.where(known, xy_px, -np.inf).max(-2)
    low = np.where(known, xy_px, np.inf).min(-2)
    return np.asarray(np.maximum((high - low).max(-1), 0.0))
