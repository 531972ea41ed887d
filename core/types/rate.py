"""Frame rates from the times of images."""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64, I64

_NTSC = (24, 30, 48, 60, 120, 240)
_RATES = np.array(
    [1, 2, 5, 6, 7.5, 10, 12, 12.5, 15, 20, 24, 25, 30, 40, 48, 50, 60, 72, 75, 80, 90, 100, 120, 144, 150, 160, 180]
    + [200, 240, 250, 300, 360, 400, 480, 500, 600, 960, 1000]
    + [rate * 1000 / 1001 for rate in _NTSC]
)
"""Rates that cameras are set to, in 1/s."""
_CLOCK = 2e-4  # relative error of a camera's clock, a fifth of the difference between 29.97 and 30
_MAX_ERROR = 5e-3  # relative error of a rate that is still taken for a standard one
_JITTER = 0.25  # an interval this far from a whole number of periods says nothing about the rate
_BURSTS = 4.0  # mean over median interval above which images arrive in bursts; 75 % drops give as much
_MS = 1e-3


def frame_rate(times_s: F64, stated: float = 0.0) -> float:
    """Return the frame rate of a camera in 1/s, over the whole recording.

    The median interval counts the periods between images, dropped ones included; a straight line through all images
    then gives the period to a fraction of the resolution of the times, such as the whole milliseconds of Matroska. A
    standard rate replaces the estimate where it lies within its error. Where images arrive in bursts the median means
    nothing, and the mean interval is used.

    Args:
        times_s: (n,) increasing image times in s, at least two.
        stated: Rate that the file states, which decides between two standard rates that both fit; 0 for none.
    """
    intervals = np.diff(times_s)
    median, mean = float(np.median(intervals)), float(np.mean(intervals))
    if mean > _BURSTS * median:
        return 1 / mean
    rate, error = _fitted(np.asarray(times_s, float), intervals, median)
    return _snapped(rate, error, stated)


def steady_times(times_s: F64, fps: float, tick_s: float) -> F64:
    """Return times without the rounding to ticks, if a constant frame rate explains them; else the times themselves.

    Args:
        times_s: (n,) increasing image times from 0.
        fps: Frame rate in 1/s.
        tick_s: Resolution of the times.
    """
    number = np.round(times_s * fps)
    rest = times_s - number / fps
    if len(times_s) < 2 or (np.diff(number) < 1).any() or float(np.ptp(rest)) > 1.01 * tick_s:
        return times_s
    return np.asarray(number / fps)


def _fitted(times_s: F64, intervals: F64, period: float) -> tuple[float, float]:
    """Return the rate and its relative error."""
    tick = _MS if (np.abs(times_s / _MS - np.round(times_s / _MS)) < 1e-6).all() else 0.0
    steps = np.maximum(np.round(intervals / period), 1)
    even = np.abs(intervals - steps * period) <= np.maximum(_JITTER * period, 1.01 * tick)
    if not even.all():
        return float(steps[even].sum() / intervals[even].sum()) if even.any() else 1 / period, _CLOCK
    number = np.concatenate([[0.0], np.cumsum(steps)])
    centred = number - number.mean()
    fitted = float(centred @ times_s / (centred @ centred))
    spread = float(np.ptp(times_s - fitted * number))
    # Four standard deviations of the slope, of rounding errors that are evenly distributed over the spread.
    return 1 / fitted, 4 * spread / np.sqrt(12 * float(centred @ centred)) / fitted


def _snapped(rate: float, error: float, stated: float) -> float:
    error = float(np.clip(error, _CLOCK, _MAX_ERROR))
    fits = _RATES[np.abs(_RATES / rate - 1) <= error]
    if len(fits):
        wanted = stated if stated and np.min(np.abs(fits / stated - 1)) < _CLOCK else rate
        return float(fits[np.abs(fits - wanted).argmin()])
    whole = round(rate)
    return float(whole) if whole and abs(whole / rate - 1) <= _CLOCK else rate


def nearest_samples(times_s: F64, at_s: F64, fps: float) -> I64:
    """Return the index (N,) of the sample nearest to each time; -1 where it is more than a period away.

    Args:
        times_s: (T,) increasing times of the samples.
        at_s: (N,) times.
        fps: Samples per second; 0 for a single sample, which is then valid at all times.
    """
    if not len(times_s):
        return np.full(len(at_s), -1, np.int64)
    right = np.clip(np.searchsorted(times_s, at_s), 0, len(times_s) - 1)
    left = np.maximum(right - 1, 0)
    index = np.where(at_s - times_s[left] <= times_s[right] - at_s, left, right)
    period_s = 1 / fps if fps else np.inf
    return np.where(np.abs(times_s[index] - at_s) <= period_s, index, -1).astype(np.int64)
