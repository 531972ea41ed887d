"""Random human motion over the full range of the joints, to train motion networks.

Limbs move from posture to posture on minimum-jerk trajectories (T. Flash and N. Hogan, J. Neuroscience 5, 1985) at
random speeds, from slow to as fast as a punch; the body walks, runs, turns and jumps.

Legend: N person, T frame, K knot, J joint.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter1d

from core.synthetic.body import Posture, body_joints
from core.synthetic.people import STRIDE, free_postures, gait_posture, vary_proportions
from core.types.arrays import F64, I64

_GRAVITY_MM_S2 = 9810.0
_TAKE_OFF_S = 0.035
_JUMP_PROBABILITY, _RUN_PROBABILITY = 0.2, 0.12
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
    """Generate COCO joints (T, N, 17, 3), mm, of people around the origin, about `apart_mm` from each other."""
    n, time_s = n_people, np.arange(n_frames) / fps
    pace = np.exp(rng.uniform(np.log(0.25), np.log(2.0), n))  # Seconds per movement, one value per person.
    arms, legs = _wander(n, time_s, pace, rng), _wander(n, time_s, pace, rng)
    free = dataclasses.replace(arms, **{name: getattr(legs, name) for name in _LEGS})
    speed = _between(rng.choice([0.0, 0.3, 1.0, 1.4], (n, _KNOTS)), time_s, 2 * pace, rng)  # m/s
    speed *= np.where(rng.random(n) < _RUN_PROBABILITY, 2.5, 1.0)[:, None]
    stature = rng.uniform(*stature_mm, n)[:, None]
    cycle = rng.uniform(0, 2 * np.pi, (n, 1)) + 2 * np.pi * np.cumsum(1000 * speed / (STRIDE * stature), 1) / fps
    share = _between(rng.choice([0.0, 0.4, 1.0], (n, _KNOTS), p=[0.3, 0.3, 0.4]), time_s, 2 * pace, rng)
    heading = rng.uniform(-np.pi, np.pi, (n, 1)) + _between(rng.normal(0, 0.8, (n, _KNOTS)), time_s, 2 * pace, rng)
    path = 1000 * np.cumsum(speed[..., None] * np.stack([np.cos(heading), np.sin(heading)], -1), 1) / fps
    angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * (np.arange(n) + rng.uniform(-0.2, 0.2, n)) / n
    radius = 0.0 if n == 1 else apart_mm / 2 / np.sin(np.pi / n)
    place = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    floor = path - path.mean(1, keepdims=True) + place[:, None]
    xyz = body_joints(stature, gait_posture(cycle, speed / 1.2).blend(free, share), floor, heading)
    xyz = vary_proportions(xyz, rng)
    xyz[..., 2] += _jumps(n, time_s, fps, rng)[..., None]
    return np.asarray(np.moveaxis(xyz, 0, 1))


_KNOTS = 48


def _knots(n: int, time_s: F64, pace_s: F64, rng: np.random.Generator) -> tuple[I64, F64]:
    """Return the index (N, T) of the knot before each frame, and the progress (N, T) to the next one in 0..1."""
    step = pace_s[:, None] * rng.uniform(0.6, 1.8, (n, _KNOTS))
    start = np.cumsum(step, 1) - rng.uniform(0, 1, (n, 1)) * step[:, :1] - step[:, :1]
    index = (start[:, None, :] <= time_s[None, :, None]).sum(-1) - 1
    index = np.clip(index, 0, _KNOTS - 2)
    rows = np.arange(n)[:, None]
    moving = step * rng.uniform(0.5, 1.0, step.shape)  # the posture is held for the rest of the time
    tau = np.clip((time_s[None] - start[rows, index]) / moving[rows, index + 1], 0, 1)
    return index, np.asarray(tau**3 * (10 - 15 * tau + 6 * tau**2))


def _between(values: F64, time_s: F64, pace_s: F64, rng: np.random.Generator) -> F64:
    """Interpolate values (N, K) at knots over time (N, T)."""
    index, progress = _knots(len(values), time_s, pace_s, rng)
    rows = np.arange(len(values))[:, None]
    return np.asarray(values[rows, index] * (1 - progress) + values[rows, index + 1] * progress)


def _wander(n: int, time_s: F64, pace_s: F64, rng: np.random.Generator) -> Posture:
    """Return postures (N, T) that move between random ones, some of them close to each other."""
    index, progress = _knots(n, time_s, pace_s, rng)
    rows, reach = np.arange(n)[:, None], rng.uniform(0.15, 1.0, (n, 1))
    home, free = free_postures(n, rng), free_postures(n * _KNOTS, rng).map(lambda a: a.reshape(n, _KNOTS))
    knots = home.map(lambda a: a[:, None]).blend(free, reach)
    before, after = knots.map(lambda a: a[rows, index]), knots.map(lambda a: a[rows, index + 1])
    return before.blend(after, progress)


def _jumps(n: int, time_s: F64, fps: float, rng: np.random.Generator) -> F64:
    """Return the heights (N, T) over the floor, mm, of people; some jump once."""
    speed = np.where(rng.random(n) < _JUMP_PROBABILITY, rng.uniform(800, 3200, n), 0.0)[:, None]
    since = time_s[None] - rng.uniform(0, max(time_s[-1], 0.1), (n, 1))
    height = np.clip(speed * since - _GRAVITY_MM_S2 / 2 * since**2, 0, None) * (since > 0)
    return np.asarray(gaussian_filter1d(height, max(_TAKE_OFF_S * fps, 1e-3), axis=1))
