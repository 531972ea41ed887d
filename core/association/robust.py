"""Robust triangulation of matched detections.

Letters in shapes: V view, N points, T time, P person, J joint.

A view may show a limb of another person, or have left and right exchanged. Where the point nearest to all rays does not
agree clearly with all views, every pair of views proposes a point (as in RANSAC, but over all pairs), and the views
that agree with it vote with their confidence. The inliers are triangulated, and the point is refined by a few
Gauss-Newton steps on the reprojection error in pixels, with Huber weights (Hartley and Zisserman, Multiple View
Geometry, 2003, sections 4.7 and 12.2; A6.8 for Huber).

Coordinates are arrays of their own, (V, N), because sums over axes of length 2 and 3 are several times slower.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from core.association.views import MIN_DEPTH_MM, StreamedViews, TakeViews, ViewGeometry
from core.types.arrays import F32, F64, I64, read_only
from core.types.skeleton import Skeleton

_CHUNK = 2048  # Points per batch: its arrays stay in the cache.
_STEPS = 2
_DAMPING = 1e-6  # Relative to the trace of the normal equations: keeps nearly parallel rays from diverging.
_FULL = np.array([0, 1, 2, 1, 3, 4, 2, 4, 5])  # Upper triangle row by row, to all elements of a symmetric matrix.
_COFACTORS = np.array([[3, 2, 1, 0, 1, 0], [5, 4, 4, 5, 2, 3], [4, 1, 2, 2, 0, 1], [4, 5, 3, 2, 4, 1]])
"""Elements of the upper triangle, so that the cofactors are products of the first two, less those of the others."""
_CLEAR = 0.7  # Residual relative to the gate below which a view agrees without a vote.
_LEAST_ANGLE = 1e-8  # Determinant over the cubed trace of two rays a milliradian apart: depth is undetermined below.
_MIN_SCORE = 1e-3  # A present joint has a score above 0.
_SIDE_GROUPS = (
    ("eye", "ear"),
    ("shoulder", "elbow", "wrist"),
    ("hip", "knee", "ankle"),
)
_MIRROR_MIN_COST, _MIRROR_GAIN = 2.0, 0.35
"""Sides are exchanged where the cost was above the first and falls below this fraction of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriangulatedPeople:
    """Triangulated joints.

    Attributes:
        xyz_mm: (T, P, J, 3) world points, NaN where fewer than two views agree.
        score: (T, P, J) in 0..1: mean confidence of the inlier views, times their fraction of all views with the joint.
        covariance_mm2: (T, P, J, 3, 3) to first order, scaled by the residuals of all frames together.
        inlier: (T, P, V, J) bool, views that were used.
    """

    xyz_mm: F64
    score: F64
    covariance_mm2: F32
    inlier: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solution:
    """Some people, with covariances that are still to be scaled, and the sums that give the scale."""

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


@dataclass(frozen=True, slots=True, eq=False)
class _Rays:
    """Observations (V, N) of N points: ideal coordinates, 0 where missing, weight, and pixels per unit."""

    x: F64
    y: F64
    weight: F64
    focal_px: F64

    def __getitem__(self, columns: np.ndarray | slice) -> _Rays:
        return _Rays(self.x[:, columns], self.y[:, columns], self.weight[:, columns], self.focal_px[:, columns])


@dataclass(frozen=True, slots=True, eq=False)
class _Projected:
    """Points (3, N) in all views (V, N).

    Ideal coordinates, inverse depths, where they are ahead of the camera, and their offsets from the observations.
    """

    px: F64
    py: F64
    inverse: F64
    ahead: np.ndarray
    dx: F64
    dy: F64


