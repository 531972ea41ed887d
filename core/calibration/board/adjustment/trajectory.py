"""Continuous-time trajectory of the board: poses at knots with cubic interpolation between them.

Unsynchronised cameras see a moving board in different positions. With the board's pose as a function of time, each
image is compared with the pose at its true time (Furgale et al., Unified temporal and spatial calibration for
multi-sensor systems, 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry.so3 import exp, log, retract_right, right_jacobian, right_jacobian_inverse
from core.types.arrays import F64, I64

SPAN = 4
"""Number of knots on which a pose depends."""
BREAK_S = 0.5
"""Gap between frames in s beyond which motion is not interpolated."""
_SHORTEST_PAD_S = 0.02  # smallest distance of the additional knots at both ends of a segment
_EXTRAPOLATION = 0.5  # of a knot interval, limit of extrapolation
_FULL_STEP = 0.25  # of a period, excess of a gap from which another knot is inserted


@dataclass(slots=True, kw_only=True, eq=False)
class Trajectory:
    """Board poses (board to world) at knots.

    Attributes:
        time_s: (K,) times of the knots, increasing.
        segment: (K,) segment of each knot; there is no interpolation between segments.
        R: (K, 3, 3) board to world rotations.
        t_mm: (K, 3) board to world translations.
    """

    time_s: F64
    segment: I64
    R: F64
    t_mm: F64

    def __len__(self) -> int:
        return len(self.time_s)

    def retract(self, step: F64) -> Trajectory:
        """Return the trajectory updated by a step (K, 6): right rotation vectors, and translations in mm."""
        R, t_mm = retract_right(self.R, self.t_mm, step)
        return Trajectory(time_s=self.time_s, segment=self.segment, R=R, t_mm=t_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interpolation:
    """Weights of the knots in poses at given times.

    Attributes:
        first: (P,) first of four consecutive knots.
        weight: (P, 4) weights of the knots, with sum 1.
        rate: (P, 4) derivatives of the weights by time, 1/s.
        inside: (P,) mask of times within a segment.
    """

    first: I64
    weight: F64
    rate: F64
    inside: np.ndarray


def place_knots(time_s: F64, period_s: float) -> tuple[F64, I64]:
    """Place knots for observations at increasing times (M,), with an additional one at both ends of each segment.

    Returns:
        (K,) times and segments of the knots.
    """
    begins = np.diff(time_s, prepend=-np.inf) > BREAK_S
    segment = np.cumsum(begins) - 1
    pad = np.clip(period_s, _SHORTEST_PAD_S, BREAK_S / 2)
    ends = np.append(begins[1:], True)
    # Gaps within a segment get knots at the usual spacing, so that the prior is equally strong there.
    gap = np.diff(time_s)
    more = np.where(begins[1:], 0, np.maximum(np.ceil(gap / pad - _FULL_STEP).astype(int) - 1, 0))
    share = (np.arange(more.sum()) - np.repeat(np.cumsum(more) - more, more) + 1) / np.repeat(more + 1, more)
    between = np.repeat(time_s[:-1], more) + share * np.repeat(gap, more)
    times = np.concatenate([time_s[begins] - pad, time_s, between, time_s[ends] + pad])
    segments = np.concatenate([segment[begins], segment, np.repeat(segment[:-1], more), segment[ends]])
    order = np.lexsort((times, segments))
    return times[order], segments[order]


def interpolate(time_s: F64, segment: I64, at_s: F64) -> Interpolation:
    """Return cubic Hermite weights (non-uniform Catmull-Rom) of poses at times (P,) on knots (K,)."""
    n = len(time_s)
    k = np.clip(np.searchsorted(time_s, at_s, side="right") - 1, 0, n - 2)
    # Times between segments belong to the nearer one.
    across = segment[k] != segment[k + 1]
    nearer = np.where(at_s - time_s[k] <= time_s[k + 1] - at_s, k - 1, k + 1)
    k = np.clip(np.where(across, nearer, k), 0, n - 2)
    step = time_s[k + 1] - time_s[k]
    u = (at_s - time_s[k]) / step
    inside = (u >= -_EXTRAPOLATION) & (u <= 1 + _EXTRAPOLATION) & (segment[k] == segment[k + 1])
    u = np.clip(u, -_EXTRAPOLATION, 1 + _EXTRAPOLATION)
    has_before = (k > 0) & (segment[np.maximum(k - 1, 0)] == segment[k])
    has_after = (k + 2 < n) & (segment[np.minimum(k + 2, n - 1)] == segment[k])
    before = np.where(has_before, time_s[k] - time_s[np.maximum(k - 1, 0)], step)
    after = np.where(has_after, time_s[np.minimum(k + 2, n - 1)] - time_s[k + 1], step)
    start = _tangent(before, step, has_before, 0)
    end = _tangent(step, after, has_after, 1)
    basis, slope = _hermite(u)
    weight, rate = np.zeros((len(u), SPAN)), np.zeros((len(u), SPAN))
    for table, value, scale in ((weight, basis, 1.0), (rate, slope, 1 / step)):
        table[:, 1] += value[0] * scale
        table[:, 2] += value[2] * scale
        table += (value[1] * step * scale)[:, None] * start + (value[3] * step * scale)[:, None] * end
    first = k - 1
    # Missing knots have weight 0, but all four indices must be valid.
    shift = np.clip(first, 0, max(n - SPAN, 0)) - first
    for s in np.unique(shift[shift != 0]):
        rows = shift == s
        weight[rows], rate[rows] = np.roll(weight[rows], -s, axis=1), np.roll(rate[rows], -s, axis=1)
    return Interpolation(first=first + shift, weight=weight, rate=rate, inside=inside)


def _tangent(before: F64, after: F64, has_neighbour: np.ndarray, knot: int) -> F64:
    """Return the weights (P, 4) of the slope at the first (0) or second (1) inner knot, by a parabola through 3 knots.

    Without the outer neighbour the slope is that of the chord.
    """
    out = np.zeros((len(before), SPAN))
    both = before + after
    # Slopes of the two chords, each weighted by the length of the other.
    left, right = after / both / before, before / both / after
    out[:, knot] -= left
    out[:, knot + 1] += left - right
    out[:, knot + 2] += right
    chord = np.zeros((len(before), SPAN))
    length = after if knot == 0 else before
    chord[:, 1], chord[:, 2] = -1 / length, 1 / length
    return np.where(has_neighbour[:, None], out, chord)


def _hermite(u: F64) -> tuple[tuple[F64, ...], tuple[F64, ...]]:
    """Return values and slopes of the cubic Hermite polynomials: start, start's tangent, end, end's tangent."""
    u2, u3 = u * u, u * u * u
    values = (2 * u3 - 3 * u2 + 1, u3 - 2 * u2 + u, 3 * u2 - 2 * u3, u3 - u2)
    slopes = (6 * u2 - 6 * u, 3 * u2 - 4 * u + 1, 6 * u - 6 * u2, 3 * u2 - 2 * u)
    return values, slopes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InterpolatedPoses:
    """Poses at given times with their derivatives.

    Attributes:
        R: (P, 3, 3) board to world rotations.
        t_mm: (P, 3) board to world translations.
        by_knots: (P, 6, 24) derivatives of (right rotation vector, mm) by those of the four knots.
        by_time: (P, 6) derivatives by time, 1/s.
    """

    R: F64
    t_mm: F64
    by_knots: F64
    by_time: F64


def poses_at(trajectory: Trajectory, at: Interpolation, *, derivatives: bool = True) -> InterpolatedPoses:
    """Interpolate poses; without `derivatives` these are 0.

    Translations are interpolated linearly in the weights, rotations in the tangent space of the heaviest knot.
    """
    index = at.first[:, None] + np.arange(SPAN)
    index = np.minimum(index, len(trajectory) - 1)
    R, t = trajectory.R[index], trajectory.t_mm[index]
    heaviest = np.argmax(at.weight, axis=1)
    base = R[np.arange(len(R)), heaviest]
    tangents = log(np.swapaxes(base, -1, -2)[:, None] @ R)
    tangents[at.weight == 0] = 0
    tangent = (at.weight[..., None] * tangents).sum(1)
    rotation = exp(tangent)
    by_knots, by_time = np.zeros((len(R), 6, SPAN, 6)), np.zeros((len(R), 6))
    translation = (at.weight[..., None] * t).sum(1)
    if derivatives:
        jacobian = right_jacobian(tangent)
        by_own = jacobian[:, None] @ (at.weight[..., None, None] * right_jacobian_inverse(tangents))
        by_knots[:, :3, :, :3] = np.moveaxis(by_own, 1, 2)
        # The base has tangent 0, but rotating it moves the tangent space of all others.
        rows = np.arange(len(R))
        by_base = (at.weight[..., None, None] * right_jacobian_inverse(-tangents)).sum(1)
        own = at.weight[rows, heaviest][:, None, None] * np.eye(3)
        by_knots[rows, :3, heaviest, :3] = np.swapaxes(rotation, -1, -2) - jacobian @ (by_base - own)
        by_knots[:, 3:, :, 3:] = np.moveaxis(at.weight[..., None, None] * np.eye(3), 1, 2)
        by_time[:, :3] = (jacobian @ (at.rate[..., None] * tangents).sum(1)[..., None])[..., 0]
        by_time[:, 3:] = (at.rate[..., None] * t).sum(1)
    return InterpolatedPoses(
        R=base @ rotation, t_mm=translation, by_knots=by_knots.reshape(len(R), 6, SPAN * 6), by_time=by_time
    )
