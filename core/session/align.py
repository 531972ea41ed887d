"""Compensation of camera time offsets in 2D poses.

An image with time stamp t was taken at t - `time_offset_s`. The offset is the sum of that in the rig, common to all
takes, and of the camera's clock error in the take (offset, drift and dropped images). Because people move meanwhile, 2D
poses are interpolated to the frames of the take before views are combined.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.session.timeline import Timeline
from core.types.arrays import F32, F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D

_MIN_OFFSET_S = 0.001  # smaller time offsets are ignored
_SNAP = 0.05  # an image this close to a frame, in intervals between images, is used without interpolation
_MAX_GAP = 2.5  # gaps longer than this, in median intervals, are not interpolated
_MAX_MOVE = 0.4  # largest movement of a person between two images, in diagonals of its box
_MAX_COST = 10.0  # finite cost of unmatched people in the assignment
_DEFAULT_SIZE_PX = 100.0  # diagonal of a person without a box


def align_poses2d(poses2d: Mapping[str, Pose2D], timeline: Timeline, rig: CameraRig) -> dict[str, Pose2D]:
    """Interpolate 2D poses to the frames of a take.

    Poses of cameras without time offset, or with a single image, are returned unchanged.

    Args:
        poses2d: 2D poses by camera, with T as in the timeline.
        timeline: Timeline of the take, with its clock errors.
        rig: Cameras with their time offsets.
    """
    exposure_s = exposure_times(timeline, rig)
    return {
        name: _interpolate(poses, exposure_s[name], timeline.time_s) if name in exposure_s else poses
        for name, poses in poses2d.items()
    }


def nearest_rows(timeline: Timeline, rig: CameraRig) -> dict[str, I64]:
    """Find the image nearest to each frame, for images and heatmaps, which cannot be interpolated.

    Args:
        timeline: Timeline of a take.
        rig: Cameras with their time offsets.

    Returns:
        For each camera with a time offset: (T,) row of the timeline whose image was taken nearest to each frame, -1 if
        none was within one interval between images.
    """
    return {name: _nearest(taken_s, timeline.time_s) for name, taken_s in exposure_times(timeline, rig).items()}


def exposure_times(timeline: Timeline, rig: CameraRig) -> dict[str, F64]:
    """Return (T,) times in s at which the images of each camera with an offset were taken; NaN for dropped ones.

    Args:
        timeline: Timeline of a take.
        rig: Cameras with their time offsets.
    """
    error_s = np.zeros((1, len(timeline.cameras))) if timeline.clock_error_s is None else timeline.clock_error_s
    of_take = dict(zip(timeline.cameras, error_s.T, strict=True))
    shifted = [
        c for c in rig if c.name in of_take and np.abs(c.time_offset_s + of_take[c.name]).max(initial=0) > _MIN_OFFSET_S
    ]
    # Recorded times count from a start that all cameras share, frames from the first frame.
    taken_s = image_times_s(timeline) if shifted else {}
    return {c.name: taken_s[c.name] - c.time_offset_s for c in shifted}


def image_times_s(timeline: Timeline) -> dict[str, F64]:
    """Return the times (T,) in s of each camera's images by name, from the first frame; NaN for dropped ones.

    These are the recorded times minus the clock errors in the take; time offsets of the rig are ignored.
    """
    start = float(np.nanmedian(timeline.recorded_time_s - timeline.time_s[:, None]))
    return {name: timeline.frame_time_s[:, v] - start for v, name in enumerate(timeline.cameras)}


def shown_timeline(timeline: Timeline, rig: CameraRig | None) -> Timeline:
    """Return the timeline with the image nearest in time to each frame, to show images beside 3D poses.

    Args:
        timeline: Timeline of a take.
        rig: Cameras with their time offsets; None if there is no rig.
    """
    if rig is None:
        return timeline
    index = timeline.frame_index.copy()
    for name, rows in nearest_rows(timeline, rig).items():
        v = timeline.cameras.index(name)
        index[:, v] = np.where(rows >= 0, timeline.frame_index[rows, v], -1)
    return dataclasses.replace(timeline, frame_index=index)


def _nearest(taken_s: F64, frames_s: F64) -> I64:
    rows = np.flatnonzero(np.isfinite(taken_s))
    if not len(rows):
        return np.full(len(frames_s), -1)
    times = taken_s[rows]
    after = np.clip(np.searchsorted(times, frames_s), 0, len(rows) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(times[after] - frames_s) < np.abs(times[before] - frames_s), after, before)
    interval = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return np.where(np.abs(times[nearest] - frames_s) <= interval, rows[nearest], -1)


def _interpolate(poses: Pose2D, taken_s: F64, frames_s: F64) -> Pose2D:
    """Interpolate one camera's poses.

    Args:
        poses: Poses in its images.
        taken_s: (T,) times at which the images were taken; NaN where dropped.
        frames_s: (T,) times of the frames.
    """
    rows = np.flatnonzero(np.isfinite(taken_s))
    if len(rows) == 1:
        return poses
    xy = np.full_like(poses.xy_px, np.nan)
    score, box = np.zeros_like(poses.score), np.full_like(poses.box_px, np.nan)
    if len(rows):
        times = taken_s[rows]
        interval = float(np.median(np.diff(times)))
        after = np.clip(np.searchsorted(times, frames_s), 1, len(rows) - 1)
        first, second = rows[after - 1], rows[after]
        gap = times[after] - times[after - 1]
        fraction = (frames_s - times[after - 1]) / gap
        # People are matched between successive images because their indices carry no identity.
        for t in range(len(frames_s)):
            u, a, b = float(fraction[t]), int(first[t]), int(second[t])
            if abs(u) <= _SNAP or abs(u - 1) <= _SNAP:
                near = a if u < 0.5 else b
                xy[t], score[t], box[t] = poses.xy_px[near], poses.score[near], poses.box_px[near]
            elif 0 < u < 1 and gap[t] <= _MAX_GAP * interval:
                xy[t], score[t], box[t] = people_between(poses, a, b, u)
    return Pose2D(camera=poses.camera, skeleton=poses.skeleton, xy_px=xy, score=score, box_px=box)


def people_between(poses: Pose2D, a: int, b: int, fraction: float) -> tuple[F32, F32, F32]:
    """Return the people of the nearer of two images, moved along their displacement to the other one.

    Args:
        poses: Poses of one camera.
        a: Index of the earlier image.
        b: Index of the later one.
        fraction: Time between the two, 0 to 1.

    Returns:
        Joints (P, J, 2), scores (P, J) and boxes (P, 4).
    """
    near, other, step = (a, b, fraction) if fraction <= 0.5 else (b, a, 1 - fraction)
    xy, score, box = poses.xy_px[near].copy(), poses.score[near].copy(), poses.box_px[near].copy()
    here, there = np.flatnonzero(poses.present[near]), np.flatnonzero(poses.present[other])
    if not len(here) or not len(there):
        return xy, score, box
    displacement = poses.xy_px[other][there][None] - xy[here][:, None]  # (here, there, J, 2)
    length: Any = np.ma.masked_invalid(np.linalg.norm(displacement, axis=-1))
    median: Any = np.ma.median
    distance = median(length, axis=-1).filled(np.inf)
    size = np.linalg.norm(box[here, 2:] - box[here, :2], axis=-1)
    size = np.where(np.isfinite(size) & (size > 0), size, _DEFAULT_SIZE_PX)
    cost = np.minimum(distance / size[:, None], _MAX_COST)
    for i, j in zip(*linear_sum_assignment(cost), strict=True):
        if cost[i, j] > _MAX_MOVE:
            continue
        moves = displacement[i, j]
        typical = np.nanmedian(moves[np.isfinite(moves).all(-1)], axis=0)
        moves = np.where(np.isfinite(moves), moves, typical)  # a joint in only one image moves with the others
        xy[here[i]] += step * moves
        box[here[i]] += step * np.nan_to_num(poses.box_px[other][there[j]] - box[here[i]])
    return xy, score, box
