"""Epipolar geometry of two cameras (Hartley and Zisserman, Multiple View Geometry, 2003, chapters 9 and 11)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.geometry.projection import project
from core.geometry.rays import pixel_rays
from core.geometry.so3 import hat
from core.types.arrays import F64
from core.types.camera import Camera

_DEPTHS_MM = (150.0, 60_000.0)
_N_DEPTHS = 400


def essential_matrix(R: F64, t: F64) -> F64:
    """Return the essential matrix E = [t]x R, with t scaled to length 1, so that second^T E first = 0.

    Args:
        R: (3, 3) rotation from the first camera's coordinates to the second's.
        t: (3,) translation with x_second = R x_first + t, in any unit.
    """
    return np.asarray(hat(t / max(float(np.linalg.norm(t)), 1e-12)) @ R)


def sampson_distance_px(E: F64, first: F64, second: F64, focal_px: tuple[float, float]) -> F64:
    """Return the Sampson distance of every track of one camera to every track of another (equation 11.9).

    To first order, it is the reprojection error of the best point for a pair.

    Args:
        E: (3, 3) essential matrix.
        first: (M, K, J, 2) ideal image-plane coordinates, NaN where missing.
        second: (M, L, J, 2) ideal image-plane coordinates in the other camera.
        focal_px: Focal lengths of both cameras.

    Returns:
        (M, K, L, J) px, NaN where either is missing.
    """
    line = first @ E[:, :2].T + E[:, 2]  # (M, K, J, 3) in the second camera
    back = second @ E[:2] + E[2]  # (M, L, J, 3) in the first
    x, y = second[:, None, ..., 0], second[:, None, ..., 1]
    inner = line[:, :, None, :, 0] * x + line[:, :, None, :, 1] * y + line[:, :, None, :, 2]
    slope = (line[..., 0] ** 2 + line[..., 1] ** 2)[:, :, None] / focal_px[1] ** 2
    slope = slope + (back[..., 0] ** 2 + back[..., 1] ** 2)[:, None] / focal_px[0] ** 2
    return np.asarray(np.abs(inner) / np.sqrt(np.maximum(slope, 1e-18)))


def epipolar_line_px(source: Camera, xy_px: Sequence[float], target: Camera) -> F64:
    """Return the epipolar line of a pixel in the image of another camera.

    Args:
        source: Posed camera with the pixel.
        xy_px: (2,) pixel.
        target: Posed camera in whose image the line is drawn.

    Returns:
        Polyline (n, 2) px, curved by the target's distortion; NaN rows where it is not visible, n = 0 if it never is.
    """
    ray = pixel_rays(source, np.asarray(xy_px, float))
    if not np.isfinite(ray).all():
        return np.zeros((0, 2))
    # Steps grow with the distance, since pixels per step shrink with it.
    points = np.geomspace(*_DEPTHS_MM, _N_DEPTHS)[:, None] * ray + source.centre_mm
    pixels = project(target, points)
    size = np.array(target.size_px)
    with np.errstate(invalid="ignore"):
        pixels[(np.abs(pixels - size / 2) > size).any(-1)] = np.nan
    return pixels if np.isfinite(pixels).all(-1).sum() > 1 else np.zeros((0, 2))
