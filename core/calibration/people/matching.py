"""Who is who in several cameras, and how a camera stands: by epipolar geometry to another one, or by resection.

Legend: V view, M frame, K track, J joint, G person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.people.bundle import CameraPoses, TrackAssignment
from core.calibration.people.tracks import Sampled, Tracks
from core.geometry import essential_matrix, sampson_distance_px
from core.types.arrays import F64, I64

LAGS_S = (0.0, -0.1, 0.1, -0.2, 0.2)
_MOST_PAIRS, _MOST_POINTS = 6, 300
_LEAST_POINTS = 40
_MOST_TRIED = 40  # frames in which a guess is tried out
_LOOSE, _STRICT = 2.0, 1.0  # of the tolerance
_ENOUGH = 0.8  # share that fits with which no other time offset is tried
_STRANGER = 0.15  # share of a track's joints below which nobody seen by the other camera is meant
_AGREE, _AGREE_MERGED = 0.5, 0.4  # share of the most that two tracks could agree
_LEAST_SHARED = 24  # joints that two tracks must share to be compared
_SAME_PERSON_S = 0.15  # for which two tracks of one camera may overlap in one person


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guess:
    """How a camera might stand.

    Attributes:
        R: (3, 3) and
        t_mm: (3,) from the other camera's frame, or the world's.
        time_offset_s: Its time offset, against the other camera's.
        score: Joints that fit, each counting up to 1.
        most: What the score could be if all fitted.
    """

    R: F64
    t_mm: F64
    time_offset_s: float
    score: float
    most: float

    @property
    def share(self) -> float:
        """Of the joints that could fit."""
        return self.score / max(self.most, 1.0)


def all_tracks(tracks: Tracks, at_s: F64) -> Sampled:
    """Every track of a camera at recorded times."""
    return tracks.sample(at_s, np.broadcast_to(np.arange(tracks.count), (len(at_s), tracks.count)))


def _score(distance_px: F64, tolerance_px: float, axes: tuple[int, ...]) -> tuple[F64, F64]:
    """Joints that fit, each up to 1, and joints compared (Torr and Zisserman, MLESAC, 2000, equation 4)."""
    known = np.isfinite(distance_px)
    fit = np.where(known, np.clip(1 - (distance_px / tolerance_px) ** 2, 0, None), 0.0)
    return fit.sum(axes), known.sum(axes).astype(float)


def _best(score: F64, most: F64, axes: tuple[int, ...] = (0, 1)) -> tuple[float, float]:
    """Total over tracks, each with the one that fits it best; and what it could be for those that fit at all.

    People whom only one of the cameras sees do not count against a guess.
    """
    if not score.size:
        return 0.0, 0.0
    total, could = 0.0, 0.0
    for axis in axes:
        pick = np.expand_dims(score.argmax(axis), axis)
        own, possible = (np.take_along_axis(a, pick, axis) for a in (score, most))
        fits = own >= _STRANGER * possible
        total += float(own[fits].sum()) / len(axes)
        could += float(possible[fits].sum()) / len(axes)
    return total, could


def seed(
    first: Tracks,
    second: Tracks,
    at_s: F64,
    tolerance_px: float,
    rng: np.random.Generator,
    lags_s: Sequence[float] = LAGS_S,
) -> Guess | None:
    """How a second camera stands to a first one; the distance between them is 1.

    Args:
        first: People in the first camera.
        second: In the second.
        at_s: (M,) frames.
        tolerance_px: Largest error of a joint that fits.
        rng: Source of chance.
        lags_s: Time offsets of the second camera to try.
    """
    import cv2

    tried = np.unique(np.linspace(0, len(at_s) - 1, _MOST_TRIED).astype(int))
    here = all_tracks(first, at_s)
    best: Guess | None = None
    focal = (first.focal_px, second.focal_px)
    for lag in lags_s:
        if best is not None and best.share > _ENOUGH:
            break
        there = all_tracks(second, at_s + lag)
        for a, b in _promising(here, there):
            both = np.isfinite(here.xy[:, a, :, 0]) & np.isfinite(there.xy[:, b, :, 0])
            m, j = np.nonzero(both)
            if len(m) > _MOST_POINTS:
                pick = rng.choice(len(m), _MOST_POINTS, replace=False)
                m, j = m[pick], j[pick]
            one, two = here.xy[m, a, j], there.xy[m, b, j]
            scale = float(np.sqrt(focal[0] * focal[1]))
            found, mask = cv2.findEssentialMat(
                one, two, np.eye(3), method=cv2.RANSAC, prob=0.99, threshold=_LOOSE * tolerance_px / scale, maxIters=200
            )
            if found is None or found.shape != (3, 3):
                continue
            E = np.asarray(found, np.float64)
            distance = sampson_distance_px(E, here.xy[tried], there.xy[tried], focal)
            score, most = _best(*_score(distance, _LOOSE * tolerance_px, (0, 3)))
            if best is None or score > best.score:
                _, R, t, _ = cv2.recoverPose(E, one, two, np.eye(3), mask=mask.copy())
                best = Guess(
                    R=np.asarray(R, np.float64),
                    t_mm=np.ravel(t).astype(float),
                    time_offset_s=lag,
                    score=score,
                    most=most,
                )
    return best


def _promising(here: Sampled, there: Sampled) -> list[tuple[int, int]]:
    """Pairs of tracks that share most joints and move."""
    seen = [np.isfinite(s.xy[..., 0]).reshape(len(s.xy), s.xy.shape[1], -1).astype(np.float32) for s in (here, there)]
    shared = np.einsum("mkj,mlj->kl", *seen)
    order = np.argsort(-shared, axis=None)[:_MOST_PAIRS]
    pairs = [np.unravel_index(int(o), shared.shape) for o in order]
    return [(int(a), int(b)) for a, b in pairs if shared[a, b] >= _LEAST_POINTS]


def resect(
    tracks: Tracks,
    at_s: F64,
    xyz_mm: F64,
    tolerance_px: float,
    rng: np.random.Generator,
    former: tuple[F64, F64, float] | None = None,
    lags_s: Sequence[float] = LAGS_S,
) -> Guess | None:
    """How a camera stands, from people whose joints are known.

    Args:
        tracks: People in the camera.
        at_s: (M,) frames.
        xyz_mm: (M, G, J, 3) joints, NaN where not known.
        tolerance_px: Largest error of a joint that fits.
        rng: Source of chance.
        former: Rotation, translation and time offset that it once had: they may still be nearest.
        lags_s: Time offsets to try.
    """
    tried = np.unique(np.linspace(0, len(at_s) - 1, _MOST_TRIED).astype(int))

    def rated(R: F64, t_mm: F64, late_s: float, there: Sampled) -> Guess:
        distance = _reprojection_px(R, t_mm, xyz_mm[tried], there.xy[tried], tracks.focal_px)
        score, most = _best(*_score(distance, _LOOSE * tolerance_px, (0, 3)), (0,))
        return Guess(R=R, t_mm=t_mm, time_offset_s=late_s, score=score, most=most)

    best: Guess | None = None
    if former is not None:
        best = rated(*former, all_tracks(tracks, at_s + former[2]))
    known = np.isfinite(xyz_mm[..., 0])
    for lag in lags_s:
        if best is not None and best.share > _ENOUGH:
            break
        there = all_tracks(tracks, at_s + lag)
        seen = np.isfinite(there.xy[..., 0])
        shared = np.einsum("mgj,mkj->gk", known.astype(np.float32), seen.astype(np.float32))
        order = np.argsort(-shared, axis=None)[:_MOST_PAIRS]
        for g, k in (np.unravel_index(int(o), shared.shape) for o in order):
            if shared[g, k] < _LEAST_POINTS:
                continue
            m, j = np.nonzero(known[:, g] & seen[:, k])
            if len(m) > _MOST_POINTS:
                pick = rng.choice(len(m), _MOST_POINTS, replace=False)
                m, j = m[pick], j[pick]
            pose = _pose(xyz_mm[m, g, j], there.xy[m, k, j], _LOOSE * tolerance_px / tracks.focal_px)
            guess = None if pose is None else rated(*pose, lag, there)
            if guess is not None and (best is None or guess.score > best.score):
                best = guess
    return best


def _pose(xyz_mm: F64, xy: F64, tolerance: float) -> tuple[F64, F64] | None:
    """Rotation and translation of a camera from points (N, 3) and where it sees most of them (N, 2), ideal."""
    import cv2

    try:
        found, turn, shift, _ = cv2.solvePnPRansac(
            xyz_mm,
            xy,
            np.eye(3),
            None,
            reprojectionError=tolerance,
            iterationsCount=100,
            flags=cv2.SOLVEPNP_EPNP,
        )
    except cv2.error:
        return None
    if not found or not (np.isfinite(turn).all() and np.isfinite(shift).all()):
        return None
    return np.asarray(cv2.Rodrigues(turn)[0]), np.asarray(shift.ravel())


def _reprojection_px(R: F64, t_mm: F64, xyz_mm: F64, xy: F64, focal_px: float) -> F64:
    """(M, G, K, J) distances of people's joints from those of tracks."""
    local = xyz_mm @ R.T + t_mm
    with np.errstate(invalid="ignore", divide="ignore"):
        flat = np.where(local[..., 2:] > 1, local[..., :2] / local[..., 2:], 1e3)
    flat = np.where(np.isfinite(xyz_mm[..., :1]), flat, np.nan)
    return np.asarray(focal_px * np.linalg.norm(flat[:, :, None] - xy[:, None], axis=-1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """Which tracks show the same person.

    Attributes:
        person: (V,) lists of (K,) numbers of persons, -1 for tracks that no other camera agrees with.
        agreement: (V, V) share by which the tracks of a person agree in two cameras, NaN without any.
        shared: (V, V) joints compared.
    """

    person: tuple[I64, ...]
    agreement: F64
    shared: F64

    @property
    def count(self) -> int:
        """Number of persons, one who comes back counting again."""
        return max((int(p.max(initial=-1)) for p in self.person), default=-1) + 1


def group(
    tracks: Sequence[Tracks], placed: CameraPoses, at_s: F64, tolerance_px: F64, views: np.ndarray | None = None
) -> People:
    """Joins tracks of placed cameras into persons, those that agree best first.

    Two tracks agree by how near their joints come to each other's epipolar lines, all the while that both are seen. One
    camera shows a person once at a time.

    Args:
        tracks: (V,) people in each camera.
        placed: The cameras.
        at_s: (M,) frames to compare.
        tolerance_px: (V,) largest error of a joint that fits.
        views: (V,) bool, cameras to join; all that are placed when None.
    """
    V = len(tracks)
    use = placed.registered if views is None else placed.registered & views
    counts = [t.count if use[v] else 0 for v, t in enumerate(tracks)]
    offset = np.concatenate([[0], np.cumsum(counts)])
    total = int(offset[-1])
    score, shared = np.zeros((total, total)), np.zeros((total, total))
    conflict = np.zeros((total, total), bool)
    samples = [all_tracks(t, at_s + placed.time_offset_s[v]) if counts[v] else None for v, t in enumerate(tracks)]
    agreement, compared = np.full((V, V), np.nan), np.zeros((V, V))
    for i in range(V):
        mine = slice(offset[i], offset[i + 1])
        if counts[i]:
            span = tracks[i].span_s
            overlap = np.minimum(span[:, None, 1], span[None, :, 1]) - np.maximum(span[:, None, 0], span[None, :, 0])
            conflict[mine, mine] = (overlap > _SAME_PERSON_S) & ~np.eye(counts[i], dtype=bool)
        for j in range(i + 1, V):
            a, b = samples[i], samples[j]
            if a is None or b is None:
                continue
            R = placed.R[j] @ placed.R[i].T
            E = essential_matrix(R, placed.t_mm[j] - R @ placed.t_mm[i])
            distance = sampson_distance_px(E, a.xy, b.xy, (tracks[i].focal_px, tracks[j].focal_px))
            other = slice(offset[j], offset[j + 1])
            limit = _STRICT * float(np.hypot(tolerance_px[i], tolerance_px[j])) / np.sqrt(2)
            score[mine, other], shared[mine, other] = _score(distance, limit, (0, 3))
            score[other, mine], shared[other, mine] = score[mine, other].T, shared[mine, other].T
    label = _agglomerate(score, shared, conflict)
    numbers = [label[offset[v] : offset[v + 1]] if counts[v] else np.full(tracks[v].count, -1) for v in range(V)]
    for i in range(V):
        for j in range(V):
            if i != j and counts[i] and counts[j]:
                same = (numbers[i][:, None] == numbers[j]) & (numbers[i][:, None] >= 0)
                block = np.ix_(range(offset[i], offset[i + 1]), range(offset[j], offset[j + 1]))
                compared[i, j] = shared[block][same].sum()
                if compared[i, j]:
                    agreement[i, j] = score[block][same].sum() / compared[i, j]
    return People(person=tuple(numbers), agreement=agreement, shared=compared)


def _agglomerate(score: F64, shared: F64, conflict: np.ndarray) -> I64:
    """(N,) number of the person of each track, -1 for those alone."""
    score, shared, conflict = score.copy(), shared.copy(), conflict.copy()
    total = len(score)
    owner = np.arange(total)
    alive = np.ones(total, bool)
    first = shared.copy()
    for _ in range(total):
        with np.errstate(invalid="ignore", divide="ignore"):
            share = score / shared
        least = np.where(first > 0, _AGREE, _AGREE_MERGED)
        fits = (shared >= _LEAST_SHARED) & (share >= least) & ~conflict & alive[:, None] & alive
        np.fill_diagonal(fits, False)
        if not fits.any():
            break
        a, b = np.unravel_index(int(np.argmax(np.where(fits, score * share, -1.0))), score.shape)
        for matrix in (score, shared):
            matrix[a] += matrix[b]
            matrix[:, a] += matrix[:, b]
        conflict[a] |= conflict[b]
        conflict[:, a] |= conflict[:, b]
        alive[b] = False
        owner[owner == b] = a
    names, label, count = np.unique(owner, return_inverse=True, return_counts=True)
    del names
    alone = count[label] < 2
    out = np.full(total, -1)
    kept = np.unique(label[~alone])
    out[~alone] = np.searchsorted(kept, label[~alone])
    return out


def joints_of(tracks: Sequence[Tracks], placed: CameraPoses, people: People, at_s: F64) -> tuple[TrackAssignment, I64]:
    """The tracks to read at every frame, and (M, G) who they show, -1 for nobody.

    People who are there at different times share a column.
    """
    V, M = len(tracks), len(at_s)
    table = np.full((V, M, max(people.count, 0)), -1)
    for v, t in enumerate(tracks):
        if not placed.registered[v] or not t.count:
            continue
        span = t.span_s - placed.time_offset_s[v]
        margin = 0.5 * t.reach_s
        for k in np.flatnonzero(people.person[v] >= 0):
            there = (at_s >= span[k, 0] - margin) & (at_s <= span[k, 1] + margin)
            there &= table[v, :, people.person[v][k]] < 0
            table[v, there, people.person[v][k]] = k
    there = (table >= 0).sum(0) >= 2
    most = int(there.sum(1).max(initial=0))
    order = np.argsort(~there, axis=1, kind="stable")[:, :most]
    who = np.where(np.take_along_axis(there, order, 1), order, -1)
    picked = np.take_along_axis(table, np.broadcast_to(order, (V, *order.shape)), 2)
    return TrackAssignment(at_s=at_s, track=np.where(who >= 0, picked, -1)), who
