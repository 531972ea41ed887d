"""Capture volume of a rig: the space that at least two cameras see."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.errors import CoreError
from core.geometry import inside, project
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.volume import CaptureVolume

_COARSE_MM = 200.0  # spacing of the points that are tested for visibility
_REACH_MM = (1500.0, 6000.0)  # smallest and largest half side of the search box
_MARGIN_MM = 700.0  # an arm's length around known joints
_TRIM = 0.02  # fraction of visible floor cells trimmed at each side as outliers
_POINTS_TRIM = 0.005  # the same for known joints, of which some are wrong
_LEAST_POINTS = 10  # smallest number of joints that can shrink the volume
_BELOW_MM, _ABOVE_MM = 100.0, 200.0  # margins under and over joints
_LEAST_SIDE_MM = 1000.0
_DISTANCE_MM = (2500.0, 4000.0)  # to the viewed point, for cameras side by side
_LEAST_INTERSECTION = 0.02  # smallest eigenvalue per camera; two optical axes within 16 degrees count as parallel


def viewed_point(rig: CameraRig) -> F64:
    """Return the point (3,) closest to all optical axes, in mm.

    Nearly parallel axes have no such point; the result is then a point a few metres in front of the cameras.
    """
    centres = np.stack([c.centre_mm for c in rig])
    forward = np.stack([c.pose[0][2] for c in rig])
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    normal, right = across.sum(0), np.einsum("vij,vj->i", across, centres)
    in_front = centres.mean(0) + forward.mean(0) * np.clip(_spread(centres), *_DISTANCE_MM)
    if np.linalg.eigvalsh(normal)[0] < _LEAST_INTERSECTION * len(rig):
        return np.asarray(in_front)
    point = np.linalg.solve(normal, right)
    depth = ((point - centres) * forward).sum(1)
    return np.asarray(point if np.median(depth) > 0 else in_front)


def seen_by(rig: CameraRig, xyz_mm: F64) -> Any:
    """Return (V, ...) bool, True where a point (..., 3) is in the image of a camera."""
    return np.stack([inside(camera, project(camera, xyz_mm)) for camera in rig])


def grid(low_mm: F64, high_mm: F64, spacing_mm: float) -> F64:
    """Return points (X, Y, Z, 3) that fill a box about `spacing_mm` apart, including its faces."""
    counts = np.maximum(np.ceil((np.asarray(high_mm) - low_mm) / spacing_mm).astype(int) + 1, 2)
    axes = [np.linspace(lo, hi, n) for lo, hi, n in zip(low_mm, high_mm, counts, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def search_box(rig: CameraRig, z_mm: tuple[float, float] = (-200.0, 2000.0)) -> tuple[F64, F64]:
    """Return the lowest and highest corner, (3,) each, of the search box of the capture volume."""
    middle = viewed_point(rig)
    centres = np.stack([c.centre_mm for c in rig])
    reach = np.clip(np.linalg.norm((centres - middle)[:, :2], axis=1).max(), *_REACH_MM)
    low, high = np.append(middle[:2] - reach, z_mm[0]), np.append(middle[:2] + reach, z_mm[1])
    return low, high


def capture_volume(
    rig: CameraRig,
    *,
    spacing_mm: float = 100.0,
    around_mm: F64 | None = None,
    z_mm: tuple[float, float] = (-200.0, 2000.0),
) -> CaptureVolume:
    """Compute the axis-aligned box whose floor at least two cameras see.

    Args:
        rig: Posed cameras.
        spacing_mm: Voxel spacing; the actual one differs, because voxel counts are rounded to multiples of 4.
        around_mm: (N, 3) known joints, NaN allowed; the box shrinks to them plus an arm's length.
        z_mm: Heights of the bottom and the top; known joints may raise the top.

    Raises:
        CoreError: No part of the room is seen by two cameras.
    """
    low, high = search_box(rig, z_mm)
    points = grid(low, high, _COARSE_MM)
    views = seen_by(rig, points).sum(0)
    columns = (views >= 2).mean(2) >= 0.5
    if not columns.any():
        columns = (views >= 2).any(2)
    if not columns.any():
        raise CoreError(
            "No part of the room is seen by two cameras.",
            "Check the axes and units of the calibration on the Calibrate page.",
        )
    low[:2], high[:2] = _extent(points[:, :, 0, :2][columns])
    if around_mm is not None:
        low, high = _around(np.asarray(around_mm, float), low, high)
    return CaptureVolume.between(low, high, spacing_mm)


def _extent(xy_mm: F64) -> tuple[F64, F64]:
    """Return the corners of the bounding rectangle of points (N, 2) without outliers, plus half a spacing."""
    low, high = np.quantile(xy_mm, [_TRIM, 1 - _TRIM], axis=0)
    return low - _COARSE_MM / 2, high + _COARSE_MM / 2


def _around(points_mm: F64, low: F64, high: F64) -> tuple[F64, F64]:
    known = points_mm.reshape(-1, 3)
    known = known[np.isfinite(known).all(1)]
    if len(known) < _LEAST_POINTS:
        return low, high
    least, most = np.quantile(known, [_POINTS_TRIM, 1 - _POINTS_TRIM], axis=0)
    tight_low, tight_high = np.maximum(low, least - _MARGIN_MM), np.minimum(high, most + _MARGIN_MM)
    # People who jump or lie on a table exceed the usual heights.
    tight_low[2], tight_high[2] = min(low[2], least[2] - _BELOW_MM), max(high[2], most[2] + _ABOVE_MM)
    if (tight_high[:2] - tight_low[:2] < _LEAST_SIDE_MM).any():
        return low, high  # joints outside the view of two cameras are unreliable
    return tight_low, tight_high


def _spread(centres: F64) -> float:
    return float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
