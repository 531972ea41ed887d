"""Joint estimate of all clock errors from the reprojection errors of triangulated points.

Each joint is triangulated from all cameras at the same corrected time. A clock error displaces the observation from the
projection by the projected velocity times the error. The 3D velocity comes from many images of all cameras and is far
more accurate than that of a 2D track, so that drifts are about twice as accurate as from pairs of cameras. The unknown
positions of the points are eliminated from the normal equations (Triggs et al., Bundle Adjustment - A Modern Synthesis,
2000, section 6).

Legend: V view, M time, G person, J joint, B block of a person and a second.
"""

from __future__ import annotations

import numpy as np

from core.calibration.sync.clock_fit import Equations
from core.calibration.sync.delays import track_table
from core.calibration.sync.evidence import MovingPoints
from core.geometry import triangulate_views
from core.optimize.robust import cauchy_weight
from core.types.arrays import F64

_STEP_S = 1 / 30  # smallest sampling interval; longer for slower cameras
_VELOCITY_S, _VELOCITY_STEPS = 0.2, 2.5  # half window for velocities in s and in steps; the longer one counts
_WINDOW_S = 4.0  # before and after, within which errors of rig and estimator count as constant
_CAUCHY_SCALE = 2.5  # residual in standard deviations at which a point has half its weight
_OTHER_PERSON = 2.5  # mean distance of a person's joints, relative to the usual one, from which it is another person
_IDENTITY_ROUNDS, _ROUNDS = 3, 6
_LEAST_SIGMA_PX = 0.05
_BLOCK_S = 1.0
_LEAST_EIGENVALUE = 1e-6  # relative to the largest, below which a combination of clocks is undetermined
_PROBE_S = 0.002  # artificial error of every other clock to determine the response of the measurement
_RESPONSES = 0.3, 1.1  # limits of plausible responses


def joint_equations(parts: list[MovingPoints]) -> Equations | None:
    """Return the equations of all points for the remaining clock errors; None if there are none.

    Args:
        parts: Points of a take in parts that are compared separately.
    """
    if not parts:
        return None
    V = len(parts[0].tracks)
    probe_s = np.where(np.arange(V) % 2, _PROBE_S, -_PROBE_S)
    normals = [_normal_equations(p, np.zeros(V)) for p in parts]
    probed = [_normal_equations(p, probe_s) for p in parts]
    time_s, H, h = (np.concatenate(x) for x in zip(*normals, strict=True))
    _, other, changed = (np.concatenate(x) for x in zip(*probed, strict=True))
    if len(changed) != len(h):  # too few points
        return None
    # Noise in the velocities reduces measured errors.
    expected = np.einsum("v,bvu,u->b", probe_s, H, probe_s)
    shown = np.einsum("v,bv->b", probe_s, h - changed)
    clear = (expected > 0) & (np.einsum("v,bvu,u->b", probe_s, other, probe_s) > 0)
    if not clear.any():
        return None
    share = float(np.clip(np.median(shown[clear] / expected[clear]), *_RESPONSES))
    value, direction = np.linalg.eigh(H)
    total, b = value[:, -1:], np.einsum("bvk,bv->bk", direction, h)
    used = value > np.maximum(_LEAST_EIGENVALUE * total, 1e-300)
    block, k = np.nonzero(used)
    direction = direction[block, :, k]
    return Equations(
        direction=np.where(np.abs(direction) > 1e-6, direction, 0.0),
        time_s=time_s[block],
        value_s=b[block, k] / value[block, k] / share,
        information=value[block, k] * share**2,
    )


