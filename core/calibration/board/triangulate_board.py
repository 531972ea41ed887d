"""Where a board has been, by the rig alone: its points triangulated frame by frame, time offsets included."""

from __future__ import annotations

import warnings

import numpy as np

from core.board.observations import BoardObservations
from core.geometry import ideal_points, triangulate
from core.geometry.resize import at_size
from core.types.arrays import F64
from core.types.camera import CameraRig

_MOST_STEPS = 2.5  # a gap of more usual steps than this is not bridged
_LEAST_POINTS = 4
_NEAR = 1e-6  # of a step between images: the image is of that very frame


def board_points_mm(seen: BoardObservations, rig: CameraRig) -> F64:
    """The points of a board in the world.

    Args:
        seen: Where cameras saw them.
        rig: Its posed cameras count, those that the observations know.

    Returns:
        (T, P, 3), P rows as `seen.board.points_mm`; NaN where fewer than two cameras saw a point.

    Raises:
        CoreError: The rig was made for images of another shape.
    """
    count, points = len(seen.time_s), len(seen.board.points_mm)
    views = [v for v, name in enumerate(seen.cameras) if name in rig.names and rig[name].posed]
    if len(views) < 2 or not count:
        return np.full((count, points, 3), np.nan)
    width_height = [(int(w), int(h)) for w, h in seen.sizes_px]
    fitted = tuple(at_size(rig[seen.cameras[v]], width_height[v]) for v in views)
    xy = np.full((len(seen.cameras), count, points, 2), np.nan)
    xy[seen.view, seen.frame, seen.point] = seen.xy_px
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # frames without any image
        wanted_s = np.nanmedian(seen.time_s, axis=1)
    moved = np.stack(
        [_at_times(xy[v], seen.time_s[:, v] - c.time_offset_s, wanted_s) for v, c in zip(views, fitted, strict=True)]
    )
    posed = CameraRig(cameras=fitted)
    return triangulate(posed, ideal_points(posed, moved), np.isfinite(moved).all(-1).astype(float))


def board_trajectory_mm(points_mm: F64) -> F64:
    """(T, 3) the middle of the points (T, P, 3) of each frame; NaN where too few are known."""
    enough = np.isfinite(points_mm).all(-1).sum(-1) >= _LEAST_POINTS
    path = np.full((len(points_mm), 3), np.nan)
    path[enough] = np.nanmedian(points_mm[enough], axis=1)
    return path


def _at_times(xy_px: F64, taken_s: F64, wanted_s: F64) -> F64:
    """Points (T, P, 2) of images taken at some times, at others (T,): between the images on either side."""
    known = np.flatnonzero(np.isfinite(taken_s))
    out = np.full_like(xy_px, np.nan)
    if len(known) < 2:
        out[known] = xy_px[known]
        return out
    times = taken_s[known]
    after = np.clip(np.searchsorted(times, np.nan_to_num(wanted_s)), 1, len(known) - 1)
    gap = times[after] - times[after - 1]
    share = (wanted_s - times[after - 1]) / gap
    bridged = gap <= _MOST_STEPS * float(np.median(np.diff(times)))
    between = bridged & (share >= 0) & (share <= 1)
    first, second, part = xy_px[known[after - 1]], xy_px[known[after]], share[:, None, None]
    out[between] = ((1 - part) * first + part * second)[between]
    # An image of the very frame serves by itself, whatever its neighbours saw.
    for exact, rows in ((np.abs(share) <= _NEAR, first), (np.abs(share - 1) <= _NEAR, second)):
        out[exact] = rows[exact]
    return out
