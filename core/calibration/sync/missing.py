"""Missing images without a gap in the recorded times, which are jumps of a clock by whole images.

A jump is suspected where the delays of a camera step back. It is confirmed, measured and located by comparing each
image around it with those of the other cameras at many delays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.sync.delays import PairDelays, pair_residuals
from core.calibration.sync.evidence import MovingPoints
from core.types.arrays import F64, I64

_WINDOW_S = 3.0  # before and after a jump
_LEAST_STEP, _SIGNIFICANCE = 0.3, 5.0  # size in images and in standard errors of a suspected step
_LEAST_S = 0.5  # with delays before and after a step
_GRID = 4  # delays per image
_MORE = 3  # images to search beyond the suspected step
_LARGEST = 40  # largest jump in images
_WHOLE = 0.3  # tolerance of a jump from a whole number of images
_CERTAIN, _PLACE = 12.0, 3.0  # gain in log likelihood of a jump and of its size, and of its position
_PERSISTENT = 4.0  # divisor of log likelihoods for errors that persist between images
_CAUCHY_SCALE = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """Jump of a camera's clock.

    Attributes:
        view: Index of the camera.
        row: Row of the take of the first image after the jump.
        count: Number of missing images; for a suspected jump, the size of the step in images.
        earliest: Smallest possible row.
        latest: Largest possible row.
        fewest: Smallest possible number of missing images.
        most: Largest possible number of missing images.
        offset_s: Correction of the clock before the jump.
    """

    view: int
    row: int
    count: float
    earliest: int
    latest: int
    fewest: int = 0
    most: int = 0
    offset_s: float = 0.0


def suspected_jumps(delays: Sequence[PairDelays], period_s: F64) -> list[Jump]:
    """Return backward steps of each camera's clock, the most significant first.

    Args:
        delays: Delays of ordered pairs of cameras.
        period_s: (V,) time between images.
    """
    found = []
    for view in sorted({d.first for d in delays}):
        row, time_s, error_s, information = _series([d for d in delays if d.first == view])
        if len(row) < 4:
            continue
        step, sd = _steps(time_s, error_s, information)
        size = -step / period_s[view]
        with np.errstate(invalid="ignore", divide="ignore"):
            significance = np.where((size > _LEAST_STEP) & (sd > 0), -step / sd, 0.0)
        while significance.max() > _SIGNIFICANCE:
            at = int(np.argmax(significance))
            jump = Jump(view=view, row=int(row[at]), count=float(size[at]), earliest=int(row[at]), latest=int(row[at]))
            found.append((float(significance[at]), jump))
            significance[np.abs(time_s - time_s[at]) < 2 * _WINDOW_S] = 0.0
    return [jump for _, jump in sorted(found, key=lambda f: -f[0])]


def smallest_jump_s(delays: Sequence[PairDelays], view: int) -> float:
    """Return the smallest jump of a camera's clock that would be suspected anywhere within a window of the take."""
    own = [d for d in delays if d.first == view]
    if not own:
        return np.inf
    _, time_s, error_s, information = _series(own)
    sd = _steps(time_s, error_s, information)[1]
    return _SIGNIFICANCE * float(np.median(sd))


def _series(delays: Sequence[PairDelays]) -> tuple[I64, F64, F64, F64]:
    """Return rows, times, errors relative to all other cameras and their information for one camera's clock."""
    row = np.concatenate([d.row for d in delays])
    rows, inverse = np.unique(row, return_inverse=True)
    information = np.bincount(inverse, np.concatenate([d.information for d in delays])).astype(float)
    total = np.bincount(inverse, np.concatenate([-d.information * d.delay_s for d in delays]))
    time_s = np.zeros(len(rows))
    time_s[inverse] = np.concatenate([d.time_s for d in delays])
    return rows, time_s, total / np.maximum(information, 1e-300), information


def _steps(time_s: F64, error_s: F64, information: F64) -> tuple[F64, F64]:
    """Return the step (n,) before each image from windows before and after, and its standard error."""
    middle = np.arange(len(time_s))
    # Windows by number of images bridge times in which the camera sees nobody.
    count = max(round(_WINDOW_S / max(float(np.median(np.diff(time_s))), 1e-3)), 1) if len(time_s) > 1 else 1
    edges = np.maximum(middle - count, 0), np.minimum(middle + count, len(time_s))

    def total(x: F64, low: I64, high: I64) -> F64:
        sums = np.concatenate([[0.0], np.cumsum(x)])
        return np.asarray(sums[high] - sums[low])

    mean, variance = [], []
    for low, high in ((edges[0], middle), (middle, edges[1])):
        weight = np.maximum(total(information, low, high), 1e-300)
        value = total(information * error_s, low, high) / weight
        square = total(information * error_s**2, low, high) / weight - value**2
        # From the scatter within the window, but at least that of the points.
        images = np.maximum(high - low, 1)
        seconds = np.maximum((time_s[np.maximum(high - 1, 0)] - time_s[np.minimum(low, len(time_s) - 1)]), 0.0)
        scatter = np.maximum(_PERSISTENT * np.maximum(square, 0) / images, 1 / weight)
        variance.append(np.where(seconds >= _LEAST_S, scatter, np.inf))
        mean.append(value)
    return mean[1] - mean[0], np.sqrt(variance[0] + variance[1])


