"""Projection with analytic Jacobians with respect to the point and the intrinsics, for bundle adjustment.

`core.geometry.project` computes the same pixels without derivatives.
"""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64
from core.types.camera import Camera, DistortionModel

N_INTRINSICS = 12
"""Intrinsic parameters: fx fy cx cy, then k1 k2 p1 p2 k3 k4 k5 k6 (pinhole) or k1 k2 k3 k4 and zeros (fisheye)."""


def intrinsics_of(camera: Camera) -> F64:
    """Return the (12,) intrinsic parameters of a camera, without thin-prism and tilt terms."""
    out = np.zeros(N_INTRINSICS)
    out[:4] = camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2]
    distortion = camera.distortion[:8]
    out[4 : 4 + len(distortion)] = distortion
    return out


def with_intrinsics(camera: Camera, params: F64) -> Camera:
    """Return the camera with other intrinsic parameters (12,), with as few coefficients as OpenCV allows."""
    fx, fy, cx, cy = params[:4]
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    distortion = params[4:]
    if camera.distortion_model == "fisheye":
        distortion = distortion[:4]
    else:
        distortion = distortion[:8] if distortion[5:].any() else distortion[:5]
    return camera.replace(K=K, distortion=distortion)


def project_with_jacobian(
    distortion_model: DistortionModel, params: F64, xyz: F64, *, intrinsics_jacobian: bool = True
) -> tuple[F64, F64, F64]:
    """Project points in camera coordinates.

    Args:
        distortion_model: Distortion model, the same for all points.
        params: (12,) intrinsic parameters of the camera, or (N, 12) for each point.
        xyz: (N, 3) points with z > 0.
        intrinsics_jacobian: True to compute the derivatives with respect to the intrinsic parameters.

    Returns:
        (N, 2) px; the derivatives with respect to the points (N, 2, 3); and with respect to the intrinsic parameters
        (N, 2, 12), or (N, 2, 0) without them.
    """
    z = xyz[:, 2:]
    xy = xyz[:, :2] / z
    distort = _distort_fisheye if distortion_model == "fisheye" else _distort_pinhole
    distorted, by_xy, by_distortion = distort(params[..., 4:], xy, intrinsics_jacobian)
    f = params[..., :2]
    px = distorted * f + params[..., 2:4]
    by_xy = by_xy * f[..., None]
    by_point = np.empty((len(xyz), 2, 3))
    by_point[:, :, :2] = by_xy / z[:, :, None]
    by_point[:, :, 2] = -(by_xy * xy[:, None]).sum(-1) / z
    if not intrinsics_jacobian:
        return px, by_point, np.zeros((len(xyz), 2, 0))
    by_params = np.zeros((len(xyz), 2, N_INTRINSICS))
    by_params[:, 0, 0], by_params[:, 1, 1] = distorted[:, 0], distorted[:, 1]
    by_params[:, 0, 2] = by_params[:, 1, 3] = 1
    by_params[:, :, 4:] = by_distortion * f[..., None]
    return px, by_point, by_params


def _distort_pinhole(d: F64, xy: F64, with_coefficients: bool) -> tuple[F64, F64, F64]:
    """Apply OpenCV's rational model; return (N, 2) and derivatives by xy (N, 2, 2) and by coefficients (N, 2, 8)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = np.moveaxis(d, -1, 0)
    x, y = xy[:, 0], xy[:, 1]
    r2 = x * x + y * y
    r4, r6 = r2 * r2, r2 * r2 * r2
    numerator, denominator = 1 + k1 * r2 + k2 * r4 + k3 * r6, 1 + k4 * r2 + k5 * r4 + k6 * r6
    radial = numerator / denominator
    slope = (k1 + 2 * k2 * r2 + 3 * k3 * r4 - radial * (k4 + 2 * k5 * r2 + 3 * k6 * r4)) / denominator
    out = np.empty_like(xy)
    out[:, 0] = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    out[:, 1] = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    by_xy = np.empty((len(xy), 2, 2))
    by_xy[:, 0, 0] = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    by_xy[:, 0, 1] = by_xy[:, 1, 0] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    by_xy[:, 1, 1] = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    if not with_coefficients:
        return out, by_xy, np.zeros((len(xy), 2, 0))
    by_d = np.zeros((len(xy), 2, 8))
    for row, v in enumerate((x, y)):
        by_d[:, row, 0], by_d[:, row, 1] = v * r2 / denominator, v * r4 / denominator
        by_d[:, row, 4] = v * r6 / denominator
        for column, power in ((5, r2), (6, r4), (7, r6)):
            by_d[:, row, column] = -v * radial * power / denominator
    by_d[:, 0, 2] = by_d[:, 1, 3] = 2 * x * y
    by_d[:, 0, 3], by_d[:, 1, 2] = r2 + 2 * x * x, r2 + 2 * y * y
    return out, by_xy, by_d


def _distort_fisheye(d: F64, xy: F64, with_coefficients: bool) -> tuple[F64, F64, F64]:
    """Apply OpenCV's fisheye model (Kannala and Brandt 2006); shapes as in `_distort_pinhole`."""
    r = np.sqrt((xy * xy).sum(-1))
    safe = np.maximum(r, 1e-9)
    theta = np.arctan(r)
    t2 = theta * theta
    k1, k2, k3, k4 = np.moveaxis(d[..., :4], -1, 0)
    distorted = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    scale = np.where(r > 1e-9, distorted / safe, 1.0)
    by_theta = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
    scale_by_r = np.where(r > 1e-9, (by_theta / (1 + r * r) - scale) / safe, 0.0)
    unit = xy / safe[:, None]
    by_xy = scale[:, None, None] * np.eye(2) + scale_by_r[:, None, None] * xy[:, :, None] * unit[:, None, :]
    by_d = np.zeros((len(xy), 2, 8))
    for column in range(4 if with_coefficients else 0):
        by_d[:, :, column] = unit * (theta * t2 ** (column + 1))[:, None]
    return xy * scale[:, None], by_xy, by_d
