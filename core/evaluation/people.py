"""Counting people, and watching over their identity, without any truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.types.arrays import F64
from core.types.pose3d import Pose3DSequence

_NEAR_MM = 500.0  # Nobody moves further between two frames in which they are seen.
_GAP_S = 0.5  # How long somebody may be out of sight and still be compared.


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuity:
    """What the paths of people say about identity.

    Attributes:
        identity_switches: Times that an id went on in another place than the person who had it: the assignment of
            positions to the positions before that moves everyone least disagrees with the ids.
        fragmentations: Times that a person was missing between two frames in which they were there.
    """

    identity_switches: int
    fragmentations: int


def people_frames(sequence: Pose3DSequence) -> dict[str, int]:
    """Number of frames by number of people, as text for JSON, in rising order."""
    counts = Counter(sequence.present.sum(1).tolist())
    return {str(n): int(counts[n]) for n in sorted(counts)}


def continuity(sequence: Pose3DSequence) -> Continuity:
    """Identity switches and fragmentations of a tracked sequence."""
    present = sequence.present
    last = np.full(sequence.xyz_mm.shape[1:], np.nan)
    last_s = np.full(present.shape[1], -np.inf)
    switches = 0
    for t, now in enumerate(sequence.time_s):
        here = np.flatnonzero(present[t])
        before = np.flatnonzero(now - last_s <= _GAP_S + 1e-9)
        if len(here) and len(before):
            apart = _mean_distance(last[before][:, None], sequence.xyz_mm[t, here][None])
            # A pair beyond reach costs no more than the reach, so that avoiding it never spoils a good pair.
            rows, columns = linear_sum_assignment(np.minimum(apart, _NEAR_MM))
            near = apart[rows, columns] < _NEAR_MM
            switches += int((before[rows] != here[columns])[near].sum())
        known = np.isfinite(sequence.xyz_mm[t]).all(-1, keepdims=True)
        last = np.where(known, sequence.xyz_mm[t], last)
        last_s[here] = now
    return Continuity(identity_switches=switches, fragmentations=_fragmentations(present))


def _fragmentations(present: np.ndarray) -> int:
    starts = np.diff(np.vstack([np.zeros_like(present[:1]), present]).astype(int), axis=0) == 1
    return int(np.maximum(starts.sum(0) - 1, 0).sum())


def _mean_distance(a: F64, b: F64) -> F64:
    """(...) mean distance of shared joints of (..., J, 3) that broadcast; inf with none shared."""
    apart = np.linalg.norm(a - b, axis=-1)
    known = np.isfinite(apart)
    mean = np.where(known, apart, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    return np.where(known.any(-1), mean, np.inf)