def triangulate_people(views: TakeViews | StreamedViews, members: I64) -> TriangulatedPeople:
    """Triangulate the joints of matched people.

    Args:
        views: All detections.
        members: (T, P, V) detection column of each person in each view, -1 for none.
    """
    T, P, V = members.shape
    J = len(views.geometry.skeleton)
    xyz, score = np.full((T, P, J, 3), np.nan), np.zeros((T, P, J))
    # In single precision: of all results, covariances are the largest and need the fewest digits.
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
    """Triangulate the people of a block of frames; their covariances are those of residuals of a pixel."""
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
        # Where all views agree clearly, the nearest point is a good start.
        xyz[:, batch], inlier[:, batch] = _clear_agreement(geometry, rays[batch])
        unclear.append(batch[~inlier[:, batch].any(0)])
    for batch in _batches(np.concatenate([*unclear, seen[:0]])):
        of_batch = rays[batch]
        inlier[:, batch] = agrees = _consensus(geometry, of_batch)
        xyz[:, batch] = nearest_to_rays(geometry, of_batch.x, of_batch.y, np.where(agrees, of_batch.weight, 0.0))
    used = _Rays(rays.x, rays.y, np.where(inlier, rays.weight, 0.0), rays.focal_px)
    information, squared = np.full((6, n), np.nan), np.zeros(n)
    for batch in _batches(seen[inlier[:, seen].any(0)]):
        of_batch = used[batch]
        xyz[:, batch] = _refine(geometry, xyz[:, batch], of_batch)
        information[:, batch], squared[batch] = _information(geometry, xyz[:, batch], of_batch)
    solved = np.asarray(inlier.any(0) & np.isfinite(xyz).all(0))
    xyz = np.where(solved, xyz, np.nan)
    inlier &= solved
    n_used = inlier.sum(0, dtype=np.int32)
    mean = used.weight.sum(0) / np.maximum(n_used, 1)
    score = np.where(solved, np.clip(mean * n_used / np.maximum(n_seen, 1), _MIN_SCORE, 1.0), 0.0)
    people = TriangulatedPeople(
        xyz_mm=xyz.T.reshape(T, P, J, 3),
        score=score.reshape(T, P, J),
        covariance_mm2=_covariance(information, solved).reshape(T, P, J, 3, 3),
        inlier=np.moveaxis(inlier.reshape(V, T, P, J), 0, 2),
    )
    # The residuals of n views have 2n - 3 degrees of freedom; the variance divides by their sum over all points.
    dof = int(np.maximum(2 * n_used - 3, 0).sum())
    return _Solution(people=people, squared_px2=float(squared[solved].sum()), dof=dof)


def _by_view(matched: MatchedJoints) -> _Rays:
    V = matched.weight.shape[2]
    x, y, weight, focal = (
        np.moveaxis(a, 2, 0) for a in (matched.ideal[..., 0], matched.ideal[..., 1], matched.weight, matched.focal_px)
    )
    x, y = np.where(weight > 0, x, 0.0), np.where(weight > 0, y, 0.0)
    return _Rays(x.reshape(V, -1), y.reshape(V, -1), weight.reshape(V, -1), focal.reshape(V, -1))


def _batches(columns: I64) -> list[I64]:
    return [columns[start : start + _CHUNK] for start in range(0, len(columns), _CHUNK)]


def _clear_agreement(geometry: ViewGeometry, rays: _Rays) -> tuple[F64, np.ndarray]:
    """Return the points (3, N) nearest to all rays, and the views (V, N) where all agree clearly; none elsewhere."""
    point = nearest_to_rays(geometry, rays.x, rays.y, rays.weight)
    used = rays.weight > 0
    with np.errstate(invalid="ignore"):
        clear = ((_relative_squared(geometry, point, rays) < _CLEAR**2) | ~used).all(0)
    return point, np.asarray(used & clear)


def _consensus(geometry: ViewGeometry, rays: _Rays) -> np.ndarray:
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
        squared = _relative_squared(geometry, nearest_to_rays(geometry, of_both.x, of_both.y, alone), of_both)
        with np.errstate(invalid="ignore"):
            agrees = (squared < 1) & (of_both.weight > 0)
        vote = np.where(agrees, of_both.weight * (1 - np.where(agrees, squared, 0.0)), 0.0).sum(0)
        better = (vote > best_vote[both]) & (agrees.sum(0) >= 2)
        best_vote[both[better]] = vote[better]
        best_inliers[:, both[better]] = agrees[:, better]
    return best_inliers


