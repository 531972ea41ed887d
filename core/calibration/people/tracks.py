"""People followed through the images of one camera, and where their joints are at any time between two images.

Joints are read off a parabola that is fitted to a tenth of a second on either side. It gives the velocity, which the
camera's time offset needs, and noise that does not depend on where between two images a frame falls: joints interpolated
half way would be less noisy, and time offsets of half an image would seem to fit best.

Legend: T image, P detection, K track, J joint, M frame, G person, W image of a window.
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

_GAP_S, _MOST_GAP = 0.35, 12  # longest pause that is bridged, seconds and images
_NEAR, _FASTEST = 0.045, 1.3  # of a person's size that joints seem to move by noise, and move in a second at most
_CLOSE = 0.25  # of a person's size at which two people can no longer be told apart
_RATIO = 1.6  # the next best continuation must be this much further away
_LEAST_COMMON = 4  # joints that two detections must share
_LEAST_S = 0.4
_MOST_TRACKS = 60
_LEAST_SCORE = 0.2
_REACH_S, _REACH_IMAGES = 0.09, 2.6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampled:
    """Joints at frames.

    Attributes:
        xy: (M, G, J, 2) on the ideal image plane; NaN where not known.
        velocity: (M, G, J, 2) per second.
        information: (M, G, J) inverse variance, in units of a single detection with score 1; 0 where not known.
    """

    xy: F64
    velocity: F64
    information: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks:
    """People in one camera, each followed for as long as it is certain who is who.

    Attributes:
        focal_px: Mean focal length.
        time_s: (T,) recorded times of the images, increasing.
        xy: (T, K, J, 2) on the ideal image plane, NaN where not seen.
        score: (T, K, J), 0 where not seen.
    """

    focal_px: float
    time_s: F64
    xy: F64
    score: F64

    @property
    def count(self) -> int:
        """K."""
        return int(self.xy.shape[1])

    @property
    def span_s(self) -> F64:
        """(K, 2) recorded times of the first and last image of each track."""
        seen = np.asarray((self.score > 0).any(-1))
        first, last = seen.argmax(0), len(seen) - 1 - seen[::-1].argmax(0)
        return np.stack([self.time_s[first], self.time_s[last]], -1)

    @property
    def reach_s(self) -> float:
        """How far on either side of a frame images count."""
        step = float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else _REACH_S
        return max(_REACH_S, _REACH_IMAGES * step)

    def sample(self, at_s: F64, track: I64) -> Sampled:
        """Joints at recorded times.

        Args:
            at_s: (M,) in the camera's own recorded time.
            track: (M, G) number of the track to read, -1 for none.
        """
        M, G = track.shape
        J = self.xy.shape[2]
        if not len(self.time_s) or not self.count:
            nothing = np.full((M, G, J, 2), np.nan)
            return Sampled(xy=nothing, velocity=nothing.copy(), information=np.zeros((M, G, J)))
        reach = self.reach_s
        begin, end = np.searchsorted(self.time_s, at_s - reach), np.searchsorted(self.time_s, at_s + reach)
        width = max(int((end - begin).max(initial=1)), 1)
        row = begin[:, None] + np.arange(width)  # (M, W)
        inside = row < end[:, None]
        row = np.minimum(row, len(self.time_s) - 1)
        away = np.where(inside, self.time_s[row] - at_s[:, None], reach) / reach  # in -1..1
        xy = self.xy[row[:, :, None], track[:, None]]  # (M, W, G, J, 2)
        sure = self.score[row[:, :, None], track[:, None]] ** 2
        kernel = np.clip(1 - away**2, 0, None) ** 2
        known = np.isfinite(xy[..., 0]) & (track >= 0)[:, None, :, None]
        precision = np.where(known, sure, 0.0)
        weight = precision * kernel[:, :, None, None]
        value, slope, information = _parabola(away, np.where(known[..., None], xy, 0.0), weight, precision)
        # A parabola must not be read off beyond its images.
        near = (weight > 0) & (np.abs(away) < 0.6)[:, :, None, None]
        good = near.any(1) & (information > 0.05)
        return Sampled(
            xy=np.where(good[..., None], value, np.nan),
            velocity=np.where(good[..., None], slope / reach, 0.0),
            information=np.where(good, information, 0.0),
        )


def _parabola(away: F64, xy: F64, weight: F64, precision: F64) -> tuple[F64, F64, F64]:
    """Weighted local quadratic regression at 0: value, slope and inverse variance of the value.

    Fan and Gijbels, Local Polynomial Modelling and Its Applications, 1996, section 3.2.

    Args:
        away: (M, W) scaled times.
        xy: (M, W, G, J, 2), anything where the weight is 0.
        weight: (M, W, G, J) kernel times precision.
        precision: (M, W, G, J) inverse variances.
    """
    M, W = weight.shape[:2]
    powers = np.swapaxes(away[..., None] ** np.arange(5), 1, 2)  # (M, 5, W)

    def frames(values: F64, order: int) -> F64:
        """(order, M, ...) sums over the window with rising powers of time."""
        total = powers[:, :order] @ values.reshape(M, W, -1)
        return np.moveaxis(total.reshape(M, order, *values.shape[2:]), 1, 0)

    m0, m1, m2, m3, m4 = frames(weight, 5)
    # Cofactors of the Hankel matrix of frames.
    c00, c01, c02 = m2 * m4 - m3**2, m2 * m3 - m1 * m4, m1 * m3 - m2**2
    c11, c12 = m0 * m4 - m2**2, m1 * m2 - m0 * m3
    determinant = m0 * c00 + m1 * c01 + m2 * c02
    good = determinant > 1e-5 * np.maximum(m0, 1e-12) ** 3
    inverse = 1 / np.where(good, determinant, 1.0)
    r = frames(weight[..., None] * xy, 3)
    value = (inverse * c00)[..., None] * r[0] + (inverse * c01)[..., None] * r[1] + (inverse * c02)[..., None] * r[2]
    slope = (inverse * c01)[..., None] * r[0] + (inverse * c11)[..., None] * r[1] + (inverse * c12)[..., None] * r[2]
    noise = np.divide(weight**2, precision, out=np.zeros_like(weight), where=precision > 0)
    n0, n1, n2, n3, n4 = frames(noise, 5)
    variance = c00**2 * n0 + 2 * c00 * c01 * n1 + (2 * c00 * c02 + c01**2) * n2 + 2 * c01 * c02 * n3 + c02**2 * n4
    information = np.where(good, 1 / np.maximum(inverse**2 * variance, 1e-12), 0.0)
    return value, slope, information


def follow(camera: Camera, poses: Pose2D, time_s: F64, chosen: np.ndarray | None = None) -> Tracks:
    """Follows the people of one camera by continuity alone; where it is unclear who is who, a track ends.

    Args:
        camera: Its lens; a pose is not needed.
        poses: Detections, P in any order.
        time_s: (T,) recorded time of each image, NaN where there is none.
        chosen: (T,) bool, images to use; all when None.
    """
    use = np.isfinite(time_s) if chosen is None else np.isfinite(time_s) & chosen
    rows = np.flatnonzero(use)
    rows = rows[np.argsort(np.asarray(time_s)[rows], kind="stable")]
    time = np.asarray(time_s, float)[rows]
    score = np.where(np.asarray(poses.score[rows]) >= _LEAST_SCORE, poses.score[rows], 0.0).astype(float)
    busy = (score > 0).any((0, 2))
    xy, score = np.asarray(poses.xy_px[rows], float)[:, busy], score[:, busy]
    label = _label(xy, score > 0, time)
    ids, first, count = np.unique(label[label >= 0], return_index=True, return_counts=True)
    del first
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    long_enough = ids[count * step >= _LEAST_S]
    most = count[count * step >= _LEAST_S].argsort()[::-1][:_MOST_TRACKS]
    kept = np.sort(long_enough[most])
    shape = (len(rows), len(kept), len(poses.skeleton))
    out, sure = np.full((*shape, 2), np.nan), np.zeros(shape)
    t, p = np.nonzero(np.isin(label, kept))
    k = np.searchsorted(kept, label[t, p])
    out[t, k], sure[t, k] = undistort(camera, xy[t, p]), score[t, p]
    sure[~np.isfinite(out[..., 0])] = 0.0
    out[sure <= 0] = np.nan
    return Tracks(focal_px=float(camera.K[0, 0] + camera.K[1, 1]) / 2, time_s=time, xy=out, score=sure)


def _label(xy: F64, seen: np.ndarray, time_s: F64) -> I64:
    """(T, P) number of the track of each detection, -1 where there is none."""
    T, P = seen.shape[:2]
    present = seen.any(-1)
    known = np.where(seen[..., None], xy, np.nan)
    size = _size(known, seen)
    clear = present & _clear(known, seen, size)
    free_after, free_before = clear.copy(), clear.copy()
    links: list[tuple[I64, I64]] = []
    number = np.arange(T * P).reshape(T, P)
    for gap in range(1, min(_MOST_GAP, T - 1) + 1):
        if not P:
            break
        cost = _cost(known[:-gap], known[gap:], seen[:-gap], seen[gap:], size[:-gap])
        pause_s = time_s[gap:] - time_s[:-gap]
        limit = _NEAR + _FASTEST * pause_s[:, None]
        cost[pause_s > _GAP_S] = np.inf
        best, back = cost.argmin(2), cost.argmin(1)  # (T - gap, P) of the later and of the earlier image
        nearest = np.take_along_axis(cost, best[..., None], 2)[..., 0]
        rows = np.arange(T - gap)[:, None]
        fits = (nearest <= limit) & (back[rows, best] == np.arange(P))
        fits &= _alone(cost, 2) & np.take_along_axis(_alone(cost, 1), best, 1)
        fits &= free_after[:-gap] & np.take_along_axis(free_before[gap:], best, 1)
        t, p = np.nonzero(fits)
        q = best[t, p]
        free_after[t, p], free_before[t + gap, q] = False, False
        links.append((number[t, p], number[t + gap, q]))
    a, b = (np.concatenate([pair[i] for pair in links]) if links else np.zeros(0, np.int64) for i in (0, 1))
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(T * P, T * P))
    _, component = connected_components(graph, directed=False)
    return np.where(present, component.reshape(T, P), -1)


def _size(known: F64, seen: np.ndarray) -> F64:
    """(T, P) diagonal of the box around the joints; 1 where there are none."""
    low = np.where(seen[..., None], known, np.inf).min(2)
    high = np.where(seen[..., None], known, -np.inf).max(2)
    some = np.asarray(seen.any(-1))
    return np.asarray(np.maximum(np.linalg.norm(np.where(some[..., None], high - low, 1.0), axis=-1), 1.0))


def _cost(before: F64, after: F64, seen_before: np.ndarray, seen_after: np.ndarray, size: F64) -> F64:
    """(T, P, P) mean distance of common joints as a share of the person's size; infinite with too few."""
    common = seen_before[:, :, None] & seen_after[:, None]
    apart = np.linalg.norm(before[:, :, None] - after[:, None], axis=-1)
    count = common.sum(-1)
    mean = np.where(common, apart, 0.0).sum(-1) / np.maximum(count, 1)
    return np.asarray(np.where(count >= _LEAST_COMMON, mean / size[:, :, None], np.inf))


def _clear(known: F64, seen: np.ndarray, size: F64) -> np.ndarray:
    """(T, P) whether nobody else is so close that the two could be exchanged, one of them being missed now and then."""
    between = _cost(known, known, seen, seen, size)
    between[:, np.arange(seen.shape[1]), np.arange(seen.shape[1])] = np.inf
    return np.asarray(between.min(2, initial=np.inf) > _CLOSE)


def _alone(cost: F64, axis: int) -> np.ndarray:
    """Whether the nearest along an axis is clearly nearer than the second nearest."""
    if cost.shape[axis] < 2:
        return np.ones(np.delete(cost.shape, axis), bool)
    two = np.partition(cost, 1, axis=axis)
    return np.asarray(np.take(two, 1, axis) > _RATIO * np.take(two, 0, axis))
