"""Rays: world directions of pixels, and the point nearest to two rays."""

from __future__ import annotations

import numpy as np

from core.geometry.projection import undistort
from core.types.arrays import F64
from core.types.camera import Camera


def pixel_rays(camera: Camera, xy_px: F64) -> F64:
    """Return the unit directions in world coordinates of pixels of a posed camera.

    Args:
        camera: Posed camera; its rays start at `centre_mm`.
        xy_px: (..., 2), NaN where missing.

    Returns:
        (..., 3); NaN where `undistort` gives NaN.
    """
    xy = undistort(camera, xy_px)
    local = np.concatenate([xy, np.ones_like(xy[..., :1])], -1)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    return np.asarray(local @ camera.pose[0])


def intersect_rays(start_a: F64, ray_a: F64, start_b: F64, ray_b: F64) -> tuple[F64, F64, F64, F64]:
    """Return the midpoint of the shortest segment between two lines, for all pairs at once.

    Args:
        start_a: (..., 3) mm, a camera centre.
        ray_a: (..., 3) direction of any length.
        start_b: (..., 3) mm, the other camera centre.
        ray_b: (..., 3) direction of the other line, of any length.

    Returns:
        Midpoint (..., 3), gap between the lines (...), and the parameter (...) along each ray, which is the depth if
        the component of the ray along its camera's optical axis is 1. NaN for parallel lines.
    """
    between = start_a - start_b
    aa, bb, ab = _dot(ray_a, ray_a), _dot(ray_b, ray_b), _dot(ray_a, ray_b)
    ad, bd = _dot(ray_a, between), _dot(ray_b, between)
    det = aa * bb - ab * ab
    # The intersection of lines within about a milliradian of each other is undetermined.
    det = np.where(det > 1e-6 * aa * bb, det, np.nan)
    along_a, along_b = (ab * bd - bb * ad) / det, (aa * bd - ab * ad) / det
    near_a = start_a + along_a[..., None] * ray_a
    near_b = start_b + along_b[..., None] * ray_b
    gap = near_a - near_b
    return (near_a + near_b) / 2, np.sqrt(_dot(gap, gap)), along_a, along_b


def _dot(a: F64, b: F64) -> F64:
    # `sum` over an axis of length 3 is several times slower.
    return np.asarray(a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2])
