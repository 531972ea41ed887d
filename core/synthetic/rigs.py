"""Synthetic camera rigs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

LANDSCAPE = (1920, 1080)
PORTRAIT = (1080, 1920)
_FAR_MM = 7000.0
"""Distance in mm from which cameras are higher and aimed less exactly."""


def look_at(centre_mm: F64 | Sequence[float], target_mm: F64 | Sequence[float]) -> tuple[F64, F64]:
    """Return the pose of an upright camera at `centre_mm` (3,) that faces `target_mm` (3,).

    Returns:
        R (3, 3) and t_mm (3,), world to camera.

    Raises:
        CoreError: The camera would look straight up or down, where upright is undefined.
    """
    centre = np.asarray(centre_mm, float)
    forward = np.asarray(target_mm, float) - centre
    right = np.cross(forward, (0.0, 0.0, 1.0))
    if np.linalg.norm(right) < 1e-9 * max(1.0, float(np.linalg.norm(forward))):
        raise CoreError("The camera looks straight up or down.", "Move it to the side of its target.")
    forward = forward / np.linalg.norm(forward)
    right = right / np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    return R, -R @ centre


def camera(
    name: str,
    centre_mm: F64 | Sequence[float],
    target_mm: F64 | Sequence[float],
    *,
    size_px: tuple[int, int] = LANDSCAPE,
    fov_deg: float = 70.0,
    distortion: Sequence[float] = (),
) -> Camera:
    """Return a camera that faces a point; `fov_deg` is the field of view along the longer image side."""
    width, height = size_px
    focal = max(size_px) / 2 / np.tan(np.radians(fov_deg) / 2)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    R, t = look_at(centre_mm, target_mm)
    return Camera(name=name, size_px=size_px, K=K, distortion=np.asarray(distortion, float), R=R, t_mm=t)


def ring_rig(
    n: int,
    *,
    radius_mm: float = 4500.0,
    heights_mm: Sequence[float] = (2300.0, 1700.0),
    target_mm: Sequence[float] = (0.0, 0.0, 900.0),
    size_px: tuple[int, int] = LANDSCAPE,
    fov_deg: float = 70.0,
    distortion: Sequence[float] = (),
    start_deg: float = 20.0,
) -> CameraRig:
    """Return `n` cameras evenly spaced on a circle, all facing its centre.

    Args:
        n: Number of cameras, named cam01, cam02, ...
        radius_mm: Radius of the circle in the ground plane.
        heights_mm: Heights of the cameras, repeated.
        target_mm: (3,) point that all cameras face; the circle is centred above or below it.
        size_px: Image size; `PORTRAIT` for upright images.
        fov_deg: Field of view along the longer side.
        distortion: OpenCV coefficients, the same for all.
        start_deg: Direction of the first camera.
    """
    angles = np.radians(start_deg) + np.arange(n) * 2 * np.pi / n
    target = np.asarray(target_mm, float)
    cameras = []
    for i, angle in enumerate(angles):
        height = heights_mm[i % len(heights_mm)]
        centre = (target[0] + radius_mm * np.cos(angle), target[1] + radius_mm * np.sin(angle), height)
        cameras.append(
            camera(f"cam{i + 1:02d}", centre, target, size_px=size_px, fov_deg=fov_deg, distortion=distortion)
        )
    return CameraRig(cameras=tuple(cameras), source=f"synthetic ring of {n}")


def random_rig(
    rng: np.random.Generator,
    n: int | None = None,
    *,
    radius_mm: tuple[float, float] = (3000.0, 7000.0),
    size_px: tuple[int, int] | None = None,
    distorted: bool = True,
    seen_mm: tuple[float, float] | None = None,
) -> CameraRig:
    """Return a random plausible rig around the origin.

    Args:
        rng: Random generator.
        n: Number of cameras; None for 3 to 8 at random.
        radius_mm: Range of distances from the origin.
        size_px: Image size of all cameras; None for landscape or portrait at random.
        distorted: Give the lenses mild barrel or pincushion distortion.
        seen_mm: Range of the width around the origin that a camera sees along its longer side, with fields of view
            limited to 12 to 85 degrees; None for fields of view of 55 to 85 degrees.
    """
    count = int(rng.integers(3, 9)) if n is None else n
    size = (LANDSCAPE, PORTRAIT)[int(rng.integers(2))] if size_px is None else size_px
    step = 2 * np.pi / count
    angles = rng.uniform(0, 2 * np.pi) + step * (np.arange(count) + rng.uniform(-0.35, 0.35, count))
    cameras = []
    for i, angle in enumerate(angles):
        radius = rng.uniform(*radius_mm)
        far = max(1.0, radius / _FAR_MM)
        centre = (radius * np.cos(angle), radius * np.sin(angle), rng.uniform(900.0, 3200.0 * far))
        aim = rng.normal(0.0, 250.0 * far, 3) * (1.0, 1.0, 1 / far) + (0.0, 0.0, 900.0)
        k1 = rng.uniform(-0.12, 0.06)
        # A quartic term of the opposite sign keeps the distortion monotone over the image.
        coefficients = (k1, -0.2 * k1, rng.normal(0, 5e-4), rng.normal(0, 5e-4), 0.0) if distorted else ()
        fov = rng.uniform(55.0, 85.0) if seen_mm is None else _field_of_view(rng, radius, seen_mm)
        cameras.append(camera(f"cam{i + 1:02d}", centre, aim, size_px=size, fov_deg=fov, distortion=coefficients))
    return CameraRig(cameras=tuple(cameras), source=f"synthetic random rig of {count}")


def _field_of_view(rng: np.random.Generator, radius_mm: float, seen_mm: tuple[float, float]) -> float:
    """Draw a field of view in degrees that covers a width of `seen_mm` at a distance, within realistic limits."""
    width = np.exp(rng.uniform(*np.log(seen_mm)))
    return float(np.clip(2 * np.degrees(np.arctan(width / 2 / radius_mm)), 12.0, 85.0))
