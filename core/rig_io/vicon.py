"""Conversion between Vicon's radial model, which undistorts, and OpenCV's, which distorts, by fitting.

Vicon maps a distorted image point d to c + (d - c) (1 + a1 r^2 + a2 r^4 + a3 r^6) with r = |d - c| and the distortion
centre c. Here d, c and r are in focal lengths from the principal point; files use pixels. The inverse of a polynomial
is not a polynomial, so neither model expresses the other exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry import distort, undistort
from core.types.arrays import F64
from core.types.camera import Camera

_GRID = 21
_ITERATIONS = 12
_GOOD_PX = 0.01  # error with which no further coefficients are added
# Numbers of OpenCV coefficients, fewest first: more programs read them.
_COUNTS = (5, 8, 12)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViconIntrinsics:
    """Intrinsics in Vicon's model.

    Attributes:
        focal_px: (2,) focal lengths along x and y.
        principal_px: (2,) principal point.
        centre: (2,) distortion centre relative to the principal point, in focal lengths.
        radial: (3,) coefficients a1, a2, a3 in focal lengths.
    """

    focal_px: F64
    principal_px: F64
    centre: F64
    radial: F64

    def undistort(self, xy: F64) -> F64:
        """Undistort image-plane coordinates (..., 2), in focal lengths."""
        offset = xy - self.centre
        r2 = (offset**2).sum(-1, keepdims=True)
        a1, a2, a3 = self.radial
        return np.asarray(self.centre + offset * (1 + r2 * (a1 + r2 * (a2 + r2 * a3))))

    def folds(self, size_px: tuple[int, int]) -> bool:
        """Return whether the distortion folds inside an image of that size."""
        xy = (image_grid(size_px) - self.principal_px) / self.focal_px
        r2 = ((xy - self.centre) ** 2).sum(-1).max() * np.linspace(0, 1, 400)
        a1, a2, a3 = self.radial
        return bool((1 + r2 * (3 * a1 + r2 * (5 * a2 + r2 * 7 * a3)) <= 0).any())

    def vector(self) -> F64:
        """Return all parameters (9,) in the order of the attributes."""
        return np.concatenate([self.focal_px, self.principal_px, self.centre, self.radial])

    @classmethod
    def of_vector(cls, values: F64) -> ViconIntrinsics:
        """Return the intrinsics of a `vector`."""
        return cls(focal_px=values[:2], principal_px=values[2:4], centre=values[4:6], radial=values[6:])


def image_grid(size_px: tuple[int, int]) -> F64:
    """Return pixels (n, 2) on a grid over an image, corners included."""
    columns, rows = np.meshgrid(*(np.linspace(-0.5, side - 0.5, _GRID) for side in size_px))
    return np.stack([columns.ravel(), rows.ravel()], -1)


def opencv_intrinsics(intrinsics: ViconIntrinsics, size_px: tuple[int, int]) -> tuple[F64, F64, float]:
    """Fit OpenCV intrinsics to Vicon's over a whole image.

    Args:
        intrinsics: Vicon intrinsics without a fold in the image.
        size_px: Width and height.

    Returns:
        K (3, 3); distortion (n,), with the fewest coefficients whose error is within 0.01 px or else those with the
        least error; the largest error in the image, px.
    """
    K, ideal, xy = _targets(intrinsics, size_px)
    best, least = np.zeros(5), np.inf
    for count in _COUNTS if intrinsics.radial.any() else ():
        found = _fitted(ideal, xy, count)
        error_px = (distort(_bare(K, found, size_px), ideal) - xy) * np.diag(K)[:2]
        error = float(np.linalg.norm(error_px, axis=-1).max())
        if error < least:
            best, least = found, error
        if least < _GOOD_PX:
            break
    return K, best, least if intrinsics.radial.any() else 0.0


def vicon_intrinsics(camera: Camera) -> tuple[ViconIntrinsics, float]:
    """Fit Vicon intrinsics to those of a camera over its whole image.

    If nearby Vicon intrinsics exist of which `opencv_intrinsics` makes exactly the camera's, these are preferred to the
    best fit, so that an imported file is exported unchanged. With 8 or 12 coefficients such a match cannot be chance:
    the error is then 0.

    Returns:
        The intrinsics, and the largest error in the undistorted image, px; inf if the camera's distortion folds inside
        the image.
    """
    # Imported late: the window lists formats without it.
    from scipy.optimize import least_squares

    start = ViconIntrinsics(
        focal_px=np.diag(camera.K)[:2], principal_px=camera.K[:2, 2], centre=np.zeros(2), radial=np.zeros(3)
    )
    if not camera.distortion.any() and camera.distortion_model == "pinhole":
        return start, 0.0
    points = image_grid(camera.size_px)
    ideal = undistort(camera, points)
    if not np.isfinite(ideal).all():
        return start, np.inf

    def residuals(values: F64) -> F64:
        intrinsics = ViconIntrinsics.of_vector(values)
        undistorted = intrinsics.undistort((points - intrinsics.principal_px) / intrinsics.focal_px)
        return np.asarray(((undistorted - ideal) * start.focal_px).ravel())

    scale = np.array([10.0, 10.0, 1.0, 1.0, 0.01, 0.01, 1.0, 1.0, 1.0])
    found = least_squares(residuals, start.vector(), x_scale=scale, xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    origin = _origin(found, camera, ideal)
    if origin is not None and camera.distortion.size > 5:
        return ViconIntrinsics.of_vector(origin), 0.0
    nearest, error = found, _largest(residuals(found))
    if origin is not None and _largest(residuals(origin)) <= max(2 * error, _GOOD_PX):
        nearest, error = origin, _largest(residuals(origin))
    return ViconIntrinsics.of_vector(nearest), error


def _largest(residuals: F64) -> float:
    return float(np.linalg.norm(residuals.reshape(-1, 2), axis=-1).max())


def _targets(intrinsics: ViconIntrinsics, size_px: tuple[int, int]) -> tuple[F64, F64, F64]:
    """Return K (3, 3), and corresponding ideal (n, 2) and distorted (n, 2) image-plane coordinates.

    OpenCV's distortion is the identity to first order at the principal point. A distortion about another centre is not,
    so that principal point and focal lengths are adapted; a skew of second order remains.
    """
    middle = np.zeros(2)
    for _ in range(20):
        step = intrinsics.undistort(middle) @ np.linalg.inv(_slope(intrinsics, middle)).T
        middle = middle - step
        if np.abs(step).max() < 1e-15:
            break
    focal = intrinsics.focal_px / np.diag(_slope(intrinsics, middle))
    principal = intrinsics.principal_px + middle * intrinsics.focal_px
    K = np.array([[focal[0], 0, principal[0]], [0, focal[1], principal[1]], [0, 0, 1]])
    points = image_grid(size_px)
    ideal = intrinsics.undistort((points - intrinsics.principal_px) / intrinsics.focal_px)
    return K, ideal, (points - principal) / focal


def _slope(intrinsics: ViconIntrinsics, xy: F64) -> F64:
    """Return the derivative (2, 2) of `ViconIntrinsics.undistort` at a point."""
    offset = xy - intrinsics.centre
    r2 = float(offset @ offset)
    a1, a2, a3 = intrinsics.radial
    growth = 2 * (a1 + r2 * (2 * a2 + r2 * 3 * a3))
    return np.asarray(np.eye(2) * (1 + r2 * (a1 + r2 * (a2 + r2 * a3))) + growth * np.outer(offset, offset))


def _origin(found: F64, camera: Camera, ideal: F64) -> F64 | None:
    """Return the Vicon vector (9,) from which the camera's intrinsics were fitted; None if there is none nearby."""
    if camera.distortion_model != "pinhole" or camera.distortion.size not in _COUNTS:
        return None
    focal = np.diag(camera.K)[:2]
    target = distort(camera, ideal) * focal + camera.K[:2, 2]

    def residuals(values: F64) -> F64:
        intrinsics = ViconIntrinsics.of_vector(values)
        K, undistorted, xy = _targets(intrinsics, camera.size_px)
        fitted = _bare(K, _fitted(undistorted, xy, camera.distortion.size), camera.size_px)
        return np.asarray((distort(fitted, ideal) * np.diag(K)[:2] + K[:2, 2] - target).ravel())

    steps = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e-6, 1e-6, 1e-5, 1e-5, 1e-5])
    guess, residual = found, residuals(found)
    for _ in range(15):
        slope = np.stack([(residuals(guess + step) - residual) / step.sum() for step in np.diag(steps)], -1)
        size = np.linalg.norm(slope, axis=0)
        guess = guess - np.linalg.lstsq(slope / size, residual, rcond=1e-12)[0] / size
        before, residual = np.abs(residual).max(), residuals(guess)
        if np.abs(residual).max() < 1e-10 or np.abs(residual).max() > 10 * before:
            break
    return guess if np.abs(residual).max() < 1e-7 else None


