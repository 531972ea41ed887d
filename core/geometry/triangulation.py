"""Triangulation of points from several views."""

from __future__ import annotations

import numpy as np

from core.geometry.projection import undistort
from core.types.arrays import F64
from core.types.camera import CameraRig

_PASSES = 2


def ideal_points(rig: CameraRig, xy_px: F64) -> F64:
    """Return ideal image-plane coordinates (V, ..., 2) of pixels (V, ..., 2), one view per camera of the rig."""
    return np.stack([undistort(camera, points) for camera, points in zip(rig, xy_px, strict=True)])


def triangulate(rig: CameraRig, ideal: F64, weight: F64) -> F64:
    """Triangulate points from the views of a rig; see `triangulate_views`.

    Args:
        rig: V posed cameras.
        ideal: (V, ..., 2) from `ideal_points`; NaN for a missing view.
        weight: (V, ...) confidences; 0 excludes the view.

    Returns:
        (..., 3) mm in world coordinates.
    """
    return triangulate_views(
        np.stack([c.pose[0] for c in rig]),
        np.stack([c.pose[1] for c in rig]),
        np.array([(c.K[0, 0] + c.K[1, 1]) / 2 for c in rig]),
        ideal,
        weight,
    )


def triangulate_views(R: F64, t_mm: F64, focal_px: F64, ideal: F64, weight: F64, *, near_mm: float = 0.0) -> F64:
    """Triangulate points by weighted linear least squares (inhomogeneous DLT), all points at once.

    Each view contributes the two equations x (r3 X + t3) = r1 X + t1 on the ideal image plane (Hartley and Zisserman,
    Multiple View Geometry, 2003, section 12.2). They are scaled by the weight and by the focal length over the depth of
    an initial solution. To first order, the result therefore minimises the error in pixels instead of an algebraic
    error that favours near cameras.

    Args:
        R: (V, 3, 3) world to camera.
        t_mm: (V, 3).
        focal_px: (V,) focal lengths.
        ideal: (V, ..., 2) ideal image-plane coordinates; NaN for a missing view.
        weight: (V, ...) inverse standard deviations up to a common factor; 0 excludes the view.
        near_mm: Smallest depth of a point in the views that contribute to it.

    Returns:
        (..., 3) mm; NaN with fewer than two views, for nearly parallel rays, or nearer than `near_mm` in a contributing
        view.
    """
    used = np.asarray(np.isfinite(ideal).all(-1) & (weight > 0))
    xy = np.moveaxis(np.where(used[..., None], ideal, 0.0), 0, -2)  # (..., V, 2)
    w = np.moveaxis(np.where(used, weight, 0.0), 0, -1)  # (..., V)
    rows = xy[..., None] * R[:, None, 2] - R[:, :2]  # (..., V, 2, 3)
    offsets = t_mm[:, :2] - xy * t_mm[:, 2:]  # (..., V, 2)
    enough = (w > 0).sum(-1) >= 2
    depth = np.ones_like(w)
    xyz = np.full((*w.shape[:-1], 3), np.nan)
    for _ in range(_PASSES):
        # The second pass divides by the depth from the first.
        scale = w * focal_px / depth
        solved, good = _least_squares(rows * scale[..., None, None], offsets * scale[..., None])
        xyz = np.where((good & enough)[..., None], solved, np.nan)
        depth = np.maximum(np.nan_to_num(xyz @ R[:, 2].T + t_mm[:, 2], nan=1.0), max(near_mm, 1.0))
    behind = (xyz @ R[:, 2].T + t_mm[:, 2] <= near_mm) & (w > 0)
    return np.where(np.any(behind, axis=-1, keepdims=True), np.nan, xyz)


def _least_squares(rows: F64, offsets: F64) -> tuple[F64, np.ndarray]:
    """Solve (..., V, 2, 3) X = (..., V, 2); the second value is False where X is undetermined."""
    a = rows.reshape(*rows.shape[:-3], -1, 3)
    b = offsets.reshape(*offsets.shape[:-2], -1, 1)
    transposed = np.swapaxes(a, -1, -2)
    normal, right = transposed @ a, transposed @ b
    size = np.maximum(np.trace(normal, axis1=-2, axis2=-1), 1e-300)
    # Rays within about a milliradian of parallel leave the depth undetermined.
    good = np.linalg.det(normal / size[..., None, None]) > 1e-10
    safe = np.where(good[..., None, None], normal, np.eye(3))
    return np.asarray(np.linalg.solve(safe, right)[..., 0], np.float64), good
