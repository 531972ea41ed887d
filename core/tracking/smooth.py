"""Filters over the paths of joints. Off unless asked for: they trade noise for lag or for rounded movements.

Every joint coordinate of every person is a series of its own; all series are filtered at once. Missing values stay
missing, and a filter starts anew after a gap.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from core.config import to_mapping
from core.tracking.config import TrackingConfig
from core.types.arrays import F64
from core.types.pose3d import Pose3DSequence

_SPEED_CUTOFF_HZ = 1.0


def smooth(sequence: Pose3DSequence, config: TrackingConfig) -> Pose3DSequence:
    """The sequence with the configured filter applied and named in its provenance; itself where that is "none"."""
    if config.smoothing == "none" or not len(sequence.time_s):
        return sequence
    if config.smoothing == "one_euro":
        xyz = one_euro(sequence.time_s, sequence.xyz_mm, config)
    else:
        xyz = rts(sequence.time_s, sequence.xyz_mm, sequence.covariance_mm2, config)
    settings = {k: v for k, v in to_mapping(config).items() if k == "smoothing" or k.startswith(config.smoothing)}
    provenance = {**sequence.provenance, "smoothing": settings}
    # The covariance is that of single measurements, which these are no longer.
    return dataclasses.replace(sequence, xyz_mm=xyz, covariance_mm2=None, provenance=provenance)


def one_euro(time_s: F64, values: F64, config: TrackingConfig) -> F64:
    """One-Euro filter (Casiez, Roussel, Vogel, CHI 2012), causal: usable on a live stream as well.

    Args:
        time_s: (T,).
        values: (T, ..., 3) mm, NaN where missing.
        config: Cut-off, speed coefficient, and the gap after which a series starts anew.
    """
    out = np.full(values.shape, np.nan)
    known = np.asarray(np.isfinite(values).all(-1, keepdims=True))
    last_time = np.full(known.shape[1:], -np.inf)
    last, speed = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for t, now in enumerate(time_s):
        elapsed = now - last_time
        fresh = elapsed > config.max_gap_s
        step = np.where(fresh, 1.0, np.maximum(elapsed, 1e-6))
        here = np.where(known[t], values[t], 0.0)
        new_speed = speed + _share(_SPEED_CUTOFF_HZ, step) * ((here - last) / step - speed)
        new_speed = np.where(fresh, 0.0, new_speed)
        fast_m_s = np.linalg.norm(new_speed, axis=-1, keepdims=True) / 1000
        cutoff = config.one_euro_cutoff_hz + config.one_euro_speed * fast_m_s
        filtered = np.where(fresh, here, last + _share(cutoff, step) * (here - last))
        out[t] = np.where(known[t], filtered, np.nan)
        last, speed = np.where(known[t], filtered, last), np.where(known[t], new_speed, speed)
        last_time = np.where(known[t], now, last_time)
    return out


def _share(cutoff_hz: F64 | float, step_s: F64) -> F64:
    """Weight of the new value in a first-order low-pass filter."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s)))


def rts(time_s: F64, values: F64, covariance_mm2: F64 | None, config: TrackingConfig) -> F64:
    """Rauch-Tung-Striebel smoother with constant velocity and white-noise acceleration.

    Each coordinate is filtered for itself: a state of position and velocity. Looks ahead, so it has no lag.

    Args:
        time_s: (T,).
        values: (T, ..., 3) mm, NaN where missing.
        covariance_mm2: (T, ..., 3, 3) of the measurements, or None for `rts_noise_mm` throughout.
        config: Noise levels, and the gap after which a series starts anew.
    """
    T, shape = len(time_s), values.shape[1:]
    known = np.isfinite(values)
    noise = _noise(values, covariance_mm2, config)
    state, spread = np.zeros((T, *shape, 2)), np.zeros((T, *shape, 2, 2))
    ahead_state, ahead_spread = np.zeros_like(state), np.zeros_like(spread)
    linked = np.zeros((T, *shape), bool)  # Whether a series goes on from the frame before.
    last_time = np.full(shape, -np.inf)
    for t, now in enumerate(time_s):
        if t:
            F, Q = _motion(float(now - time_s[t - 1]), config.rts_accel_mm_s2)
            ahead_state[t] = state[t - 1] @ F.T
            ahead_spread[t] = F @ spread[t - 1] @ F.T + Q
        linked[t] = now - last_time <= config.max_gap_s
        # A new series knows nothing of its velocity beyond what people can do.
        fresh_state = np.stack([np.where(known[t], values[t], 0.0), np.zeros(shape)], -1)
        fresh_spread = np.zeros((*shape, 2, 2))
        fresh_spread[..., 0, 0], fresh_spread[..., 1, 1] = noise[t], 2000.0**2
        gain = ahead_spread[t][..., :, 0] / (ahead_spread[t][..., 0, 0] + noise[t])[..., None]
        miss = np.where(known[t], values[t] - ahead_state[t][..., 0], 0.0)
        gain = np.where(known[t][..., None], gain, 0.0)
        updated = ahead_state[t] + gain * miss[..., None]
        shrunk = ahead_spread[t] - gain[..., :, None] * ahead_spread[t][..., 0, None, :]
        state[t] = np.where(linked[t][..., None], updated, fresh_state)
        spread[t] = np.where(linked[t][..., None, None], shrunk, fresh_spread)
        last_time = np.where(known[t], now, last_time)
    for t in range(T - 2, -1, -1):
        F, _ = _motion(float(time_s[t + 1] - time_s[t]), config.rts_accel_mm_s2)
        usable = linked[t + 1]
        ahead = np.where(usable[..., None, None], ahead_spread[t + 1], np.eye(2))
        gain = spread[t] @ F.T @ np.linalg.inv(ahead)
        correction = (gain @ (state[t + 1] - ahead_state[t + 1])[..., None])[..., 0]
        state[t] = np.where(usable[..., None], state[t] + correction, state[t])
    return np.where(known, state[..., 0], np.nan)


def _noise(values: F64, covariance_mm2: F64 | None, config: TrackingConfig) -> F64:
    """(T, ..., 3) variance of each measured coordinate, mm2."""
    usual = np.full(values.shape, config.rts_noise_mm**2)
    if covariance_mm2 is None:
        return usual
    own = np.diagonal(covariance_mm2, axis1=-2, axis2=-1)
    return np.where(np.isfinite(own), np.maximum(np.where(np.isfinite(own), own, 1.0), 1.0), usual)


def _motion(step_s: float, accel_mm_s2: float) -> tuple[F64, F64]:
    """Transition (2, 2) of position and velocity, and the noise (2, 2) that a random acceleration adds."""
    h = step_s
    transition = np.array([[1.0, h], [0.0, 1.0]])
    return transition, accel_mm_s2**2 * np.array([[h**3 / 3, h**2 / 2], [h**2 / 2, h]])