def confirm_jump(points: MovingPoints, suspect: Jump, period_s: float) -> Jump | None:
    """Return a suspected jump with size and position; None if there is none.

    Args:
        points: Points in every image around the jump.
        suspect: Suspected jump.
        period_s: Time between images of the camera.
    """
    view = suspect.view
    own = points.rows[view]
    if not len(own):
        return None
    most = min(int(np.ceil(2 * suspect.count)) + _MORE, _LARGEST)
    shift = np.arange(-most * _GRID, most * _GRID + 1) / _GRID
    step = find_clock_step(image_costs(points, view, shift * period_s), most, _GRID)
    if step is None or not step.certain:
        return None
    return Jump(
        view=view,
        row=int(own[step.place]),
        count=step.count,
        fewest=step.fewest,
        most=step.most,
        earliest=int(own[step.earliest]),
        latest=int(own[step.latest]),
        offset_s=-float(shift[step.before]) * period_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStep:
    """Most likely step of a clock by whole images.

    Attributes:
        place: Index of the first observation after the step.
        earliest: Smallest possible position.
        latest: Largest possible position.
        count: Size in images.
        fewest: Smallest possible size.
        most: Largest possible size.
        before: Index of the delay before the step.
        cost: Negative log likelihood with the step.
        certain: True if both sides support the step, and unconstrained delays differ by whole images.
    """

    place: int
    earliest: int
    latest: int
    count: int
    fewest: int
    most: int
    before: int
    cost: float
    certain: bool


def find_clock_step(cost: F64, most: int, grid: int, doubt: float = _CERTAIN) -> ClockStep | None:
    """Find the position from which delays are larger by a whole number of images; None if undetermined.

    Args:
        cost: (T, L) negative log likelihood of each observation at each delay.
        most: Largest of these delays in images.
        grid: Delays per image.
        doubt: Log likelihood below the best up to which other sizes are possible.
    """
    L = cost.shape[1]
    before = np.concatenate([np.zeros((1, L)), np.cumsum(cost, axis=0)])  # (T + 1, L), before each position
    after = before[-1] - before
    best, count, low = (np.inf, 0), 1, 0
    of_count = np.full(2 * most, np.inf)
    for number in range(1, 2 * most):
        total = before[:, : L - number * grid] + after[:, number * grid :]
        at = np.unravel_index(int(np.argmin(total)), total.shape)
        of_count[number] = total[at]
        if total[at] < best[0]:
            best, count, low = (float(total[at]), int(at[0])), number, int(at[1])
    if not np.isfinite(best[0]):
        return None
    place, possible = best[1], np.flatnonzero(of_count < best[0] + doubt)
    free = int(np.argmin(before[place])), int(np.argmin(after[place]))
    gain = cost[:, low] - cost[:, low + count * grid]  # positive after the step
    whole = abs((free[1] - free[0]) / grid - count) <= _WHOLE and not (0 in free or L - 1 in free)
    certain = whole and min(-gain[:place].sum(), gain[place:].sum()) >= _CERTAIN
    total = np.concatenate([[0.0], np.cumsum(gain)])
    near = np.clip(np.flatnonzero(total < total.min() + _PLACE), 1, len(cost) - 1)
    return ClockStep(
        place=int(np.clip(np.argmin(total), 1, len(cost) - 1)),
        earliest=int(near[0]),
        latest=int(near[-1]),
        count=count,
        fewest=int(possible[0]),
        most=int(possible[-1]),
        before=low,
        cost=best[0],
        certain=bool(certain),
    )


def image_costs(points: MovingPoints, view: int, delay_s: F64) -> F64:
    """Return the negative log likelihood (T, L) of each image of a camera at delays of the others."""
    out = np.zeros((len(points.tracks[view].time_s), len(delay_s)))
    for other in np.flatnonzero(points.poses.registered).tolist():
        if other == view or not points.tracks[other].count or not points.tracks[view].count:
            continue
        scaled = []
        for s in delay_s:
            found = pair_residuals(points.tracks, points.poses, points.person, view, other, float(s))
            scaled.append(found.distance_px / np.sqrt(found.variance))
        residual = np.stack(scaled, -1)  # (T, G, J, L)
        if not residual.size or not np.isfinite(residual).any():
            continue
        some = np.isfinite(residual).any(axis=(0, 1, 2))
        sigma = 1.4826 * float(np.nanmedian(np.abs(residual[..., some]), axis=(0, 1, 2)).min())
        square = (residual / (_CAUCHY_SCALE * max(sigma, 0.05))) ** 2
        known = np.isfinite(square)
        loss = np.where(known, 0.5 * _CAUCHY_SCALE**2 * np.log1p(square), 0.0)
        # Only points present at all delays count.
        loss[~known.all(-1)] = 0.0
        out += loss.sum((1, 2)) / _PERSISTENT
    return out
