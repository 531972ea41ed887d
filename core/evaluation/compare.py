"""Two methods on the same observations, and how sure the difference is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.evaluation.loco import LeftOut, Observations
from core.types.arrays import F64, I64

_BLOCK_FRAMES = 15  # Errors of neighbouring frames are nearly the same: they are drawn together.
_DRAWS = 2000
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Errors over a set of observations.

    Attributes:
        median_px: NaN without observations, as the others.
        mean_px: Mean.
        percent_height: Median of the errors in percent of the person's size in the image.
        observations: How many there were.
    """

    median_px: float
    mean_px: float
    percent_height: float
    observations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Median error of one method minus that of another, on what both covered.

    Attributes:
        px: The difference; below 0 the first is better.
        low_px: Lower end of the 95 % interval.
        high_px: Upper end.
        observations: How many were covered by both.
    """

    px: float
    low_px: float
    high_px: float
    observations: int

    @property
    def certain(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low_px > 0 or self.high_px < 0


@dataclass(frozen=True, slots=True, eq=False)
class _Flat:
    """Observations in a row: errors (N,) px, person sizes (N,) px, and block numbers (N,)."""

    error_px: F64
    size_px: F64
    block: I64


def covered(result: LeftOut) -> dict[str, np.ndarray]:
    """View to (F, D, J) bool: observations that the method has a prediction for."""
    return {name: np.isfinite(error) for name, error in result.error_px.items()}


def both(a: LeftOut, b: LeftOut) -> dict[str, np.ndarray]:
    """View to (F, D, J) bool: observations that both methods cover."""
    ours, theirs = covered(a), covered(b)
    return {name: ours[name] & theirs[name] for name in ours}


def share_covered(result: LeftOut) -> float:
    """Share of all observations that the method has a prediction for."""
    asked = sum(int(np.isfinite(xy[..., 0]).sum()) for xy in result.observations.xy_px.values())
    return sum(int(c.sum()) for c in covered(result).values()) / asked if asked else float("nan")


def figures(result: LeftOut, chosen: dict[str, np.ndarray]) -> Figures:
    """Errors over chosen observations."""
    flat = _flatten(result, chosen)
    if not flat.error_px.size:
        return Figures(median_px=np.nan, mean_px=np.nan, percent_height=np.nan, observations=0)
    return Figures(
        median_px=float(np.median(flat.error_px)),
        mean_px=float(flat.error_px.mean()),
        percent_height=float(np.median(100 * flat.error_px / np.maximum(flat.size_px, 1.0))),
        observations=flat.error_px.size,
    )


def difference(a: LeftOut, b: LeftOut) -> Difference | None:
    """`a` minus `b` with a bootstrap over blocks; None where they have too little in common for one.

    A block is a stretch of neighbouring frames in one view; blocks, not single joints, are drawn with replacement,
    because errors within a block are far from independent.
    """
    chosen = both(a, b)
    ours, theirs = _flatten(a, chosen), _flatten(b, chosen)
    blocks, block = np.unique(ours.block, return_inverse=True)
    if len(blocks) < 4:
        return None
    rng = np.random.default_rng(_SEED)
    draws = rng.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), size=_DRAWS)
    spread = _medians(ours.error_px, block, draws) - _medians(theirs.error_px, block, draws)
    low, high = np.quantile(spread, [0.025, 0.975])
    return Difference(
        px=float(np.median(ours.error_px) - np.median(theirs.error_px)),
        low_px=float(low),
        high_px=float(high),
        observations=ours.error_px.size,
    )


def _medians(error: F64, block: I64, draws: I64) -> F64:
    """(K,) median error of each draw (K, B), in which block b occurs draws[:, b] times."""
    order = np.argsort(error)
    error, block = error[order], block[order]
    out = np.zeros(len(draws))
    for k, times in enumerate(draws):
        upto = np.cumsum(times[block])
        out[k] = error[np.searchsorted(upto, upto[-1] / 2)]
    return out


def _flatten(result: LeftOut, chosen: dict[str, np.ndarray]) -> _Flat:
    seen: Observations = result.observations
    errors, sizes, blocks = [], [], []
    stretch = _stretches(seen.frames)
    for v, (name, error) in enumerate(result.error_px.items()):
        f, d, j = np.nonzero(chosen[name])
        errors.append(error[f, d, j])
        sizes.append(seen.size_px[name][f, d])
        blocks.append(stretch[f] * len(result.error_px) + v)
    return _Flat(np.concatenate(errors), np.concatenate(sizes), np.concatenate(blocks))


def _stretches(frames: np.ndarray) -> I64:
    """(F,) number of the block of each frame: runs of neighbouring frames, cut into equal parts."""
    if not len(frames):
        return np.zeros(0, np.int64)
    run = np.concatenate([[0], np.cumsum(np.diff(frames) > 1)])
    out, following = np.zeros(len(frames), np.int64), 0
    for r in range(int(run[-1]) + 1):
        members = np.flatnonzero(run == r)
        parts = max(1, round(len(members) / _BLOCK_FRAMES))
        out[members] = following + np.arange(len(members)) * parts // len(members)
        following += parts
    return out