def nearest_to_rays(geometry: ViewGeometry, x: F64, y: F64, weight: F64, least_angle: float = _LEAST_ANGLE) -> F64:
    """Return the points (3, N) nearest to rays of all views.

    Args:
        geometry: V cameras.
        x: (V, N) coordinates on the ideal planes.
        y: (V, N) the same.
        weight: (V, N) weights, 0 to leave a ray out.
        least_angle: Determinant over the cubed trace below which rays are nearly parallel and the point is NaN.
    """
    scaled = weight / (x * x + y * y + 1)
    sx, sy = scaled * x, scaled * y
    normal = -(geometry.products @ np.concatenate([sx * x, sy * y, scaled, sx * y, sx, sy]))
    normal[[0, 3, 5]] += weight.sum(0)
    # The product of the direction of a ray and the centre of its camera is that of local direction and translation.
    t = geometry.t_mm[..., None]
    along = x * t[:, 0] + y * t[:, 1] + t[:, 2]
    right = geometry.axes @ np.concatenate([sx * along, sy * along, scaled * along]) + geometry.centre_mm.T @ weight
    return _solve_symmetric(normal, right, least_angle)


def _solve_symmetric(normal: F64, right: F64, least: float) -> F64:
    """Solve symmetric systems by cofactors.

    Args:
        normal: (6, N) upper triangles row by row.
        right: (3, N) right sides.
        least: Determinant over the cubed trace below which the solution is NaN.

    Returns:
        (3, N).
    """
    cofactors, det = _cofactors(normal)
    good = det > least * (normal[0] + normal[3] + normal[5]) ** 3
    inverse = np.where(good, 1 / np.where(good, det, 1.0), np.nan)
    return np.asarray(np.einsum("ijn,jn->in", cofactors.take(_FULL, axis=0).reshape(3, 3, -1), right * inverse))


def _cofactors(normal: F64) -> tuple[F64, F64]:
    """Return the cofactors (6, N) and determinants (N,) of symmetric matrices (6, N), upper triangles row by row."""
    a, b, c, d = (normal.take(elements, axis=0) for elements in _COFACTORS)
    cofactors = a * b - c * d
    return cofactors, np.einsum("in,in->n", normal[:3], cofactors[:3])


def _project(geometry: ViewGeometry, point: F64, rays: _Rays) -> _Projected:
    local = (geometry.axes.T @ point).reshape(3, len(geometry), -1)
    local += geometry.t_mm.T[..., None]
    # Points behind a camera get enormous residuals.
    ahead = np.asarray(local[2] > MIN_DEPTH_MM)
    inverse = 1 / np.maximum(local[2], MIN_DEPTH_MM)
    px, py = local[0] * inverse, local[1] * inverse
    return _Projected(px, py, inverse, ahead, px - rays.x, py - rays.y)


def _relative_squared(geometry: ViewGeometry, point: F64, rays: _Rays) -> F64:
    """Return the squared residuals (V, N) of points (3, N) in the plane of the point, relative to the gates there."""
    at = _project(geometry, point, rays)
    gate = geometry.gate_mm * at.inverse
    pixels = (geometry.gate_px / geometry.focal_px)[:, None]
    return (at.dx * at.dx + at.dy * at.dy) / (gate * gate + pixels * pixels)


