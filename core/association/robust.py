"""Robust triangulation of matched detections.

Letters in shapes: V view, N points, T time, P person, J joint.

A view may show a limb of another person, or have left and right exchanged. Every pair of views proposes a point (as in
RANSAC, but over all pairs); the views that agree with it vote with their confidence. The inliers of the best proposal
are triangulated linearly, and the point is refined by a few Gauss-Newton steps on the reprojection error in distorted
pixels, with Huber weights (Hartley and Zisserman, Multiple View Geometry, 2003, sections 4.7 and 12.2; A6.8 for Huber).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from core.association.views import TakeViews, ViewGeometry
from core.geometry import intersect_rays, project, triangulate
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton

_CHUNK = 20_000  # Points per batch: bounds the memory of the proposals.
_STEPS = 3
_DAMPING = 1e-6  # Relative to the trace of the normal equations: keeps nearly parallel rays from diverging.
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
    covariance_mm2: F64
    inlier: np.ndarray


def triangulate_people(views: TakeViews, members: I64) -> TriangulatedPeople:
    """Triangulate the joints of matched people.

    Args:
        views: All detections.
        members: (T, P, V) detection column of each person in each view, -1 for none.
    """
    geometry = views.geometry
    frames = np.broadcast_to(np.arange(len(members))[:, None], members.shape[:2])
    xy, ideal, weight = gather_members(views, frames, members)
    people = triangulate_joints(geometry, ideal, weight, xy)
    exchanged = _exchanged_sides(geometry, people.xyz_mm, ideal, weight)
    if exchanged.any():
        mirror = list(geometry.skeleton.mirror)
        xy, ideal = (np.where(exchanged[..., None], a[:, :, :, mirror], a) for a in (xy, ideal))
        weight = np.where(exchanged, weight[:, :, :, mirror], weight)
        people = triangulate_joints(geometry, ideal, weight, xy)
    return people


def gather_members(views: TakeViews, frames: I64, members: I64) -> tuple[F64, F64, F64]:
    """Return the matched detections of people.

    Args:
        views: All detections.
        frames: (...) frame of each person.
        members: (..., V) detection column in each view, -1 for none.

    Returns:
        Pixels and ideal coordinates (..., V, J, 2), NaN where missing, and confidences (..., V, J).
    """
    index = (frames[..., None], np.arange(members.shape[-1]), members)
    missing = (members < 0)[..., None]
    return (
        np.where(missing[..., None], np.nan, views.xy_px[index]),
        np.where(missing[..., None], np.nan, views.ideal[index]),
        np.where(missing, 0.0, views.weight[index]),
    )


def triangulate_joints(geometry: ViewGeometry, ideal: F64, weight: F64, xy: F64) -> TriangulatedPeople:
    """Triangulate all joints of all people, in batches; arrays (T, P, V, J, ...) as of `gather_members`."""
    T, P, V, J = weight.shape
    by_view = [np.moveaxis(a, 2, 0).reshape(V, T * P * J, *a.shape[4:]) for a in (ideal, weight, xy)]
    flat_ideal, flat_weight, flat_xy = by_view
    xyz, inlier = np.full((T * P * J, 3), np.nan), np.zeros((V, T * P * J), bool)
    seen = np.flatnonzero((flat_weight > 0).sum(0) >= 2)
    for start in range(0, seen.size, _CHUNK):
        batch = seen[start : start + _CHUNK]
        agrees = _consensus(geometry, flat_ideal[:, batch], flat_weight[:, batch])
        inlier_weight = np.where(agrees, flat_weight[:, batch], 0.0)
        linear = triangulate(geometry.rig, flat_ideal[:, batch], inlier_weight)
        xyz[batch] = _refine(geometry, linear, flat_xy[:, batch], inlier_weight)
        inlier[:, batch] = agrees
    solved = np.isfinite(xyz).all(-1)
    inlier &= solved
    n_seen, n_used = (flat_weight > 0).sum(0), inlier.sum(0)
    mean = np.where(inlier, flat_weight, 0.0).sum(0) / np.maximum(n_used, 1)
    score = np.where(solved, np.clip(mean * n_used / np.maximum(n_seen, 1), 0.0, 1.0), 0.0)
    score = np.where(solved, np.maximum(score, _MIN_SCORE), 0.0)
    covariance = _covariance(geometry, xyz, flat_xy, np.where(inlier, flat_weight, 0.0))
    return TriangulatedPeople(
        xyz_mm=xyz.reshape(T, P, J, 3),
        score=score.reshape(T, P, J),
        covariance_mm2=covariance.reshape(T, P, J, 3, 3),
        inlier=np.moveaxis(inlier.reshape(V, T, P, J), 0, 2),
    )


def _consensus(geometry: ViewGeometry, ideal: F64, weight: F64) -> np.ndarray:
    """Return the inliers (V, N) of the best proposal of any pair of views; none where no two views agree."""
    V, N = weight.shape
    plane = np.concatenate([ideal, np.ones_like(ideal[..., :1])], -1)
    rays = plane @ geometry.R
    best_vote, best_inliers = np.zeros(N), np.zeros((V, N), bool)
    for a, b in itertools.combinations(range(V), 2):
        both = np.flatnonzero((weight[a] > 0) & (weight[b] > 0))
        if not both.size:
            continue
        point, _, _, _ = intersect_rays(geometry.centre_mm[a], rays[a, both], geometry.centre_mm[b], rays[b, both])
        residual, gate = _residuals_mm(geometry, point, ideal[:, both])
        with np.errstate(invalid="ignore"):
            relative = residual / gate
            agrees = (relative < 1) & (weight[:, both] > 0)
        vote = np.where(agrees, weight[:, both] * (1 - np.where(agrees, relative, 0.0) ** 2), 0.0).sum(0)
        better = (vote > best_vote[both]) & (agrees.sum(0) >= 2)
        best_vote[both[better]] = vote[better]
        best_inliers[:, both[better]] = agrees[:, better]
    return best_inliers


def _residuals_mm(geometry: ViewGeometry, point: F64, ideal: F64) -> tuple[F64, F64]:
    """Return the residuals (V, N) of points (N, 3) in the plane of the point, and the gates there, in mm."""
    projected, depth = geometry.project_ideal(point)
    residual = np.linalg.norm(projected - ideal, axis=-1) * depth
    return residual, geometry.gate(depth, np.arange(len(geometry))[:, None])


def _refine(geometry: ViewGeometry, xyz: F64, xy: F64, weight: F64) -> F64:
    """Minimise the reprojection error in distorted pixels by Gauss-Newton steps with Huber weights.

    Args:
        geometry: Cameras.
        xyz: (N, 3) initial points.
        xy: (V, N, 2) detections in px.
        weight: (V, N) weights, 0 for views that are not used.

    Returns:
        (N, 3) points of lowest cost among the initial ones and those after each step.
    """
    best, best_cost = xyz, np.full(len(xyz), np.inf)
    current = xyz
    for step in range(_STEPS + 1):
        residual, jacobian, used = _linearise(geometry, current, xy, weight)
        cost = (used * _huber_cost(residual, geometry.gate_px)).sum(0)
        better = np.isfinite(current).all(-1) & (cost < best_cost)
        best, best_cost = np.where(better[:, None], current, best), np.where(better, cost, best_cost)
        if step == _STEPS:
            break
        robust_weight = used * _huber_weight(residual, geometry.gate_px)
        hessian, gradient = _normal_equations(residual, jacobian, robust_weight)
        trace = np.maximum(np.trace(hessian, axis1=-2, axis2=-1), 1e-12)
        damped = hessian + _DAMPING * trace[:, None, None] * np.eye(3)
        delta = np.linalg.solve(damped, gradient[..., None])[..., 0]
        current = np.where(np.isfinite(best).all(-1, keepdims=True), current - delta, np.nan)
    return best


def _linearise(geometry: ViewGeometry, xyz: F64, xy: F64, weight: F64) -> tuple[F64, F64, F64]:
    """Return residuals (V, N, 2) in px, Jacobians (V, N, 2, 3) in px/mm, and weights (V, N), 0 where not visible."""
    residual, jacobian = np.zeros(xy.shape), np.zeros((*xy.shape, 3))
    used = np.zeros(weight.shape)
    shifted = xyz + np.concatenate([np.zeros((1, 3)), np.eye(3)])[:, None]  # forward differences of 1 mm
    for v, camera in enumerate(geometry.rig):
        seen = np.flatnonzero(weight[v] > 0)
        pixels = project(camera, shifted[:, seen])
        error = pixels[0] - xy[v, seen]
        known = np.isfinite(pixels).all((0, 2)) & np.isfinite(error).all(-1)
        residual[v, seen[known]] = error[known]
        jacobian[v, seen[known]] = np.moveaxis(pixels[1:, known] - pixels[0, known], 0, -1)
        used[v, seen[known]] = weight[v, seen[known]]
    return residual, jacobian, used


def _normal_equations(residual: F64, jacobian: F64, weight: F64) -> tuple[F64, F64]:
    """Return Gauss-Newton Hessians (N, 3, 3) and gradients (N, 3) of arrays as in `_linearise`."""
    root = np.sqrt(weight)[..., None]
    V, N = weight.shape
    a = np.moveaxis(jacobian * root[..., None], 0, 1).reshape(N, 2 * V, 3)
    b = np.moveaxis(residual * root, 0, 1).reshape(N, 2 * V, 1)
    across = a.transpose(0, 2, 1)
    return across @ a, (across @ b)[..., 0]


def _huber_weight(residual: F64, limit_px: F64) -> F64:
    size = np.linalg.norm(residual, axis=-1)
    return np.asarray(np.minimum(1.0, limit_px[:, None] / np.maximum(size, 1e-9)))


def _huber_cost(residual: F64, limit_px: F64) -> F64:
    size, limit = np.linalg.norm(residual, axis=-1), limit_px[:, None]
    return np.asarray(np.where(size <= limit, size**2, 2 * limit * size - limit**2))


def _covariance(geometry: ViewGeometry, xyz: F64, xy: F64, weight: F64) -> F64:
    """Return the inverse Hessians (N, 3, 3), scaled by the pixel variance over all points.

    The residuals of n views have 2n - 3 degrees of freedom; the variance divides by their sum over all points.
    """
    residual, jacobian, used = _linearise(geometry, xyz, xy, weight)
    seen = used > 0
    n = seen.sum(0)
    dof = np.maximum(2 * n - 3, 0).sum()
    if not dof:
        return np.full((*xyz.shape, 3), np.nan)
    relative = used / max(float(used[seen].mean()), 1e-9)
    variance_px2 = float((relative[..., None] * residual**2).sum() / dof)
    hessian, _ = _normal_equations(residual, jacobian, relative)
    good = (n >= 2) & np.isfinite(xyz).all(-1) & (np.linalg.det(hessian) > 0)
    inverse = np.linalg.inv(np.where(good[:, None, None], hessian, np.eye(3)))
    return np.where(good[:, None, None], variance_px2 * inverse, np.nan)


def _exchanged_sides(geometry: ViewGeometry, xyz: F64, ideal: F64, weight: F64) -> np.ndarray:
    """Return the joints (T, P, V, J) of detections that fit far better with left and right exchanged.

    Decided per limb group (face, arms, legs): estimators confuse the sides of a group as often as those of a whole
    person. At least two joints must lie beyond the gate, and the gain must be clear, because side views hardly
    distinguish left from right.
    """
    projected, depth = geometry.project_ideal(xyz)  # (V, T, P, J, ...)
    projected, depth = np.moveaxis(projected, 0, 2), np.moveaxis(depth, 0, 2)  # (T, P, V, J, ...)
    mirror = list(geometry.skeleton.mirror)
    gate = geometry.gate(depth, np.arange(len(geometry))[:, None])

    def cost(side: F64, side_weight: F64) -> F64:
        relative = np.linalg.norm(projected - side, axis=-1) * depth / gate
        known = np.isfinite(relative) & (side_weight > 0)
        return np.where(known, np.minimum(np.where(known, relative, 0.0), 2.0) ** 2, np.nan)

    direct, exchanged = cost(ideal, weight), cost(ideal[:, :, :, mirror], weight[:, :, :, mirror])
    out = np.zeros(weight.shape, bool)
    for group in _side_groups(geometry.skeleton):
        both = np.isfinite(direct[..., group]) & np.isfinite(exchanged[..., group])
        before = np.where(both, direct[..., group], 0.0).sum(-1)
        after = np.where(both, exchanged[..., group], 0.0).sum(-1)
        out[..., group] = ((before > _MIRROR_MIN_COST) & (after < _MIRROR_GAIN * before))[..., None]
    return out


def _side_groups(skeleton: Skeleton) -> list[list[int]]:
    """Return the joint indices of each group of paired limbs, left and right together."""
    groups = [
        [j for j, name in enumerate(skeleton.joints) if name.removeprefix("left_").removeprefix("right_") in parts]
        for parts in _SIDE_GROUPS
    ]
    return [g for g in groups if g]
