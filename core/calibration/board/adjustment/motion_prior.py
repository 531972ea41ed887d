"""Prior of the board's motion: white noise of the acceleration between knots, with a robust loss for jerks.

A constant-velocity prior as in continuous-time batch estimation (Anderson and Barfoot, Full STEAM ahead, 2015).
"""

from __future__ import annotations

import numpy as np

from core.calibration.board.adjustment.trajectory import Trajectory
from core.geometry.so3 import log, right_jacobian_inverse
from core.types.arrays import F64

JERK_THRESHOLD = 5.0
"""Cauchy scale of accelerations in standard deviations; larger ones are jerks or bumps."""

# Standard deviation of the acceleration of a hand-held board in rad/s2 and mm/s2, for a knot spacing of a sixth of a
# second; below that of recordings, because faster motion raises it (see `motion_prior`).
_HAND_ACCELERATION = (0.65, 130.0)
_HAND_STEP_S = 1 / 6
_STEP_RANGE_S = (1 / 240, 1.0)  # frame periods for which the prior is scaled
_FASTER = 1.3  # factor by which observed acceleration must exceed the prior for the prior to be raised


def motion_prior(period_s: float, observed: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Return the standard deviations of angular (rad/s2) and linear (mm/s2) acceleration between knots.

    Args:
        period_s: Knot spacing; the mean acceleration over a step is proportional to the square root of its inverse.
        observed: Observed accelerations, which are lower limits of the prior.
    """
    factor = np.sqrt(_HAND_STEP_S / np.clip(period_s, *_STEP_RANGE_S))
    return max(_HAND_ACCELERATION[0] * factor, observed[0]), max(_HAND_ACCELERATION[1] * factor, observed[1])


def raised(prior: tuple[float, float], period_s: float, trajectory: Trajectory) -> tuple[float, float] | None:
    """Return a wider prior if the trajectory is clearly faster than expected, else None."""
    faster = motion_prior(period_s, observed_accelerations(trajectory))
    return faster if faster[0] >= _FASTER * prior[0] or faster[1] >= _FASTER * prior[1] else None


def observed_accelerations(trajectory: Trajectory) -> tuple[float, float]:
    """Return robust standard deviations of angular (rad/s2) and linear (mm/s2) acceleration between knots."""
    residual, _ = acceleration_residuals(trajectory, (1.0, 1.0), derivatives=False)
    inner = trajectory.segment[:-2] == trajectory.segment[2:]
    if not inner.any():
        return 0.0, 0.0
    sd = 1.4826 * np.median(np.abs(residual[inner]).reshape(-1, 2, 3), axis=(0, 2))
    return float(sd[0]), float(sd[1])


def acceleration_residuals(
    trajectory: Trajectory, prior: tuple[float, float], *, derivatives: bool = True
) -> tuple[F64, F64]:
    """Return the accelerations at the inner knots in units of the prior; 0 across segments.

    Returns:
        Residuals (K - 2, 6), and their derivatives (K - 2, 6, 18) by three successive knots.
    """
    step = np.diff(trajectory.time_s)
    inner = (trajectory.segment[:-2] == trajectory.segment[2:]).astype(float)
    rotation = log(np.swapaxes(trajectory.R[:-1], -1, -2) @ trajectory.R[1:])
    velocity = np.concatenate([rotation / prior[0], np.diff(trajectory.t_mm, axis=0) / prior[1]], -1) / step[:, None]
    between = (step[:-1] + step[1:]) / 2
    residual = np.diff(velocity, axis=0) / between[:, None] * inner[:, None]
    if not derivatives:
        return residual, residual
    by_next = np.zeros((len(rotation), 6, 6))
    by_previous = by_next.copy()
    rate = 1 / step[:, None, None]
    by_next[:, :3, :3] = right_jacobian_inverse(rotation) / prior[0] * rate
    by_previous[:, :3, :3] = -right_jacobian_inverse(-rotation) / prior[0] * rate
    by_next[:, 3:, 3:] = np.eye(3) / prior[1] * rate
    by_previous[:, 3:, 3:] = -by_next[:, 3:, 3:]
    jacobian = np.concatenate([-by_previous[:-1], by_previous[1:] - by_next[:-1], by_next[1:]], -1)
    return residual, jacobian * (inner / between)[:, None, None]
