"""Metrics of identity and number of people without ground truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.types.arrays import F64
from core.types.pose3d import Pose3DSequence

_GATE_MM = 500.0  # Largest movement of a person between two frames in which they are present.
_MAX_GAP_S = 0.5  # Longest absence after which positions are still compared.
_TIME_EPS_S = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityMetrics:
    """Consistency of identities with positions.

    The names are those of CLEAR MOT (Bernardin and Stiefelhagen, EURASIP J. Image and Video Processing, 2008) and of
    Li, Huang and Nevatia (CVPR 2009), but computed from the result alone, without ground truth.

    Attributes:
        identity_switches: Number of times an identity continues at the position of another person, according to the
            assignment of positions to previous positions with the least total movement; None if frames are too far
            apart in time to compare positions.
        fragmentations: Number of absences between two frames in which a person is present.
    """

    identity_switches: int | None
    fragmentations: int


def people_per_frame(sequence: Pose3DSequence) -> dict[str, int]:
    """Return the number of frames by number of people, in rising order, with text keys for JSON."""
    counts = Counter(sequence.present.sum(1).tolist())
    return {str(n): int(counts[n]) for n in sorted(counts)}


def identity_metrics(sequence: Pose3DSequence) -> IdentityMetrics:
    """Count identity switches and fragmentations of a tracked sequence."""
    present = sequence.present
    last = np.full(sequence.xyz_mm.shape[1:], np.nan)
    last_s = np.full(present.shape[1], -np.inf)
    switches, compared = 0, False
    for t, now in enumerate(sequence.time_s):
        current = np.flatnonzero(present[t])
        previous = np.flatnonzero(now - last_s <= _MAX_GAP_S + _TIME_EPS_S)
        if len(current) and len(previous):
            compared = True
            distance = _mean_distance(last[previous][:, None], sequence.xyz_mm[t, current][None])
            # Costs are capped at the gate, so that avoiding a pair beyond it never breaks a good pair.
            rows, columns = linear_sum_assignment(np.minimum(distance, _GATE_MM))
            near = distance[rows, columns] < _GATE_MM
            switches += int((previous[rows] != current[columns])[near].sum())
        known = np.isfinite(sequence.xyz_mm[t]).all(-1, keepdims=True)
        last = np.where(known, sequence.xyz_mm[t], last)
        last_s[current] = now
    measured = compared or present.any(1).sum() < 2
    return IdentityMetrics(identity_switches=switches if measured else None, fragmentations=_fragmentations(present))


def _fragmentations(present: np.ndarray) -> int:
    starts = np.diff(np.vstack([np.zeros_like(present[:1]), present]).astype(int), axis=0) == 1
    return int(np.maximum(starts.sum(0) - 1, 0).sum())


def _mean_distance(a: F64, b: F64) -> F64:
    """Return the mean distance (...) of shared joints of poses (..., J, 3) that broadcast; inf without any."""
    gap = np.linalg.norm(a - b, axis=-1)
    known = np.isfinite(gap)
    mean = np.where(known, gap, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    return np.where(known.any(-1), mean, np.inf)