def _normal_equations(points: MovingPoints, shift_s: F64) -> tuple[F64, F64, F64]:
    """Return the centre (B,) and the normal equations H e = h of the clock errors e of each block.

    Args:
        points: Points in the images of all cameras.
        shift_s: (V,) additional delay at which each camera is sampled.
    """
    tracks, poses = points.tracks, points.poses
    V = len(tracks)
    if sum(bool((p >= 0).any()) for p in points.person) < 2:
        return np.zeros(0), np.zeros((0, V, V)), np.zeros((0, V))
    start, end = min(t.time_s[0] for t in tracks if t.count), max(t.time_s[-1] for t in tracks if t.count)
    step_s = max(_STEP_S, *(float(np.median(np.diff(t.time_s))) for t in tracks if len(t.time_s) > 1))
    at_s = np.arange(start, end, step_s)
    xy, precision, person = _sampled(points, at_s, shift_s)
    focal = np.array([t.focal_px for t in tracks])[:, None, None, None]
    known = np.asarray(precision > 0)
    robust, bias = np.ones(known.shape), np.zeros_like(xy)
    sigma = 1.0
    for n in range(_ROUNDS):
        weight = np.where(known, precision * robust, 0.0)
        place = triangulate_views(poses.R, poses.t_mm, focal[:, 0, 0, 0], xy - bias, np.sqrt(weight))
        velocity = _velocity(place, max(_VELOCITY_S, _VELOCITY_STEPS * step_s), step_s)
        usable = known & np.isfinite(place[..., 0]) & np.isfinite(velocity[..., 0])
        seen, jacobian = _projected(poses.R, poses.t_mm, np.nan_to_num(place))
        distance = np.where(usable[..., None], (xy - seen) * focal[..., None], 0.0)
        norm = np.linalg.norm(distance - bias * focal[..., None], axis=-1) * np.sqrt(precision)
        if not usable.any():
            return np.zeros(0), np.zeros((0, V, V)), np.zeros((0, V))
        sigma = max(float(np.median(norm[usable])) / 1.1774, _LEAST_SIGMA_PX)
        robust = np.where(usable, cauchy_weight((norm / sigma) ** 2, _CAUCHY_SCALE), 0.0)
        if n < _IDENTITY_ROUNDS:
            known &= ~_other_people(norm, usable)[..., None]
        elif n < _ROUNDS - 1:
            bias = _mean(distance, np.where(known, precision * robust, 0.0), at_s) / focal[..., None]
    weight = np.where(known & usable, precision * robust, 0.0) / sigma**2
    jacobian = jacobian * focal[..., None, None]
    moving = np.einsum("vmgjac,mgjc->vmgja", jacobian, np.nan_to_num(velocity))
    distance, moving = (x - _mean(x, weight, at_s) for x in (distance, moving))
    H, h = _without_places(weight, jacobian, moving, distance)
    block = np.floor((at_s - start) / _BLOCK_S).astype(int)
    count = int(block.max()) + 1
    per_block, right = np.zeros((count, len(person), V, V)), np.zeros((count, len(person), V))
    np.add.at(per_block, block, H)
    np.add.at(right, block, -h)
    middle = np.repeat(start + (np.arange(count) + 0.5) * _BLOCK_S, len(person))
    return middle, per_block.reshape(-1, V, V), right.reshape(-1, V)


def _sampled(points: MovingPoints, at_s: F64, shift_s: F64) -> tuple[F64, F64, np.ndarray]:
    """Return points (V, M, G, J, 2), 0 where missing, inverse variances (V, M, G, J), and people (G,)."""
    person = np.unique(np.concatenate([p[p >= 0] for p in points.person]))
    xy, precision = [], []
    for v, tracks in enumerate(points.tracks):
        own_s = at_s + points.poses.time_offset_s[v] + shift_s[v]
        found = tracks.sample(own_s, track_table(tracks, points.person[v], person, own_s))
        known = np.isfinite(found.xy[..., 0]) & (found.information > 0) & points.poses.registered[v]
        xy.append(np.where(known[..., None], found.xy, 0.0))
        precision.append(np.where(known, found.information, 0.0))
    return np.stack(xy), np.stack(precision), person


def _projected(R: F64, t_mm: F64, place: F64) -> tuple[F64, F64]:
    """Return the projections (V, M, G, J, 2) of positions (M, G, J, 3), and their derivatives (V, M, G, J, 2, 3)."""
    local = np.einsum("vab,mgjb->vmgja", R, place) + t_mm[:, None, None, None]
    depth = np.where(np.abs(local[..., 2]) > 1, local[..., 2], 1.0)
    seen = local[..., :2] / depth[..., None]
    inner = np.zeros((*depth.shape, 2, 3))
    inner[..., 0, 0] = inner[..., 1, 1] = 1 / depth
    inner[..., 2] = -seen / depth[..., None]
    return seen, np.einsum("vmgjab,vbc->vmgjac", inner, R)


