"""Comparison of two methods on the same observations, with a confidence interval of the difference.

A joint without a prediction is an error of the method. Methods are therefore compared twice: on the joints that both
predict, and on all observed joints, where the error of a missing joint is the cap.

Letters in shapes: F measured frame, D detection, J joint, N observations, B block, K resample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from core.evaluation.loco import ViewErrors
from core.types.arrays import F32, F64, I64

WITHIN_PERCENT = 10.0
"""Largest error of a correct joint, in percent of the person's size in the image."""
_BLOCK_S = 0.5  # Errors of neighbouring frames are strongly correlated; they are resampled together.
_SHORTEST_BLOCK_S = 0.08  # In a short take: 5 frames at 60 fps.
_WANTED_BLOCKS = 8
_MIN_BLOCKS = 4
_RESAMPLES = 2000
_SEED = 0
_BIN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMetrics:
    """Errors over a set of observations.

    Attributes:
        median_px: Median error in px; this and the other errors are NaN without observations.
        mean_px: Mean error in px.
        percent_height: Median of the errors in percent of the person's size in the image.
        observations: Number of observations.
    """

    median_px: float
    mean_px: float
    percent_height: float
    observations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverallMetrics:
    """Errors over all observed joints; the error of a missing joint is the gate of the assignment.

    Attributes:
        percent_height: Mean error in percent of the person's size in the image, capped per joint at the gate (50 %).
        within: Fraction of joints with an error of at most `WITHIN_PERCENT` percent of the person's size.
        coverage: Fraction of joints that have a prediction.
        people: Fraction of the detected people to whom the method assigns a person.
        observations: Number of observed joints.
    """

    percent_height: float
    within: float
    coverage: float
    people: float
    observations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Value of one method minus that of another, on the same observations.

    Attributes:
        value: Difference; negative if the first method is better.
        low: Lower end of the 95 % confidence interval.
        high: Upper end of the 95 % confidence interval.
        observations: Number of observations.
        blocks: Number of resampled blocks of time.
    """

    value: float
    low: float
    high: float
    observations: int
    blocks: int

    @property
    def significant(self) -> bool:
        """True if the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, eq=False)
class _Flat:
    """Flat observations: errors (N,) px, NaN where missing, person sizes (N,) px, and block numbers (N,)."""

    error_px: F32
    size_px: F32
    block: np.ndarray


def shared_joints(*errors: ViewErrors) -> np.ndarray:
    """Return the mask (J,) of the joints in the joint sets of all methods.

    Only these are compared: a joint outside its joint set is not an error of a method.
    """
    return np.asarray(np.logical_and.reduce([e.joints for e in errors]))


