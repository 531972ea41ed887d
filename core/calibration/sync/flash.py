"""Measurement of camera clocks by lights that are switched on: flashes, a lamp, a screen or an LED.

Each camera determines when a part of its image becomes bright, to the interval between two images, or more precisely if
the light was switched on during an exposure. These events are matched between cameras by the most common offset.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.sync.certificate import LEAST_OFFSET_S
from core.calibration.sync.clock_fit import FittedClocks, relative_to_majority
from core.calibration.sync.estimate import LARGEST_DRIFT_SD_PPM, MeasuredClocks
from core.calibration.sync.missing import ClockStep, Jump, find_clock_step
from core.progress import Reporter, check
from core.session import Take
from core.session.clocks import CameraClock
from core.session.footage.images import CameraImages, DamagedImages
from core.types.arrays import F64, I64, U8

_GRID = 12, 16  # cells of an image
_LEAST_RISE, _NOISES = 12.0, 8.0  # rise in grey levels, and relative to the usual change, for a flash
_AGAIN_S = 0.3  # dead time after a flash
_LARGEST_S = 3.0  # largest offset
_PARTIAL = 0.1, 0.9  # fraction of the rise in an image during whose exposure the light was switched on
_WHOLE_SD, _PARTIAL_SD = 12**-0.5, 0.15  # standard errors of a flash time in images
_SAME = 1.3  # tolerance in images for the same flash in two cameras
_APART = 6  # largest difference of offsets in images due to missing images
_LEAST_DRIFT_S, _LEAST_FLASHES = 10.0, 4  # requirements for a drift
_STEPS, _CAUCHY_SCALE, _ROUNDS = 4, 2.5, 8  # delays per image; scale of the robust loss; iterations
_CERTAIN, _DOUBT = 12.0, 3.0  # log likelihood of certainly and of possibly missing images
_LARGEST_LOSS = 8.0  # limit per flash, so that a single one is never conclusive
_MOST_LOSSES, _MOST_LOST = 12, 40  # number of gaps, and of images per gap
_DRIFT_PPM = 100.0  # usual drift of a clock
_DRIFTS_PPM = tuple(range(-300, 301, 50))  # drifts to compare with missing images
_MANY = 60  # number of flashes from which the light counts as changing continuously


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flashes:
    """Times at which a camera sees a light being switched on.

    Attributes:
        image: (N,) indices of the first brighter images.
        time_s: (N,) recorded times of the flashes.
        sd_s: (N,) standard errors of the times.
    """

    image: I64
    time_s: F64
    sd_s: F64


def part_means(gray: U8) -> F64:
    """Return the mean brightness (C,) of the cells of an image."""
    import cv2

    return np.asarray(cv2.resize(gray, _GRID[::-1], interpolation=cv2.INTER_AREA), np.float64).ravel()


def read_brightness(take: Take, images: Mapping[str, range], reporter: Reporter) -> dict[str, F64]:
    """Return the brightness (n, C) of consecutive images of each camera of a take, NaN where one is damaged.

    Args:
        take: The take.
        images: Image indices by camera.
        reporter: Receives progress, and reports cancellation.

    Raises:
        CoreError: A video cannot be read.
        CancelledError: The reporter asked to stop.
    """
    out, total = {}, sum(map(len, images.values()))
    done, damaged = 0, DamagedImages()
    for camera in take.cameras:
        rows = []
        with CameraImages(take, camera, damaged) as video:
            for number in images[camera]:
                image = video.read_gray(number)
                rows.append(np.full(int(np.prod(_GRID)), np.nan) if image is None else part_means(image))
                done += 1
                if not number % 30:
                    check(reporter)
                    reporter.progress(done, total, "Looking for flashes")
        out[camera] = np.stack(rows) if rows else np.zeros((0, int(np.prod(_GRID))))
    damaged.report(reporter)
    return out


def find_flashes(brightness: F64, time_s: F64) -> Flashes:
    """Detect the times at which a part of the images becomes bright.

    Args:
        brightness: (n, C) brightness of the cells, NaN in damaged images.
        time_s: (n,) recorded times, NaN for unused images.
    """
    period_s = float(np.nanmedian(np.diff(time_s))) if len(time_s) > 1 else 1.0
    if len(brightness) < 8:
        nothing = np.zeros(0)
        return Flashes(image=np.zeros(0, np.int64), time_s=nothing, sd_s=nothing)
    rise = np.nan_to_num(np.diff(brightness, axis=0))
    usual = 1.4826 * np.median(np.abs(rise), axis=0) + 0.5
    # A light switched on during an exposure brightens two images.
    both = rise[:-1] + np.maximum(rise[1:], 0)
    score = np.where((both > _LEAST_RISE) & (rise[:-1] > 0), both / usual, 0.0)
    best = score.max(1)
    image, moment, sd = [], [], []
    last = -np.inf
    for k in np.flatnonzero(best > _NOISES):
        first = int(k) + 1
        if not np.isfinite(time_s[first]) or time_s[first] - last < _AGAIN_S:
            continue
        part = score[k] > 0.5 * best[k]
        before = brightness[k, part].mean()
        share = (brightness[first, part].mean() - before) / max(
            np.nanmax(brightness[first : first + 2, part].mean(1)) - before, 1e-9
        )
        if share < _PARTIAL[0]:
            continue
        last = float(time_s[first])
        partial = share < _PARTIAL[1]
        image.append(first)
        # A light that is on for an entire exposure was switched on at any time since the previous one.
        moment.append(last + period_s * ((0.5 - share) / 2 if partial else -0.5))
        sd.append(period_s * (_PARTIAL_SD if partial else _WHOLE_SD))
    return Flashes(image=np.array(image, np.int64), time_s=np.array(moment), sd_s=np.array(sd))


def clocks_by_flashes(
    flashes: Mapping[str, Flashes], row_of: Mapping[str, I64], period_s: Sequence[float]
) -> MeasuredClocks:
    """Measure camera clocks by the flashes in the views of the cameras.

    Args:
        flashes: Flashes by camera.
        row_of: For each camera, (n,) row of the take of each of its images.
        period_s: (V,) time between images.
    """
    names = tuple(flashes)
    V = len(names)
    reason, several = [""] * V, []
    for v, name in enumerate(names):
        if 0 < len(flashes[name].time_s) <= _MANY:
            several.append(v)
        else:
            many = len(flashes[name].time_s) > _MANY
            reason[v] = f"The light in {name} changes continuously." if many else f"{name} sees no flash."
    # If the reference lost images, the others seem to gain some, and another reference measures more cameras.
    several.sort(key=lambda v: -len(flashes[names[v]].time_s))
    found: dict[int, _AgainstReference | str] = {}
    reference = -1
    for r in several:
        others = {v: _against(flashes, names[r], names[v], float(period_s[v])) for v in several if v != r}
        if reference < 0 or _measured(others) > _measured(found):
            reference, found = r, others
    offset, offset_sd, drift, drift_sd = (np.full(V, np.nan) for _ in range(4))
    count, jumps, seen = np.zeros(V, np.int64), [], np.zeros(V, bool)
    for v, one in found.items():
        if isinstance(one, str):
            reason[v] = one
            continue
        offset[v], offset_sd[v], drift[v], drift_sd[v] = one.offset_s, one.offset_sd_s, one.drift_ppm, one.drift_sd_ppm
        count[v], seen[v] = one.count, one.count >= _LEAST_FLASHES
        for step, low, high in one.lost:
            row = [int(row_of[names[v]][i]) for i in ((low + high) // 2, low, high)]
            jump = Jump(view=v, row=row[0], count=step.count, earliest=row[1], latest=row[2])
            jumps.append(dataclasses.replace(jump, fewest=step.fewest, most=step.most))
    if reference >= 0 and np.isfinite(offset).any():
        offset[reference], offset_sd[reference], drift[reference] = 0.0, 0.0, 0.0
        count[reference], seen[reference] = len(flashes[names[reference]].time_s), seen.any()
    elif reference >= 0:
        reason[reference] = f"No other camera shows the clock of {names[reference]} by flashes."
    known = np.isfinite(offset)
    if known.any():
        offset[known] = relative_to_majority(offset[known], offset_sd[known], LEAST_OFFSET_S)
        offset_sd[reference] = np.nanmin(np.delete(offset_sd, reference))
    clocks = tuple(
        CameraClock(offset_s=float(np.nan_to_num(o)), period_s=float(p)) for o, p in zip(offset, period_s, strict=True)
    )
    certain = drift_sd <= LARGEST_DRIFT_SD_PPM
    fit = FittedClocks(
        offset_s=offset,
        offset_sd_s=np.where(known, offset_sd, np.nan),
        drift_ppm=np.where(certain, drift, np.nan),
        drift_sd_ppm=np.where(certain, drift_sd, np.nan),
        blocks=count,
    )
    return MeasuredClocks(clocks=clocks, fit=fit, jumps=tuple(jumps), reason=tuple(reason), drops_seen=seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AgainstReference:
    """Clock of a camera relative to another; gaps are given by step, first and last possible image."""

    offset_s: float
    offset_sd_s: float
    drift_ppm: float
    drift_sd_ppm: float
    count: int
    lost: tuple[tuple[ClockStep, int, int], ...]


def _measured(found: Mapping[int, _AgainstReference | str]) -> int:
    return sum(not isinstance(one, str) for one in found.values())


def _against(flashes: Mapping[str, Flashes], reference: str, name: str, period_s: float) -> _AgainstReference | str:
    """Return the clock of one camera relative to another, or the reason why it is undetermined."""
    a, b = flashes[reference], flashes[name]
    pairs = _matched(a, b, period_s)
    if not len(pairs):
        return f"The flashes that {name} sees are not those that {reference} sees."
    error_s = b.time_s[pairs[:, 1]] - a.time_s[pairs[:, 0]]
    sd_s = np.hypot(b.sd_s[pairs[:, 1]], a.sd_s[pairs[:, 0]])
    time_s, lost = b.time_s[pairs[:, 1]], []
    for _ in range(_MOST_LOSSES):
        step, gain = _step(error_s, sd_s, time_s, period_s)
        if step is None or gain < _DOUBT:
            break
        if not step.certain or gain < _CERTAIN:
            return (
                f"{name} may have lost {step.count} image{'s' if step.count > 1 else ''}, but there are too few "
                "flashes to be certain: flash at least three times at the start and at the end of a take."
            )
        # A light switched on during a gap is first seen in the image after it.
        first, last = (int(b.image[pairs[n, 1]]) for n in (step.earliest - 1, step.latest))
        lost.append((step, first, last))
        error_s = error_s + step.count * period_s * (np.arange(len(pairs)) >= step.place)
    if _step(-error_s, sd_s, time_s, period_s)[1] >= _DOUBT:
        return f"The time offset between {name} and {reference} varies between parts of the take: record it again."
    # A light seen by only one camera looks like a flash at another time, and hardly counts.
    offset_s, weight = float(np.median(error_s)), sd_s**-2
    for _ in range(_ROUNDS):
        weight = sd_s**-2 / (1 + ((error_s - offset_s) / (_CAUCHY_SCALE * sd_s)) ** 2)
        offset_s = float(np.average(error_s, weights=weight))
    # At least the scatter of the flashes.
    scatter = float((weight * ((error_s - offset_s) / sd_s) ** 2).sum() / weight.sum())
    sd = max(1.0, scatter**0.5) * float((sd_s**-2).sum() ** -0.5)
    drift_ppm, drift_sd_ppm = 0.0, np.nan
    if len(pairs) >= _LEAST_FLASHES and np.ptp(time_s) >= _LEAST_DRIFT_S:
        from_middle_s = time_s - np.average(time_s, weights=weight)
        spread = float((weight * from_middle_s**2).sum())
        drift_ppm = 1e6 * float((weight * from_middle_s * error_s).sum()) / spread
        drift_sd_ppm = 1e6 / float(np.sqrt(spread))
    return _AgainstReference(
        offset_s=offset_s,
        offset_sd_s=sd,
        drift_ppm=drift_ppm,
        drift_sd_ppm=drift_sd_ppm,
        count=len(pairs),
        lost=tuple(sorted(lost, key=lambda one: one[1])),
    )


def _step(error_s: F64, sd_s: F64, time_s: F64, period_s: float) -> tuple[ClockStep | None, float]:
    """Return the most likely backward step of a clock, and its log likelihood relative to any drift."""
    delay = -(error_s - np.median(error_s)) / period_s
    most = int(np.ceil(np.abs(delay).max())) + 2
    shift = np.arange(-most * _STEPS, most * _STEPS + 1) / _STEPS

    def costs(delay: F64) -> F64:
        square = ((delay[:, None] - shift) * period_s / (_CAUCHY_SCALE * sd_s[:, None])) ** 2
        return np.asarray(np.minimum(0.5 * _CAUCHY_SCALE**2 * np.log1p(square), _LARGEST_LOSS))

    step = find_clock_step(costs(delay), most, _STEPS, _DOUBT) if len(delay) > 1 else None
    if step is None:
        return None, 0.0
    from_middle_s = time_s - time_s.mean()
    without = min(
        float(costs(delay + 1e-6 * ppm * from_middle_s / period_s).sum(0).min()) + 0.5 * (ppm / _DRIFT_PPM) ** 2
        for ppm in _DRIFTS_PPM
    )
    return step, without - step.cost


def _matched(a: Flashes, b: Flashes, period_s: float) -> I64:
    """Return index pairs (n, 2) of matching flashes; empty if the offset is ambiguous."""
    difference = b.time_s[None] - a.time_s[:, None]
    candidates = difference[np.abs(difference) <= _LARGEST_S]
    if not len(candidates):
        return np.zeros((0, 2), np.int64)
    votes = np.array([(np.abs(difference - s) <= _SAME * period_s).any(1).sum() for s in candidates])
    best = float(np.median(candidates[votes == votes.max()]))
    others = np.abs(candidates - best) > 2 * _SAME * period_s
    if others.any() and votes[others].max() >= votes.max():
        return np.zeros((0, 2), np.int64)
    pairs = _near(difference, best, _APART * period_s)
    # Beyond larger gaps, flashes share another offset; at either end, a single one counts.
    left = difference.copy()
    left[[n for n, _ in pairs]], left[:, [m for _, m in pairs]] = np.inf, np.inf
    left[np.abs(left - best) > _MOST_LOST * period_s] = np.inf
    if np.isfinite(left).any():
        candidates = left[np.isfinite(left)]
        shared = [int((np.abs(candidates - s) <= _SAME * period_s).sum()) for s in candidates]
        other = _near(left, float(candidates[int(np.argmax(shared))]), _SAME * period_s)
        inside = all(pairs[0][0] < n < pairs[-1][0] for n, _ in other)
        pairs = sorted(pairs + (other if len(other) > 1 or not inside else []))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _near(difference: F64, best: float, most: float) -> list[tuple[int, int]]:
    """Return mutually nearest pairs whose difference is close to an offset."""
    nearest = np.abs(difference - best).argmin(1)
    return [(n, int(m)) for n, m in enumerate(nearest) if abs(difference[n, m] - best) <= most]
