"""Fit of OpenCV's fisheye model to the lens models of Kalibr that OpenCV lacks.

Projections of unit rays, with the formulas of Kalibr's documentation: the unified model with mirror parameter (Mei and
Rives 2007), the extended unified model (Khomutenko 2016), double sphere (Usenko 2018), and the field-of-view distortion
(Devernay and Faugeras 2001).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from core.types.arrays import F64

_MAX_ANGLE_RAD = np.radians(88.0)
_RINGS, _SPOKES = 60, 48

Projection = Callable[[F64], F64]
"""Ideal coordinates (n, 2), before distortion, of rays (n, 3) with z > 0."""


def _unified(p: F64, rays: F64) -> F64:
    return np.asarray(rays[:, :2] / (rays[:, 2:] + p[0] * np.linalg.norm(rays, axis=1, keepdims=True)))


def _extended(p: F64, rays: F64) -> F64:
    alpha, beta = p[:2]
    d = np.sqrt(beta * (rays[:, :2] ** 2).sum(1, keepdims=True) + rays[:, 2:] ** 2)
    return np.asarray(rays[:, :2] / (alpha * d + (1 - alpha) * rays[:, 2:]))


def _double_sphere(p: F64, rays: F64) -> F64:
    xi, alpha = p[:2]
    first = np.linalg.norm(rays, axis=1, keepdims=True)
    z = xi * first + rays[:, 2:]
    second = np.sqrt((rays[:, :2] ** 2).sum(1, keepdims=True) + z**2)
    return np.asarray(rays[:, :2] / (alpha * second + (1 - alpha) * z))


PROJECTIONS: Mapping[str, tuple[int, Callable[[F64, F64], F64]]] = {
    "pinhole": (0, lambda p, rays: rays[:, :2] / rays[:, 2:]),
    "omni": (1, _unified),
    "eucm": (2, _extended),
    "ds": (2, _double_sphere),
}
"""Number of parameters before the focal lengths, and projection, by Kalibr's name of the camera model."""


def radtan(d: F64, xy: F64) -> F64:
    """Distort ideal coordinates (n, 2) by k1 k2 p1 p2."""
    r2 = (xy**2).sum(1, keepdims=True)
    x, y = xy[:, :1], xy[:, 1:]
    radial = xy * (1 + r2 * (d[0] + r2 * d[1]))
    return np.asarray(
        radial + np.hstack([2 * d[2] * x * y + d[3] * (r2 + 2 * x * x), d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y])
    )


def fov(d: F64, xy: F64) -> F64:
    """Distort ideal coordinates (n, 2) by the field-of-view model with angle w."""
    r = np.maximum(np.linalg.norm(xy, axis=1, keepdims=True), 1e-12)
    return np.asarray(xy * np.arctan(2 * r * np.tan(d[0] / 2)) / (r * d[0]))


def fit_fisheye(pixels_of: Projection, size_px: tuple[int, int]) -> tuple[F64, F64, float] | None:
    """Fit OpenCV's fisheye model to a projection within the image.

    Args:
        pixels_of: Pixels (n, 2) of rays (n, 3) in camera coordinates.
        size_px: Image width and height.

    Returns:
        K (3, 3), distortion (4,), and the largest error in px; None if the projection is not usable.
    """
    from scipy.optimize import least_squares  # imported late: the window lists formats without it

    theta = np.linspace(1e-3, _MAX_ANGLE_RAD, _RINGS)
    phi = np.linspace(0, 2 * np.pi, _SPOKES, endpoint=False)
    angle, around = (grid.ravel() for grid in np.meshgrid(theta, phi, indexing="ij"))
    ideal = np.stack([np.cos(around), np.sin(around)], -1)
    rays = np.hstack([np.sin(angle)[:, None] * ideal, np.cos(angle)[:, None]])
    with np.errstate(all="ignore"):
        pixels = pixels_of(rays)
        # Beyond the fold of the model, larger angles come back into the image.
        radius = np.linalg.norm(pixels - pixels[0], axis=1).reshape(_RINGS, _SPOKES)
        rising = np.logical_and.accumulate(np.diff(radius, axis=0, prepend=-1.0) > 0, axis=0).ravel()
        kept = rising & np.isfinite(pixels).all(1) & ((pixels >= 0) & (pixels < np.array(size_px))).all(1)
    if kept.sum() < _SPOKES:
        return None
    pixels, angle, ideal = pixels[kept], angle[kept], ideal[kept]

    def fitted(p: F64) -> F64:
        t2 = angle**2
        r = angle * (1 + t2 * (p[4] + t2 * (p[5] + t2 * (p[6] + t2 * p[7]))))
        return np.asarray(r[:, None] * ideal * p[:2] + p[2:4])

    centre = np.array(size_px) / 2
    slope = np.abs(pixels - centre).max() / angle.max()
    start = np.array([slope, slope, *centre, 0, 0, 0, 0], float)
    found = least_squares(lambda p: (fitted(p) - pixels).ravel(), start, x_scale=np.abs(start) + 0.1).x
    if not np.isfinite(found).all() or found[:2].min() <= 0:
        return None
    K = np.array([[found[0], 0, found[2]], [0, found[1], found[3]], [0, 0, 1]])
    return K, found[4:], float(np.linalg.norm(fitted(found) - pixels, axis=1).max())
