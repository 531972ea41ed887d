"""Joints from matched detections when some of them are wrong.

Letters in shapes: V view, N points, H pairs of views, T time, P person, J joint.

A view may show a limb of somebody else, or have left and right exchanged. Every pair of views proposes a point; the
views that agree with it vote by their confidence; the best proposal's inliers are triangulated, and a few Gauss-Newton
steps on pixels, through the lens model, refine it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from core.association.config import AssociationConfig
from core.association.views import Views
from core.geometry import intersect_rays, project, triangulate
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton

_CHUNK = 20_000  # Points at a time: bounds the memory of the proposals.
_STEPS = 3
_SIDE_GROUPS = (
    ("eye", "ear"),
    ("shoulder", "elbow", "wrist"),
    ("hip", "knee", "ankle"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """Triangulated people.

    Attributes:
        xyz_mm: (T, P, J, 3), NaN where fewer than two views agree.
        score: (T, P, J) in 0..1: mean confidence of the views that agree, times the share that they are of all that saw
            the joint.
        covariance_mm2: (T, P, J, 3, 3) to first order, from the residuals of the whole take.
        inlier: (T, P, V, J) views that were used.
    """

    xyz_mm: F64
    score: F64
    covariance_mm2: F64
    inlier: np.ndarray


def triangulate_people(views: Views, members: I64, config: AssociationConfig) -> People:
    """Robust joints of matched people.

    Args:
        views: All detections.
        members: (T, P, V) detection column of each person in each view, -1 for none.
        config: Settings.
    """
    xy, weight = matched(views, members)
    ideal = matched_ideal(views, members)
    points = _robust(views, ideal, weight, xy, config)
    exchange = _exchanged_sides(views, points.xyz_mm, ideal, weight)
    if exchange.any():
        mirror = list(views.skeleton.mirror)
        xy, ideal = (np.where(exchange[..., None], a[:, :, :, mirror], a) for a in (xy, ideal))
        weight = np.where(exchange, weight[:, :, :, mirror], weight)
        points = _robust(views, ideal, weight, xy, config)
    return points


def matched(views: Views, members: I64) -> tuple[F64, F64]:
    """Pixels (T, P, V, J, 2) and confidences (T, P, V, J) of matched detections; NaN and 0 where there is none."""
    return _take(views.xy_px, members, np.nan), _take(views.weight, members, 0.0)


def matched_ideal(views: Views, members: I64) -> F64:
    """As `matched`, undistorted image-plane coordinates (T, P, V, J, 2)."""
    return _take(views.ideal, members, np.nan)


def _take(values: F64, members: I64, missing: float) -> F64:
    T, _, V = members.shape
    picked = values[np.arange(T)[:, None, None], np.arange(V)[None, None], members]
    none = (members < 0).reshape(*members.shape, *([1] * (picked.ndim - 3)))
    return np.where(none, missing, picked)


def _robust(views: Views, ideal: F64, weight: F64, xy: F64, config: AssociationConfig) -> People:
    """All points of all people, in chunks; arrays as in `matched`."""
    T, P, V, J = weight.shape
    by_view = [np.moveaxis(a, 2, 0).reshape(V, T * P * J, *a.shape[4:]) for a in (ideal, weight, xy)]
    flat_ideal, flat_weight, flat_xy = by_view
    xyz, inlier = np.full((T * P * J, 3), np.nan), np.zeros((V, T * P * J), bool)
    seen = np.flatnonzero((flat_weight > 0).sum(0) >= 2)
    for start in range(0, seen.size, _CHUNK):
        part = seen[start : start + _CHUNK]
        agreed = _consensus(views, flat_ideal[:, part], flat_weight[:, part])
        first = triangulate(views.rig, flat_ideal[:, part], np.where(agreed, flat_weight[:, part], 0.0))
        xyz[part] = _refine(views, first, flat_xy[:, part], np.where(agreed, flat_weight[:, part], 0.0))
        inlier[:, part] = agreed
    solved = np.isfinite(xyz).all(-1)
    inlier &= solved
    n_seen, n_used = (flat_weight > 0).sum(0), inlier.sum(0)
    mean = np.where(inlier, flat_weight, 0.0).sum(0) / np.maximum(n_used, 1)
    score = np.where(solved, np.clip(mean * n_used / np.maximum(n_seen, 1), 0.0, 1.0), 0.0)
    # A joint without any trust left would be neither present nor missing.
    score = np.where(solved, np.maximum(score, 1e-3), 0.0)
    covariance = _covariance(views, xyz, flat_xy, np.where(inlier, flat_weight, 0.0))
    return People(
        xyz_mm=xyz.reshape(T, P, J, 3),
        score=score.reshape(T, P, J),
        covariance_mm2=covariance.reshape(T, P, J, 3, 3),
        inlier=np.moveaxis(inlier.reshape(V, T, P, J), 0, 2),
    )


def _consensus(views: Views, ideal: F64, weight: F64) -> np.ndarray:
    """(V, N) bool: views that agree with the best proposal of any pair; nothing where no two agree."""
    V, N = weight.shape
    plane = np.concatenate([ideal, np.ones_like(ideal[..., :1])], -1)
    rays = plane @ views.R
    best_vote, best_set = np.zeros(N), np.zeros((V, N), bool)
    for a, b in itertools.combinations(range(V), 2):
        both = np.flatnonzero((weight[a] > 0) & (weight[b] > 0))
        if not both.size:
            continue
        point, _, _, _ = intersect_rays(views.centre_mm[a], rays[a, both], views.centre_mm[b], rays[b, both])
        away, gate = _distance(views, point, ideal[:, both])
        with np.errstate(invalid="ignore"):
            relative = away / gate
            agrees = (relative < 1) & (weight[:, both] > 0)
        vote = np.where(agrees, weight[:, both] * (1 - np.where(agrees, relative, 0.0) ** 2), 0.0).sum(0)
        better = (vote > best_vote[both]) & (agrees.sum(0) >= 2)
        best_vote[both[better]] = vote[better]
        best_set[:, both[better]] = agrees[:, better]
    return best_set


def _distance(views: Views, point: F64, ideal: F64) -> tuple[F64, F64]:
    """How far (V, N) points (N, 3) are from the lines of sight, in the plane of the point, and the gate there; mm."""
    plane, depth = views.local(point)
    away = np.linalg.norm(plane - ideal, axis=-1) * depth
    return away, views.gate(depth, np.arange(len(views.R))[:, None])


def _refine(views: Views, xyz: F64, xy: F64, weight: F64) -> F64:
    """Gauss-Newton on the pixel error in the recorded, distorted images with Huber weights.

    Args:
        views: Cameras.
        xyz: (N, 3) start.
        xy: (V, N, 2) px.
        weight: (V, N), 0 for views that are not used.

    Returns:
        (N, 3); a point keeps its start where a step makes it worse.
    """
    best, best_cost = xyz, np.full(len(xyz), np.inf)
    current = xyz
    for step in range(_STEPS + 1):
        residual, slope, used = _linearise(views, current, xy, weight)
        cost = (used * _huber_cost(residual, views.gate_px)).sum(0)
        better = np.isfinite(current).all(-1) & (cost < best_cost)
        best, best_cost = np.where(better[:, None], current, best), np.where(better, cost, best_cost)
        if step == _STEPS:
            break
        trust = used * _huber_weight(residual, views.gate_px)
        normal, right = _normal_equations(residual, slope, trust)
        size = np.maximum(np.trace(normal, axis1=-2, axis2=-1), 1e-12)
        # A little damping keeps nearly parallel rays from throwing a point away.
        damped = normal + 1e-6 * size[:, None, None] * np.eye(3)
        move = np.linalg.solve(damped, right[..., None])[..., 0]
        current = np.where(np.isfinite(best).all(-1, keepdims=True), current - move, np.nan)
    return best


def _linearise(views: Views, xyz: F64, xy: F64, weight: F64) -> tuple[F64, F64, F64]:
    """Residuals (V, N, 2) px, their slopes (V, N, 2, 3) px per mm, and the weights (V, N), 0 where not visible."""
    residual, slope = np.zeros(xy.shape), np.zeros((*xy.shape, 3))
    used = np.zeros(weight.shape)
    shifted = xyz + np.concatenate([np.zeros((1, 3)), np.eye(3)])[:, None]  # 1 mm along each axis
    for v, camera in enumerate(views.rig):
        seen = np.flatnonzero(weight[v] > 0)
        pixels = project(camera, shifted[:, seen])
        error = pixels[0] - xy[v, seen]
        known = np.isfinite(pixels).all((0, 2)) & np.isfinite(error).all(-1)
        residual[v, seen[known]] = error[known]
        slope[v, seen[known]] = np.moveaxis(pixels[1:, known] - pixels[0, known], 0, -1)
        used[v, seen[known]] = weight[v, seen[known]]
    return residual, slope, used


def _normal_equations(residual: F64, slope: F64, weight: F64) -> tuple[F64, F64]:
    """Left (N, 3, 3) and right side (N, 3) of the weighted least squares, from arrays as `_linearise` returns them."""
    root = np.sqrt(weight)[..., None]
    V, N = weight.shape
    a = np.moveaxis(slope * root[..., None], 0, 1).reshape(N, 2 * V, 3)
    b = np.moveaxis(residual * root, 0, 1).reshape(N, 2 * V, 1)
    across = a.transpose(0, 2, 1)
    return across @ a, (across @ b)[..., 0]


def _huber_weight(residual: F64, limit_px: F64) -> F64:
    size = np.linalg.norm(residual, axis=-1)
    return np.asarray(np.minimum(1.0, limit_px[:, None] / np.maximum(size, 1e-9)))


def _huber_cost(residual: F64, limit_px: F64) -> F64:
    size, limit = np.linalg.norm(residual, axis=-1), limit_px[:, None]
    return np.asarray(np.where(size <= limit, size**2, 2 * limit * size - limit**2))


def _covariance(views: Views, xyz: F64, xy: F64, weight: F64) -> F64:
    """(N, 3, 3) inverse of the normal equations, scaled by the take's own pixel error.

    The residuals of n views have 2n - 3 degrees of freedom, which is taken into account on the whole.
    """
    residual, slope, used = _linearise(views, xyz, xy, weight)
    seen = used > 0
    n = seen.sum(0)
    free = np.maximum(2 * n - 3, 0).sum()
    if not free:
        return np.full((*xyz.shape, 3), np.nan)
    relative = used / max(float(used[seen].mean()), 1e-9)
    variance_px2 = float((relative[..., None] * residual**2).sum() / free)
    normal, _ = _normal_equations(residual, slope, relative)
    good = (n >= 2) & np.isfinite(xyz).all(-1) & (np.linalg.det(normal) > 0)
    inverse = np.linalg.inv(np.where(good[:, None, None], normal, np.eye(3)))
    return np.where(good[:, None, None], variance_px2 * inverse, np.nan)


def _exchanged_sides(views: Views, xyz: F64, ideal: F64, weight: F64) -> np.ndarray:
    """(T, P, V, J) bool: joints of a view's detection that fit far better with left and right exchanged.

    Decided limb by limb (face, arms, legs): estimators confuse the sides of a part as often as those of a whole person.
    """
    plane, depth = views.local(xyz)  # (V, T, P, J, ...)
    plane, depth = np.moveaxis(plane, 0, 2), np.moveaxis(depth, 0, 2)  # (T, P, V, J, ...)
    mirror = list(views.skeleton.mirror)
    gate = views.gate(depth, np.arange(len(views.R))[:, None])

    def cost(side: F64, side_weight: F64) -> F64:
        relative = np.linalg.norm(plane - side, axis=-1) * depth / gate
        known = np.isfinite(relative) & (side_weight > 0)
        return np.where(known, np.minimum(np.where(known, relative, 0.0), 2.0) ** 2, np.nan)

    as_seen, exchanged = cost(ideal, weight), cost(ideal[:, :, :, mirror], weight[:, :, :, mirror])
    out = np.zeros(weight.shape, bool)
    for group in _side_groups(views.skeleton):
        both = np.isfinite(as_seen[..., group]) & np.isfinite(exchanged[..., group])
        before = np.where(both, as_seen[..., group], 0.0).sum(-1)
        after = np.where(both, exchanged[..., group], 0.0).sum(-1)
        # At least two joints outside the gate before, and a clear gain: side views hardly tell left from right.
        out[..., group] = ((before > 2.0) & (after < 0.35 * before))[..., None]
    return out


def _side_groups(skeleton: Skeleton) -> list[list[int]]:
    """Joint indices of limbs that come in pairs, left and right together."""
    groups = [
        [j for j, name in enumerate(skeleton.joints) if name.removeprefix("left_").removeprefix("right_") in parts]
        for parts in _SIDE_GROUPS
    ]
    return [g for g in groups if g]
