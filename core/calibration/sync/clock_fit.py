"""Fit of clock offsets and drifts to the delays between pairs of cameras.

A delay is the difference of two clock errors. All delays together determine the offset and the drift of each clock up
to a common constant, which is chosen so that as many cameras as possible are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.calibration.sync.delays import PairDelays
from core.types.arrays import F64, I64

_BLOCK_S = 1.0  # length of blocks with almost independent errors, since errors of a 2D estimator persist
_INDEPENDENT_S = 2.0  # length of parts with independent errors
_LEAST_BLOCKS = 8  # blocks are shortened for short takes
_OFFSET_SD_S, _DRIFT_SD_PPM = 1.0, 200.0  # prior of offsets and drifts that delays do not determine
_CAUCHY_SCALE = 2.5
_LEAST_SHARE = 0.4  # limit of the curvature of the loss relative to that of weighted squares
_ROUNDS = 8
_PERSISTENT = 16.0  # variance of a block relative to independent errors
_AGREE, _AGREE_S = 3.0, 0.001  # tolerance of agreement of offsets in standard errors, or in s
_LEAST_SCALE_PPM = 1.0  # difference of usual drifts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedClocks:
    """Fitted clock errors relative to most cameras.

    Attributes:
        offset_s: (V,) offsets at time 0, NaN for cameras without delays.
        offset_sd_s: (V,) standard errors of the offsets.
        drift_ppm: (V,) drifts.
        drift_sd_ppm: (V,) standard errors of the drifts.
        drift_covariance: (V, V) covariance of the drifts up to a common constant in ppm².
        blocks: (V,) number of time blocks with delays.
        cost: Robust loss of the blocks, as a log likelihood.
    """

    offset_s: F64
    offset_sd_s: F64
    drift_ppm: F64
    drift_sd_ppm: F64
    blocks: I64
    drift_covariance: F64 = field(default_factory=lambda: np.zeros((0, 0)))
    cost: float = 0.0

    def drift_sd_from(self, share: F64) -> F64:
        """Return the standard errors (V,) of drifts relative to the mean of all with given shares (V,)."""
        contrast = np.eye(len(share)) - share
        variance = np.diag(contrast @ self.drift_covariance @ contrast.T)
        return np.where(np.isfinite(self.drift_sd_ppm), np.sqrt(np.maximum(variance, 0.0)), np.nan)


def fit_clocks(delays: Sequence[PairDelays], count: int, drifting: np.ndarray) -> FittedClocks:
    """Fit offsets and drifts of all clocks by robust least squares, with standard errors over time blocks.

    Args:
        delays: Delays of ordered pairs of cameras.
        count: Number of cameras V.
        drifting: (V,) mask of the clocks whose drift is fitted.
    """
    first, second, time_s, delay_s, information = blocked(delays)
    parameters = 2 * count
    empty = np.full(count, np.nan)
    if not len(first):
        none = np.zeros(count, np.int64)
        return FittedClocks(
            offset_s=empty,
            offset_sd_s=empty,
            drift_ppm=empty,
            drift_sd_ppm=empty,
            blocks=none,
            drift_covariance=np.zeros((count, count)),
        )
    middle = float(np.average(time_s, weights=information))
    design = np.zeros((len(first), parameters))
    rows = np.arange(len(first))
    for view, sign in ((second, 1.0), (first, -1.0)):
        design[rows, view] += sign
        design[rows, count + view] += sign * (time_s - middle) * 1e-6 * drifting[view]
    prior = np.concatenate([np.full(count, _OFFSET_SD_S**-2), np.where(drifting, _DRIFT_SD_PPM**-2, 1.0)])
    weight, solution = information.copy(), np.zeros(parameters)
    for _ in range(_ROUNDS):
        normal = (design.T * weight) @ design + np.diag(prior)
        solution[:] = np.linalg.solve(normal, design.T @ (weight * delay_s))
        scaled = (delay_s - design @ solution) * np.sqrt(information)
        sigma = max(1.4826 * float(np.median(np.abs(scaled))), 1.0)
        weight = information / (1 + (scaled / (_CAUCHY_SCALE * sigma)) ** 2) / sigma**2
    residual = delay_s - design @ solution
    square = residual**2 * information / (_CAUCHY_SCALE * sigma) ** 2
    # Weights fall as residuals rise, so the loss has less curvature than its weighted squares.
    share = float((weight * (1 - square) / (1 + square)).sum() / weight.sum())
    inverse = np.linalg.inv(normal) / max(share, _LEAST_SHARE)
    part = np.floor((time_s - time_s.min() + 1e-6) / _INDEPENDENT_S)
    block = np.unique(part if part.max() + 1 >= _LEAST_BLOCKS else time_s, return_inverse=True)[1]
    score = np.zeros((block.max() + 1, parameters))
    np.add.at(score, block, design * (weight * residual)[:, None])
    sandwich = inverse @ (score.T @ score) @ inverse
    # Offset and drift of a clock are fitted to its parts. The blocks of short takes are not independent.
    length_s = float(np.diff(np.unique(time_s)).min(initial=_BLOCK_S))
    covariance = sandwich / (1 - 2 / max(len(score), 3)) * (_BLOCK_S / length_s)
    # The variance of few blocks is unreliable, so that of independent errors is the lower limit. Both directions of a
    # pair compare the same points, so they count once.
    blocks = np.array([len(np.unique(time_s[(first == v) | (second == v)])) for v in range(count)])
    known = blocks > 0
    contrast = np.kron(np.eye(2), np.eye(count) - known / known.sum())  # without what all clocks have in common
    least, found = (np.diag(contrast @ c @ contrast.T) for c in (2 * inverse * (_BLOCK_S / length_s), covariance))
    covariance = covariance + np.diag(np.maximum(least - found, 0.0))
    drift, drift_covariance = solution[count:], covariance[count:, count:]
    drift_sd = np.sqrt(np.maximum(np.diag(drift_covariance), 0.0))
    if drifting.all():  # otherwise, relative to the steady clocks
        drift = drift - usual_share(drift, drift_covariance, known) @ drift
    at_start = np.hstack([np.eye(count), -middle * 1e-6 * np.eye(count)])
    offset, offset_sd = _relative(at_start @ solution, at_start @ covariance @ at_start.T, known, _AGREE_S)
    return FittedClocks(
        offset_s=np.where(known, offset, np.nan),
        offset_sd_s=np.where(known, offset_sd, np.nan),
        drift_ppm=np.where(known, np.where(drifting, drift, 0.0), np.nan),
        drift_sd_ppm=np.where(known & drifting, drift_sd, np.nan),
        blocks=blocks,
        drift_covariance=drift_covariance,
        cost=float(np.log1p(residual**2 * information / _PERSISTENT).sum()),
    )


def blocked(delays: Sequence[PairDelays]) -> tuple[I64, I64, F64, F64, F64]:
    """Return first and second camera, centre, delay and information of each block of each pair of cameras."""
    if not delays:
        none, nothing = np.zeros(0, np.int64), np.zeros(0)
        return none, none, nothing, nothing, nothing
    start, end = min(d.time_s[0] for d in delays), max(d.time_s[-1] for d in delays)
    length = min(_BLOCK_S, (end - start + 1e-9) / _LEAST_BLOCKS)
    parts = []
    for d in delays:
        number = np.floor((d.time_s - start) / length).astype(int)
        total = np.bincount(number, d.information)
        used = np.flatnonzero(total > 0)
        mean = np.bincount(number, d.information * d.delay_s)[used] / total[used]
        same = np.ones(len(used), np.int64)
        parts.append((d.first * same, d.second * same, start + (used + 0.5) * length, mean, total[used]))
    first, second, time_s, delay_s, information = (np.concatenate(x) for x in zip(*parts, strict=True))
    return first, second, time_s, delay_s, information


def relative_to_majority(value: F64, sd: F64, near: float) -> F64:
    """Return values (V,) relative to the mean of the largest agreeing group of cameras.

    Args:
        value: (V,) values up to a common constant.
        sd: (V,) independent standard errors, NaN for cameras without a vote (unless no camera has one).
        near: Difference up to which values always agree.
    """
    voting = np.isfinite(sd) | np.isnan(sd).all()
    return np.asarray(value - value[_majority(value, np.diag(np.nan_to_num(sd) ** 2), voting, near)].mean())


def usual_share(drift_ppm: F64, covariance: F64, known: np.ndarray) -> F64:
    """Return the shares (V,) of clocks in the drift relative to which drifts are stated.

    Drifts differ by few standard errors, so a group of agreeing ones would change with the noise. The shares are the
    weights of a robust mean instead.

    Args:
        drift_ppm: (V,) drifts up to a common constant.
        covariance: (V, V) their covariance up to a common constant.
        known: (V,) mask of the clocks that may have a share.
    """
    count = max(int(known.sum()), 1)
    contrast = np.eye(len(known)) - known / count
    sd = np.maximum(np.sqrt(np.maximum(np.diag(contrast @ covariance @ contrast.T), 0.0)), _LEAST_SCALE_PPM)

    def weights(centre: float) -> F64:
        return np.asarray(known / (sd**2 + (drift_ppm - centre) ** 2))

    loss = [np.log(weights(d)[known]).sum() if k else -np.inf for d, k in zip(drift_ppm, known, strict=True)]
    centre = float(drift_ppm[int(np.argmax(loss))])
    for _ in range(_ROUNDS):
        share = weights(centre)
        centre = float(share @ drift_ppm / max(share.sum(), 1e-300))
    return np.asarray(share / max(share.sum(), 1e-300))


def _majority(value: F64, covariance: F64, voting: np.ndarray, near: float) -> np.ndarray:
    """Return the mask (V,) of the largest group of cameras with mutually agreeing values.

    Args:
        value: (V,) values up to a common constant.
        covariance: (V, V) covariance of the values.
        voting: (V,) mask of cameras that may belong to the group.
        near: Difference up to which values always agree.
    """
    variance = np.diag(covariance)
    between = np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0))
    agree = (np.abs(value[:, None] - value) <= np.maximum(_AGREE * between, near)) & voting & voting[:, None]
    votes = agree.sum(1)
    centre = int(np.argmax(votes))
    return np.asarray(agree[centre] if votes[centre] > 1 else np.arange(len(value)) == centre)


def _relative(value: F64, covariance: F64, known: np.ndarray, near: float) -> tuple[F64, F64]:
    """Return values (V,) relative to the mean of the largest agreeing group of known ones, and standard errors."""
    if not known.any():
        return value, np.zeros(len(value))
    group = _majority(value, covariance, known, near)
    contrast = np.eye(len(value)) - group / group.sum()
    return contrast @ value, np.sqrt(np.maximum(np.diag(contrast @ covariance @ contrast.T), 0.0))
