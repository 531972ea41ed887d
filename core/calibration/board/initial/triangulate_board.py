"""Triangulation of a board in each frame with a given rig, including time offsets, without a motion model."""

from __future__ import annotations

import warnings

import numpy as np

from core.board.observations import BoardObservations
from core.geometry import ideal_points, triangulate
from core.geometry.resize import at_size
from core.types.arrays import F64
from core.types.camera import CameraRig

_MAX_GAP = 2.5  # in frame periods, for interpolation of observations
_LEAST_POINTS = 4  # per frame, for a position of the board
_SAME_TIME = 1e-6  # of a frame period, tolerance for an image at the time of the frame


def board_points_mm(seen: BoardObservations, rig: CameraRig) -> F64:
    """Triangulate the points of a board in each frame.

    Args:
        seen: Observations.
        rig: Rig, of which posed cameras with observations are used.

    Returns:
        (T, P, 3) points in the order of `seen.board.points_mm`; NaN where fewer than two cameras saw a point.

    Raises:
        CoreError: The images have another aspect ratio than the rig.
    """
    count, points = len(seen.time_s), len(seen.board.points_mm)
    views = [v for v, name in enumerate(seen.cameras) if name in rig.names and rig[name].posed]
    if len(views) < 2 or not count:
        return np.full((count, points, 3), np.nan)
    size_px = [(int(w), int(h)) for w, h in seen.sizes_px]
    fitted = tuple(at_size(rig[seen.cameras[v]], size_px[v]) for v in views)
    xy = np.full((len(seen.cameras), count, points, 2), np.nan)
    xy[seen.view, seen.frame, seen.point] = seen.xy_px
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # frames without images
        frame_s = np.nanmedian(seen.time_s, axis=1)
    at_frames = np.stack(
        [_at_times(xy[v], seen.time_s[:, v] - c.time_offset_s, frame_s) for v, c in zip(views, fitted, strict=True)]
    )
    posed = CameraRig(cameras=fitted)
    return triangulate(posed, ideal_points(posed, at_frames), np.isfinite(at_frames).all(-1).astype(float))


def board_trajectory_mm(points_mm: F64) -> F64:
    """Return the median (T, 3) of the points (T, P, 3) of each frame; NaN where too few are known."""
    enough = np.isfinite(points_mm).all(-1).sum(-1) >= _LEAST_POINTS
    track = np.full((len(points_mm), 3), np.nan)
    track[enough] = np.nanmedian(points_mm[enough], axis=1)
    return track


def _at_times(xy_px: F64, true_s: F64, frame_s: F64) -> F64:
    """Interpolate points (T, P, 2) from the true times of their images to frame times (T,)."""
    known = np.flatnonzero(np.isfinite(true_s))
    out = np.full_like(xy_px, np.nan)
    if len(known) < 2:
        out[known] = xy_px[known]
        return out
    times = true_s[known]
    after = np.clip(np.searchsorted(times, np.nan_to_num(frame_s)), 1, len(known) - 1)
    gap = times[after] - times[after - 1]
    share = (frame_s - times[after - 1]) / gap
    bridged = gap <= _MAX_GAP * float(np.median(np.diff(times)))
    between = bridged & (share >= 0) & (share <= 1)
    first, second, part = xy_px[known[after - 1]], xy_px[known[after]], share[:, None, None]
    out[between] = ((1 - part) * first + part * second)[between]
    # An image at the time of the frame needs no neighbours.
    for exact, rows in ((np.abs(share) <= _SAME_TIME, first), (np.abs(share - 1) <= _SAME_TIME, second)):
        out[exact] = rows[exact]
    return out
