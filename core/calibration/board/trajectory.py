"""The board's way through time: poses at knots, smooth in between.

Cameras that are not in step see a moving board in different places. With the board's pose as a function of time, each
image is compared with where the board was when that image was taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry.so3 import exp, log, right_jacobian, right_jacobian_inverse
from core.types.arrays import F64, I64

SPAN = 4  # knots that a pose depends on
BREAK_S = 0.5  # a longer gap between frames tells nothing of the motion in between


@dataclass(slots=True, kw_only=True, eq=False)
class Trajectory:
    """Poses of the board (board to world) at knots.

    Attributes:
        time_s: (K,) of the knots, increasing.
        piece: (K,) number of the stretch that a knot belongs to; nothing is interpolated between stretches.
        R: (K, 3, 3) board to world.
        t_mm: (K, 3).
    """

    time_s: F64
    piece: I64
    R: F64
    t_mm: F64

    def __len__(self) -> int:
        return len(self.time_s)

    def moved(self, step: F64) -> Trajectory:
        """Turned and shifted by (K, 6): right rotation vectors, mm."""
        return Trajectory(
            time_s=self.time_s, piece=self.piece, R=self.R @ exp(step[:, :3]), t_mm=self.t_mm + step[:, 3:]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blend:
    """How poses at given times depend on the knots.

    Attributes:
        first: (P,) first of the four knots.
        weight: (P, 4) of the knots; sum 1.
        rate: (P, 4) derivative of the weights by time, 1/s.
        inside: (P,) whether the time lies on a stretch at all.
    """

    first: I64
    weight: F64
    rate: F64
    inside: np.ndarray


def knots(time_s: F64, period_s: float) -> tuple[F64, I64]:
    """Times and stretches of knots for a board seen at (M,) increasing times, one more at both ends of a stretch."""
    begins = np.diff(time_s, prepend=-np.inf) > BREAK_S
    piece = np.cumsum(begins) - 1
    pad = np.clip(period_s, 0.02, BREAK_S / 2)
    ends = np.append(begins[1:], True)
    # Where the board was out of sight for a while, or an image was late, its way bends as freely as elsewhere.
    gap = np.diff(time_s)
    more = np.where(begins[1:], 0, np.maximum(np.ceil(gap / pad - 0.25).astype(int) - 1, 0))
    share = (np.arange(more.sum()) - np.repeat(np.cumsum(more) - more, more) + 1) / np.repeat(more + 1, more)
    between = np.repeat(time_s[:-1], more) + share * np.repeat(gap, more)
    times = np.concatenate([time_s[begins] - pad, time_s, between, time_s[ends] + pad])
    pieces = np.concatenate([piece[begins], piece, np.repeat(piece[:-1], more), piece[ends]])
    order = np.lexsort((times, pieces))
    return times[order], pieces[order]


def blend(time_s: F64, piece: I64, at_s: F64) -> Blend:
    """Cubic Hermite weights (Catmull-Rom for uneven steps) of poses at (P,) times, on knots from `knots`."""
    n = len(time_s)
    k = np.clip(np.searchsorted(time_s, at_s, side="right") - 1, 0, n - 2)
    # Between two stretches the nearer one is meant.
    across = piece[k] != piece[k + 1]
    nearer = np.where(at_s - time_s[k] <= time_s[k + 1] - at_s, k - 1, k + 1)
    k = np.clip(np.where(across, nearer, k), 0, n - 2)
    step = time_s[k + 1] - time_s[k]
    u = (at_s - time_s[k]) / step
    inside = (u >= -0.5) & (u <= 1.5) & (piece[k] == piece[k + 1])
    u = np.clip(u, -0.5, 1.5)
    has_before = (k > 0) & (piece[np.maximum(k - 1, 0)] == piece[k])
    has_after = (k + 2 < n) & (piece[np.minimum(k + 2, n - 1)] == piece[k])
    before = np.where(has_before, time_s[k] - time_s[np.maximum(k - 1, 0)], step)
    after = np.where(has_after, time_s[np.minimum(k + 2, n - 1)] - time_s[k + 1], step)
    start = _tangent(before, step, has_before, 0)
    end = _tangent(step, after, has_after, 1)
    basis, slope = _hermite(u)
    ends = np.zeros((len(u), SPAN))
    weight, rate = ends.copy(), ends.copy()
    for table, value, scale in ((weight, basis, 1.0), (rate, slope, 1 / step)):
        table[:, 1] += value[0] * scale
        table[:, 2] += value[2] * scale
        table += (value[1] * step * scale)[:, None] * start + (value[3] * step * scale)[:, None] * end
    first = k - 1
    # Knots that do not exist have weight 0; the four must lie in the table all the same.
    shift = np.clip(first, 0, max(n - SPAN, 0)) - first
    for s in np.unique(shift[shift != 0]):
        rows = shift == s
        weight[rows], rate[rows] = np.roll(weight[rows], -s, axis=1), np.roll(rate[rows], -s, axis=1)
    return Blend(first=first + shift, weight=weight, rate=rate, inside=inside)


def _tangent(before: F64, after: F64, whole: np.ndarray, knot: int) -> F64:
    """(P, 4) weights of the slope at the span's first (0) or second (1) inner knot: that of the parabola through three.

    Where the neighbour beyond is missing the slope is that of the span.
    """
    out = np.zeros((len(before), SPAN))
    both = before + after
    # Slopes of the two chords, each weighted with the other's length.
    left, right = after / both / before, before / both / after
    out[:, knot] -= left
    out[:, knot + 1] += left - right
    out[:, knot + 2] += right
    span = np.zeros((len(before), SPAN))
    length = after if knot == 0 else before
    span[:, 1], span[:, 2] = -1 / length, 1 / length
    return np.where(whole[:, None], out, span)


def _hermite(u: F64) -> tuple[tuple[F64, ...], tuple[F64, ...]]:
    """Values and slopes of the four cubic Hermite polynomials: start, start's tangent, end, end's tangent."""
    u2, u3 = u * u, u * u * u
    values = (2 * u3 - 3 * u2 + 1, u3 - 2 * u2 + u, 3 * u2 - 2 * u3, u3 - u2)
    slopes = (6 * u2 - 6 * u, 3 * u2 - 4 * u + 1, 6 * u - 6 * u2, 3 * u2 - 2 * u)
    return values, slopes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Poses:
    """Poses at given times and how they change with the knots and with time.

    Attributes:
        R: (P, 3, 3) board to world.
        t_mm: (P, 3).
        by_knots: (P, 6, 24) derivative of (right rotation vector, mm) by those of the four knots.
        by_time: (P, 6) derivative by time, 1/s.
    """

    R: F64
    t_mm: F64
    by_knots: F64
    by_time: F64


def poses_at(trajectory: Trajectory, mix: Blend, *, derivatives: bool = True) -> Poses:
    """Poses of a trajectory at the times that a blend was made for; their derivatives are 0 if not wanted.

    Positions are blended as they are, rotations in the tangent space of the heaviest knot.
    """
    index = mix.first[:, None] + np.arange(SPAN)
    index = np.minimum(index, len(trajectory) - 1)
    R, t = trajectory.R[index], trajectory.t_mm[index]
    # The middle is the heaviest knot, so that the tangent space is that of a pose nearby.
    middle = np.argmax(mix.weight, axis=1)
    base = R[np.arange(len(R)), middle]
    bends = log(np.swapaxes(base, -1, -2)[:, None] @ R)
    bends[mix.weight == 0] = 0
    bend = (mix.weight[..., None] * bends).sum(1)
    turn = exp(bend)
    by_knots, by_time = np.zeros((len(R), 6, SPAN, 6)), np.zeros((len(R), 6))
    position = (mix.weight[..., None] * t).sum(1)
    if not derivatives:
        return Poses(R=base @ turn, t_mm=position, by_knots=by_knots.reshape(len(R), 6, SPAN * 6), by_time=by_time)
    jacobian = right_jacobian(bend)
    own = jacobian[:, None] @ (mix.weight[..., None, None] * right_jacobian_inverse(bends))
    by_knots[:, :3, :, :3] = np.moveaxis(own, 1, 2)
    others = (mix.weight[..., None, None] * right_jacobian_inverse(-bends)).sum(1)
    rows = np.arange(len(R))
    mine = mix.weight[rows, middle][:, None, None] * np.eye(3)
    # The base itself has bend 0, but turns the tangent space of all others.
    by_knots[rows, :3, middle, :3] = np.swapaxes(turn, -1, -2) - jacobian @ (others - mine)
    by_knots[:, 3:, :, 3:] = np.moveaxis(mix.weight[..., None, None] * np.eye(3), 1, 2)
    by_time = np.concatenate(
        [
            (jacobian @ (mix.rate[..., None] * bends).sum(1)[..., None])[..., 0],
            (mix.rate[..., None] * t).sum(1),
        ],
        -1,
    )
    return Poses(
        R=base @ turn,
        t_mm=position,
        by_knots=by_knots.reshape(len(R), 6, SPAN * 6),
        by_time=by_time,
    )
