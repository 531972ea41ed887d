"""Tracks of people within one camera, and interpolation of their joints.

Joints are evaluated by a local quadratic fit to a tenth of a second before and after. It gives the velocity, which the
time offset needs, and noise that does not depend on the position between two images. The noise of linear interpolation
is lowest half way between images, which would favour time offsets of half an image.

Legend: T image, P detection, K track, J joint, M frame, G person, W image within a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.geometry import undistort
from core.types.arrays import F64, I64
from core.types.camera import Camera
from core.types.pose2d import Pose2D

_MAX_GAP_S, _MAX_GAP_IMAGES = 0.35, 12  # longest gap that a track bridges
# Largest distance of two detections relative to the person's size: noise, plus motion per second.
_NOISE_SHARE, _SPEED_SHARE = 0.045, 1.3
_MIN_SEPARATION = 0.25  # relative to a person's size, below which two people are ambiguous
_RATIO = 1.6  # the second-best link must be this much farther
_MIN_COMMON_JOINTS = 4
_MIN_TRACK_S = 0.4
_MAX_TRACKS = 60
_MIN_SCORE = 0.2
_REACH_S, _REACH_IMAGES = 0.09, 2.6  # half width of the window of the fit, whichever is longer
_INNER_REACH = 0.6  # fraction of the half width within which there must be an image, to avoid extrapolation
_MIN_INFORMATION = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledJoints:
    """Joints of tracks at given times.

    Attributes:
        xy: (M, G, J, 2) ideal image-plane coordinates; NaN where missing.
        velocity: (M, G, J, 2) per second.
        information: (M, G, J) inverse variance in units of a single detection with score 1; 0 where missing.
    """

    xy: F64
    velocity: F64
    information: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks:
    """Tracks of the people in one camera, which end where identity is ambiguous.

    Attributes:
        focal_px: Mean focal length.
        time_s: (T,) recorded times of the images, increasing.
        xy: (T, K, J, 2) ideal image-plane coordinates, NaN where missing.
        score: (T, K, J) confidences, 0 where missing.
    """

    focal_px: float
    time_s: F64
    xy: F64
    score: F64

    @property
    def count(self) -> int:
        """Number of tracks K."""
        return int(self.xy.shape[1])

    @property
    def span_s(self) -> F64:
        """Recorded times (K, 2) of the first and last image of each track."""
        seen = np.asarray((self.score > 0).any(-1))
        first, last = seen.argmax(0), len(seen) - 1 - seen[::-1].argmax(0)
        return np.stack([self.time_s[first], self.time_s[last]], -1)

    @property
    def reach_s(self) -> float:
        """Half width in s of the window of images that contribute to a time."""
        step = float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else _REACH_S
        return max(_REACH_S, _REACH_IMAGES * step)

    def sample(self, at_s: F64, track: I64) -> SampledJoints:
        """Evaluate joints at recorded times.

        Args:
            at_s: (M,) recorded times of this camera.
            track: (M, G) index of the track, -1 for none.
        """
        M, G = track.shape
        J = self.xy.shape[2]
        if not len(self.time_s) or not self.count:
            missing = np.full((M, G, J, 2), np.nan)
            return SampledJoints(xy=missing, velocity=missing.copy(), information=np.zeros((M, G, J)))
        reach = self.reach_s
        begin, end = np.searchsorted(self.time_s, at_s - reach), np.searchsorted(self.time_s, at_s + reach)
        width = max(int((end - begin).max(initial=1)), 1)
        row = begin[:, None] + np.arange(width)  # (M, W)
        inside = row < end[:, None]
        row = np.minimum(row, len(self.time_s) - 1)
        offset = np.where(inside, self.time_s[row] - at_s[:, None], reach) / reach  # in -1..1
        xy = self.xy[row[:, :, None], track[:, None]]  # (M, W, G, J, 2)
        inverse_variance = self.score[row[:, :, None], track[:, None]] ** 2
        kernel = np.clip(1 - offset**2, 0, None) ** 2
        known = np.isfinite(xy[..., 0]) & (track >= 0)[:, None, :, None]
        precision = np.where(known, inverse_variance, 0.0)
        weight = precision * kernel[:, :, None, None]
        value, slope, information = _local_quadratic(offset, np.where(known[..., None], xy, 0.0), weight, precision)
        # No extrapolation of the fit.
        near = (weight > 0) & (np.abs(offset) < _INNER_REACH)[:, :, None, None]
        good = near.any(1) & (information > _MIN_INFORMATION)
        return SampledJoints(
            xy=np.where(good[..., None], value, np.nan),
            velocity=np.where(good[..., None], slope / reach, 0.0),
            information=np.where(good, information, 0.0),
        )


def _local_quadratic(offset: F64, xy: F64, weight: F64, precision: F64) -> tuple[F64, F64, F64]:
    """Return value, slope and inverse variance at 0 of a weighted local quadratic regression.

    Fan and Gijbels, Local Polynomial Modelling and Its Applications, 1996, section 3.2.

    Args:
        offset: (M, W) scaled times.
        xy: (M, W, G, J, 2), arbitrary where the weight is 0.
        weight: (M, W, G, J) kernel times precision.
        precision: (M, W, G, J) inverse variances.
    """
    M, W = weight.shape[:2]
    powers = np.swapaxes(offset[..., None] ** np.arange(5), 1, 2)  # (M, 5, W)

    def moments(values: F64, order: int) -> F64:
        """Return the moments (order, M, ...) over the window, in rising powers of time."""
        total = powers[:, :order] @ values.reshape(M, W, -1)
        return np.moveaxis(total.reshape(M, order, *values.shape[2:]), 1, 0)

    m0, m1, m2, m3, m4 = moments(weight, 5)
    # Cofactors of the Hankel matrix of moments.
    c00, c01, c02 = m2 * m4 - m3**2, m2 * m3 - m1 * m4, m1 * m3 - m2**2
    c11, c12 = m0 * m4 - m2**2, m1 * m2 - m0 * m3
    determinant = m0 * c00 + m1 * c01 + m2 * c02
    good = determinant > 1e-5 * np.maximum(m0, 1e-12) ** 3
    inverse = 1 / np.where(good, determinant, 1.0)
    r = moments(weight[..., None] * xy, 3)
    value = (inverse * c00)[..., None] * r[0] + (inverse * c01)[..., None] * r[1] + (inverse * c02)[..., None] * r[2]
    slope = (inverse * c01)[..., None] * r[0] + (inverse * c11)[..., None] * r[1] + (inverse * c12)[..., None] * r[2]
    noise = np.divide(weight**2, precision, out=np.zeros_like(weight), where=precision > 0)
    n0, n1, n2, n3, n4 = moments(noise, 5)
    variance = c00**2 * n0 + 2 * c00 * c01 * n1 + (2 * c00 * c02 + c01**2) * n2 + 2 * c01 * c02 * n3 + c02**2 * n4
    information = np.where(good, 1 / np.maximum(inverse**2 * variance, 1e-12), 0.0)
    return value, slope, information


def track_camera(camera: Camera, poses: Pose2D, time_s: F64, chosen: np.ndarray | None = None) -> Tracks:
    """Track the people of one camera by continuity; a track ends where identity becomes ambiguous.

    Args:
        camera: Camera with intrinsics; the pose is not used.
        poses: Detections, P in any order.
        time_s: (T,) recorded time of each image, NaN where missing.
        chosen: (T,) mask of images to use; None for all.
    """
    use = np.isfinite(time_s) if chosen is None else np.isfinite(time_s) & chosen
    rows = np.flatnonzero(use)
    rows = rows[np.argsort(np.asarray(time_s)[rows], kind="stable")]
    time = np.asarray(time_s, float)[rows]
    score = np.where(np.asarray(poses.score[rows]) >= _MIN_SCORE, poses.score[rows], 0.0).astype(float)
    occupied = (score > 0).any((0, 2))
    xy, score = np.asarray(poses.xy_px[rows], float)[:, occupied], score[:, occupied]
    label = _link_detections(xy, score > 0, time)
    ids, count = np.unique(label[label >= 0], return_counts=True)
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    long_enough = count * step >= _MIN_TRACK_S
    longest = count[long_enough].argsort()[::-1][:_MAX_TRACKS]
    kept = np.sort(ids[long_enough][longest])
    shape = (len(rows), len(kept), len(poses.skeleton))
    out, out_score = np.full((*shape, 2), np.nan), np.zeros(shape)
    t, p = np.nonzero(np.isin(label, kept))
    k = np.searchsorted(kept, label[t, p])
    out[t, k], out_score[t, k] = undistort(camera, xy[t, p]), score[t, p]
    out_score[~np.isfinite(out[..., 0])] = 0.0
    out[out_score <= 0] = np.nan
    return Tracks(focal_px=float(camera.K[0, 0] + camera.K[1, 1]) / 2, time_s=time, xy=out, score=out_score)


def _link_detections(xy: F64, seen: np.ndarray, time_s: F64) -> I64:
    """Return the track index (T, P) of each detection, -1 where there is no detection.

    Detections of two images are linked if each is the nearest of the other, within the distance of plausible motion and
    clearly nearer than the second-best.
    """
    T, P = seen.shape[:2]
    present = seen.any(-1)
    known = np.where(seen[..., None], xy, np.nan)
    size = _box_diagonal(known, seen)
    isolated = present & _isolated(known, seen, size)
    free_after, free_before = isolated.copy(), isolated.copy()
    links: list[tuple[I64, I64]] = []
    node = np.arange(T * P).reshape(T, P)
    for gap in range(1, min(_MAX_GAP_IMAGES, T - 1) + 1):
        if not P:
            break
        cost = _cost(known[:-gap], known[gap:], seen[:-gap], seen[gap:], size[:-gap])
        gap_s = time_s[gap:] - time_s[:-gap]
        limit = _NOISE_SHARE + _SPEED_SHARE * gap_s[:, None]
        cost[gap_s > _MAX_GAP_S] = np.inf
        best, back = cost.argmin(2), cost.argmin(1)  # (T - gap, P) of the later and of the earlier image
        nearest = np.take_along_axis(cost, best[..., None], 2)[..., 0]
        rows = np.arange(T - gap)[:, None]
        fits = (nearest <= limit) & (back[rows, best] == np.arange(P))
        fits &= _unambiguous(cost, 2) & np.take_along_axis(_unambiguous(cost, 1), best, 1)
        fits &= free_after[:-gap] & np.take_along_axis(free_before[gap:], best, 1)
        t, p = np.nonzero(fits)
        q = best[t, p]
        free_after[t, p], free_before[t + gap, q] = False, False
        links.append((node[t, p], node[t + gap, q]))
    a, b = (np.concatenate([pair[i] for pair in links]) if links else np.zeros(0, np.int64) for i in (0, 1))
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(T * P, T * P))
    _, component = connected_components(graph, directed=False)
    return np.where(present, component.reshape(T, P), -1)


def _box_diagonal(known: F64, seen: np.ndarray) -> F64:
    """Return the diagonal (T, P) of the box around the joints, px; 1 where there are none."""
    low = np.where(seen[..., None], known, np.inf).min(2)
    high = np.where(seen[..., None], known, -np.inf).max(2)
    some = np.asarray(seen.any(-1))
    return np.asarray(np.maximum(np.linalg.norm(np.where(some[..., None], high - low, 1.0), axis=-1), 1.0))


def _cost(before: F64, after: F64, seen_before: np.ndarray, seen_after: np.ndarray, size: F64) -> F64:
    """Return the mean distance (T, P, P) of common joints relative to the person's size; inf with too few joints."""
    common = seen_before[:, :, None] & seen_after[:, None]
    distance = np.linalg.norm(before[:, :, None] - after[:, None], axis=-1)
    count = common.sum(-1)
    mean = np.where(common, distance, 0.0).sum(-1) / np.maximum(count, 1)
    return np.asarray(np.where(count >= _MIN_COMMON_JOINTS, mean / size[:, :, None], np.inf))


def _isolated(known: F64, seen: np.ndarray, size: F64) -> np.ndarray:
    """Return the mask (T, P) of detections too far from all others in the image to be confused with a missed one."""
    between = _cost(known, known, seen, seen, size)
    between[:, np.arange(seen.shape[1]), np.arange(seen.shape[1])] = np.inf
    return np.asarray(between.min(2, initial=np.inf) > _MIN_SEPARATION)


def _unambiguous(cost: F64, axis: int) -> np.ndarray:
    """Return whether the nearest along an axis is clearly nearer than the second-nearest."""
    if cost.shape[axis] < 2:
        return np.ones(np.delete(cost.shape, axis), bool)
    two = np.partition(cost, 1, axis=axis)
    return np.asarray(np.take(two, 1, axis) > _RATIO * np.take(two, 0, axis))
