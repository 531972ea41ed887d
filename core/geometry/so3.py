"""Rotation vectors, rotation matrices and their Jacobians, vectorised over many rotations.

Sola, Deray and Atchuthan, A micro Lie theory for state estimation in robotics, 2018, appendix B.
"""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64

_SMALL_RAD = 1e-8  # lower bound of the length of a rotation vector
_SERIES_RAD2 = 1e-8  # squared angle below which Jacobians use their Taylor series
_SERIES_INVERSE_RAD2 = 1e-6  # the same for inverse Jacobians, whose closed form loses precision earlier


def hat(v: F64) -> F64:
    """Return the (..., 3, 3) matrix of the cross product with (..., 3)."""
    out = np.zeros((*v.shape, 3))
    out[..., 2, 1], out[..., 0, 2], out[..., 1, 0] = v[..., 0], v[..., 1], v[..., 2]
    out[..., 1, 2], out[..., 2, 0], out[..., 0, 1] = -v[..., 0], -v[..., 1], -v[..., 2]
    return out


def cross(a: F64, b: F64) -> F64:
    """Compute the (..., 3) cross product; many times faster than numpy's for large arrays."""
    x, y, z = a[..., 0], a[..., 1], a[..., 2]
    u, v, w = b[..., 0], b[..., 1], b[..., 2]
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0], out[..., 1], out[..., 2] = y * w - z * v, z * u - x * w, x * v - y * u
    return out


def exp(v: F64) -> F64:
    """Convert rotation vectors (..., 3) in rad to rotation matrices (..., 3, 3)."""
    angle2 = np.maximum((v * v).sum(-1), _SMALL_RAD**2)
    angle = np.sqrt(angle2)
    k = hat(v)
    a, b = np.sin(angle) / angle, (1 - np.cos(angle)) / angle2
    return np.asarray(np.eye(3) + a[..., None, None] * k + b[..., None, None] * (k @ k))


def log(R: F64) -> F64:
    """Convert rotation matrices (..., 3, 3) to rotation vectors (..., 3) of length 0 to pi."""
    w = np.stack([R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1)
    trace = R[..., 0, 0] + R[..., 1, 1] + R[..., 2, 2]
    sine, cosine = np.sqrt((w * w).sum(-1)) / 2, (trace - 1) / 2
    angle = np.arctan2(sine, cosine)
    scale = np.where(sine > 1e-7, angle / (2 * np.maximum(sine, 1e-12)), 0.5)
    out = w * scale[..., None]
    half_turn = (sine <= 1e-4) & (cosine < 0)
    if half_turn.any():
        # Near 180 degrees the antisymmetric part vanishes, so the axis is computed from the symmetric part.
        symmetric = (R[half_turn] + np.swapaxes(R[half_turn], -1, -2)) / 2
        _, vectors = np.linalg.eigh(symmetric)
        axis = vectors[..., :, -1]
        sign = np.where((axis * w[half_turn]).sum(-1) < 0, -1.0, 1.0)
        out[half_turn] = axis * (sign * angle[half_turn])[..., None]
    return np.asarray(out)


def retract_left(R: F64, t: F64, step: F64) -> tuple[F64, F64]:
    """Update transforms x' = R x + t on the left: exp(w) (R x + t) + v with steps (w, v) of shape (..., 6)."""
    rotation = exp(step[..., :3])
    return rotation @ R, (rotation @ t[..., None])[..., 0] + step[..., 3:6]


def retract_right(R: F64, t: F64, step: F64) -> tuple[F64, F64]:
    """Update transforms x' = R x + t on the right: R exp(w) x + t + v with steps (w, v) of shape (..., 6)."""
    return R @ exp(step[..., :3]), t + step[..., 3:6]


def right_jacobian(v: F64) -> F64:
    """Return J (..., 3, 3) with exp(v + d) = exp(v) exp(J d) to first order."""
    angle2 = (v * v).sum(-1)
    k = hat(v)
    small = angle2 < _SERIES_RAD2
    safe = np.where(small, 1.0, angle2)
    angle = np.sqrt(safe)
    a = np.where(small, 0.5 - angle2 / 24, (1 - np.cos(angle)) / safe)
    b = np.where(small, 1 / 6 - angle2 / 120, (angle - np.sin(angle)) / (safe * angle))
    return np.asarray(np.eye(3) - a[..., None, None] * k + b[..., None, None] * (k @ k))


def right_jacobian_inverse(v: F64) -> F64:
    """Return J (..., 3, 3) with log(exp(v) exp(d)) = v + J d to first order; the left inverse is J at -v."""
    angle2 = (v * v).sum(-1)
    k = hat(v)
    small = angle2 < _SERIES_INVERSE_RAD2
    safe = np.where(small, 1.0, angle2)
    angle = np.sqrt(safe)
    sine = np.maximum(np.abs(np.sin(angle)), 1e-12)
    b = np.where(small, 1 / 12 + angle2 / 720, 1 / safe - (1 + np.cos(angle)) / (2 * angle * sine))
    return np.asarray(np.eye(3) + 0.5 * k + b[..., None, None] * (k @ k))


def mean(R: F64, weight: F64 | None = None) -> F64:
    """Return the (3, 3) chordal mean of rotations (N, 3, 3), with weights (N,) if given."""
    total = R.sum(0) if weight is None else (R * weight[:, None, None]).sum(0)
    u, _, vt = np.linalg.svd(total)
    return np.asarray(u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)


def angle_rad(R: F64) -> F64:
    """Return the (...) angles of rotations (..., 3, 3)."""
    return np.asarray(np.linalg.norm(log(R), axis=-1))
