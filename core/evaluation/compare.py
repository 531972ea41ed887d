"""Comparison of two methods on the same observations, with a confidence interval of the difference.

Letters in shapes: F measured frame, D detection, J joint, N observations, B block, K resample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.evaluation.loco import ViewErrors
from core.types.arrays import F64, I64

_BLOCK_FRAMES = 15  # Errors of neighbouring frames are strongly correlated; they are resampled together.
_MIN_BLOCKS = 4
_RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMetrics:
    """Errors over a set of observations.

    Attributes:
        median_px: Median error, NaN without observations, as the others.
        mean_px: Mean error.
        percent_height: Median of the errors in percent of the person's size in the image.
        observations: Number of observations.
    """

    median_px: float
    mean_px: float
    percent_height: float
    observations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Median error of one method minus that of another, on the observations that both cover.

    Attributes:
        px: Difference of the medians. Below 0 the first method is better.
        low_px: Lower end of the 95 % confidence interval.
        high_px: Upper end of the interval.
        observations: Number of observations that both cover.
    """

    px: float
    low_px: float
    high_px: float
    observations: int

    @property
    def significant(self) -> bool:
        """True if the interval excludes 0."""
        return self.low_px > 0 or self.high_px < 0


@dataclass(frozen=True, slots=True, eq=False)
class _Flat:
    """Observations in a row: errors (N,) px, person sizes (N,) px, and block numbers (N,)."""

    error_px: F64
    size_px: F64
    block: I64


def coverage_masks(errors: ViewErrors) -> dict[str, np.ndarray]:
    """Return the observations with a prediction, by view (F, D, J)."""
    return {name: np.isfinite(error) for name, error in errors.error_px.items()}


def common_masks(a: ViewErrors, b: ViewErrors) -> dict[str, np.ndarray]:
    """Return the observations with a prediction by both methods, by view (F, D, J)."""
    first, second = coverage_masks(a), coverage_masks(b)
    return {name: first[name] & second[name] for name in first}


def coverage_fraction(errors: ViewErrors) -> float:
    """Return the fraction of all observations that have a prediction; NaN without observations."""
    total = sum(int(np.isfinite(xy[..., 0]).sum()) for xy in errors.observations.xy_px.values())
    return sum(int(c.sum()) for c in coverage_masks(errors).values()) / total if total else float("nan")


def error_metrics(errors: ViewErrors, masks: dict[str, np.ndarray]) -> ErrorMetrics:
    """Summarise the errors of the observations that `masks` selects by view (F, D, J)."""
    flat = _flatten(errors, masks)
    if not flat.error_px.size:
        return ErrorMetrics(median_px=np.nan, mean_px=np.nan, percent_height=np.nan, observations=0)
    return ErrorMetrics(
        median_px=float(np.median(flat.error_px)),
        mean_px=float(flat.error_px.mean()),
        percent_height=float(np.median(100 * flat.error_px / np.maximum(flat.size_px, 1.0))),
        observations=flat.error_px.size,
    )


def paired_bootstrap(a: ViewErrors, b: ViewErrors) -> PairedDifference | None:
    """Compare the medians of two methods by a paired block bootstrap.

    A block is one view in a run of about 15 neighbouring frames, with all people and joints in it, because errors
    within a block are strongly correlated. Whole blocks are resampled with replacement, the same ones for both methods;
    the difference of the two medians is computed for each of 2000 resamples. The interval is the 2.5th to the 97.5th
    percentile of these differences (percentile bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13; block resampling: Kuensch, Annals of Statistics 17(3), 1989).

    Returns:
        Difference `a` minus `b`; None where fewer than four blocks have observations that both methods cover.
    """
    masks = common_masks(a, b)
    first, second = _flatten(a, masks), _flatten(b, masks)
    blocks, block = np.unique(first.block, return_inverse=True)
    if len(blocks) < _MIN_BLOCKS:
        return None
    rng = np.random.default_rng(_SEED)
    draws = rng.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), size=_RESAMPLES)
    differences = _medians(first.error_px, block, draws) - _medians(second.error_px, block, draws)
    low, high = np.quantile(differences, [0.025, 0.975])
    return PairedDifference(
        px=float(np.median(first.error_px) - np.median(second.error_px)),
        low_px=float(low),
        high_px=float(high),
        observations=first.error_px.size,
    )


def _medians(error: F64, block: I64, draws: I64) -> F64:
    """Return the median error (K,) of each resample (K, B), in which block b occurs draws[:, b] times."""
    order = np.argsort(error)
    error, block = error[order], block[order]
    out = np.zeros(len(draws))
    for k, times in enumerate(draws):
        cumulative = np.cumsum(times[block])
        out[k] = error[np.searchsorted(cumulative, cumulative[-1] / 2)]
    return out


def _flatten(errors: ViewErrors, masks: dict[str, np.ndarray]) -> _Flat:
    observations = errors.observations
    error_px, size_px, blocks = [], [], []
    time_block = _time_blocks(observations.frames)
    for v, (name, error) in enumerate(errors.error_px.items()):
        f, d, j = np.nonzero(masks[name])
        error_px.append(error[f, d, j])
        size_px.append(observations.size_px[name][f, d])
        blocks.append(time_block[f] * len(errors.error_px) + v)
    return _Flat(np.concatenate(error_px), np.concatenate(size_px), np.concatenate(blocks))


def _time_blocks(frames: np.ndarray) -> I64:
    """Return the block number (F,) of each frame: runs of neighbouring frames, cut into equal parts."""
    if not len(frames):
        return np.zeros(0, np.int64)
    run = np.concatenate([[0], np.cumsum(np.diff(frames) > 1)])
    out, n_blocks = np.zeros(len(frames), np.int64), 0
    for r in range(int(run[-1]) + 1):
        members = np.flatnonzero(run == r)
        parts = max(1, round(len(members) / _BLOCK_FRAMES))
        out[members] = n_blocks + np.arange(len(members)) * parts // len(members)
        n_blocks += parts
    return out
