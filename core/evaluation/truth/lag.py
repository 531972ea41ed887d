"""Coarse time offset of two recordings of the same people, without knowing their coordinates.

The distances between a person's joints and the speeds of the joints do not depend on the coordinates; their correlation
over all lags is computed by fast Fourier transforms, with missing values left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from core.evaluation.truth.trajectories import Trajectories
from core.types.arrays import F64

_STEP_S = 0.04
_SPEED_STEPS = 5  # Displacement over 0.2 s: noise of single frames would hide slow movements.
_DISTANCES = 24  # Those between joints that change most.
_PEAKS, _PEAK_STEPS = 5, 4
_TRACKS = 3
_LEAST_OVERLAP_S, _LEAST_OVERLAP = 1.0, 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class LagCandidate:
    """A possible correspondence.

    Attributes:
        person: Column of the person in the take.
        true_person: Column of the person in the truth.
        offset_s: Time in the take minus time in the truth.
        agreement: Correlation of the signals, 1 at best.
    """

    person: int
    true_person: int
    offset_s: float
    agreement: float


def lag_candidates(take: Trajectories, take_s: F64, truth: Trajectories, truth_s: F64) -> list[LagCandidate]:
    """Return possible time offsets by person, the most likely first.

    Args:
        take: People of the take, with the joints of the truth.
        take_s: (T,) times of the take.
        truth: True people.
        truth_s: Times of the truth.
    """
    take_grid = np.arange(take_s[0], take_s[-1] + _STEP_S / 2, _STEP_S)
    truth_grid = np.arange(truth_s[0], truth_s[-1] + _STEP_S / 2, _STEP_S)
    ours, theirs = take.at(take_grid), truth.at(truth_grid)
    out: list[LagCandidate] = []
    for q in _longest(theirs):
        pairs = _moving_pairs(theirs[:, q])
        true_signals = _signals(theirs[:, q], pairs)
        for p in _longest(ours):
            lags, agreement = _correlate(_signals(ours[:, p], pairs), true_signals)
            for peak in _peaks(agreement):
                offset_s = float(take_grid[0] - truth_grid[0] + lags[peak] * _STEP_S)
                out.append(LagCandidate(person=p, true_person=q, offset_s=offset_s, agreement=float(agreement[peak])))
    return sorted(out, key=lambda candidate: -candidate.agreement)


def _longest(xyz: F64) -> list[int]:
    """Return the people of (T, P, J, 3) that are present longest."""
    seen = np.isfinite(xyz).all(-1).sum((0, 2))
    return [int(p) for p in np.argsort(-seen, kind="stable")[:_TRACKS] if seen[p]]


def _moving_pairs(xyz: F64) -> F64:
    """Return the joint pairs (K, 2) of a person (T, J, 3) whose distances change most."""
    i, j = np.triu_indices(xyz.shape[1], 1)
    distance = np.linalg.norm(xyz[:, i] - xyz[:, j], axis=-1)
    known = np.isfinite(distance)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, distance, 0).sum(0) / count
    variance = (np.where(known, distance - mean, 0) ** 2).sum(0)
    best = np.argsort(-variance)[:_DISTANCES]
    return np.stack([i[best], j[best]], -1)


def _signals(xyz: F64, pairs: F64) -> F64:
    """Return the signals (T, C) of a person (T, J, 3), NaN where unknown."""
    distance = np.linalg.norm(xyz[:, pairs[:, 0]] - xyz[:, pairs[:, 1]], axis=-1)
    travelled = np.full(xyz.shape[:2], np.nan)
    half = _SPEED_STEPS // 2
    if len(xyz) > 2 * half:
        travelled[half:-half] = np.linalg.norm(xyz[2 * half :] - xyz[: -2 * half], axis=-1)
    return np.concatenate([distance, travelled], 1)


def _correlate(ours: F64, theirs: F64) -> tuple[F64, F64]:
    """Return lags (L,) in steps and the correlation (L,) of all signals at once, -1 where they hardly overlap."""
    n, m = len(ours), len(theirs)
    size = next_fast_len(n + m, real=True)
    lags = np.concatenate([np.arange(n), np.arange(-(m - 1), 0)])
    index = lags % size

    def sums(a: F64, b: F64) -> F64:
        return np.asarray(irfft(rfft(a, size) * np.conj(rfft(b, size)), size)[index])

    covariance, power_a, power_b, overlap = (np.zeros(len(lags)) for _ in range(4))
    for a, b in zip(ours.T, theirs.T, strict=True):
        known_a, known_b = np.isfinite(a), np.isfinite(b)
        if not known_a.any() or not known_b.any():
            continue
        # Around the mean, so that little is lost in the differences below.
        x, y = (np.where(k, v - v[k].mean(), 0.0) for k, v in ((known_a, a), (known_b, b)))
        ka, kb = known_a.astype(float), known_b.astype(float)
        count = np.maximum(sums(ka, kb), 1e-9)
        sx, sy = sums(x, kb), sums(ka, y)
        covariance += sums(x, y) - sx * sy / count
        power_a += np.maximum(sums(x * x, kb) - sx**2 / count, 0)
        power_b += np.maximum(sums(ka, y * y) - sy**2 / count, 0)
        overlap = np.maximum(overlap, count)
    least = max(_LEAST_OVERLAP_S / _STEP_S, _LEAST_OVERLAP * min(n, m))
    enough = (overlap >= min(least, 0.9 * overlap.max(initial=0))) & (power_a * power_b > 0)
    agreement = np.where(enough, covariance / np.sqrt(np.where(enough, power_a * power_b, 1)), -1.0)
    order = np.argsort(lags)
    # The more overlap, the less by chance.
    weight = np.sqrt(overlap / max(overlap.max(initial=0), 1))
    return lags[order], np.where(agreement > 0, agreement * weight, agreement)[order]


def _peaks(agreement: F64) -> list[int]:
    """Return the highest values, no two closer than a few steps."""
    left, out = agreement.copy(), []
    for _ in range(_PEAKS):
        best = int(left.argmax())
        if left[best] <= 0:
            break
        out.append(best)
        left[max(0, best - _PEAK_STEPS) : best + _PEAK_STEPS + 1] = -1.0
    return out
