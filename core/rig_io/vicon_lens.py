"""Vicon's radial lens model, which straightens images, and OpenCV's, which bends points: each fitted to the other.

Vicon moves an image point d, seen from a distortion centre c, to c + (d - c) (1 + a1 r^2 + a2 r^4 + a3 r^6) with
r = |d - c|. Here d is measured from the principal point in focal lengths, as are c and r; files count in pixels. The
inverse of a polynomial is none, so neither model expresses the other exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry import distort, undistort
from core.types.arrays import F64
from core.types.camera import Camera

_SIDE = 21
_ITERATIONS = 12
_GOOD_PX = 0.01
# Numbers of OpenCV's coefficients, small ones first: what few can say, more programs can read.
_COUNTS = (5, 8, 12)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViconLens:
    """One camera's lens as Vicon has it.

    Attributes:
        focal_px: (2,) focal lengths along x and y.
        principal_px: (2,) principal point.
        centre: (2,) distortion centre, from the principal point in focal lengths.
        radial: (3,) a1, a2, a3 in focal lengths.
    """

    focal_px: F64
    principal_px: F64
    centre: F64
    radial: F64

    def straightened(self, xy: F64) -> F64:
        """Ideal image-plane coordinates (..., 2) of distorted ones (..., 2), both in focal lengths."""
        away = xy - self.centre
        r2 = (away**2).sum(-1, keepdims=True)
        a1, a2, a3 = self.radial
        return np.asarray(self.centre + away * (1 + r2 * (a1 + r2 * (a2 + r2 * a3))))

    def folds(self, size_px: tuple[int, int]) -> bool:
        """Whether two points of an image of that size would be moved to one."""
        xy = (image_points(size_px) - self.principal_px) / self.focal_px
        r2 = ((xy - self.centre) ** 2).sum(-1).max() * np.linspace(0, 1, 400)
        a1, a2, a3 = self.radial
        return bool((1 + r2 * (3 * a1 + r2 * (5 * a2 + r2 * 7 * a3)) <= 0).any())

    def vector(self) -> F64:
        """(9,) all numbers in the order of the attributes."""
        return np.concatenate([self.focal_px, self.principal_px, self.centre, self.radial])

    @classmethod
    def of_vector(cls, values: F64) -> ViconLens:
        """The lens of a `vector`."""
        return cls(focal_px=values[:2], principal_px=values[2:4], centre=values[4:6], radial=values[6:])


def image_points(size_px: tuple[int, int]) -> F64:
    """(n, 2) px on a grid from corner to corner of an image."""
    columns, rows = np.meshgrid(*(np.linspace(-0.5, side - 0.5, _SIDE) for side in size_px))
    return np.stack([columns.ravel(), rows.ravel()], -1)


def opencv_lens(lens: ViconLens, size_px: tuple[int, int]) -> tuple[F64, F64, float]:
    """OpenCV's lens nearest to Vicon's over a whole image.

    Args:
        lens: One to one in the image.
        size_px: Width and height.

    Returns:
        K (3, 3); (n,) distortion, of the fewest coefficients that come within 0.01 px or else those that come nearest;
        the largest error in the image, px.
    """
    K, ideal, xy = _targets(lens, size_px)
    best, least = np.zeros(5), np.inf
    for count in _COUNTS if lens.radial.any() else ():
        found = _fitted(ideal, xy, count)
        off = (distort(_bare(K, found, size_px), ideal) - xy) * np.diag(K)[:2]
        error = float(np.linalg.norm(off, axis=-1).max())
        if error < least:
            best, least = found, error
        if least < _GOOD_PX:
            break
    return K, best, least if lens.radial.any() else 0.0


def vicon_lens(camera: Camera) -> tuple[ViconLens, float]:
    """Vicon's lens nearest to a camera's over its whole image.

    A near lens whose fit by `opencv_lens` is the camera's own goes before the nearest, so that what was read from a
    file is written as it was there. Eight or twelve coefficients fit by chance to no lens but the one that they came
    from; it has no error.

    Returns:
        The lens, and its largest error in the straightened image, px; infinite where the camera's own distortion
        folds inside the image.
    """
    # Imported only here: the window lists formats without it.
    from scipy.optimize import least_squares

    start = ViconLens(
        focal_px=np.diag(camera.K)[:2], principal_px=camera.K[:2, 2], centre=np.zeros(2), radial=np.zeros(3)
    )
    if not camera.distortion.any() and camera.distortion_model == "pinhole":
        return start, 0.0
    points = image_points(camera.size_px)
    ideal = undistort(camera, points)
    if not np.isfinite(ideal).all():
        return start, np.inf

    def off(values: F64) -> F64:
        lens = ViconLens.of_vector(values)
        straight = lens.straightened((points - lens.principal_px) / lens.focal_px)
        return np.asarray(((straight - ideal) * start.focal_px).ravel())

    scale = np.array([10.0, 10.0, 1.0, 1.0, 0.01, 0.01, 1.0, 1.0, 1.0])
    found = least_squares(off, start.vector(), x_scale=scale, xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    origin = _origin(found, camera, ideal)
    if origin is not None and camera.distortion.size > 5:
        return ViconLens.of_vector(origin), 0.0
    nearest, error = found, _largest(off(found))
    if origin is not None and _largest(off(origin)) <= max(2 * error, _GOOD_PX):
        nearest, error = origin, _largest(off(origin))
    return ViconLens.of_vector(nearest), error


def _largest(off: F64) -> float:
    return float(np.linalg.norm(off.reshape(-1, 2), axis=-1).max())


def _targets(lens: ViconLens, size_px: tuple[int, int]) -> tuple[F64, F64, F64]:
    """K (3, 3), and ideal (n, 2) and distorted (n, 2) image-plane coordinates that belong together.

    OpenCV's distortion neither shifts nor scales at the principal point. A distortion about another centre does, so
    principal point and focal lengths are taken from there; a skew of second order is left.
    """
    middle = np.zeros(2)
    for _ in range(20):
        step = lens.straightened(middle) @ np.linalg.inv(_slope(lens, middle)).T
        middle = middle - step
        if np.abs(step).max() < 1e-15:
            break
    focal = lens.focal_px / np.diag(_slope(lens, middle))
    principal = lens.principal_px + middle * lens.focal_px
    K = np.array([[focal[0], 0, principal[0]], [0, focal[1], principal[1]], [0, 0, 1]])
    points = image_points(size_px)
    ideal = lens.straightened((points - lens.principal_px) / lens.focal_px)
    return K, ideal, (points - principal) / focal


def _slope(lens: ViconLens, xy: F64) -> F64:
    """(2, 2) derivative of `straightened` at one point."""
    away = xy - lens.centre
    r2 = float(away @ away)
    a1, a2, a3 = lens.radial
    grows = 2 * (a1 + r2 * (2 * a2 + r2 * 3 * a3))
    return np.asarray(np.eye(2) * (1 + r2 * (a1 + r2 * (a2 + r2 * a3))) + grows * np.outer(away, away))


def _origin(found: F64, camera: Camera, ideal: F64) -> F64 | None:
    """The lens (9,) whose fit is the camera's own lens, if there is one near: then the camera came from it."""
    if camera.distortion_model != "pinhole" or camera.distortion.size not in _COUNTS:
        return None
    focal = np.diag(camera.K)[:2]
    wanted = distort(camera, ideal) * focal + camera.K[:2, 2]

    def off(values: F64) -> F64:
        lens = ViconLens.of_vector(values)
        K, straight, xy = _targets(lens, camera.size_px)
        fitted = _bare(K, _fitted(straight, xy, camera.distortion.size), camera.size_px)
        return np.asarray((distort(fitted, ideal) * np.diag(K)[:2] + K[:2, 2] - wanted).ravel())

    steps = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e-6, 1e-6, 1e-5, 1e-5, 1e-5])
    guess, miss = found, off(found)
    for _ in range(15):
        slope = np.stack([(off(guess + step) - miss) / step.sum() for step in np.diag(steps)], -1)
        size = np.linalg.norm(slope, axis=0)
        guess = guess - np.linalg.lstsq(slope / size, miss, rcond=1e-12)[0] / size
        before, miss = np.abs(miss).max(), off(guess)
        if np.abs(miss).max() < 1e-10 or np.abs(miss).max() > 10 * before:
            break
    return guess if np.abs(miss).max() < 1e-7 else None


def _bare(K: F64, distortion: F64, size_px: tuple[int, int]) -> Camera:
    return Camera(name="lens", size_px=size_px, K=K, distortion=distortion)


def _fitted(ideal: F64, xy: F64, count: int) -> F64:
    """OpenCV's coefficients (count,) that take ideal points (n, 2) nearest to distorted ones xy (n, 2).

    5 and 12 (with thin prism, without denominator) are linear. The model of 8 times its denominator is linear too;
    weighting by the last denominator makes that the error of the model itself (Sanathanan and Koerner 1963).
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
            bent = xy - found[2] * tangential[0] - found[3] * tangential[1]
            columns += [-bent * power / weight for power in powers]
        elif count == 12:
            columns += [np.zeros_like(xy)] * 3 + prism
        matrix = np.stack([column.ravel() for column in columns], -1)
        size = np.linalg.norm(matrix, axis=0)
        size[size == 0] = 1.0
        found = np.linalg.lstsq(matrix / size, ((xy - ideal) / weight).ravel(), rcond=1e-13)[0] / size
        if count == 8:
            weight = 1 + r2 * (found[5] + r2 * (found[6] + r2 * found[7]))
    return np.asarray(found)
