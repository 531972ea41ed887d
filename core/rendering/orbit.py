"""Orbit camera that shows people from any side, and the framing of people in a view."""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64
from core.types.camera import Camera

_FOV_DEG = 32.0  # vertical, or horizontal if the width is smaller
_SPACE = 1.08  # margin factor around the fitted box
_STRAY = 1.0, 99.0  # percentiles, since an outlier joint must not widen the view
_MIN_MM = 600.0


def people_box(xyz_mm: F64) -> tuple[F64, F64]:
    """Return the lowest and the highest corner (3,) of the box around points (..., 3) of people and their floor."""
    points = xyz_mm.reshape(-1, 3)
    points = points[np.isfinite(points).all(-1)]
    if not len(points):
        return np.array([-1000.0, -1000.0, 0.0]), np.array([1000.0, 1000.0, 1800.0])
    low, high = np.percentile(points, _STRAY, axis=0)
    low[2], high[2] = min(low[2], 0.0), high[2] + 100.0  # the top of the head is above its joints
    return low, high


def orbit_camera(
    low_mm: F64, high_mm: F64, size_px: tuple[int, int], azimuth_deg: float, elevation_deg: float
) -> Camera:
    """Return a camera that sees an entire box, at the same distance for all azimuths.

    Args:
        low_mm: (3,) lowest corner of the box.
        high_mm: (3,) highest corner.
        size_px: Width and height of the image.
        azimuth_deg: Direction of the viewer; 0 is the negative y side, 90 the positive x side.
        elevation_deg: Angle of the viewer above the horizontal.
    """
    width, height = size_px
    centre, half = (low_mm + high_mm) / 2, np.maximum((high_mm - low_mm) / 2, _MIN_MM)
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    right = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    level = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    forward = np.cos(elevation) * level - np.sin(elevation) * np.array([0.0, 0.0, 1.0])
    R = np.stack([right, np.cross(forward, right), forward])
    focal = min(width, height) / 2 / np.tan(np.radians(_FOV_DEG) / 2)
    # An upright cylinder around the box looks the same from all sides.
    around = float(np.hypot(half[0], half[1]))
    tall = half[2] * np.cos(elevation) + around * np.sin(elevation)
    near = around * np.cos(elevation) + half[2] * np.sin(elevation)
    distance = _SPACE * max(
        around / np.sin(np.arctan(width / 2 / focal)), tall * 2 * focal / height + near * np.cos(elevation)
    )
    t_mm = -R @ centre + [0, 0, distance]
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    return Camera(name="viewer", size_px=size_px, K=K, R=R, t_mm=t_mm)


def clear_azimuth_deg(centre_mm: F64, people_mm: F64) -> float:
    """Return the azimuth in the middle of the widest gap between cameras as seen from the people, in degrees."""
    if not len(centre_mm):
        return 30.0
    centre = (people_mm if len(people_mm) else centre_mm)[:, :2].mean(0)
    towards = centre_mm[:, :2] - centre
    angles = np.sort(np.arctan2(towards[:, 1], towards[:, 0]))
    gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    widest = int(gaps.argmax())
    # A viewer at azimuth 0 is on the negative y side.
    return float(np.degrees(angles[widest] + gaps[widest] / 2) + 90.0)
