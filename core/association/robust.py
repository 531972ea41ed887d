"""Robust triangulation of matched detections.

Letters in shapes: V view, N points, T time, P person, J joint.

A view may contain a limb of another person, or have left and right swapped. If the point nearest to all rays does not
agree clearly with all views, every pair of views proposes a point (as in RANSAC, but exhaustively), and the views that
agree with it vote by confidence. The inliers are triangulated, and the point is refined by a few Gauss-Newton steps on
the reprojection error in pixels, with Huber weights (Hartley and Zisserman, Multiple View
Geometry, 2003, sections 4.7 and 12.2; A6.8 for Huber).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from core.association.rays import (
    ViewRays,
    nearest_to_rays,
    point_covariance,
    point_information,
    refine_points,
    relative_squared,
)
from core.association.views import StreamedViews, TakeViews, ViewGeometry
from core.types.arrays import F32, F64, I64, read_only
from core.types.skeleton import Skeleton

_CHUNK = 2048  # Points per batch, small enough for the CPU cache.
_CLEAR = 0.7  # Residual relative to the gate below which a view agrees without a vote.
_MIN_SCORE = 1e-3  # Of a present joint; 0 means missing.
_SIDE_GROUPS = (
    ("eye", "ear"),
    ("shoulder", "elbow", "wrist"),
    ("hip", "knee", "ankle"),
)
_MIRROR_MIN_COST, _MIRROR_GAIN = 2.0, 0.35
"""Minimum cost before, and maximum ratio of the cost after to that before, for swapping the sides."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriangulatedPeople:
    """Triangulated joints.

    Attributes:
        xyz_mm: (T, P, J, 3) world points, NaN where fewer than two views agree.
        score: (T, P, J) in 0..1, mean confidence of the inlier views times their fraction of the views with the joint.
        covariance_mm2: (T, P, J, 3, 3) first-order covariances, scaled by the residuals of all frames.
        inlier: (T, P, V, J) bool, views used for the joint.
    """

    xyz_mm: F64
    score: F64
    covariance_mm2: F32
    inlier: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solution:
    """Triangulated people with unscaled covariances, and the sums that determine the scale."""

    people: TriangulatedPeople
    squared_px2: float
    dof: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedJoints:
    """Joints of matched detections.

    Attributes:
        ideal: (T, P, V, J, 2) coordinates on the ideal image plane, NaN where missing.
        weight: (T, P, V, J) confidences, 0 where missing.
        focal_px: (T, P, V, J) pixels per unit of the ideal plane at the joint.
    """

    ideal: F64
    weight: F64
    focal_px: F64


def triangulate_people(views: TakeViews | StreamedViews, members: I64) -> TriangulatedPeople:
    """Triangulate the joints of matched people.

    Args:
        views: All detections.
        members: (T, P, V) detection column of each person in each view, -1 for none.
    """
    T, P, V = members.shape
    J = len(views.geometry.skeleton)
    xyz, score = np.full((T, P, J, 3), np.nan), np.zeros((T, P, J))
    # Single precision, because covariances take the most memory and need the fewest digits.
    covariance, inlier = np.full((T, P, J, 3, 3), np.nan, np.float32), np.zeros((T, P, V, J), bool)
    squared_px2, dof = 0.0, 0
    for block, part in views.blocks():
        solution = _triangulate_block(part, members[block])
        people = solution.people
        xyz[block], score[block], inlier[block] = people.xyz_mm, people.score, people.inlier
        covariance[block] = people.covariance_mm2
        squared_px2, dof = squared_px2 + solution.squared_px2, dof + solution.dof
    covariance *= np.float32(squared_px2 / dof) if dof else np.float32(np.nan)
    arrays = [read_only(array) for array in (xyz, score, covariance, inlier)]
    return TriangulatedPeople(xyz_mm=arrays[0], score=arrays[1], covariance_mm2=arrays[2], inlier=arrays[3])


def _triangulate_block(views: TakeViews, members: I64) -> _Solution:
    """Triangulate the people of a block of frames; covariances are for residuals of 1 px."""
    geometry = views.geometry
    frames = np.broadcast_to(np.arange(len(members))[:, None], members.shape[:2])
    matched = gather_members(views, frames, members)
    solution = _solve(geometry, matched)
    exchanged = _exchanged_sides(geometry, solution.people.xyz_mm, matched)
    if exchanged.any():
        mirror = list(geometry.skeleton.mirror)
        matched = MatchedJoints(
            ideal=np.where(exchanged[..., None], matched.ideal[:, :, :, mirror], matched.ideal),
            weight=np.where(exchanged, matched.weight[:, :, :, mirror], matched.weight),
            focal_px=np.where(exchanged, matched.focal_px[:, :, :, mirror], matched.focal_px),
        )
        solution = _solve(geometry, matched)
    return solution


