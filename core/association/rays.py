"""Points near rays of several views: intersection, residuals, refinement and uncertainty.

Letters in shapes: V view, N points. Each coordinate is a separate array (V, N), because sums over axes of length 2 or
3 are several times slower. Symmetric 3 x 3 matrices are upper triangles row by row, (6, N).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.association.views import MIN_DEPTH_MM, ViewGeometry
from core.types.arrays import F32, F64

_STEPS = 2
_DAMPING = 1e-6  # Relative to the trace of the normal equations; stabilises nearly parallel rays.
_FULL = np.array([0, 1, 2, 1, 3, 4, 2, 4, 5])  # From the upper triangle to all elements of a symmetric matrix.
_COFACTORS = np.array([[3, 2, 1, 0, 1, 0], [5, 4, 4, 5, 2, 3], [4, 1, 2, 2, 0, 1], [4, 5, 3, 2, 4, 1]])
"""Indices into the upper triangle: a cofactor is the product of the first two, minus that of the other two."""
_LEAST_ANGLE = 1e-8  # Determinant over the cubed trace for two rays 1 mrad apart; below, depth is undetermined.


@dataclass(frozen=True, slots=True, eq=False)
class ViewRays:
    """Observations of N points, all (V, N): ideal coordinates, 0 where missing, weights, and pixels per unit."""

    x: F64
    y: F64
    weight: F64
    focal_px: F64

    def __getitem__(self, columns: np.ndarray | slice) -> ViewRays:
        return ViewRays(self.x[:, columns], self.y[:, columns], self.weight[:, columns], self.focal_px[:, columns])


@dataclass(frozen=True, slots=True, eq=False)
class _Projected:
    """Points (3, N) in all views (V, N).

    Ideal coordinates, inverse depths, mask of points in front of the camera, and offsets from the observations.
    """

    px: F64
    py: F64
    inverse: F64
    ahead: np.ndarray
    dx: F64
    dy: F64


def nearest_to_rays(geometry: ViewGeometry, x: F64, y: F64, weight: F64, least_angle: float = _LEAST_ANGLE) -> F64:
    """Return the points (3, N) nearest to rays of all views.

    Args:
        geometry: V cameras.
        x: (V, N) coordinates on the ideal planes.
        y: (V, N) coordinates on the ideal planes.
        weight: (V, N) weights, 0 to exclude a ray.
        least_angle: Determinant over the cubed trace below which rays count as parallel and the point is NaN.
    """
    scaled = weight / (x * x + y * y + 1)
    sx, sy = scaled * x, scaled * y
    normal = -(geometry.products @ np.concatenate([sx * x, sy * y, scaled, sx * y, sx, sy]))
    normal[[0, 3, 5]] += weight.sum(0)
    # The dot product of ray direction and camera centre equals minus that of local direction and translation.
    t = geometry.t_mm[..., None]
    along = x * t[:, 0] + y * t[:, 1] + t[:, 2]
    right = geometry.axes @ np.concatenate([sx * along, sy * along, scaled * along]) + geometry.centre_mm.T @ weight
    return _solve_symmetric(normal, right, least_angle)


def relative_squared(geometry: ViewGeometry, point: F64, rays: ViewRays) -> F64:
    """Return the squared residuals (V, N) of points (3, N) in the plane of the point, relative to the gates there."""
    at = _project(geometry, point, rays)
    gate = geometry.gate_mm * at.inverse
    pixels = (geometry.gate_px / geometry.focal_px)[:, None]
    return (at.dx * at.dx + at.dy * at.dy) / (gate * gate + pixels * pixels)


def refine_points(geometry: ViewGeometry, point: F64, rays: ViewRays) -> F64:
    """Minimise the reprojection error in pixels by Gauss-Newton steps with Huber weights, from points (3, N).

    Returns:
        (3, N) points of lowest cost among the initial ones and those after each step; NaN for nearly parallel rays and
        for points behind an observing camera.
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


def point_information(geometry: ViewGeometry, point: F64, rays: ViewRays) -> tuple[F64, F64]:
    """Return the Hessians (6, N), 1/mm2, and the weighted squared residuals (N,), px2, of points (3, N)."""
    at = _project(geometry, point, rays)
    weight = rays.weight * rays.focal_px**2
    normal, _ = _normal_equations(geometry, at, weight)
    return normal, (weight * (at.dx * at.dx + at.dy * at.dy)).sum(0)


def point_covariance(information: F64, solved: np.ndarray) -> F32:
    """Return the inverse Hessians (N, 3, 3): covariances up to the common pixel variance of all points.

    The scale of the weights cancels out, because the squared residuals that estimate the variance contain it, too.
    """
    out = np.empty((len(solved), 9), np.float32)
    cofactors, det = _cofactors(information)
    good = solved & (det > 0)
    inverse = np.where(good, 1 / np.where(good, det, 1.0), np.nan)
    with np.errstate(over="ignore"):
        for column, i in enumerate(_FULL):
            out[:, column] = cofactors[i] * inverse
    return out.reshape(-1, 3, 3)


def _solve_symmetric(normal: F64, right: F64, least: float) -> F64:
    """Solve symmetric systems by cofactors.

    Args:
        normal: (6, N) upper triangles row by row.
        right: (3, N) right-hand sides.
        least: Determinant over the cubed trace below which the solution is NaN.

    Returns:
        (3, N) solutions.
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


def _project(geometry: ViewGeometry, point: F64, rays: ViewRays) -> _Projected:
    local = (geometry.axes.T @ point).reshape(3, len(geometry), -1)
    local += geometry.t_mm.T[..., None]
    # Points behind a camera get very large residuals.
    ahead = np.asarray(local[2] > MIN_DEPTH_MM)
    inverse = 1 / np.maximum(local[2], MIN_DEPTH_MM)
    px, py = local[0] * inverse, local[1] * inverse
    return _Projected(px, py, inverse, ahead, px - rays.x, py - rays.y)


def _normal_equations(geometry: ViewGeometry, at: _Projected, weight: F64) -> tuple[F64, F64]:
    """Return J^T W J (6, N), upper triangles row by row, and J^T W r (3, N) of weights (V, N) on the ideal plane."""
    px, py = at.px, at.py
    gain = weight * at.inverse
    right = geometry.axes @ np.concatenate([gain * at.dx, gain * at.dy, -gain * (at.dx * px + at.dy * py)])
    gain = gain * at.inverse
    # Jacobian rows: rows of the rotation minus the coordinate times its third row.
    terms = np.concatenate([
        gain, gain, gain * (px * px + py * py), np.zeros_like(gain), -gain * px, -gain * py,
    ])  # fmt: skip
    normal = geometry.products @ terms
    return normal, right
