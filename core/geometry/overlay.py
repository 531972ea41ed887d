"""Overlays of a calibration on its images: a metre grid on the floor, and upright poles of a person's height.

The grid reveals a wrong axis, unit or origin when it does not match the floor. Lines are subdivided to follow the
distortion, and interrupted by NaN where the camera does not see them.
"""

from __future__ import annotations

import numpy as np

from core.geometry import project
from core.types.arrays import F64
from core.types.camera import Camera
from core.types.volume import CaptureVolume

POLE_MM = 1800.0
GRID_MM = 1000.0
_STEP_MM = 100.0
_NEAR_MM = 100.0
_BEYOND = 0.25  # fraction of the longer image side by which lines extend beyond the image


def floor_grid_px(camera: Camera, volume: CaptureVolume, spacing_mm: float = GRID_MM) -> list[F64]:
    """Return the grid lines of the floor (z = 0) at multiples of the spacing.

    Args:
        camera: Posed camera.
        volume: Capture volume whose floor area is drawn.
        spacing_mm: Distance of neighbouring lines.

    Returns:
        Polylines (n, 2) px with NaN rows where a line is not visible; entirely invisible lines are omitted.
    """
    xs, ys = (_multiples(volume.low_mm[a], volume.high_mm[a], spacing_mm) for a in (0, 1))
    starts = [(x, ys[0]) for x in xs] + [(xs[0], y) for y in ys]
    ends = [(x, ys[-1]) for x in xs] + [(xs[-1], y) for y in ys]
    return polylines_px(camera, _flat(starts), _flat(ends))


def poles_px(
    camera: Camera, volume: CaptureVolume, height_mm: float = POLE_MM, spacing_mm: float = 2 * GRID_MM
) -> list[F64]:
    """Return upright poles on the floor, each with a short bar across its top.

    Args:
        camera: Posed camera.
        volume: Capture volume on whose floor area the poles stand.
        height_mm: Height of a pole.
        spacing_mm: Distance of neighbouring poles.

    Returns:
        Polylines as from `floor_grid_px`, two per pole: the pole, then its bar.
    """
    xs, ys = (_multiples(volume.low_mm[a], volume.high_mm[a], spacing_mm) for a in (0, 1))
    feet = _flat([(x, y) for x in xs for y in ys])
    tops = feet + [0, 0, height_mm]
    side = camera.pose[0][0] * [1, 1, 0]
    side = side / max(float(np.linalg.norm(side)), 1e-9) * 100.0
    starts, ends = np.stack([feet, tops - side], 1).reshape(-1, 3), np.stack([tops, tops + side], 1).reshape(-1, 3)
    return polylines_px(camera, starts, ends)


def volume_px(camera: Camera, volume: CaptureVolume) -> list[F64]:
    """Return the edges of a capture volume as polylines; see `floor_grid_px`."""
    corner = np.stack(np.meshgrid(*np.stack([volume.low_mm, volume.high_mm], -1), indexing="ij"), -1).reshape(8, 3)
    first = np.array([(a, a | bit) for bit in (1, 2, 4) for a in range(8) if not a & bit])
    return polylines_px(camera, corner[first[:, 0]], corner[first[:, 1]])


def polylines_px(camera: Camera, starts_mm: F64, ends_mm: F64) -> list[F64]:
    """Project straight line segments in world coordinates.

    Args:
        camera: Posed camera.
        starts_mm: (N, 3) start points.
        ends_mm: (N, 3) end points.

    Returns:
        Polylines (n, 2) px with NaN rows behind the camera, beyond the fold radius or far outside the image.
    """
    longest = float(np.linalg.norm(ends_mm - starts_mm, axis=1).max(initial=0.0))
    fraction = np.linspace(0, 1, max(2, int(np.ceil(longest / _STEP_MM)) + 1))[None, :, None]
    points = starts_mm[:, None] * (1 - fraction) + ends_mm[:, None] * fraction
    pixels = project(camera, points)
    R, t = camera.pose
    width, height = camera.size_px
    margin = _BEYOND * max(width, height)
    with np.errstate(invalid="ignore"):
        far = (pixels < -margin).any(-1) | (pixels > np.array([width, height]) + margin).any(-1)
    pixels[far | (points @ R[2] + t[2] < _NEAR_MM)] = np.nan
    return [line for line in pixels if np.isfinite(line).all(-1).sum() > 1]


def _multiples(low: float, high: float, spacing: float) -> F64:
    """Return the multiples of the spacing within low .. high, or two values around the middle if there are fewer."""
    first, last = int(np.ceil(low / spacing)), int(np.floor(high / spacing))
    if last <= first:
        first = round((low + high) / 2 / spacing - 0.5)
        last = first + 1
    return np.asarray(np.arange(first, last + 1) * float(spacing), np.float64)


def _flat(xy_mm: list[tuple[float, float]]) -> F64:
    return np.array([(x, y, 0.0) for x, y in xy_mm])
