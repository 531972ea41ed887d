"""Images that a camera dropped although its recorded times run on: jumps of its clock by whole images.

A jump is suspected where the delays of a camera after the others step back. It is confirmed, counted and placed by
comparing the images around it with those of the other cameras at many delays, each image by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.sync.delays import PairDelays, pair_residuals
from core.calibration.sync.evidence import MovingPoints
from core.types.arrays import F64, I64

_WINDOW_S = 3.0  # on either side of a jump
_LEAST_STEP, _SIGNIFICANCE = 0.3, 5.0  # images, and standard errors, from which a step is suspected
_LEAST_S = 0.5  # on either side with delays
_GRID = 4  # delays per image
_MORE = 3  # images beyond the step that is suspected
_LARGEST = 40  # images
_WHOLE = 0.3  # images, by which a jump may differ from a whole number
_CERTAIN, _PLACE = 12.0, 3.0  # log likelihood that a jump, and its place, must gain
_PERSISTENT = 4.0  # by which errors that persist from image to image make the likelihood weaker
_CAUCHY_SCALE = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A jump of a camera's clock.

    Attributes:
        view: The camera.
        row: Row in the take of the first image after it.
        count: Number of missing images; the size of the step, in images, while it is only suspected.
        earliest: Smallest row that is possible.
        latest: Largest row that is possible.
        offset_s: Error of the clock before the jump that was not yet known.
    """

    view: int
    row: int
    count: float
    earliest: int
    latest: int
    offset_s: float = 0.0


def suspected_jumps(delays: Sequence[PairDelays], period_s: F64) -> list[Jump]:
    """Return steps back of each camera's clock, the most significant first.

    Args:
        delays: Delays of ordered pairs of cameras.
        period_s: (V,) time between two images.
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


def _series(delays: Sequence[PairDelays]) -> tuple[I64, F64, F64, F64]:
    """Return rows, times and errors of one camera's clock against all others, and their information."""
    row = np.concatenate([d.row for d in delays])
    rows, inverse = np.unique(row, return_inverse=True)
    information = np.bincount(inverse, np.concatenate([d.information for d in delays])).astype(float)
    total = np.bincount(inverse, np.concatenate([-d.information * d.delay_s for d in delays]))
    time_s = np.zeros(len(rows))
    time_s[inverse] = np.concatenate([d.time_s for d in delays])
    return rows, time_s, total / np.maximum(information, 1e-300), information


def _steps(time_s: F64, error_s: F64, information: F64) -> tuple[F64, F64]:
    """Return the step (n,) before each image, from windows on either side, and its standard error."""
    edges = np.searchsorted(time_s, time_s - _WINDOW_S), np.searchsorted(time_s, time_s + _WINDOW_S)
    middle = np.arange(len(time_s))

    def total(x: F64, low: I64, high: I64) -> F64:
        sums = np.concatenate([[0.0], np.cumsum(x)])
        return np.asarray(sums[high] - sums[low])

    mean, variance = [], []
    for low, high in ((edges[0], middle), (middle, edges[1])):
        weight = np.maximum(total(information, low, high), 1e-300)
        value = total(information * error_s, low, high) / weight
        square = total(information * error_s**2, low, high) / weight - value**2
        # Of the scatter within the window, and never less than what the points allow.
        count = np.maximum(high - low, 1)
        seconds = np.maximum((time_s[np.maximum(high - 1, 0)] - time_s[np.minimum(low, len(time_s) - 1)]), 0.0)
        scatter = np.maximum(_PERSISTENT * np.maximum(square, 0) / count, 1 / weight)
        variance.append(np.where(seconds >= _LEAST_S, scatter, np.inf))
        mean.append(value)
    return mean[1] - mean[0], np.sqrt(variance[0] + variance[1])


def confirm_jump(points: MovingPoints, suspect: Jump, period_s: float) -> Jump | None:
    """Count and place a jump; None if there is none.

    Args:
        points: Points around the jump, in every image.
        suspect: The jump that is suspected.
        period_s: Time between two images of the camera.
    """
    view = suspect.view
    own = points.rows[view]
    if not len(own):
        return None
    most = min(int(np.ceil(2 * suspect.count)) + _MORE, _LARGEST)
    shift = np.arange(-most * _GRID, most * _GRID + 1) / _GRID
    step = whole_step(image_costs(points, view, shift * period_s), most, _GRID)
    if step is None or not step.certain:
        return None
    return Jump(
        view=view,
        row=int(own[step.place]),
        count=step.count,
        earliest=int(own[step.earliest]),
        latest=int(own[step.latest]),
        offset_s=-float(shift[step.before]) * period_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeStep:
    """The step by whole images that explains observations best.

    Attributes:
        place: Number of the first observation after it.
        earliest: Smallest place that is possible.
        latest: Largest place that is possible.
        count: Images.
        before: Number of the delay before it.
        cost: Minus the log likelihood with it.
        certain: Whether either side of it shows it, and the delays differ by whole images if they are free.
    """

    place: int
    earliest: int
    latest: int
    count: int
    before: int
    cost: float
    certain: bool


def whole_step(cost: F64, most: int, grid: int) -> WholeStep | None:
    """Find the place from which delays are larger by a whole number of images; None if nothing tells.

    Args:
        cost: (T, L) minus the log likelihood of each observation at each delay.
        most: Largest delay of those, in images.
        grid: Delays per image.
    """
    L = cost.shape[1]
    before = np.concatenate([np.zeros((1, L)), np.cumsum(cost, axis=0)])  # (T + 1, L), before each place
    after = before[-1] - before
    best, count, low = (np.inf, 0), 1, 0
    for number in range(1, 2 * most):
        total = before[:, : L - number * grid] + after[:, number * grid :]
        at = np.unravel_index(int(np.argmin(total)), total.shape)
        if total[at] < best[0]:
            best, count, low = (float(total[at]), int(at[0])), number, int(at[1])
    if not np.isfinite(best[0]):
        return None
    place = best[1]
    free = int(np.argmin(before[place])), int(np.argmin(after[place]))
    gain = cost[:, low] - cost[:, low + count * grid]  # positive after the step
    whole = abs((free[1] - free[0]) / grid - count) <= _WHOLE and not (0 in free or L - 1 in free)
    certain = whole and min(-gain[:place].sum(), gain[place:].sum()) >= _CERTAIN
    total = np.concatenate([[0.0], np.cumsum(gain)])
    near = np.clip(np.flatnonzero(total < total.min() + _PLACE), 1, len(cost) - 1)
    return WholeStep(
        place=int(np.clip(np.argmin(total), 1, len(cost) - 1)),
        earliest=int(near[0]),
        latest=int(near[-1]),
        count=count,
        before=low,
        cost=best[0],
        certain=bool(certain),
    )


def image_costs(points: MovingPoints, view: int, delay_s: F64) -> F64:
    """Return minus the log likelihood (T, L) of each image of a camera at delays of the others."""
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
        # A point that is missing at some delays says nothing about them: all must have it.
        loss[~known.all(-1)] = 0.0
        out += loss.sum((1, 2)) / _PERSISTENT
    return out