def observed_masks(errors: ViewErrors, joints: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return the observations, by view (F, D, J).

    Args:
        errors: Errors of one of the methods.
        joints: (J,) bool, joints to include; those of the method's joint set if None.
    """
    joints = errors.joints if joints is None else joints
    return {name: np.isfinite(xy[..., 0]) & joints for name, xy in errors.observations.xy_px.items()}


def coverage_masks(errors: ViewErrors) -> dict[str, np.ndarray]:
    """Return the observations with a prediction, by view (F, D, J)."""
    return {name: np.isfinite(error) for name, error in errors.error_px.items()}


def common_masks(*errors: ViewErrors) -> dict[str, np.ndarray]:
    """Return the observations with a prediction by all methods, by view (F, D, J)."""
    masks = [coverage_masks(e) for e in errors]
    return {name: np.logical_and.reduce([m[name] for m in masks]) for name in masks[0]}


def coverage_fraction(errors: ViewErrors, joints: np.ndarray | None = None) -> float:
    """Return the fraction of the observations (see `observed_masks`) with a prediction; NaN without observations."""
    observed, covered = observed_masks(errors, joints), coverage_masks(errors)
    total = _count(observed)
    return _count({name: mask & covered[name] for name, mask in observed.items()}) / total if total else float("nan")


def error_metrics(errors: ViewErrors, masks: Mapping[str, np.ndarray]) -> ErrorMetrics:
    """Summarise the errors of the observations that `masks` selects by view (F, D, J)."""
    flat = _flatten(errors, masks)
    if not flat.error_px.size:
        return ErrorMetrics(median_px=np.nan, mean_px=np.nan, percent_height=np.nan, observations=0)
    return ErrorMetrics(
        median_px=float(np.median(flat.error_px)),
        mean_px=float(flat.error_px.mean(dtype=np.float64)),
        percent_height=float(np.median(_percent(flat, np.inf))),
        observations=flat.error_px.size,
    )


def overall_metrics(errors: ViewErrors, joints: np.ndarray | None = None) -> OverallMetrics:
    """Summarise the errors of all observations (see `observed_masks`), including missing predictions."""
    observed = observed_masks(errors, joints)
    flat = _flatten(errors, observed)
    detected = {name: np.asarray(mask.any(-1)) for name, mask in observed.items()}
    found = {name: np.asarray(np.isfinite(error).any(-1)) & detected[name] for name, error in errors.error_px.items()}
    if not flat.error_px.size:
        return OverallMetrics(percent_height=np.nan, within=np.nan, coverage=np.nan, people=np.nan, observations=0)
    percent = _percent(flat, errors.observations.gate)
    return OverallMetrics(
        percent_height=float(percent.mean(dtype=np.float64)),
        within=float((percent <= WITHIN_PERCENT).mean()),
        coverage=float(np.isfinite(flat.error_px).mean()),
        people=_count(found) / _count(detected),
        observations=flat.error_px.size,
    )


def found_curve(errors: ViewErrors, percent_height: F64, joints: np.ndarray | None = None) -> F64:
    """Return the cumulative distribution (K,) of errors relative to the person's size.

    Args:
        errors: Errors of a method; a missing prediction counts as an infinite error.
        percent_height: (K,) upper limits of the error, in percent of the person's size in the image.
        joints: (J,) bool, as for `observed_masks`.
    """
    flat = _flatten(errors, observed_masks(errors, joints))
    found = np.sort(100 * flat.error_px / np.maximum(flat.size_px, 1.0))  # NaN at the end.
    return np.searchsorted(found, percent_height, side="right") / max(len(found), 1)


def paired_bootstrap(a: ViewErrors, b: ViewErrors) -> PairedDifference | None:
    """Compare the median errors in px of two methods on the observations that both cover, by a paired block bootstrap.

    A block is about half a second of consecutive frames with all their views, people and joints, because errors within
    a block are strongly correlated. Blocks are resampled with replacement, identically for both methods, and the
    difference is computed for each of 2000 resamples. The interval extends from the 2.5th to the 97.5th percentile of
    these differences, and is wider for few blocks (percentile bootstrap: Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 13; expanded percentiles: Hesterberg, The American Statistician 69(4),
    2015; block resampling: Kuensch, Annals of Statistics 17(3), 1989).

    Returns:
        Difference `a` minus `b`; None if fewer than four blocks have observations that both methods cover.
    """
    masks = common_masks(a, b)
    first, second = _flatten(a, masks), _flatten(b, masks)
    blocks, block = np.unique(first.block, return_inverse=True)
    if len(blocks) < _MIN_BLOCKS:
        return None
    draws = _draws(len(blocks))
    differences = _medians(first.error_px, block, draws) - _medians(second.error_px, block, draws)
    return _difference(
        float(np.median(first.error_px)) - float(np.median(second.error_px)),
        differences,
        len(first.error_px),
        len(blocks),
    )


def paired_overall(a: ViewErrors, b: ViewErrors) -> PairedDifference | None:
    """Compare the mean errors of two methods over all observations, in percent of the person's size in the image.

    The error of a missing prediction is the gate; see `OverallMetrics`, and `paired_bootstrap` for the interval.

    Returns:
        Difference `a` minus `b`; None if fewer than four blocks have observations.
    """
    masks = observed_masks(a, shared_joints(a, b))
    first, second = _flatten(a, masks), _flatten(b, masks)
    percent = [_percent(flat, a.observations.gate).astype(np.float64) for flat in (first, second)]
    return paired_means(percent[0] - percent[1], first.block)


def paired_means(differences: F64, block: I64) -> PairedDifference | None:
    """Return the mean of the differences (N,) of two methods in blocks (N,), with an interval as `paired_bootstrap`.

    Returns:
        The mean; None if there are fewer than four blocks.
    """
    blocks, at = np.unique(block, return_inverse=True)
    if len(blocks) < _MIN_BLOCKS:
        return None
    draws = _draws(len(blocks))
    means = (draws @ np.bincount(at, differences)) / (draws @ np.bincount(at))
    return _difference(differences.mean(), means, len(differences), len(blocks))


def blocks_of_time(frames: np.ndarray, time_s: F64) -> I64:
    """Return the block number (F,) of each frame; blocks are runs of consecutive frames of about equal length.

    A block lasts half a second, or less in a short take. Frames further apart than that form one block each.

    Args:
        frames: (F,) indices of the frames in the take, increasing.
        time_s: (F,) times of the frames.
    """
    if not len(frames):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(frames, prepend=frames[0]) > 1)
    runs = np.split(np.arange(len(frames)), starts)
    steps = np.diff(time_s)[np.diff(frames) == 1]
    step_s = float(np.median(steps)) if len(steps) else _BLOCK_S
    length_s = float(np.clip(len(frames) * step_s / _WANTED_BLOCKS, _SHORTEST_BLOCK_S, _BLOCK_S))
    out, n_blocks = np.zeros(len(frames), np.int64), 0
    for members in runs:
        parts = min(len(members), max(1, round(len(members) * step_s / length_s)))
        out[members] = n_blocks + np.arange(len(members)) * parts // len(members)
        n_blocks += parts
    return out


def _draws(blocks: int) -> I64:
    """Return the number of occurrences (K, B) of each block in each resample."""
    return np.random.default_rng(_SEED).multinomial(blocks, np.full(blocks, 1 / blocks), size=_RESAMPLES)


def _difference(value: float, differences: F64, observations: int, blocks: int) -> PairedDifference:
    # Percentile intervals of few blocks are too narrow; widen them as Student's t widens the normal distribution.
    level = norm.cdf(-np.sqrt(blocks / (blocks - 1)) * t.ppf(0.975, blocks - 1))
    low, high = np.quantile(differences, [level, 1 - level])
    return PairedDifference(
        value=float(value), low=float(low), high=float(high), observations=observations, blocks=blocks
    )


def _medians(error: F32, block: I64, draws: I64) -> F64:
    """Return the median error (K,) of each resample (K, B), in which block b occurs draws[:, b] times.

    Sorted errors are first counted per bin and block, so that a resample only searches the errors of one bin.
    """
    order = np.argsort(error)
    error, block = error[order], block[order]
    n_bins, n_blocks = -(-len(error) // _BIN), draws.shape[1]
    counts = np.bincount(np.arange(len(block)) // _BIN * n_blocks + block, minlength=n_bins * n_blocks)
    below = np.cumsum(draws @ counts.reshape(n_bins, n_blocks).T.astype(float), axis=1)  # (K, bins), exact
    out = np.zeros(len(draws))
    for k, times in enumerate(draws):
        half = below[k, -1] / 2
        at = int(np.searchsorted(below[k], half))
        rows = slice(at * _BIN, (at + 1) * _BIN)
        cumulative = np.cumsum(times[block[rows]]) + (below[k, at - 1] if at else 0)
        out[k] = error[rows][np.searchsorted(cumulative, half)]
    return out


def _percent(flat: _Flat, gate: float) -> F32:
    """Return the errors (N,) in percent of the person's size, capped at the gate; missing ones are at the cap."""
    relative = flat.error_px / np.maximum(flat.size_px, 1.0)
    return 100 * np.minimum(np.where(np.isnan(relative), gate, relative), gate)


def _flatten(errors: ViewErrors, masks: Mapping[str, np.ndarray]) -> _Flat:
    observations = errors.observations
    error_px, size_px, blocks = [], [], []
    block = blocks_of_time(observations.frames, errors.time_s).astype(np.int32)
    for name, error in errors.error_px.items():
        f, d, j = np.nonzero(masks[name])
        error_px.append(error[f, d, j])
        size_px.append(observations.size_px[name][f, d])
        blocks.append(block[f])
    return _Flat(np.concatenate(error_px), np.concatenate(size_px), np.concatenate(blocks))


def _count(masks: Mapping[str, np.ndarray]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())
