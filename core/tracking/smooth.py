"""Smoothing of joint trajectories; off by default, because it causes lag or attenuates fast movements.

Each coordinate of each joint is an independent series; all series are filtered at once. Missing values stay missing,
and a filter restarts after a gap.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from core.config import to_mapping
from core.tracking.config import TrackingConfig
from core.types.arrays import F32, F64, read_only
from core.types.pose3d import Pose3DSequence

_SPEED_CUTOFF_HZ = 1.0
_INITIAL_SPEED_MM_S = 2000.0  # Standard deviation of the velocity at the start of a series.
_BLOCK_FRAMES = 1000  # Frames per block of stored states, which take ten times the memory of the joints.


def smooth(sequence: Pose3DSequence, config: TrackingConfig) -> Pose3DSequence:
    """Apply the configured filter and record it in the provenance; "none" returns the sequence unchanged."""
    if config.smoothing == "none" or not len(sequence.time_s):
        return sequence
    if config.smoothing == "one_euro":
        xyz = one_euro(sequence.time_s, sequence.xyz_mm, config)
    else:
        xyz = rts(sequence.time_s, sequence.xyz_mm, sequence.covariance_mm2, config)
    settings = {k: v for k, v in to_mapping(config).items() if k == "smoothing" or k.startswith(config.smoothing)}
    provenance = {**sequence.provenance, "smoothing": settings}
    # The covariances of single measurements are no longer valid.
    return dataclasses.replace(sequence, xyz_mm=read_only(xyz), covariance_mm2=None, provenance=provenance)


class OneEuroFilter:
    """Online One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) of many points.

    The cut-off of this low-pass filter grows with the speed of the point, for little jitter at rest and little lag in
    movement.

    Args:
        shape: Shape of the points without the coordinate axis.
        config: Cut-off, speed coefficient, and the gap after which a series restarts.
    """

    def __init__(self, shape: tuple[int, ...], config: TrackingConfig) -> None:
        self._config = config
        self._time = np.full((*shape, 1), -np.inf)
        self._last, self._speed = np.zeros((*shape, 3)), np.zeros((*shape, 3))

    def update(self, time_s: float, values: F64) -> F64:
        """Filter the next values (..., 3) in mm, NaN where missing; times increase."""
        config = self._config
        known = np.asarray(np.isfinite(values).all(-1, keepdims=True))
        elapsed = time_s - self._time
        restart = elapsed > config.max_gap_s
        step = np.where(restart, 1.0, np.maximum(elapsed, 1e-6))
        measured = np.where(known, values, 0.0)
        speed = self._speed + _gain(_SPEED_CUTOFF_HZ, step) * ((measured - self._last) / step - self._speed)
        speed = np.where(restart, 0.0, speed)
        speed_m_s = np.linalg.norm(speed, axis=-1, keepdims=True) / 1000
        cutoff = config.one_euro_cutoff_hz + config.one_euro_speed * speed_m_s
        filtered = np.where(restart, measured, self._last + _gain(cutoff, step) * (measured - self._last))
        self._last, self._speed = np.where(known, filtered, self._last), np.where(known, speed, self._speed)
        self._time = np.where(known, time_s, self._time)
        return np.where(known, filtered, np.nan)


def one_euro(time_s: F64, values: F64, config: TrackingConfig) -> F64:
    """Apply the causal One-Euro filter to series (T, ..., 3) in mm, NaN where missing."""
    smoother, out = OneEuroFilter(values.shape[1:-1], config), np.full(values.shape, np.nan)
    for t, now_s in enumerate(time_s.tolist()):
        out[t] = smoother.update(now_s, values[t])
    return out


def _gain(cutoff_hz: F64 | float, step_s: F64) -> F64:
    """Return the weight of the new value in a first-order low-pass filter."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s)))


