"""World points to pixels and back, with points that no lens can show masked.

Points behind a camera would project to mirrored pixels, and points far off the axis fold back into the image
through the distortion polynomial; both come out as NaN.
"""

from __future__ import annotations

import functools

import numpy as np

from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

_NEAR_MM = 1.0
_SAMPLES = 512


def to_camera(camera: Camera, xyz_mm: F64) -> F64:
    """World points (..., 3) in the camera's frame, mm. The camera must be posed."""
    R, t_mm = camera.pose
    return np.asarray(np.asarray(xyz_mm, float) @ R.T + t_mm)


def project(camera: Camera, xyz_mm: F64) -> F64:
    """Pixels of world points.

    Args:
        camera: Posed camera.
        xyz_mm: (..., 3).

    Returns:
        (..., 2) px in the image as recorded; NaN behind the camera, beyond the angle at which the distortion
        folds, or where the input is NaN. Pixels outside the image are returned as they are: see `inside`.
    """
    local = to_camera(camera, xyz_mm)
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = local[..., :2] / local[..., 2:]
        ahead = local[..., 2] > _NEAR_MM
        seen = ahead & ((xy**2).sum(-1) < fold_radius(camera) ** 2)
        pixels = distort(camera, np.where(seen[..., None], xy, 0.0)) @ camera.K[:2, :2].T + camera.K[:2, 2]
    return np.where(seen[..., None], pixels, np.nan)


def project_rig(rig: CameraRig, xyz_mm: F64) -> F64:
    """Pixels (V, ..., 2) of world points (..., 3) in every camera of a posed rig."""
    return np.stack([project(camera, xyz_mm) for camera in rig])


def inside(camera: Camera, xy_px: F64) -> np.ndarray:
    """(...,) bool: pixels (..., 2) that lie on the image. NaN does not."""
    width, height = camera.size_px
    x, y = xy_px[..., 0], xy_px[..., 1]
    return np.asarray((x >= -0.5) & (y >= -0.5) & (x < width - 0.5) & (y < height - 0.5))


def distort(camera: Camera, xy: F64) -> F64:
    """Ideal image-plane coordinates (..., 2), x/z and y/z, to distorted ones; OpenCV's models."""
    d = camera.distortion
    r2 = (xy**2).sum(-1, keepdims=True)
    if camera.distortion_model == "fisheye":
        r = np.sqrt(r2)
        theta = np.arctan(r)
        t2 = theta**2
        bent = theta * (1 + t2 * (d[0] + t2 * (d[1] + t2 * (d[2] + t2 * d[3]))))
        return np.asarray(xy * np.where(r > 1e-9, bent / np.maximum(r, 1e-9), 1.0))
    full = np.zeros(14)
    full[: d.size] = d
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tau_x, tau_y = full
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    x, y = xy[..., :1], xy[..., 1:]
    out_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
    out_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4)
    out = np.concatenate([out_x, out_y], -1)
    if tau_x or tau_y:
        tilt = sensor_tilt(float(tau_x), float(tau_y))
        homogeneous = np.concatenate([out, np.ones_like(out_x)], -1) @ tilt.T
        out = homogeneous[..., :2] / homogeneous[..., 2:]
    return np.asarray(out)


def undistort(camera: Camera, xy_px: F64) -> F64:
    """Ideal image-plane coordinates of pixels: the direction (x, y, 1) in the camera frame.

    Args:
        camera: Needs intrinsics only.
        xy_px: (..., 2), NaN passes through.

    Returns:
        (..., 2); NaN where the pixel lies beyond the fold of the distortion, so that no direction belongs to it.
    """
    pixels = np.asarray(xy_px, float)
    flat = pixels.reshape(-1, 2)
    out = np.full(flat.shape, np.nan)
    known = np.isfinite(flat).all(-1)
    if known.any():
        target = (flat[known] - camera.K[:2, 2]) @ np.linalg.inv(camera.K[:2, :2]).T
        ideal = _invert_distortion(camera, target)
        close = (np.abs(distort(camera, ideal) - target) * camera.K[0, 0] < 1e-3).all(-1)
        out[known] = np.where((close & ((ideal**2).sum(-1) < fold_radius(camera) ** 2))[:, None], ideal, np.nan)
    return out.reshape(pixels.shape)


