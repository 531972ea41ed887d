"""Trajectories of joints as functions of time.

Letters in shapes: T time, F wanted time, P person, J joint.
"""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64

DENSE_HZ = 10.0
"""Least rate of a file between whose frames positions are interpolated and a time offset is found."""
_LONGEST_STEP_S = 0.25  # A longer gap is not interpolated.
_VELOCITY_STEP_S = 0.01


class Trajectories:
    """Joints (T, P, J, 3), interpolated by cubic Hermite splines through the frames, or taken at the nearest frame.

    Args:
        time_s: (T,) times, increasing.
        xyz: (T, P, J, 3), NaN where missing.
        tolerance_s: Largest distance to the nearest frame, where the rate is below `DENSE_HZ`.
    """

    def __init__(self, time_s: F64, xyz: F64, tolerance_s: float) -> None:
        self._time_s, self._xyz, self._tolerance_s = time_s, xyz, tolerance_s
        step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else np.inf
        self.dense = step_s <= 1 / DENSE_HZ
        self._tangents = _tangents(time_s, xyz) if self.dense else np.zeros(0)

    def at(self, times: F64) -> F64:
        """Return the joints (F, P, J, 3) at times (F,), NaN before, after and in long gaps."""
        time_s, xyz = self._time_s, self._xyz
        if not self.dense:
            return self._nearest(times, self._tolerance_s)
        left = np.clip(np.searchsorted(time_s, times, side="right") - 1, 0, len(time_s) - 2)
        step = (time_s[left + 1] - time_s[left])[:, None, None, None]
        w = (times - time_s[left])[:, None, None, None] / step
        a, b = xyz[left], xyz[left + 1]
        va, vb = self._tangents[left] * step, self._tangents[left + 1] * step
        out = (1 + 2 * w) * (1 - w) ** 2 * a + w * (1 - w) ** 2 * va + w**2 * (3 - 2 * w) * b + w**2 * (w - 1) * vb
        out = np.where((w >= 0) & (w <= 1) & (step <= _LONGEST_STEP_S), out, np.nan)
        return np.where(np.isfinite(out), out, self._nearest(times, 1e-6))

    def velocity(self, times: F64) -> F64:
        """Return the velocities (F, P, J, 3) per second at times (F,), NaN where there is none."""
        return (self.at(times + _VELOCITY_STEP_S) - self.at(times - _VELOCITY_STEP_S)) / (2 * _VELOCITY_STEP_S)

    def _nearest(self, times: F64, tolerance_s: float) -> F64:
        right = np.clip(np.searchsorted(self._time_s, times), 0, len(self._time_s) - 1)
        left = np.maximum(right - 1, 0)
        nearer = np.abs(self._time_s[left] - times) < np.abs(self._time_s[right] - times)
        nearest = np.where(nearer, left, right)
        close = np.abs(self._time_s[nearest] - times) <= tolerance_s
        return np.where(close[:, None, None, None], self._xyz[nearest], np.nan)


def fill_short_gaps(time_s: F64, xyz: F64) -> F64:
    """Return joints (T, P, J, 3) with gaps of up to a quarter of a second filled linearly."""
    out = xyz.copy()
    for p, j in np.ndindex(*xyz.shape[1:3]):
        known = np.flatnonzero(np.isfinite(xyz[:, p, j]).all(-1))
        if not len(known) or len(known) == len(time_s):
            continue
        after = np.clip(np.searchsorted(known, np.arange(len(time_s))), 1, max(len(known) - 1, 1))
        before, after = known[after - 1], known[np.minimum(after, len(known) - 1)]
        inside = (time_s >= time_s[before]) & (time_s <= time_s[after])
        short = inside & (time_s[after] - time_s[before] <= _LONGEST_STEP_S) & ~np.isfinite(xyz[:, p, j]).all(-1)
        for axis in range(3):
            filled = np.interp(time_s, time_s[known], xyz[known, p, j, axis])
            out[short, p, j, axis] = filled[short]
    return out


def _tangents(time_s: F64, xyz: F64) -> F64:
    """Return the velocities (T, P, J, 3): central differences, one-sided beside a missing frame."""
    slopes = np.diff(xyz, axis=0) / np.diff(time_s)[:, None, None, None]
    before = np.concatenate([slopes[:1] * np.nan, slopes])
    after = np.concatenate([slopes, slopes[:1] * np.nan])
    mean = (before + after) / 2
    mean = np.where(np.isfinite(mean), mean, before)
    mean = np.where(np.isfinite(mean), mean, after)
    return np.where(np.isfinite(mean), mean, 0.0)