def gather_sampled(views: TakeViews | StreamedViews, frames: I64, members: I64) -> MatchedJoints:
    """Return the matched detections of some people.

    Args:
        views: All detections.
        frames: (N,) frame of each person, in ascending order.
        members: (N, V) detection column in each view, -1 for none.

    Returns:
        Joints with the shapes (N, 1, V, J, ...).
    """
    parts = []
    for block, part in views.blocks():
        rows = slice(*np.searchsorted(frames, (block.start, block.stop)).tolist())
        parts.append(gather_members(part, frames[rows, None] - block.start, members[rows, None]))
    return MatchedJoints(
        ideal=np.concatenate([part.ideal for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
        focal_px=np.concatenate([part.focal_px for part in parts]),
    )


def gather_members(views: TakeViews, frames: I64, members: I64) -> MatchedJoints:
    """Return the matched detections of people.

    Args:
        views: All detections.
        frames: (T, P) frame of each person.
        members: (T, P, V) detection column in each view, -1 for none.
    """
    index = (frames[..., None], np.arange(members.shape[-1]), members)
    missing = (members < 0)[..., None]
    return MatchedJoints(
        ideal=np.where(missing[..., None], np.nan, views.ideal[index]),
        weight=np.where(missing, 0.0, views.weight[index]),
        focal_px=views.focal_px[index],
    )


def triangulate_matched(geometry: ViewGeometry, matched: MatchedJoints) -> TriangulatedPeople:
    """Triangulate all joints of all people."""
    solution = _solve(geometry, matched)
    variance = np.float32(solution.squared_px2 / solution.dof) if solution.dof else np.float32(np.nan)
    return replace(solution.people, covariance_mm2=solution.people.covariance_mm2 * variance)


def _solve(geometry: ViewGeometry, matched: MatchedJoints) -> _Solution:
    """Triangulate all joints of all people, in batches."""
    T, P, V, J = matched.weight.shape
    rays, n = _by_view(matched), T * P * J
    xyz, inlier = np.full((3, n), np.nan), np.zeros((V, n), bool)
    n_seen = (rays.weight > 0).sum(0, dtype=np.int32)
    seen = np.flatnonzero(n_seen >= 2)
    unclear = []
    for batch in _batches(seen):
        # Where all views agree clearly, the point nearest to all rays is a good initial value.
        xyz[:, batch], inlier[:, batch] = _clear_agreement(geometry, rays[batch])
        unclear.append(batch[~inlier[:, batch].any(0)])
    for batch in _batches(np.concatenate([*unclear, seen[:0]])):
        of_batch = rays[batch]
        inlier[:, batch] = agrees = _consensus(geometry, of_batch)
        xyz[:, batch] = nearest_to_rays(geometry, of_batch.x, of_batch.y, np.where(agrees, of_batch.weight, 0.0))
    used = ViewRays(rays.x, rays.y, np.where(inlier, rays.weight, 0.0), rays.focal_px)
    information, squared = np.full((6, n), np.nan), np.zeros(n)
    for batch in _batches(seen[inlier[:, seen].any(0)]):
        of_batch = used[batch]
        xyz[:, batch] = refine_points(geometry, xyz[:, batch], of_batch)
        information[:, batch], squared[batch] = point_information(geometry, xyz[:, batch], of_batch)
    solved = np.asarray(inlier.any(0) & np.isfinite(xyz).all(0))
    xyz = np.where(solved, xyz, np.nan)
    inlier &= solved
    n_used = inlier.sum(0, dtype=np.int32)
    mean = used.weight.sum(0) / np.maximum(n_used, 1)
    score = np.where(solved, np.clip(mean * n_used / np.maximum(n_seen, 1), _MIN_SCORE, 1.0), 0.0)
    people = TriangulatedPeople(
        xyz_mm=xyz.T.reshape(T, P, J, 3),
        score=score.reshape(T, P, J),
        covariance_mm2=point_covariance(information, solved).reshape(T, P, J, 3, 3),
        inlier=np.moveaxis(inlier.reshape(V, T, P, J), 0, 2),
    )
    # n views leave 2n - 3 degrees of freedom per point; their sum divides the squared residuals of all points.
    dof = int(np.maximum(2 * n_used - 3, 0).sum())
    return _Solution(people=people, squared_px2=float(squared[solved].sum()), dof=dof)


def _by_view(matched: MatchedJoints) -> ViewRays:
    V = matched.weight.shape[2]
    x, y, weight, focal = (
        np.moveaxis(a, 2, 0) for a in (matched.ideal[..., 0], matched.ideal[..., 1], matched.weight, matched.focal_px)
    )
    x, y = np.where(weight > 0, x, 0.0), np.where(weight > 0, y, 0.0)
    return ViewRays(x.reshape(V, -1), y.reshape(V, -1), weight.reshape(V, -1), focal.reshape(V, -1))


def _batches(columns: I64) -> list[I64]:
    return [columns[start : start + _CHUNK] for start in range(0, len(columns), _CHUNK)]


def _clear_agreement(geometry: ViewGeometry, rays: ViewRays) -> tuple[F64, np.ndarray]:
    """Return the points (3, N) nearest to all rays, and their views (V, N) if all agree clearly, else none."""
    point = nearest_to_rays(geometry, rays.x, rays.y, rays.weight)
    used = rays.weight > 0
    with np.errstate(invalid="ignore"):
        clear = ((relative_squared(geometry, point, rays) < _CLEAR**2) | ~used).all(0)
    return point, np.asarray(used & clear)


def _consensus(geometry: ViewGeometry, rays: ViewRays) -> np.ndarray:
    """Return the inliers (V, N) of the best proposal of any pair of views; none where no two views agree."""
    V, N = rays.weight.shape
    best_vote, best_inliers = np.zeros(N), np.zeros((V, N), bool)
    for pair in itertools.combinations(range(V), 2):
        both = np.flatnonzero((rays.weight[list(pair)] > 0).all(0))
        if not both.size:
            continue
        of_both = rays[both]
        alone = np.zeros((V, both.size))
        alone[list(pair)] = 1.0
        squared = relative_squared(geometry, nearest_to_rays(geometry, of_both.x, of_both.y, alone), of_both)
        with np.errstate(invalid="ignore"):
            agrees = (squared < 1) & (of_both.weight > 0)
        vote = np.where(agrees, of_both.weight * (1 - np.where(agrees, squared, 0.0)), 0.0).sum(0)
        better = (vote > best_vote[both]) & (agrees.sum(0) >= 2)
        best_vote[both[better]] = vote[better]
        best_inliers[:, both[better]] = agrees[:, better]
    return best_inliers


def _exchanged_sides(geometry: ViewGeometry, xyz: F64, matched: MatchedJoints) -> np.ndarray:
    """Return the mask (T, P, V, J) of detected joints that fit far better with left and right swapped.

    The test is per limb group (face, arms, legs), because estimators swap the sides of single groups as often as those
    of all joints. At least two joints must be beyond the gate, and the gain must be clear, because side views hardly
    distinguish left from right.
    """
    T, P, V, J = matched.weight.shape
    mirror = list(geometry.skeleton.mirror)
    point, rays = xyz.reshape(-1, 3).T, _by_view(matched)
    direct = _side_cost(geometry, point, rays).reshape(V, T, P, J)
    # Most detections need no swap.
    t, p = np.nonzero((np.nansum(direct, -1) > _MIRROR_MIN_COST).any(0))
    out = np.zeros(matched.weight.shape, bool)
    if not len(t):
        return out
    other = MatchedJoints(
        ideal=matched.ideal[t, p][None, :, :, mirror],
        weight=matched.weight[t, p][None, :, :, mirror],
        focal_px=matched.focal_px[t, p][None, :, :, mirror],
    )
    exchanged = _side_cost(geometry, xyz[t, p].reshape(-1, 3).T, _by_view(other)).reshape(V, len(t), J)
    for group in _side_groups(geometry.skeleton):
        before, after = direct[:, t, p][..., group], exchanged[..., group]
        both = np.isfinite(before) & np.isfinite(after)
        before, after = (np.where(both, cost, 0.0).sum(-1) for cost in (before, after))
        wrong = (before > _MIRROR_MIN_COST) & (after < _MIRROR_GAIN * before)  # (V, rows)
        v, row = np.nonzero(wrong)
        out[t[row, None], p[row, None], v[:, None], group] = True
    return out


def _side_cost(geometry: ViewGeometry, point: F64, rays: ViewRays) -> F64:
    """Return the squared residuals (V, N) relative to the gates, capped at 4; NaN where missing."""
    squared = np.minimum(relative_squared(geometry, point, rays), 4.0)
    return np.where(rays.weight > 0, squared, np.nan)


def _side_groups(skeleton: Skeleton) -> list[list[int]]:
    """Return the joint indices of each group of paired limbs, left and right together."""
    groups = [
        [j for j, name in enumerate(skeleton.joints) if name.removeprefix("left_").removeprefix("right_") in parts]
        for parts in _SIDE_GROUPS
    ]
    return [g for g in groups if g]