def _refine(geometry: ViewGeometry, point: F64, rays: _Rays) -> F64:
    """Minimise the reprojection error in pixels by Gauss-Newton steps with Huber weights, from points (3, N).

    Returns:
        (3, N) points of lowest cost among the initial ones and those after each step; NaN for nearly parallel rays,
        and for points behind a camera that sees them.
    """
    limit, seen = geometry.gate_px[:, None], rays.weight > 0
    focal_squared = rays.focal_px * rays.focal_px
    best = current = point
    best_cost = np.full(best.shape[1], np.inf)
    for step in range(_STEPS + 1):
        at = _project(geometry, current, rays)
        size = rays.focal_px * np.sqrt(at.dx * at.dx + at.dy * at.dy)
        clipped = np.minimum(size, limit)
        cost = (rays.weight * clipped * (2 * size - clipped)).sum(0)
        behind = (~at.ahead & seen).any(0)
        better = (cost < best_cost) & ~behind
        best, best_cost = np.where(better, current, best), np.where(better, cost, best_cost)
        if step == _STEPS:
            break
        huber = rays.weight * (clipped / np.maximum(size, 1e-9))
        normal, right = _normal_equations(geometry, at, huber * focal_squared)
        damping = _DAMPING * (normal[0] + normal[3] + normal[5])
        normal[[0, 3, 5]] += damping
        current = current - _solve_symmetric(normal, right, 0.0)
    return np.where(np.isfinite(best_cost), best, np.nan)


def _normal_equations(geometry: ViewGeometry, at: _Projected, weight: F64) -> tuple[F64, F64]:
    """Return J^T W J (6, N), upper triangles row by row, and J^T W r (3, N) of weights (V, N) on the ideal plane."""
    px, py = at.px, at.py
    gain = weight * at.inverse
    right = geometry.axes @ np.concatenate([gain * at.dx, gain * at.dy, -gain * (at.dx * px + at.dy * py)])
    gain = gain * at.inverse
    # Rows of the Jacobian are those of the rotation, less the coordinate times its third row.
    terms = np.concatenate([
        gain, gain, gain * (px * px + py * py), np.zeros_like(gain), -gain * px, -gain * py,
    ])  # fmt: skip
    normal = geometry.products @ terms
    return normal, right


def _information(geometry: ViewGeometry, point: F64, rays: _Rays) -> tuple[F64, F64]:
    """Return the Hessians (6, N), 1/mm2, and the weighted squared residuals (N,), px2, of points (3, N)."""
    at = _project(geometry, point, rays)
    weight = rays.weight * rays.focal_px**2
    normal, _ = _normal_equations(geometry, at, weight)
    return normal, (weight * (at.dx * at.dx + at.dy * at.dy)).sum(0)


def _covariance(information: F64, solved: np.ndarray) -> F32:
    """Return the inverse Hessians (N, 3, 3): covariances, up to the variance of the pixels of all points.

    Weights are relative to their mean, so that the factor between them and the Hessian cancels out.
    """
    out = np.empty((len(solved), 9), np.float32)
    cofactors, det = _cofactors(information)
    good = solved & (det > 0)
    inverse = np.where(good, 1 / np.where(good, det, 1.0), np.nan)
    with np.errstate(over="ignore"):
        for column, i in enumerate(_FULL):
            out[:, column] = cofactors[i] * inverse
    return out.reshape(-1, 3, 3)


def _exchanged_sides(geometry: ViewGeometry, xyz: F64, matched: MatchedJoints) -> np.ndarray:
    """Return the joints (T, P, V, J) of detections that fit far better with left and right exchanged.

    Decided per limb group (face, arms, legs): estimators confuse the sides of a group as often as those of a whole
    person. At least two joints must lie beyond the gate, and the gain must be clear, because side views hardly
    distinguish left from right.
    """
    T, P, V, J = matched.weight.shape
    mirror = list(geometry.skeleton.mirror)
    point, rays = xyz.reshape(-1, 3).T, _by_view(matched)
    direct = _side_cost(geometry, point, rays).reshape(V, T, P, J)
    # Most detections fit as they are.
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


def _side_cost(geometry: ViewGeometry, point: F64, rays: _Rays) -> F64:
    """Return the squared relative residuals (V, N), capped at 2 squared; NaN where missing."""
    squared = np.minimum(_relative_squared(geometry, point, rays), 4.0)
    return np.where(rays.weight > 0, squared, np.nan)


def _side_groups(skeleton: Skeleton) -> list[list[int]]:
    """Return the joint indices of each group of paired limbs, left and right together."""
    groups = [
        [j for j, name in enumerate(skeleton.joints) if name.removeprefix("left_").removeprefix("right_") in parts]
        for parts in _SIDE_GROUPS
    ]
    return [g for g in groups if g]