def rays(camera: Camera, xy_px: F64) -> F64:
    """Unit directions (..., 3) in the world of pixels (..., 2) of a posed camera; they start at its centre."""
    xy = undistort(camera, xy_px)
    local = np.concatenate([xy, np.ones_like(xy[..., :1])], -1)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    return np.asarray(local @ camera.pose[0])


def fold_radius(camera: Camera) -> float:
    """Radius on the ideal image plane up to which distortion is monotone: beyond it pixels repeat. May be inf."""
    return _fold_radius(camera.distortion.tobytes(), camera.distortion_model)


def _invert_distortion(camera: Camera, target: F64, iterations: int = 12) -> F64:
    """Newton's method on `distort`, damped where a step would leave the lens's range."""
    if not camera.distortion.any() and camera.distortion_model == "pinhole":
        return target
    guess = target.copy()
    if camera.distortion_model == "fisheye":
        r = np.linalg.norm(target, axis=-1, keepdims=True)
        guess = target * np.tan(np.minimum(r, 1.5)) / np.maximum(r, 1e-9)
    limit = min(fold_radius(camera), 1e3)
    step = 1e-6
    for _ in range(iterations):
        value = distort(camera, guess)
        column_x = (distort(camera, guess + [step, 0]) - value) / step
        column_y = (distort(camera, guess + [0, step]) - value) / step
        miss = target - value
        det = column_x[:, 0] * column_y[:, 1] - column_y[:, 0] * column_x[:, 1]
        det = np.where(np.abs(det) < 1e-12, 1e-12, det)
        dx = (miss[:, 0] * column_y[:, 1] - column_y[:, 0] * miss[:, 1]) / det
        dy = (column_x[:, 0] * miss[:, 1] - miss[:, 0] * column_x[:, 1]) / det
        guess = guess + np.stack([dx, dy], -1)
        r = np.linalg.norm(guess, axis=-1, keepdims=True)
        guess = np.where(r > limit, guess * (0.99 * limit / np.maximum(r, 1e-12)), guess)
        if np.abs(miss).max() < 1e-13:
            break
    return np.asarray(guess)


@functools.lru_cache(maxsize=256)
def _fold_radius(coefficients: bytes, lens: str) -> float:
    d = np.frombuffer(coefficients)
    if not d.any():
        return np.inf
    if lens == "fisheye":
        theta = np.linspace(0, np.pi / 2, _SAMPLES, endpoint=False)[1:]
        t2 = theta**2
        slope = 1 + t2 * (3 * d[0] + t2 * (5 * d[1] + t2 * (7 * d[2] + t2 * 9 * d[3])))
        folded = np.flatnonzero(slope <= 0)
        return float(np.tan(theta[folded[0]])) if folded.size else np.inf
    full = np.zeros(8)
    full[: min(d.size, 8)] = d[:8]
    k1, k2, _, _, k3, k4, k5, k6 = full
    # Beyond 85 degrees no pinhole lens sees anything, so a fold there is of no account.
    r = np.tan(np.linspace(0, np.radians(85), 4 * _SAMPLES))
    r2 = r**2
    bent = r * (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    folded = np.flatnonzero(np.diff(bent) <= 0)
    return float(r[folded[0]]) if folded.size else np.inf


def sensor_tilt(tau_x: float, tau_y: float) -> F64:
    """Homography (3, 3) of the image plane for OpenCV's tilted sensor, angles in radians."""
    cx, sx, cy, sy = np.cos(tau_x), np.sin(tau_x), np.cos(tau_y), np.sin(tau_y)
    rotation = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    plane = np.array([[rotation[2, 2], 0, -rotation[0, 2]], [0, rotation[2, 2], -rotation[1, 2]], [0, 0, 1]])
    return np.asarray(plane @ rotation)
