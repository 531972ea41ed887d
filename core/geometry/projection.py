"""Projection of world points to pixels, and back, with OpenCV's distortion models.

Points behind a camera would project to mirrored pixels, and the distortion polynomial folds points far off the optical
axis back into the image; both give NaN.
"""

from __future__ import annotations

import functools

import numpy as np

from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

_NEAR_MM = 1.0
_SAMPLES = 512
_PINHOLE_FOV_DEG = 85.0  # half angle; wider than any pinhole lens, beyond which a fold is irrelevant


def to_camera(camera: Camera, xyz_mm: F64) -> F64:
    """Return the camera coordinates (..., 3), mm, of world points (..., 3); the camera must be posed."""
    R, t_mm = camera.pose
    return np.asarray(np.asarray(xyz_mm, float) @ R.T + t_mm)


def project(camera: Camera, xyz_mm: F64) -> F64:
    """Project world points to pixels.

    Args:
        camera: Posed camera.
        xyz_mm: (..., 3), NaN where missing.

    Returns:
        (..., 2) px in the distorted image; NaN behind the camera, beyond `fold_radius`, or where the input is NaN.
        Pixels outside the image are not masked; see `inside`.
    """
    local = to_camera(camera, xyz_mm)
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = local[..., :2] / local[..., 2:]
        ahead = local[..., 2] > _NEAR_MM
        valid = ahead & ((xy**2).sum(-1) < fold_radius(camera) ** 2)
        pixels = distort(camera, np.where(valid[..., None], xy, 0.0)) @ camera.K[:2, :2].T + camera.K[:2, 2]
    return np.where(valid[..., None], pixels, np.nan)


def project_rig(rig: CameraRig, xyz_mm: F64) -> F64:
    """Project world points (..., 3) to pixels (V, ..., 2) in every camera of a posed rig; see `project`."""
    return np.stack([project(camera, xyz_mm) for camera in rig])


def inside(camera: Camera, xy_px: F64) -> np.ndarray:
    """Return (...,) bool, True where pixels (..., 2) are inside the image; False for NaN."""
    width, height = camera.size_px
    x, y = xy_px[..., 0], xy_px[..., 1]
    return np.asarray((x >= -0.5) & (y >= -0.5) & (x < width - 0.5) & (y < height - 0.5))


def distort(camera: Camera, xy: F64) -> F64:
    """Distort ideal image-plane coordinates (..., 2) by the camera's distortion model (OpenCV's definitions)."""
    d = camera.distortion
    if camera.distortion_model == "pinhole" and not d.any():
        return np.asarray(xy)
    r2 = (xy**2).sum(-1, keepdims=True)
    if camera.distortion_model == "fisheye":
        r = np.sqrt(r2)
        theta = np.arctan(r)
        t2 = theta**2
        distorted = theta * (1 + t2 * (d[0] + t2 * (d[1] + t2 * (d[2] + t2 * d[3]))))
        return np.asarray(xy * np.where(r > 1e-9, distorted / np.maximum(r, 1e-9), 1.0))
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


def local_focal_px(camera: Camera, xy: F64) -> F64:
    """Return the pixels (...) per unit of the ideal image plane at points (..., 2), averaged over all directions.

    Without distortion it is the focal length. For a missing point it is the value at the image centre.
    """
    focal = float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
    if not camera.distortion.any() and camera.distortion_model == "pinhole":
        return np.full(xy.shape[:-1], focal)
    step = 1e-4
    middle = distort(camera, xy)
    by_x, by_y = ((distort(camera, xy + offset) - middle) / step for offset in ([step, 0.0], [0.0, step]))
    area = by_x[..., 0] * by_y[..., 1] - by_x[..., 1] * by_y[..., 0]
    return np.asarray(focal * np.sqrt(np.nan_to_num(np.maximum(area, 0.0), nan=1.0)))


def undistort(camera: Camera, xy_px: F64) -> F64:
    """Return the ideal image-plane coordinates of pixels: the direction (x, y, 1) in camera coordinates.

    Args:
        camera: Camera with intrinsics; the pose is not used.
        xy_px: (..., 2), NaN where missing.

    Returns:
        (..., 2); NaN where the input is NaN, and for pixels to which no direction within `fold_radius` projects.
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


def fold_radius(camera: Camera) -> float:
    """Return the radius on the ideal image plane up to which distortion is monotone; inf if it is monotone everywhere.

    Beyond the fold, the distorted radius decreases again and several directions share a pixel. The first non-positive
    slope d(distorted)/d(ideal) is searched on a grid: below 90 degrees for the fisheye model, below 85 degrees for the
    pinhole model, for which only the radial terms are considered.
    """
    return _fold_radius(camera.distortion.tobytes(), camera.distortion_model)


def _invert_distortion(camera: Camera, target: F64, iterations: int = 12) -> F64:
    """Invert `distort` by Newton's method, with steps clamped to the fold radius."""
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
        by_x = (distort(camera, guess + [step, 0]) - value) / step
        by_y = (distort(camera, guess + [0, step]) - value) / step
        residual = target - value
        det = by_x[:, 0] * by_y[:, 1] - by_y[:, 0] * by_x[:, 1]
        det = np.where(np.abs(det) < 1e-12, 1e-12, det)
        dx = (residual[:, 0] * by_y[:, 1] - by_y[:, 0] * residual[:, 1]) / det
        dy = (by_x[:, 0] * residual[:, 1] - residual[:, 0] * by_x[:, 1]) / det
        guess = guess + np.stack([dx, dy], -1)
        r = np.linalg.norm(guess, axis=-1, keepdims=True)
        guess = np.where(r > limit, guess * (0.99 * limit / np.maximum(r, 1e-12)), guess)
        if np.abs(residual).max() < 1e-13:
            break
    return np.asarray(guess)


@functools.lru_cache(maxsize=256)
def _fold_radius(coefficients: bytes, distortion_model: str) -> float:
    d = np.frombuffer(coefficients)
    if not d.any():
        return np.inf
    if distortion_model == "fisheye":
        theta = np.linspace(0, np.pi / 2, _SAMPLES, endpoint=False)[1:]
        t2 = theta**2
        slope = 1 + t2 * (3 * d[0] + t2 * (5 * d[1] + t2 * (7 * d[2] + t2 * 9 * d[3])))
        folded = np.flatnonzero(slope <= 0)
        return float(np.tan(theta[folded[0]])) if folded.size else np.inf
    full = np.zeros(8)
    full[: min(d.size, 8)] = d[:8]
    k1, k2, _, _, k3, k4, k5, k6 = full
    r = np.tan(np.linspace(0, np.radians(_PINHOLE_FOV_DEG), 4 * _SAMPLES))
    r2 = r**2
    distorted = r * (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    folded = np.flatnonzero(np.diff(distorted) <= 0)
    return float(r[folded[0]]) if folded.size else np.inf


def sensor_tilt(tau_x: float, tau_y: float) -> F64:
    """Return the homography (3, 3) of the image plane for OpenCV's tilted sensor model, angles in radians."""
    cx, sx, cy, sy = np.cos(tau_x), np.sin(tau_x), np.cos(tau_y), np.sin(tau_y)
    rotation = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    plane = np.array([[rotation[2, 2], 0, -rotation[0, 2]], [0, rotation[2, 2], -rotation[1, 2]], [0, 0, 1]])
    return np.asarray(plane @ rotation)