def rts(time_s: F64, values: F64, covariance_mm2: F64 | F32 | None, config: TrackingConfig) -> F64:
    """Apply a Rauch-Tung-Striebel smoother (AIAA Journal 3(8), 1965): a Kalman filter and a backward pass.

    The state of each coordinate is position and velocity; the process noise is white acceleration (Bar-Shalom, Li and
    Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, section 6.2.2). The smoother uses later
    frames and has no lag. To limit memory, states are kept for one block only, and earlier blocks are filtered twice.

    Args:
        time_s: (T,) times.
        values: (T, ..., 3) positions in mm, NaN where missing.
        covariance_mm2: (T, ..., 3, 3) covariances of the measurements; None for `rts_noise_mm` throughout.
        config: Noise levels, and the gap after which a series restarts.
    """
    T, series = len(time_s), values.shape[1:]
    blocks = [slice(start, min(start + _BLOCK_FRAMES, T)) for start in range(0, T, _BLOCK_FRAMES)]
    carries = [_Carry(time_s[0], np.zeros((*series, 2)), np.zeros((*series, 2, 2)), np.full(series, -np.inf))]
    for rows in blocks[:-1]:
        carries.append(_filter(time_s, values, covariance_mm2, rows, carries[-1], config)[1])
    out = np.full(values.shape, np.nan)
    following: F64 | None = None  # Smoothed state of the first frame of the next block.
    for rows, carry in zip(reversed(blocks), reversed(carries), strict=True):
        with_next = rows if following is None else slice(rows.start, rows.stop + 1)
        found = _filter(time_s, values, covariance_mm2, with_next, carry, config)[0]
        state = found.state
        if following is not None:
            state[-1] = following
        for k in range(len(state) - 2, -1, -1):
            transition, _ = _motion(float(time_s[rows.start + k + 1] - time_s[rows.start + k]), config.rts_accel_mm_s2)
            linked = found.linked[k + 1]
            next_cov = np.where(linked[..., None, None], found.predicted_cov[k + 1], np.eye(2))
            gain = found.cov[k] @ transition.T @ np.linalg.inv(next_cov)
            correction = (gain @ (state[k + 1] - found.predicted[k + 1])[..., None])[..., 0]
            state[k] = np.where(linked[..., None], state[k] + correction, state[k])
        following = state[0]
        smoothed = state[: rows.stop - rows.start, ..., 0]
        out[rows] = np.where(np.isfinite(values[rows]), smoothed, np.nan)
    return out


class _Carry(NamedTuple):
    """Filter state between two frames: time of the last, states (..., 2), covariances, times last measured (...)."""

    time_s: float
    state: F64
    cov: F64
    measured_s: F64


class _Filtered(NamedTuple):
    """Filtered and predicted states (N, ..., 2), their covariances, and mask (N, ...) of continued series."""

    state: F64
    cov: F64
    predicted: F64
    predicted_cov: F64
    linked: np.ndarray


def _filter(
    time_s: F64,
    values: F64,
    covariance_mm2: F64 | F32 | None,
    rows: slice,
    carry: _Carry,
    config: TrackingConfig,
) -> tuple[_Filtered, _Carry]:
    """Run the Kalman filter over a block of frames; return also the state after it."""
    times, values = time_s[rows], values[rows]
    noise = _noise(values, None if covariance_mm2 is None else covariance_mm2[rows], config)
    known, series = np.isfinite(values), values.shape[1:]
    shape = (len(times), *series)
    out = _Filtered(
        state=np.zeros((*shape, 2)),
        cov=np.zeros((*shape, 2, 2)),
        predicted=np.zeros((*shape, 2)),
        predicted_cov=np.zeros((*shape, 2, 2)),
        linked=np.zeros(shape, bool),
    )
    last_s, state, cov, measured_s = carry
    for k, now in enumerate(times):
        transition, process = _motion(float(now - last_s), config.rts_accel_mm_s2)
        predicted, predicted_cov = state @ transition.T, transition @ cov @ transition.T + process
        linked = now - measured_s <= config.max_gap_s
        initial_state = np.stack([np.where(known[k], values[k], 0.0), np.zeros(series)], -1)
        initial_cov = np.zeros((*series, 2, 2))
        initial_cov[..., 0, 0], initial_cov[..., 1, 1] = noise[k], _INITIAL_SPEED_MM_S**2
        gain = predicted_cov[..., :, 0] / (predicted_cov[..., 0, 0] + noise[k])[..., None]
        innovation = np.where(known[k], values[k] - predicted[..., 0], 0.0)
        gain = np.where(known[k][..., None], gain, 0.0)
        updated = predicted + gain * innovation[..., None]
        updated_cov = predicted_cov - gain[..., :, None] * predicted_cov[..., 0, None, :]
        state = np.where(linked[..., None], updated, initial_state)
        cov = np.where(linked[..., None, None], updated_cov, initial_cov)
        last_s, measured_s = now, np.where(known[k], now, measured_s)
        for stored, value in zip(out, (state, cov, predicted, predicted_cov, linked), strict=True):
            stored[k] = value
    return out, _Carry(last_s, state, cov, measured_s)


def _noise(values: F64, covariance_mm2: F64 | F32 | None, config: TrackingConfig) -> F64:
    """Return the variance (T, ..., 3) of each measured coordinate in mm2, at least 1."""
    default = np.full(values.shape, config.rts_noise_mm**2)
    if covariance_mm2 is None:
        return default
    variance = np.diagonal(covariance_mm2, axis1=-2, axis2=-1)
    known = np.isfinite(variance)
    return np.where(known, np.maximum(np.where(known, variance, 1.0), 1.0), default)


def _motion(step_s: float, accel_mm_s2: float) -> tuple[F64, F64]:
    """Return the transition (2, 2) of position and velocity, and the process noise (2, 2) of white acceleration."""
    h = step_s
    transition = np.array([[1.0, h], [0.0, 1.0]])
    return transition, accel_mm_s2**2 * np.array([[h**3 / 3, h**2 / 2], [h**2 / 2, h]])
