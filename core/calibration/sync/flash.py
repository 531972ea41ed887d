"""The clocks of cameras by lights that are switched on: flashes, a lamp, a screen, or an LED that several cameras see.

Each camera dates the moments at which some part of its image grows bright, to the interval between two images, and
finer where an image was exposed while the light went on. Moments are matched between cameras by the offset that most
share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.sync.certificate import LEAST_OFFSET_S
from core.calibration.sync.clock_fit import FittedClocks, like_most
from core.calibration.sync.estimate import LARGEST_DRIFT_SD_PPM, MeasuredClocks
from core.calibration.sync.missing import Jump
from core.progress import Reporter, check
from core.session import Take
from core.session.clocks import CameraClock
from core.session.video import VideoReader
from core.types.arrays import F64, I64, U8

_GRID = 12, 16  # parts of an image
_LEAST_RISE, _NOISES = 12.0, 8.0  # gray levels, and times the usual change, by which a part grows bright
_AGAIN_S = 0.3  # after a flash, in which no other one is looked for
_LARGEST_S = 3.0  # offset
_PARTIAL = 0.1, 0.9  # share of the rise in an image that was exposed while the light went on
_WHOLE_SD, _PARTIAL_SD = 12**-0.5, 0.15  # standard errors of a moment, in images
_SAME = 1.3  # images, within which two cameras see the same flash
_APART = 6  # images, by which offsets of the same flashes may differ where images are missing
_LEAST_DRIFT_S, _LEAST_FLASHES = 10.0, 4  # that a drift needs
_MANY = 60  # flashes, above which the light changes all the time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flashes:
    """Moments at which a camera sees a light go on.

    Attributes:
        image: (N,) numbers of the first brighter images.
        time_s: (N,) recorded times of the moments.
        sd_s: (N,) their standard errors.
    """

    image: I64
    time_s: F64
    sd_s: F64


def part_means(gray: U8) -> F64:
    """Return the mean brightness (C,) of the parts of an image."""
    import cv2

    return np.asarray(cv2.resize(gray, _GRID[::-1], interpolation=cv2.INTER_AREA), np.float64).ravel()


def read_brightness(take: Take, images: Mapping[str, range], reporter: Reporter) -> dict[str, F64]:
    """Return the brightness (n, C) of consecutive images of each camera of a take.

    Args:
        take: The take.
        images: Numbers of the images by camera.
        reporter: Receives progress, and is asked whether to stop.

    Raises:
        CoreError: A video cannot be read.
        CancelledError: The reporter asked to stop.
    """
    out, total = {}, sum(map(len, images.values()))
    done = 0
    for camera in take.manifest.cameras:
        rows = []
        with VideoReader(take.video_path(camera.name), camera.rotation_deg) as video:
            for number in images[camera.name]:
                rows.append(part_means(video.read_gray(number)))
                done += 1
                if not number % 30:
                    check(reporter)
                    reporter.progress(done, total, "Looking for flashes")
        out[camera.name] = np.stack(rows) if rows else np.zeros((0, int(np.prod(_GRID))))
    return out


def find_flashes(brightness: F64, time_s: F64) -> Flashes:
    """Find the moments at which some part of the images grows bright.

    Args:
        brightness: (n, C) brightness of the parts.
        time_s: (n,) recorded times, NaN for images that are not used.
    """
    period_s = float(np.nanmedian(np.diff(time_s))) if len(time_s) > 1 else 1.0
    if len(brightness) < 8:
        nothing = np.zeros(0)
        return Flashes(image=np.zeros(0, np.int64), time_s=nothing, sd_s=nothing)
    rise = np.diff(brightness, axis=0)
    usual = 1.4826 * np.median(np.abs(rise), axis=0) + 0.5
    # A light that goes on while an image is exposed brightens two of them.
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
            brightness[first : first + 2, part].mean(1).max() - before, 1e-9
        )
        if share < _PARTIAL[0]:
            continue
        last = float(time_s[first])
        partial = share < _PARTIAL[1]
        image.append(first)
        # A light that is on for all of an image went on at any time since the one before.
        moment.append(last + period_s * ((0.5 - share) / 2 if partial else -0.5))
        sd.append(period_s * (_PARTIAL_SD if partial else _WHOLE_SD))
    return Flashes(image=np.array(image, np.int64), time_s=np.array(moment), sd_s=np.array(sd))


def clocks_by_flashes(
    flashes: Mapping[str, Flashes], row_of: Mapping[str, I64], period_s: Sequence[float]
) -> MeasuredClocks:
    """Measure the clocks of cameras by the flashes that they see.

    Args:
        flashes: Flashes by camera.
        row_of: For each camera, (n,) row of the take of each of its images.
        period_s: (V,) time between two images.
    """
    names = tuple(flashes)
    V = len(names)
    offset, offset_sd, drift, drift_sd = (np.full(V, np.nan) for _ in range(4))
    count, jumps, reason, seen = np.zeros(V, np.int64), [], [""] * V, np.zeros(V, bool)
    several = [v for v, n in enumerate(names) if 0 < len(flashes[n].time_s) <= _MANY]
    reference = max(several, key=lambda v: len(flashes[names[v]].time_s), default=-1)
    for v, name in enumerate(names):
        if v not in several:
            many = len(flashes[name].time_s) > _MANY
            reason[v] = f"The light in {name} changes all the time." if many else f"{name} sees no flash."
        elif v == reference:
            offset[v], offset_sd[v], count[v] = 0.0, 0.0, len(flashes[name].time_s)
        else:
            period = float(period_s[v])
            pairs = _matched(flashes[names[reference]], flashes[name], period)
            if not len(pairs):
                reason[v] = f"The flashes that {name} sees are not those that {names[reference]} sees."
                continue
            a, b = flashes[names[reference]], flashes[name]
            error_s = b.time_s[pairs[:, 1]] - a.time_s[pairs[:, 0]]
            sd_s = np.hypot(b.sd_s[pairs[:, 1]], a.sd_s[pairs[:, 0]])
            number = np.zeros(len(pairs))
            for n in range(2, len(pairs) - 1):  # a step back that at least two flashes on either side show
                step = np.median(error_s[n:] + number[n:] * period) - np.median(error_s[:n] + number[:n] * period)
                missing = round(-step / period)
                if missing >= 1 and abs(error_s[n] - error_s[n - 1] + missing * period) < 0.8 * period:
                    number[n:] += missing
                    low, high = int(b.image[pairs[n - 1, 1]]) + 1, int(b.image[pairs[n, 1]])
                    rows = [int(row_of[name][i]) for i in ((low + high) // 2, low, high)]
                    jumps.append(Jump(view=v, row=rows[0], count=missing, earliest=rows[1], latest=rows[2]))
            error_s = error_s + number * period
            time_s, weight = b.time_s[pairs[:, 1]], sd_s**-2
            offset[v], offset_sd[v] = float(np.average(error_s, weights=weight)), float(weight.sum() ** -0.5)
            drift[v], count[v], seen[v] = 0.0, len(pairs), len(pairs) >= _LEAST_FLASHES
            if len(pairs) >= _LEAST_FLASHES and np.ptp(time_s) >= _LEAST_DRIFT_S:
                middle = np.average(time_s, weights=weight)
                spread = float((weight * (time_s - middle) ** 2).sum())
                drift[v] = 1e6 * float((weight * (time_s - middle) * error_s).sum()) / spread
                drift_sd[v] = 1e6 / np.sqrt(spread)
    if reference >= 0 and np.isfinite(offset).sum() < 2:
        offset[reference], drift[reference] = np.nan, np.nan
        reason[reference] = reason[reference] or f"No other camera sees the flashes that {names[reference]} sees."
    known = np.isfinite(offset)
    if known.any():
        offset[known] = like_most(offset[known], offset_sd[known], LEAST_OFFSET_S)
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


def _matched(a: Flashes, b: Flashes, period_s: float) -> I64:
    """Return pairs (n, 2) of the same flashes; empty if the offset is ambiguous."""
    difference = b.time_s[None] - a.time_s[:, None]
    candidates = difference[np.abs(difference) <= _LARGEST_S]
    if not len(candidates):
        return np.zeros((0, 2), np.int64)
    votes = np.array([(np.abs(difference - s) <= _SAME * period_s).any(1).sum() for s in candidates])
    best = float(np.median(candidates[votes == votes.max()]))
    others = np.abs(candidates - best) > 2 * _SAME * period_s
    if others.any() and votes[others].max() >= votes.max():
        return np.zeros((0, 2), np.int64)
    pairs = []
    for n in range(len(a.time_s)):
        near = int(np.argmin(np.abs(difference[n] - best)))
        if abs(difference[n, near] - best) <= _APART * period_s:
            pairs.append((n, near))
    return np.array(pairs, np.int64).reshape(-1, 2)
