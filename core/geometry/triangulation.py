"""Points in the world from their images in several cameras."""

from __future__ import annotations

import numpy as np

from core.geometry.projection import undistort
from core.types.arrays import F64
from core.types.camera import CameraRig


def ideal_points(rig: CameraRig, xy_px: F64) -> F64:
    """Undistorted image-plane coordinates (V, ..., 2) of pixels (V, ..., 2), one view per camera of the rig."""
    return np.stack([undistort(camera, points) for camera, points in zip(rig, xy_px, strict=True)])


def triangulate(rig: CameraRig, ideal: F64, weight: F64) -> F64:
    """Weighted linear triangulation (inhomogeneous DLT), all points at once.

    Each view contributes the two equations x·(r3 X + t3) = r1 X + t1 on the undistorted plane. They are scaled by the
    weight and by the focal length over the depth of a first solution, so that the result minimises pixels to first
    order instead of an algebraic error that favours near cameras.

    Args:
        rig: V posed cameras.
        ideal: (V, ..., 2) from `ideal_points`; NaN is a missing view.
        weight: (V, ...) confidences; 0 drops the view.

    Returns:
        (..., 3) mm; NaN with fewer than two views, for rays that are parallel, or behind a contributing camera.
    """
    R = np.stack([c.pose[0] for c in rig])
    t = np.stack([c.pose[1] for c in rig])
    focal = np.array([(c.K[0, 0] + c.K[1, 1]) / 2 for c in rig])
    used = np.asarray(np.isfinite(ideal).all(-1) & (weight > 0))
    xy = np.moveaxis(np.where(used[..., None], ideal, 0.0), 0, -2)  # (..., V, 2)
    w = np.moveaxis(np.where(used, weight, 0.0), 0, -1)  # (..., V)
    rows = xy[..., None] * R[:, None, 2] - R[:, :2]  # (..., V, 2, 3)
    offsets = t[:, :2] - xy * t[:, 2:]  # (..., V, 2)
    enough = (w > 0).sum(-1) >= 2
    depth = np.ones_like(w)
    xyz = np.full((*w.shape[:-1], 3), np.nan)
    for _ in range(2):
        # The second pass divides by the depth that the first one found.
        scale = w * focal / depth
        solved, good = _least_squares(rows * scale[..., None, None], offsets * scale[..., None])
        xyz = np.where((good & enough)[..., None], solved, np.nan)
        depth = np.maximum(np.nan_to_num(xyz @ R[:, 2].T + t[:, 2], nan=1.0), 1.0)
    behind = (xyz @ R[:, 2].T + t[:, 2] <= 0) & (w > 0)
    return np.where(np.any(behind, axis=-1, keepdims=True), np.nan, xyz)


def _least_squares(rows: F64, offsets: F64) -> tuple[F64, np.ndarray]:
    a = rows.reshape(*rows.shape[:-3], -1, 3)
    b = offsets.reshape(*offsets.shape[:-2], -1)
    normal = np.einsum("...ni,...nj->...ij", a, a)
    right = np.einsum("...ni,...n->...i", a, b)
    size = np.maximum(np.trace(normal, axis1=-2, axis2=-1), 1e-300)
    # Two rays closer to parallel than about a milliradian leave the depth undetermined.
    good = np.linalg.det(normal / size[..., None, None]) > 1e-10
    safe = np.where(good[..., None, None], normal, np.eye(3))
    return np.linalg.solve(safe, right[..., None])[..., 0], good
