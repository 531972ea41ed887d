"""Assignment of images that several cameras took at different times to a common timeline.

Complete takes (`align_times`) and running cameras (`core.capture.synchronizer`) share the rule, which has three parts:
`reference_camera` chooses the camera that determines the frames, `fill_time_gaps` fills gaps in its times, and
`match_images` assigns the images of each camera to the frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.session.timeline import Timeline
from core.types.arrays import F64, I64

_VARIABLE = 0.25  # distance of an interval from a whole number of periods above which it counts as irregular
_VARIABLE_SHARE = 0.02  # share of irregular intervals above which a frame rate counts as variable
_EDGE = 0.75  # periods by which the reference camera may be short at an end before frames are added there


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Timeline with its provenance.

    Attributes:
        timeline: Timeline.
        fps: Frame rate of the reference camera.
        reference: Camera whose images determine the frames.
        notes: Sentences on unused images, missing images and variable frame rates.
    """

    timeline: Timeline
    fps: float
    reference: str
    notes: tuple[str, ...]


def align_times(times_s: Mapping[str, F64], fps: Mapping[str, float]) -> Alignment:
    """Assign the images of all cameras to the frames of the camera with the median frame rate.

    Each frame gets the nearest image of each camera within half a period; without one, the camera has dropped the
    frame. Gaps of the reference camera are filled evenly. The timeline lasts as long as at least two cameras are
    running.

    Args:
        times_s: (n,) increasing image times by camera, on one clock.
        fps: Frame rate by camera.

    Raises:
        CoreError: No two cameras filmed at the same time.
    """
    cameras = tuple(times_s)
    reference = reference_camera(fps, {name: len(times_s[name]) for name in cameras})
    period = 1 / fps[reference]
    second = min(1, len(cameras) - 1)
    begin = sorted(float(times_s[name][0]) for name in cameras)[second]
    end = sorted(float(times_s[name][-1]) for name in cameras)[-1 - second]
    if end < begin:  # equal for single images
        raise CoreError("No two cameras filmed at the same time.", "Choose videos of one recording.")
    frames = _frame_times(np.asarray(times_s[reference], float), period, begin, end)
    index = np.stack([match_images(np.asarray(times_s[name], float), frames, period) for name in cameras], axis=1)
    used = (index >= 0).any(1)
    frames, index = frames[used], index[used]
    recorded = np.stack([times_s[name][np.maximum(index[:, v], 0)] for v, name in enumerate(cameras)], axis=1)
    timeline = Timeline(
        cameras=cameras,
        time_s=frames - frames[0],
        frame_index=index,
        frame_time_s=np.where(index >= 0, recorded, np.nan),
    )
    notes = _notes(timeline, frames, times_s, fps, period)
    return Alignment(timeline=timeline, fps=fps[reference], reference=reference, notes=tuple(notes))


