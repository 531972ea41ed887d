"""One timeline for images that several cameras took at their own times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.session.timeline import Timeline
from core.types.arrays import F64, I64

_UNEVEN = 0.25  # a step this far from the median, in periods, makes a frame rate variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """A timeline, its nominal rate, and what had to be left out, in sentences."""

    timeline: Timeline
    fps: float
    notes: tuple[str, ...]


def align_times(times_s: Mapping[str, F64], fps: Mapping[str, float]) -> Alignment:
    """Lays the images of all cameras on the frames of the camera with the median frame rate.

    Every frame takes from each camera the nearest image within half a period; where there is none the camera
    dropped the frame. Gaps of the reference camera are filled evenly. The timeline begins where
    two cameras have begun and ends where fewer than two go on.

    Args:
        times_s: Camera name to its (n,) increasing image times, all counted from a common start.
        fps: Camera name to its frame rate.

    Raises:
        CoreError: No two cameras filmed at the same time.
    """
    cameras = tuple(times_s)
    # Of two middle rates the lower one: the faster cameras then have an image for every frame.
    by_rate = sorted(cameras, key=lambda name: (round(fps[name], 2), len(times_s[name])))
    median_fps = round(fps[by_rate[(len(cameras) - 1) // 2]], 2)
    reference = max((n for n in cameras if round(fps[n], 2) == median_fps), key=lambda n: len(times_s[n]))
    period = 1 / fps[reference]
    second = min(1, len(cameras) - 1)
    begin = sorted(float(times_s[name][0]) for name in cameras)[second]
    end = sorted(float(times_s[name][-1]) for name in cameras)[-1 - second]
    if end <= begin:
        raise CoreError(
            "No two cameras filmed at the same time.", "Choose videos of one recording, cut to a common start."
        )
    frames = _frames(np.asarray(times_s[reference], float), period, begin, end)
    index = np.stack([_nearest(np.asarray(times_s[name], float), frames, period) for name in cameras], axis=1)
    seen = (index >= 0).any(1)
    frames, index = frames[seen], index[seen]
    taken = np.stack([times_s[name][np.maximum(index[:, v], 0)] for v, name in enumerate(cameras)], axis=1)
    timeline = Timeline(
        cameras=cameras,
        time_s=frames - frames[0],
        frame_index=index,
        frame_time_s=np.where(index >= 0, taken, np.nan),
    )
    return Alignment(timeline=timeline, fps=fps[reference], notes=tuple(_notes(timeline, frames, times_s, fps, period)))


def _frames(reference_s: F64, period: float, begin: float, end: float) -> F64:
    """The reference's times from `begin` to `end`, evenly filled where it has gaps or does not reach them."""
    inner = reference_s[(reference_s >= begin - period / 2) & (reference_s <= end + period / 2)]
    first, last = (inner[0], inner[-1]) if len(inner) else (np.inf, -np.inf)
    # One anchor more on both sides, a period beyond the first and the last frame.
    lead = (first if first - begin < period * 0.75 else begin) - period
    trail = (last if end - last < period * 0.75 else end) + period
    anchors = np.concatenate([[lead], inner, [trail]])
    steps = np.maximum(np.round(np.diff(anchors) / period), 1).astype(int)
    # Where a step is several periods long, its start is repeated and moved on evenly.
    start = np.repeat(anchors[:-1], steps)
    number = np.arange(len(start)) - np.repeat(np.cumsum(steps) - steps, steps)
    frames = start + number * np.repeat(np.diff(anchors) / steps, steps)
    return np.asarray(frames[1:])


def _nearest(times_s: F64, frames: F64, period: float) -> I64:
    """(T,) number of the image nearest to each frame, -1 beyond half a period; no image serves two frames."""
    after = np.clip(np.searchsorted(times_s, frames), 1, max(len(times_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times_s) - 1)
    nearer = np.where(frames - times_s[before] <= times_s[after] - frames, before, after)
    distance = np.abs(times_s[nearer] - frames)
    index = np.where(distance <= period / 2 * (1 + 1e-6), nearer, -1).astype(np.int64)
    order = np.lexsort((distance, index))
    doubled = np.zeros(len(index), bool)
    doubled[order[1:]] = index[order[1:]] == index[order[:-1]]
    return np.where(doubled, -1, index)


def _notes(
    timeline: Timeline, frames: F64, times_s: Mapping[str, F64], fps: Mapping[str, float], period: float
) -> list[str]:
    notes = []
    rate, end = 1 / period, float(frames[-1])
    for v, name in enumerate(timeline.cameras):
        times, index = times_s[name], timeline.frame_index[:, v]
        beyond = int((times > end + period / 2).sum())
        if beyond:
            notes.append(
                f"{name} goes on {times[-1] - end:.2f} s after every other camera has stopped: "
                f"its last {beyond} images are not used."
            )
        inside = frames <= times[-1] + period / 2
        early = int((~inside).sum())
        if early:
            notes.append(f"{name} stops {end - times[-1]:.2f} s before the take ends: missing in {early} frames.")
        if abs(fps[name] - rate) > 0.005 * rate:
            notes.append(f"{name} films {fps[name]:.4g} images a second; the take runs at {rate:.4g}.")
        steps = np.diff(times)
        if len(steps) and (np.abs(steps * fps[name] - 1) > _UNEVEN).mean() > 0.02:
            notes.append(
                f"{name} has a variable frame rate: {steps.min() * 1000:.0f} to {steps.max() * 1000:.0f} ms an image."
            )
        dropped = int(((index < 0) & inside).sum())
        if dropped:
            notes.append(f"{name} has no image for {dropped} of {len(index)} frames.")
    return notes
