"""Smoothing of joint trajectories. Off by default, because it trades noise for lag or for flattened fast movements.

Each coordinate of each joint is an independent series; all series are filtered at once. Missing values stay missing,
and a filter restarts after a gap.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from core.config import to_mapping
from core.tracking.config import TrackingConfig
from core.types.arrays import F32, F64
from core.types.pose3d import Pose3DSequence

_SPEED_CUTOFF_HZ = 1.0
_INITIAL_SPEED_MM_S = 2000.0  # Standard deviation of the velocity at the start of a series.


def smooth(sequence: Pose3DSequence, config: TrackingConfig) -> Pose3DSequence:
    """Apply the configured filter and record it in the provenance; return the sequence itself for "none"."""
    if config.smoothing == "none" or not len(sequence.time_s):
        return sequence
    if config.smoothing == "one_euro":
        xyz = one_euro(sequence.time_s, sequence.xyz_mm, config)
    else:
        xyz = rts(sequence.time_s, sequence.xyz_mm, sequence.covariance_mm2, config)
    settings = {k: v for k, v in to_mapping(config).items() if k == "smoothing" or k.startswith(config.smoothing)}
    provenance = {**sequence.provenance, "smoothing": settings}
    # The covariance is that of single measurements and no longer holds.
    return dataclasses.replace(sequence, xyz_mm=xyz, covariance_mm2=None, provenance=provenance)


def one_euro(time_s: F64, values: F64, config: TrackingConfig) -> F64:
    """Apply the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012), which is causal.

    Args:
        time_s: (T,).
        values: (T, ..., 3) mm, NaN where missing.
        config: Cut-off, speed coefficient, and the gap after which a series restarts.
    """
    out = np.full(values.shape, np.nan)
    known = np.asarray(np.isfinite(values).all(-1, keepdims=True))
    last_time = np.full(known.shape[1:], -np.inf)
    last, speed = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for t, now in enumerate(time_s):
        elapsed = now - last_time
        restart = elapsed > config.max_gap_s
        step = np.where(restart, 1.0, np.maximum(elapsed, 1e-6))
        measured = np.where(known[t], values[t], 0.0)
        new_speed = speed + _gain(_SPEED_CUTOFF_HZ, step) * ((measured - last) / step - speed)
        new_speed = np.where(restart, 0.0, new_speed)
        speed_m_s = np.linalg.norm(new_speed, axis=-1, keepdims=True) / 1000
        cutoff = config.one_euro_cutoff_hz + config.one_euro_speed * speed_m_s
        filtered = np.where(restart, measured, last + _gain(cutoff, step) * (measured - last))
        out[t] = np.where(known[t], filtered, np.nan)
        last, speed = np.where(known[t], filtered, last), np.where(known[t], new_speed, speed)
        last_time = np.where(known[t], now, last_time)
    return out


def _gain(cutoff_hz: F64 | float, step_s: F64) -> F64:
    """Return the weight of the new value in a first-order low-pass filter."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s)))


def rts(time_s: F64, values: F64, covariance_mm2: F64 | F32 | None, config: TrackingConfig) -> F64:
    """Apply a Rauch-Tung-Striebel smoother (AIAA Journal 3(8), 1965): a Kalman filter and a backward pass.

    The state of each coordinate is position and velocity; the process noise is white acceleration (Bar-Shalom, Li and
    Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, section 6.2.2). It uses later frames, so
    it has no lag.

    Args:
        time_s: (T,).
        values: (T, ..., 3) mm, NaN where missing.
        covariance_mm2: (T, ..., 3, 3) of the measurements, or None for `rts_noise_mm` throughout.
        config: Noise levels, and the gap after which a series restarts.
    """
    T, shape = len(time_s), values.shape[1:]
    known = np.isfinite(values)
    noise = _noise(values, covariance_mm2, config)
    state, cov = np.zeros((T, *shape, 2)), np.zeros((T, *shape, 2, 2))
    predicted, predicted_cov = np.zeros_like(state), np.zeros_like(cov)
    linked = np.zeros((T, *shape), bool)  # The series continues from the previous frame.
    last_time = np.full(shape, -np.inf)
    for t, now in enumerate(time_s):
        if t:
            F, Q = _motion(float(now - time_s[t - 1]), config.rts_accel_mm_s2)
            predicted[t] = state[t - 1] @ F.T
            predicted_cov[t] = F @ cov[t - 1] @ F.T + Q
        linked[t] = now - last_time <= config.max_gap_s
        initial_state = np.stack([np.where(known[t], values[t], 0.0), np.zeros(shape)], -1)
        initial_cov = np.zeros((*shape, 2, 2))
        initial_cov[..., 0, 0], initial_cov[..., 1, 1] = noise[t], _INITIAL_SPEED_MM_S**2
        gain = predicted_cov[t][..., :, 0] / (predicted_cov[t][..., 0, 0] + noise[t])[..., None]
        innovation = np.where(known[t], values[t] - predicted[t][..., 0], 0.0)
        gain = np.where(known[t][..., None], gain, 0.0)
        updated = predicted[t] + gain * innovation[..., None]
        updated_cov = predicted_cov[t] - gain[..., :, None] * predicted_cov[t][..., 0, None, :]
        state[t] = np.where(linked[t][..., None], updated, initial_state)
        cov[t] = np.where(linked[t][..., None, None], updated_cov, initial_cov)
        last_time = np.where(known[t], now, last_time)
    for t in range(T - 2, -1, -1):
        F, _ = _motion(float(time_s[t + 1] - time_s[t]), config.rts_accel_mm_s2)
        next_cov = np.where(linked[t + 1][..., None, None], predicted_cov[t + 1], np.eye(2))
        gain = cov[t] @ F.T @ np.linalg.inv(next_cov)
        correction = (gain @ (state[t + 1] - predicted[t + 1])[..., None])[..., 0]
        state[t] = np.where(linked[t + 1][..., None], state[t] + correction, state[t])
    return np.where(known, state[..., 0], np.nan)


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