def _bare(K: F64, distortion: F64, size_px: tuple[int, int]) -> Camera:
    return Camera(name="camera", size_px=size_px, K=K, distortion=distortion)


def _fitted(ideal: F64, xy: F64, count: int) -> F64:
    """Fit OpenCV coefficients (count,) that distort ideal points (n, 2) to xy (n, 2), by linear least squares.

    Models of 5 and 12 coefficients (thin prism, no denominator) are linear. The rational model of 8, multiplied by its
    denominator, is linear too; iterative weighting by the last denominator restores the error of the model itself
    (Sanathanan and Koerner 1963).
    """
    r2 = (ideal**2).sum(-1, keepdims=True)
    x, y = ideal[:, :1], ideal[:, 1:]
    zero = np.zeros_like(r2)
    powers, tangential = [r2, r2**2, r2**3], [np.hstack([2 * x * y, r2 + 2 * y * y])]
    tangential.append(np.hstack([r2 + 2 * x * x, 2 * x * y]))
    prism = [np.hstack(pair) for pair in ((r2, zero), (r2**2, zero), (zero, r2), (zero, r2**2))]
    found, weight = np.zeros(count), np.ones_like(r2)
    for _ in range(_ITERATIONS if count == 8 else 1):
        columns = [ideal * powers[0] / weight, ideal * powers[1] / weight, *tangential, ideal * powers[2] / weight]
        if count == 8:
            tangential_free = xy - found[2] * tangential[0] - found[3] * tangential[1]
            columns += [-tangential_free * power / weight for power in powers]
        elif count == 12:
            columns += [np.zeros_like(xy)] * 3 + prism
        matrix = np.stack([column.ravel() for column in columns], -1)
        size = np.linalg.norm(matrix, axis=0)
        size[size == 0] = 1.0
        found = np.linalg.lstsq(matrix / size, ((xy - ideal) / weight).ravel(), rcond=1e-13)[0] / size
        if count == 8:
            weight = 1 + r2 * (found[5] + r2 * (found[6] + r2 * found[7]))
    return np.asarray(found)