def reference_camera(fps: Mapping[str, float], n_images: Mapping[str, int]) -> str:
    """Return the camera with the most images among those with the median frame rate.

    Of two middle rates, the lower one counts, so that the faster cameras have an image for every frame.

    Args:
        fps: Frame rate by camera.
        n_images: Number of images by camera.
    """
    by_rate = sorted(n_images, key=lambda name: (round(fps[name], 2), n_images[name]))
    median_fps = round(fps[by_rate[(len(by_rate) - 1) // 2]], 2)
    return max((name for name in n_images if round(fps[name], 2) == median_fps), key=lambda name: n_images[name])


def lead_in(first_s: float, begin_s: float, period: float) -> float:
    """Return the time one period before the first frame, from which `fill_time_gaps` starts.

    Args:
        first_s: First time of the reference camera.
        begin_s: Start of the timeline.
        period: Period of the reference camera in s.
    """
    return (first_s if first_s - begin_s < _EDGE * period else begin_s) - period


def lead_out(last_s: float, end_s: float, period: float) -> float:
    """Return the time one period after the last frame, at which `fill_time_gaps` ends; arguments as in `lead_in`."""
    return (last_s if end_s - last_s < _EDGE * period else end_s) + period


def fill_time_gaps(anchors_s: F64, period: float) -> F64:
    """Return evenly spaced times between successive anchors.

    Args:
        anchors_s: (n,) increasing times.
        period: Approximate spacing in s.

    Returns:
        The anchors except the last one, and times between them that divide each gap into whole periods.
    """
    steps = np.maximum(np.round(np.diff(anchors_s) / period), 1).astype(int)
    start = np.repeat(anchors_s[:-1], steps)
    number = np.arange(len(start)) - np.repeat(np.cumsum(steps) - steps, steps)
    return np.asarray(start + number * np.repeat(np.diff(anchors_s) / steps, steps))


def match_images(times_s: F64, frames_s: F64, period: float) -> I64:
    """Assign one camera's images to frames.

    Args:
        times_s: (n,) increasing image times.
        frames_s: (T,) increasing frame times.
        period: Period of the frames in s.

    Returns:
        (T,) index of the image nearest to each frame, -1 if none is within half a period. Each image is assigned to at
        most one frame, the nearest.
    """
    if not len(times_s):
        return np.full(len(frames_s), -1, np.int64)
    after = np.clip(np.searchsorted(times_s, frames_s), 1, max(len(times_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times_s) - 1)
    nearest = np.where(frames_s - times_s[before] <= times_s[after] - frames_s, before, after)
    distance = np.abs(times_s[nearest] - frames_s)
    index = np.where(distance <= period / 2 * (1 + 1e-6), nearest, -1).astype(np.int64)
    order = np.lexsort((distance, index))
    duplicate = np.zeros(len(index), bool)
    duplicate[order[1:]] = index[order[1:]] == index[order[:-1]]
    return np.where(duplicate, -1, index)


def _frame_times(reference_s: F64, period: float, begin: float, end: float) -> F64:
    """Return the frame times from `begin` to `end`: those of the reference camera with gaps filled."""
    inner = reference_s[(reference_s >= begin - period / 2) & (reference_s <= end + period / 2)]
    first, last = (inner[0], inner[-1]) if len(inner) else (np.inf, -np.inf)
    anchors = np.concatenate([[lead_in(first, begin, period)], inner, [lead_out(last, end, period)]])
    return fill_time_gaps(anchors, period)[1:]


def _notes(
    timeline: Timeline, frames: F64, times_s: Mapping[str, F64], fps: Mapping[str, float], period: float
) -> list[str]:
    notes = []
    rate, end = 1 / period, float(frames[-1])
    for v, name in enumerate(timeline.cameras):
        times, index = times_s[name], timeline.frame_index[:, v]
        beyond = int((times > end + period / 2).sum())
        if beyond:
            unused = f"last {beyond} images are" if beyond > 1 else "last image is"
            notes.append(f"{name}: the {unused} not used; it ran {times[-1] - end:.2f} s longer than the others.")
        running = frames <= times[-1] + period / 2
        early = int((~running).sum())
        if early:
            frames_text = f"{early} frames" if early > 1 else "1 frame"
            notes.append(f"{name} stops {end - times[-1]:.2f} s before the end: missing in {frames_text}.")
        if abs(fps[name] - rate) > 0.005 * rate:
            notes.append(f"{name} has {fps[name]:.4g} fps; the take has {rate:.4g} fps.")
        intervals = np.diff(times)
        periods = intervals * fps[name]  # whole numbers above 1 are dropped images
        if len(intervals) and (np.abs(periods - np.maximum(np.round(periods), 1)) > _VARIABLE).mean() > _VARIABLE_SHARE:
            low, high = intervals.min() * 1000, intervals.max() * 1000
            notes.append(f"{name} has a variable frame rate: intervals of {low:.0f} to {high:.0f} ms.")
        dropped = int(((index < 0) & running).sum())
        if dropped:
            notes.append(f"{name} has no image for {dropped} of {len(index)} frames.")
    return notes
