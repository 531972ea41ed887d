"""Correspondence of people between cameras, and camera poses from it: by epipolar geometry or by resection.

Legend: V view, M frame, K track, J joint, G person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.people.bundle import CameraPoses, TrackAssignment
from core.calibration.people.tracks import SampledJoints, Tracks
from core.geometry import essential_matrix, sampson_distance_px
from core.types.arrays import F64, I64

TIME_OFFSETS_S = (0.0, -0.1, 0.1, -0.2, 0.2)
"""Relative time offsets in s, in the order in which they are tried."""
_MAX_PAIRS, _MAX_POINTS = 6, 300  # pairs of tracks for a pose, and points per pair
_MIN_POINTS = 40
_SCORED_FRAMES = 40  # frames in which a hypothesis is scored
_LOOSE = 2.0  # times the tolerance, while poses are approximate
_GOOD_SHARE = 0.8  # inlier share with which no further time offset is tried
_UNSEEN_SHARE = 0.15  # inlier share of a track below which the other camera does not see the person
_MIN_AGREEMENT, _MIN_AGREEMENT_MERGED = 0.5, 0.4  # score per joint from which two tracks, or two groups, are one person
_MIN_SHARED_JOINTS = 24  # joints that two tracks must share to be compared
_MAX_OVERLAP_S = 0.15  # by which two tracks of one camera may overlap and still be one person


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoseHypothesis:
    """A hypothetical pose of a camera and its support.

    Attributes:
        R: (3, 3) rotation from the other camera, or from world coordinates, to the camera.
        t_mm: (3,) translation of the same transformation.
        time_offset_s: Time offset of the camera, relative to the other one.
        score: Sum over inlier joints, each up to 1.
        possible: Score for a perfect fit of all compared joints.
    """

    R: F64
    t_mm: F64
    time_offset_s: float
    score: float
    possible: float

    @property
    def share(self) -> float:
        """Score relative to the possible score."""
        return self.score / max(self.possible, 1.0)


def sample_all_tracks(tracks: Tracks, at_s: F64) -> SampledJoints:
    """Evaluate every track of a camera at recorded times (M,)."""
    return tracks.sample(at_s, np.broadcast_to(np.arange(tracks.count), (len(at_s), tracks.count)))


def _support(distance_px: F64, tolerance_px: float, axes: tuple[int, ...]) -> tuple[F64, F64]:
    """Return the score and the number of joints compared (Torr and Zisserman, MLESAC, 2000, equation 4)."""
    known = np.isfinite(distance_px)
    fit = np.where(known, np.clip(1 - (distance_px / tolerance_px) ** 2, 0, None), 0.0)
    return fit.sum(axes), known.sum(axes).astype(float)


def _total_support(score: F64, possible: F64, axes: tuple[int, ...] = (0, 1)) -> tuple[float, float]:
    """Return the totals over tracks, each with its best match, of score and of possible score.

    Tracks without any match are excluded: people whom only one camera sees do not count against a hypothesis.
    """
    if not score.size:
        return 0.0, 0.0
    total, total_possible = 0.0, 0.0
    for axis in axes:
        pick = np.expand_dims(score.argmax(axis), axis)
        best, best_possible = (np.take_along_axis(a, pick, axis) for a in (score, possible))
        matched = best >= _UNSEEN_SHARE * best_possible
        total += float(best[matched].sum()) / len(axes)
        total_possible += float(best_possible[matched].sum()) / len(axes)
    return total, total_possible


def estimate_relative_pose(
    first: Tracks,
    second: Tracks,
    at_s: F64,
    tolerance_px: float,
    rng: np.random.Generator,
    time_offsets_s: Sequence[float] = TIME_OFFSETS_S,
) -> PoseHypothesis | None:
    """Estimate the pose of a second camera relative to a first one by RANSAC on the essential matrix.

    Args:
        first: Tracks in the first camera.
        second: Tracks in the second camera.
        at_s: (M,) times of the frames.
        tolerance_px: Largest error of an inlier joint.
        rng: Random generator.
        time_offsets_s: Time offsets of the second camera to try.

    Returns:
        The hypothesis with most support, its translation of length 1; None if no pair of tracks suffices.
    """
    import cv2

    scored = np.unique(np.linspace(0, len(at_s) - 1, _SCORED_FRAMES).astype(int))
    here = sample_all_tracks(first, at_s)
    best: PoseHypothesis | None = None
    focal = (first.focal_px, second.focal_px)
    for time_offset in time_offsets_s:
        if best is not None and best.share > _GOOD_SHARE:
            break
        there = sample_all_tracks(second, at_s + time_offset)
        for a, b in _overlapping_pairs(here, there):
            both = np.isfinite(here.xy[:, a, :, 0]) & np.isfinite(there.xy[:, b, :, 0])
            m, j = np.nonzero(both)
            if len(m) > _MAX_POINTS:
                pick = rng.choice(len(m), _MAX_POINTS, replace=False)
                m, j = m[pick], j[pick]
            one, two = here.xy[m, a, j], there.xy[m, b, j]
            scale = float(np.sqrt(focal[0] * focal[1]))
            found, mask = cv2.findEssentialMat(
                one, two, np.eye(3), method=cv2.RANSAC, prob=0.99, threshold=_LOOSE * tolerance_px / scale, maxIters=200
            )
            if found is None or found.shape != (3, 3):
                continue
            E = np.asarray(found, np.float64)
            distance = sampson_distance_px(E, here.xy[scored], there.xy[scored], focal)
            score, possible = _total_support(*_support(distance, _LOOSE * tolerance_px, (0, 3)))
            if best is None or score > best.score:
                _, R, t, _ = cv2.recoverPose(E, one, two, np.eye(3), mask=mask.copy())
                best = PoseHypothesis(
                    R=np.asarray(R, np.float64),
                    t_mm=np.ravel(t).astype(float),
                    time_offset_s=time_offset,
                    score=score,
                    possible=possible,
                )
    return best


def _overlapping_pairs(here: SampledJoints, there: SampledJoints) -> list[tuple[int, int]]:
    """Return the pairs of tracks that share most joints."""
    seen = [np.isfinite(s.xy[..., 0]).reshape(len(s.xy), s.xy.shape[1], -1).astype(np.float32) for s in (here, there)]
    shared = np.einsum("mkj,mlj->kl", *seen)
    order = np.argsort(-shared, axis=None)[:_MAX_PAIRS]
    pairs = [np.unravel_index(int(o), shared.shape) for o in order]
    return [(int(a), int(b)) for a, b in pairs if shared[a, b] >= _MIN_POINTS]


def resect_camera(
    tracks: Tracks,
    at_s: F64,
    xyz_mm: F64,
    tolerance_px: float,
    rng: np.random.Generator,
    former: tuple[F64, F64, float] | None = None,
    time_offsets_s: Sequence[float] = TIME_OFFSETS_S,
) -> PoseHypothesis | None:
    """Estimate the pose of a camera from people whose joints are known (resection by EPnP and RANSAC).

    Args:
        tracks: Tracks in the camera.
        at_s: (M,) times of the frames.
        xyz_mm: (M, G, J, 3) joints, NaN where missing.
        tolerance_px: Largest error of an inlier joint.
        rng: Random generator.
        former: Former rotation, translation and time offset, as an additional hypothesis.
        time_offsets_s: Time offsets to try.

    Returns:
        The hypothesis with most support; None if no pair of person and track suffices.
    """
    scored = np.unique(np.linspace(0, len(at_s) - 1, _SCORED_FRAMES).astype(int))

    def hypothesis(R: F64, t_mm: F64, time_offset_s: float, there: SampledJoints) -> PoseHypothesis:
        distance = _reprojection_px(R, t_mm, xyz_mm[scored], there.xy[scored], tracks.focal_px)
        score, possible = _total_support(*_support(distance, _LOOSE * tolerance_px, (0, 3)), (0,))
        return PoseHypothesis(R=R, t_mm=t_mm, time_offset_s=time_offset_s, score=score, possible=possible)

    best: PoseHypothesis | None = None
    if former is not None:
        best = hypothesis(*former, sample_all_tracks(tracks, at_s + former[2]))
    known = np.isfinite(xyz_mm[..., 0])
    for time_offset in time_offsets_s:
        if best is not None and best.share > _GOOD_SHARE:
            break
        there = sample_all_tracks(tracks, at_s + time_offset)
        seen = np.isfinite(there.xy[..., 0])
        shared = np.einsum("mgj,mkj->gk", known.astype(np.float32), seen.astype(np.float32))
        order = np.argsort(-shared, axis=None)[:_MAX_PAIRS]
        for g, k in (np.unravel_index(int(o), shared.shape) for o in order):
            if shared[g, k] < _MIN_POINTS:
                continue
            m, j = np.nonzero(known[:, g] & seen[:, k])
            if len(m) > _MAX_POINTS:
                pick = rng.choice(len(m), _MAX_POINTS, replace=False)
                m, j = m[pick], j[pick]
            pose = _solve_pnp(xyz_mm[m, g, j], there.xy[m, k, j], _LOOSE * tolerance_px / tracks.focal_px)
            found = None if pose is None else hypothesis(*pose, time_offset, there)
            if found is not None and (best is None or found.score > best.score):
                best = found
    return best


def _solve_pnp(xyz_mm: F64, xy: F64, tolerance: float) -> tuple[F64, F64] | None:
    """Return rotation and translation of a camera from points (N, 3) and their ideal coordinates (N, 2)."""
    import cv2

    try:
        found, rvec, tvec, _ = cv2.solvePnPRansac(
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
    if not found or not (np.isfinite(rvec).all() and np.isfinite(tvec).all()):
        return None
    return np.asarray(cv2.Rodrigues(rvec)[0]), np.asarray(tvec.ravel())


def _reprojection_px(R: F64, t_mm: F64, xyz_mm: F64, xy: F64, focal_px: float) -> F64:
    """Return the reprojection errors (M, G, K, J) of the joints of people in every track."""
    local = xyz_mm @ R.T + t_mm
    with np.errstate(invalid="ignore", divide="ignore"):
        ideal = np.where(local[..., 2:] > 1, local[..., :2] / local[..., 2:], 1e3)
    ideal = np.where(np.isfinite(xyz_mm[..., :1]), ideal, np.nan)
    return np.asarray(focal_px * np.linalg.norm(ideal[:, :, None] - xy[:, None], axis=-1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackGroups:
    """Tracks of several cameras grouped into persons.

    Attributes:
        person: (V,) arrays (K,) of person indices; -1 for tracks that agree with no other camera.
        agreement: (V, V) score per joint of the tracks of common persons; NaN without common persons.
        shared: (V, V) number of joints compared.
    """

    person: tuple[I64, ...]
    agreement: F64
    shared: F64

    @property
    def count(self) -> int:
        """Number of persons; a person who leaves and returns counts twice."""
        return max((int(p.max(initial=-1)) for p in self.person), default=-1) + 1


def group_tracks(
    tracks: Sequence[Tracks], poses: CameraPoses, at_s: F64, tolerance_px: F64, views: np.ndarray | None = None
) -> TrackGroups:
    """Group the tracks of registered cameras into persons by agglomerative clustering.

    The agreement of two tracks depends on the epipolar distances of their joints. Tracks of one camera that overlap in
    time belong to different persons.

    Args:
        tracks: (V,) tracks of each camera.
        poses: Camera poses.
        at_s: (M,) times of the frames to compare.
        tolerance_px: (V,) largest error of an inlier joint.
        views: (V,) bool, cameras to use; None for all registered ones.
    """
    V = len(tracks)
    use = poses.registered if views is None else poses.registered & views
    counts = [t.count if use[v] else 0 for v, t in enumerate(tracks)]
    start = np.concatenate([[0], np.cumsum(counts)])
    total = int(start[-1])
    score, shared = np.zeros((total, total)), np.zeros((total, total))
    conflict = np.zeros((total, total), bool)
    samples = [_present_tracks(t, at_s + poses.time_offset_s[v]) if counts[v] else None for v, t in enumerate(tracks)]
    agreement, compared = np.full((V, V), np.nan), np.zeros((V, V))
    for i in range(V):
        rows = slice(start[i], start[i + 1])
        if counts[i]:
            span = tracks[i].span_s
            overlap = np.minimum(span[:, None, 1], span[None, :, 1]) - np.maximum(span[:, None, 0], span[None, :, 0])
            conflict[rows, rows] = (overlap > _MAX_OVERLAP_S) & ~np.eye(counts[i], dtype=bool)
        for j in range(i + 1, V):
            a, b = samples[i], samples[j]
            if a is None or b is None:
                continue
            R = poses.R[j] @ poses.R[i].T
            E = essential_matrix(R, poses.t_mm[j] - R @ poses.t_mm[i])
            distance = sampson_distance_px(E, a[1], b[1], (tracks[i].focal_px, tracks[j].focal_px))
            columns = slice(start[j], start[j + 1])
            limit = float(np.hypot(tolerance_px[i], tolerance_px[j])) / np.sqrt(2)
            at = start[i] + a[0][:, :, None], start[j] + b[0][:, None, :]
            for matrix, support in zip((score, shared), _support(distance, limit, (3,)), strict=True):
                np.add.at(matrix, at, support)
            score[columns, rows], shared[columns, rows] = score[rows, columns].T, shared[rows, columns].T
    label = _agglomerate(score, shared, conflict)
    person = [label[start[v] : start[v + 1]] if counts[v] else np.full(tracks[v].count, -1) for v in range(V)]
    for i in range(V):
        for j in range(V):
            if i != j and counts[i] and counts[j]:
                same = (person[i][:, None] == person[j]) & (person[i][:, None] >= 0)
                block = np.ix_(range(start[i], start[i + 1]), range(start[j], start[j + 1]))
                compared[i, j] = shared[block][same].sum()
                if compared[i, j]:
                    agreement[i, j] = score[block][same].sum() / compared[i, j]
    return TrackGroups(person=tuple(person), agreement=agreement, shared=compared)


def _present_tracks(tracks: Tracks, at_s: F64) -> tuple[I64, F64]:
    """Return the tracks (M, G) present at recorded times, and their joints (M, G, J, 2), NaN where missing.

    Few tracks are present at the same time; columns without a track have index 0 and no joints.
    """
    xy = sample_all_tracks(tracks, at_s).xy
    present = np.isfinite(xy[..., 0]).any(-1)
    index = np.argsort(~present, axis=1, kind="stable")[:, : max(int(present.sum(1).max(initial=0)), 1)]
    xy = np.take_along_axis(xy, index[..., None, None], 1)
    return np.where(np.take_along_axis(present, index, 1), index, 0), xy


def _agglomerate(score: F64, shared: F64, conflict: np.ndarray) -> I64:
    """Return the person index (N,) of each track, -1 for single tracks; the best pair is merged first."""
    score, shared, conflict = score.copy(), shared.copy(), conflict.copy()
    total = len(score)
    owner = np.arange(total)
    alive = np.ones(total, bool)
    initially_shared = shared.copy()
    for _ in range(total):
        with np.errstate(invalid="ignore", divide="ignore"):
            share = score / shared
        least = np.where(initially_shared > 0, _MIN_AGREEMENT, _MIN_AGREEMENT_MERGED)
        fits = (shared >= _MIN_SHARED_JOINTS) & (share >= least) & ~conflict & alive[:, None] & alive
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
    _, label, count = np.unique(owner, return_inverse=True, return_counts=True)
    alone = count[label] < 2
    out = np.full(total, -1)
    kept = np.unique(label[~alone])
    out[~alone] = np.searchsorted(kept, label[~alone])
    return out


def assign_tracks(
    tracks: Sequence[Tracks], poses: CameraPoses, groups: TrackGroups, at_s: F64
) -> tuple[TrackAssignment, I64]:
    """Return the track of each camera for each person at each frame, and the person index (M, G), -1 where missing.

    People who are present at different times share a column.
    """
    V, M = len(tracks), len(at_s)
    table = np.full((V, M, max(groups.count, 0)), -1)
    for v, t in enumerate(tracks):
        if not poses.registered[v] or not t.count:
            continue
        span = t.span_s - poses.time_offset_s[v]
        margin = 0.5 * t.reach_s
        for k in np.flatnonzero(groups.person[v] >= 0):
            present = (at_s >= span[k, 0] - margin) & (at_s <= span[k, 1] + margin)
            present &= table[v, :, groups.person[v][k]] < 0
            table[v, present, groups.person[v][k]] = k
    present = (table >= 0).sum(0) >= 2
    columns = int(present.sum(1).max(initial=0))
    order = np.argsort(~present, axis=1, kind="stable")[:, :columns]
    person = np.where(np.take_along_axis(present, order, 1), order, -1)
    picked = np.take_along_axis(table, np.broadcast_to(order, (V, *order.shape)), 2)
    return TrackAssignment(at_s=at_s, track=np.where(person >= 0, picked, -1)), person