def _other_people(norm: F64, usable: np.ndarray) -> np.ndarray:
    """Return the mask (V, M, G) of the worst camera of each time and person, if it sees another person."""
    count = usable.sum(-1)
    mean = np.where(usable, np.minimum(norm, 1e6), 0.0).sum(-1) / np.maximum(count, 1)
    far = mean > _OTHER_PERSON * np.median(mean[count > 0])
    worst = np.arange(len(norm))[:, None, None] == mean.argmax(0)
    return np.asarray(far & (worst | ((count > 0).sum(0) <= 2)))


def _velocity(place: F64, half_s: float, step_s: float) -> F64:
    """Return velocities (M, G, J, 3) in mm/s by local quadratic fits within `half_s`; NaN where unknown."""
    reach = round(half_s / step_s)
    offset = np.arange(-reach, reach + 1) / max(reach, 1)
    kernel = np.clip(1 - (0.98 * offset) ** 2, 0, None)
    flat = place.reshape(len(place), -1, 3)
    known = np.isfinite(flat[..., 0])
    values = np.concatenate([np.where(known[..., None], flat, 0.0), known[..., None]], -1)
    padded = np.pad(values, ((reach, reach), (0, 0), (0, 0)))
    M = len(flat)
    moments = np.zeros((5, *values.shape))
    for n, (x, weight) in enumerate(zip(offset, kernel, strict=True)):
        for power in range(5):
            moments[power] += weight * x**power * padded[n : n + M]
    m, r = moments[..., 3], moments[:3, ..., :3]
    c01, c12 = m[2] * m[3] - m[1] * m[4], m[1] * m[2] - m[0] * m[3]
    c11 = m[0] * m[4] - m[2] ** 2
    determinant = m[0] * (m[2] * m[4] - m[3] ** 2) + m[1] * c01 + m[2] * (m[1] * m[3] - m[2] ** 2)
    good = determinant > 1e-5 * np.maximum(m[0], 1e-9) ** 3
    slope = c01[..., None] * r[0] + c11[..., None] * r[1] + c12[..., None] * r[2]
    slope = slope / np.where(good, determinant, 1.0)[..., None] / (max(reach, 1) * step_s)
    return np.asarray(np.where(good[..., None], slope, np.nan).reshape(place.shape))


def _mean(values: F64, weight: F64, at_s: F64) -> F64:
    """Return weighted means of values (V, M, G, J, 2) within `_WINDOW_S` before and after."""
    low, high = np.searchsorted(at_s, at_s - _WINDOW_S), np.searchsorted(at_s, at_s + _WINDOW_S)

    def sums(x: F64) -> F64:
        total = np.cumsum(np.concatenate([np.zeros_like(x[:, :1]), x], axis=1), axis=1)
        return np.asarray(total[:, high] - total[:, low])

    w = weight[..., None]
    return np.asarray(sums(w * values) / np.maximum(sums(w), 1e-12))


def _without_places(weight: F64, jacobian: F64, moving: F64, distance: F64) -> tuple[F64, F64]:
    """Return normal equations (M, G, V, V) and (M, G, V) of the clocks after eliminating the point positions."""
    N = np.einsum("vmgj,vmgjac,vmgjad->mgjcd", weight, jacobian, jacobian, optimize=True)
    size = np.trace(N, axis1=-2, axis2=-1)
    several = (weight > 0).sum(0) >= 2
    N = np.where(several[..., None, None], N + 1e-9 * size[..., None, None] * np.eye(3), np.eye(3))
    inverse = np.linalg.inv(N)
    own = np.einsum("vmgjac,vmgja->mgjvc", jacobian, weight[..., None] * moving)
    common = np.einsum("vmgjac,vmgja->mgjc", jacobian, weight[..., None] * distance)
    own, common = own * several[..., None, None], common * several[..., None]
    through = own @ inverse  # (M, G, J, V, 3)
    alone = np.moveaxis(weight * (moving**2).sum(-1), 0, -1) * several[..., None]
    right = np.moveaxis(weight * (moving * distance).sum(-1), 0, -1) * several[..., None]
    H = alone.sum(2)[..., None] * np.eye(len(weight)) - (through @ np.swapaxes(own, -1, -2)).sum(2)
    return H, (right - (through @ common[..., None])[..., 0]).sum(2)
