"""People who move through anything that joints allow: what networks learn from how bodies move.

Limbs go from posture to posture with least jerk, as people's do (T. Flash and N. Hogan, J. Neuroscience 5, 1985), each
at its own pace, from slower than needed to as fast as a blow; the body walks, runs, turns and jumps.

Legend: N person, T frame, K knot, J joint.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter1d

from core.synthetic.body import Posture, joints
from core.synthetic.people import STRIDE, free_postures, gait_posture, proportioned
from core.types.arrays import F64, I64

_GRAVITY_MM_S2 = 9810.0
_TAKE_OFF_S = 0.035
_JUMPS, _RUNS = 0.2, 0.12
_LEGS = ("hip", "spread", "knee")


def movers(
    n_people: int,
    n_frames: int,
    rng: np.random.Generator,
    *,
    fps: float = 30.0,
    apart_mm: float = 1100.0,
    stature_mm: tuple[float, float] = (1100.0, 2000.0),
) -> F64:
    """(T, N, 17, 3) COCO joints, mm, of people around places that are `apart_mm` from each other, about the origin."""
    n, time_s = n_people, np.arange(n_frames) / fps
    pace = np.exp(rng.uniform(np.log(0.25), np.log(2.0), n))  # seconds for a movement, everybody's own
    arms, legs = _wander(n, time_s, pace, rng), _wander(n, time_s, pace, rng)
    free = dataclasses.replace(arms, **{name: getattr(legs, name) for name in _LEGS})
    speed = _between(rng.choice([0.0, 0.3, 1.0, 1.4], (n, _KNOTS)), time_s, 2 * pace, rng)  # m/s
    speed *= np.where(rng.random(n) < _RUNS, 2.5, 1.0)[:, None]
    stature = rng.uniform(*stature_mm, n)[:, None]
    cycle = rng.uniform(0, 2 * np.pi, (n, 1)) + 2 * np.pi * np.cumsum(1000 * speed / (STRIDE * stature), 1) / fps
    share = _between(rng.choice([0.0, 0.4, 1.0], (n, _KNOTS), p=[0.3, 0.3, 0.4]), time_s, 2 * pace, rng)
    heading = rng.uniform(-np.pi, np.pi, (n, 1)) + _between(rng.normal(0, 0.8, (n, _KNOTS)), time_s, 2 * pace, rng)
    way = 1000 * np.cumsum(speed[..., None] * np.stack([np.cos(heading), np.sin(heading)], -1), 1) / fps
    angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * (np.arange(n) + rng.uniform(-0.2, 0.2, n)) / n
    radius = 0.0 if n == 1 else apart_mm / 2 / np.sin(np.pi / n)
    place = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    floor = way - way.mean(1, keepdims=True) + place[:, None]
    xyz = joints(stature, gait_posture(cycle, speed / 1.2).blend(free, share), floor, heading)
    xyz = proportioned(xyz, rng)
    xyz[..., 2] += _jumps(n, time_s, fps, rng)[..., None]
    return np.asarray(np.moveaxis(xyz, 0, 1))


_KNOTS = 48


def _knots(n: int, time_s: F64, pace_s: F64, rng: np.random.Generator) -> tuple[I64, F64]:
    """Index (N, T) of the knot before each frame, and the share (N, T) of the way to the next one."""
    step = pace_s[:, None] * rng.uniform(0.6, 1.8, (n, _KNOTS))
    start = np.cumsum(step, 1) - rng.uniform(0, 1, (n, 1)) * step[:, :1] - step[:, :1]
    index = (start[:, None, :] <= time_s[None, :, None]).sum(-1) - 1
    index = np.clip(index, 0, _KNOTS - 2)
    rows = np.arange(n)[:, None]
    moving = step * rng.uniform(0.5, 1.0, step.shape)  # the rest of the time a posture is held
    tau = np.clip((time_s[None] - start[rows, index]) / moving[rows, index + 1], 0, 1)
    return index, np.asarray(tau**3 * (10 - 15 * tau + 6 * tau**2))


def _between(values: F64, time_s: F64, pace_s: F64, rng: np.random.Generator) -> F64:
    """(N, T) that goes from each of the values (N, K) to the next."""
    index, share = _knots(len(values), time_s, pace_s, rng)
    rows = np.arange(len(values))[:, None]
    return np.asarray(values[rows, index] * (1 - share) + values[rows, index + 1] * share)


def _wander(n: int, time_s: F64, pace_s: F64, rng: np.random.Generator) -> Posture:
    """Postures (N, T) that go from one free posture to another, some of which differ little from the last."""
    index, share = _knots(n, time_s, pace_s, rng)
    rows, reach = np.arange(n)[:, None], rng.uniform(0.15, 1.0, (n, 1))
    home, free = free_postures(n, rng), free_postures(n * _KNOTS, rng).map(lambda a: a.reshape(n, _KNOTS))
    knots = home.map(lambda a: a[:, None]).blend(free, reach)
    before, after = knots.map(lambda a: a[rows, index]), knots.map(lambda a: a[rows, index + 1])
    return before.blend(after, share)


def _jumps(n: int, time_s: F64, fps: float, rng: np.random.Generator) -> F64:
    """(N, T) heights over the floor, mm, of people some of whom jump once."""
    speed = np.where(rng.random(n) < _JUMPS, rng.uniform(800, 3200, n), 0.0)[:, None]
    since = time_s[None] - rng.uniform(0, max(time_s[-1], 0.1), (n, 1))
    height = np.clip(speed * since - _GRAVITY_MM_S2 / 2 * since**2, 0, None) * (since > 0)
    return np.asarray(gaussian_filter1d(height, max(_TAKE_OFF_S * fps, 1e-3), axis=1))
