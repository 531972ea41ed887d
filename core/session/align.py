"""2D poses at common times, from cameras that are known to be late.

An image that a camera stamps with a time was taken `Camera.time_offset_s` earlier. People move meanwhile: before views are
put together, each camera's 2D poses are brought to the frames of the take, between the two images on either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.session.timeline import Timeline
from core.types.arrays import F32, F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D

_LATE_S = 0.001
_NEAR = 0.05  # an image this near to a frame, in steps between images, serves as it is
_MOST_STEPS = 2.5  # a gap of more usual steps than this is not bridged
_FAR = 0.4  # of a person's box that the same person does not move between two images


def align_poses2d(poses2d: Mapping[str, Pose2D], timeline: Timeline, rig: CameraRig) -> dict[str, Pose2D]:
    """2D poses at the frames of a take; those of cameras that are in step are returned as they are.

    Args:
        poses2d: By camera, T as in the timeline.
        timeline: Of the take.
        rig: With the cameras' time offsets.
    """
    taken_s = _taken_s(timeline, rig)
    return {
        name: _moved(poses, taken_s[name], timeline.time_s) if name in taken_s else poses
        for name, poses in poses2d.items()
    }


def nearest_rows(timeline: Timeline, rig: CameraRig) -> dict[str, I64]:
    """For images and heatmaps, which cannot be moved in time: the row of the timeline to take them from instead.

    Args:
        timeline: Of a take.
        rig: With the cameras' time offsets.

    Returns:
        By camera that is late: (T,) the row whose image was taken nearest to each frame; -1 where none was within
        a step between images.
    """
    return {name: _nearest(taken_s, timeline.time_s) for name, taken_s in _taken_s(timeline, rig).items()}


def _taken_s(timeline: Timeline, rig: CameraRig) -> dict[str, F64]:
    """(T,) when the images of each late camera were taken, in the take's time; NaN where there is none."""
    late = [c for c in rig if abs(c.time_offset_s) > _LATE_S and c.name in timeline.cameras]
    if not late:
        return {}
    # The recorded times count from the same start for all cameras, the frames from the first of them.
    start = float(np.nanmedian(timeline.frame_time_s - timeline.time_s[:, None]))
    return {c.name: timeline.frame_time_s[:, timeline.cameras.index(c.name)] - start - c.time_offset_s for c in late}


def _nearest(taken_s: F64, wanted_s: F64) -> I64:
    known = np.flatnonzero(np.isfinite(taken_s))
    if not len(known):
        return np.full(len(wanted_s), -1)
    times = taken_s[known]
    after = np.clip(np.searchsorted(times, wanted_s), 0, len(known) - 1)
    before = np.maximum(after - 1, 0)
    near = np.where(np.abs(times[after] - wanted_s) < np.abs(times[before] - wanted_s), after, before)
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return np.where(np.abs(times[near] - wanted_s) <= usual, known[near], -1)


def _moved(poses: Pose2D, taken_s: F64, wanted_s: F64) -> Pose2D:
    """One camera's poses at other times.

    Args:
        poses: At its own images.
        taken_s: (T,) when these were taken; NaN where there is none.
        wanted_s: (T,) wanted times.
    """
    known = np.flatnonzero(np.isfinite(taken_s))
    xy = np.full_like(poses.xy_px, np.nan)
    score, box = np.zeros_like(poses.score), np.full_like(poses.box_px, np.nan)
    if len(known) >= 2:
        times = taken_s[known]
        usual = float(np.median(np.diff(times)))
        after = np.clip(np.searchsorted(times, wanted_s), 1, len(known) - 1)
        first, second = known[after - 1], known[after]
        gap = times[after] - times[after - 1]
        share = (wanted_s - times[after - 1]) / gap
        # People of one image are matched with those of the next frame by frame: their numbers mean nothing.
        for t in range(len(wanted_s)):
            u, a, b = float(share[t]), int(first[t]), int(second[t])
            if abs(u) <= _NEAR or abs(u - 1) <= _NEAR:
                near = a if u < 0.5 else b
                xy[t], score[t], box[t] = poses.xy_px[near], poses.score[near], poses.box_px[near]
            elif 0 < u < 1 and gap[t] <= _MOST_STEPS * usual:
                xy[t], score[t], box[t] = _between(poses, a, b, u)
    return Pose2D(camera=poses.camera, skeleton=poses.skeleton, xy_px=xy, score=score, box_px=box)


def _between(poses: Pose2D, a: int, b: int, share: float) -> tuple[F32, F32, F32]:
    """People of the nearer of two images, moved by how far they go until the other one."""
    near, other, step = (a, b, share) if share <= 0.5 else (b, a, 1 - share)
    xy, score, box = poses.xy_px[near].copy(), poses.score[near].copy(), poses.box_px[near].copy()
    here, there = np.flatnonzero(poses.present[near]), np.flatnonzero(poses.present[other])
    if not len(here) or not len(there):
        return xy, score, box
    way = poses.xy_px[other][there][None] - xy[here][:, None]  # (here, there, J, 2)
    length: Any = np.ma.masked_invalid(np.linalg.norm(way, axis=-1))
    median: Any = np.ma.median
    distance = median(length, axis=-1).filled(np.inf)
    size = np.linalg.norm(box[here, 2:] - box[here, :2], axis=-1)
    size = np.where(np.isfinite(size) & (size > 0), size, 100.0)
    cost = np.minimum(distance / size[:, None], 10.0)
    for i, j in zip(*linear_sum_assignment(cost), strict=True):
        if cost[i, j] > _FAR:
            continue
        moves = way[i, j]
        usual = np.nanmedian(moves[np.isfinite(moves).all(-1)], axis=0)
        moves = np.where(np.isfinite(moves), moves, usual)  # a joint that is seen once goes along with the others
        xy[here[i]] += step * moves
        box[here[i]] += step * np.nan_to_num(poses.box_px[other][there[j]] - box[here[i]])
    return xy, score, box
