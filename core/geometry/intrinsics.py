"""A lens and its derivatives: directions to pixels, for solving.

`core.geometry` projects; here are the derivatives with respect to the point and to the lens.
"""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64
from core.types.camera import DistortionModel

# A camera's numbers in solving: fx fy cx cy, then k1 k2 p1 p2 k3 k4 k5 k6 (pinhole) or k1 k2 k3 k4 (fisheye).
N_NUMBERS = 12


def image(
    distortion_model: DistortionModel, numbers: F64, xyz: F64, *, numbers_too: bool = True
) -> tuple[F64, F64, F64]:
    """Pixels of points in a camera's frame.

    Args:
        distortion_model: Which distortion model.
        numbers: (12,) of the camera, or (N, 12) of each point's camera.
        xyz: (N, 3), z > 0.
        numbers_too: Whether derivatives by the camera's numbers are wanted.

    Returns:
        (N, 2) px; their derivatives with respect to the points (N, 2, 3) and to the numbers (N, 2, 12), or (N, 2, 0)
        if these are not wanted.
    """
    z = xyz[:, 2:]
    xy = xyz[:, :2] / z
    bent, by_xy, by_bend = (_fisheye if distortion_model == "fisheye" else _pinhole)(numbers[..., 4:], xy, numbers_too)
    f = numbers[..., :2]
    pixels = bent * f + numbers[..., 2:4]
    by_xy = by_xy * f[..., None]
    by_point = np.empty((len(xyz), 2, 3))
    by_point[:, :, :2] = by_xy / z[:, :, None]
    by_point[:, :, 2] = -(by_xy * xy[:, None]).sum(-1) / z
    if not numbers_too:
        return pixels, by_point, np.zeros((len(xyz), 2, 0))
    by_numbers = np.zeros((len(xyz), 2, N_NUMBERS))
    by_numbers[:, 0, 0], by_numbers[:, 1, 1] = bent[:, 0], bent[:, 1]
    by_numbers[:, 0, 2] = by_numbers[:, 1, 3] = 1
    by_numbers[:, :, 4:] = by_bend * f[..., None]
    return pixels, by_point, by_numbers


def _pinhole(d: F64, xy: F64, bend_too: bool) -> tuple[F64, F64, F64]:
    k1, k2, p1, p2, k3, k4, k5, k6 = np.moveaxis(d, -1, 0)
    x, y = xy[:, 0], xy[:, 1]
    r2 = x * x + y * y
    r4, r6 = r2 * r2, r2 * r2 * r2
    above, below = 1 + k1 * r2 + k2 * r4 + k3 * r6, 1 + k4 * r2 + k5 * r4 + k6 * r6
    radial = above / below
    slope = (k1 + 2 * k2 * r2 + 3 * k3 * r4 - radial * (k4 + 2 * k5 * r2 + 3 * k6 * r4)) / below
    out = np.empty_like(xy)
    out[:, 0] = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    out[:, 1] = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    by_xy = np.empty((len(xy), 2, 2))
    by_xy[:, 0, 0] = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    by_xy[:, 0, 1] = by_xy[:, 1, 0] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    by_xy[:, 1, 1] = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    if not bend_too:
        return out, by_xy, np.zeros((len(xy), 2, 0))
    by_d = np.zeros((len(xy), 2, 8))
    for row, v in enumerate((x, y)):
        by_d[:, row, 0], by_d[:, row, 1], by_d[:, row, 4] = v * r2 / below, v * r4 / below, v * r6 / below
        for column, power in ((5, r2), (6, r4), (7, r6)):
            by_d[:, row, column] = -v * radial * power / below
    by_d[:, 0, 2] = by_d[:, 1, 3] = 2 * x * y
    by_d[:, 0, 3], by_d[:, 1, 2] = r2 + 2 * x * x, r2 + 2 * y * y
    return out, by_xy, by_d


def _fisheye(d: F64, xy: F64, bend_too: bool) -> tuple[F64, F64, F64]:
    r = np.sqrt((xy * xy).sum(-1))
    safe = np.maximum(r, 1e-9)
    theta = np.arctan(r)
    t2 = theta * theta
    k1, k2, k3, k4 = np.moveaxis(d[..., :4], -1, 0)
    bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    scale = np.where(r > 1e-9, bent / safe, 1.0)
    by_theta = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
    by_r = np.where(r > 1e-9, (by_theta / (1 + r * r) - scale) / safe, 0.0)  # of the scale
    unit = xy / safe[:, None]
    by_xy = scale[:, None, None] * np.eye(2) + by_r[:, None, None] * xy[:, :, None] * unit[:, None, :]
    by_d = np.zeros((len(xy), 2, 8))
    for column in range(4 if bend_too else 0):
        by_d[:, :, column] = unit * (theta * t2 ** (column + 1))[:, None]
    return xy * scale[:, None], by_xy, by_d
