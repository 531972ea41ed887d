"""Online grouping of the frames of running cameras into frame sets, by the rule of `core.session.timing`.

The result equals that of `align_times` on the recorded times unless a camera is silent for longer than a limit; then
the others continue without it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.session.timing import fill_time_gaps, lead_in, lead_out, match_images, reference_camera
from core.types.frame import Frame, FrameSet
from core.types.rate import frame_rate

_ESTIMATE_IMAGES = 8  # per camera, for an estimate of its frame rate
_CONTEXT = 2  # emitted frames that still compete with the next one for images


@dataclass(slots=True, eq=False)
class _Stream:
    """Buffered frames of one camera."""

    frames: list[Frame] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    first_s: float = np.inf
    last_s: float = -np.inf
    ended: bool = False
    dropped: int = 0
    discarded: int = 0


class Synchronizer:
    """Grouping of the arriving frames of several cameras into frame sets.

    A frame set is complete one period after its time, when the next images have arrived. Not thread-safe.

    Args:
        cameras: Camera names.
        fps: Frame rate by camera; None estimates it from the first images.
        reference: Camera that determines the times of frames; empty to choose it as `align_times` does.
        patience_s: Longest wait for a silent camera, in s of recorded time.
        max_frames: Largest number of frames buffered per camera.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        *,
        fps: Mapping[str, float] | None = None,
        reference: str = "",
        patience_s: float = 0.5,
        max_frames: int = 64,
    ) -> None:
        self._streams = {name: _Stream() for name in cameras}
        self._fps, self._reference = fps, reference
        self._patience_s, self._max_frames = patience_s, max_frames
        self._second = min(1, len(cameras) - 1)  # frames begin and end where two cameras do
        self._origin_ns: int | None = None
        self._period = 0.0  # 0 until the frame rate is known
        self._begin_s = 0.0
        self._pending: list[float] = []  # times of the reference camera that are not frames yet
        self._anchor: float | None = None  # time of the last frame from the reference camera
        self._frames: list[float] = []  # frame times to emit
        self._emitted: list[float] = []  # the last `_CONTEXT` emitted ones
        self._start_s: float | None = None
        self._count = 0

    @property
    def dropped(self) -> dict[str, int]:
        """Number of emitted frame sets without an image, by camera."""
        return {name: stream.dropped for name, stream in self._streams.items()}

    @property
    def discarded(self) -> dict[str, int]:
        """Number of frames that arrived after their frame set or overflowed the buffer, by camera."""
        return {name: stream.discarded for name, stream in self._streams.items()}

    @property
    def silent(self) -> tuple[str, ...]:
        """Names of started cameras that have sent no image for longer than `patience_s`; no others wait for them."""
        newest = self._newest()
        started = {n: s for n, s in self._streams.items() if not s.ended and np.isfinite(s.first_s)}
        return tuple(name for name, stream in started.items() if newest - stream.last_s > self._patience_s)

    def push(self, frame: Frame) -> list[FrameSet]:
        """Add a frame; the frames of a camera must be in order.

        Returns:
            The frame sets that it completes.
        """
        stream = self._streams[frame.camera]
        if self._origin_ns is None:
            self._origin_ns = frame.time_ns
        time_s = (frame.time_ns - self._origin_ns) / 1e9
        if time_s <= stream.last_s:
            stream.discarded += 1
            return []
        stream.first_s, stream.last_s = min(stream.first_s, time_s), time_s
        if self._emitted and time_s < self._emitted[-1] - self._period / 2:
            stream.discarded += 1
        else:
            stream.frames.append(frame)
            stream.times_s.append(time_s)
            if len(stream.frames) > self._max_frames:
                stream.discarded += 1
                del stream.frames[0], stream.times_s[0]
        if self._period and frame.camera == self._reference and time_s >= self._begin_s - self._period / 2:
            self._pending = [*self._pending, time_s][-self._max_frames :]
        return self._advance()

    def end(self, camera: str) -> list[FrameSet]:
        """Declare that a camera sends no more frames.

        Returns:
            The frame sets that this completes; all remaining ones after the last camera.
        """
        self._streams[camera].ended = True
        if not all(stream.ended for stream in self._streams.values()):
            return self._advance()
        if not self._period and not self._begin():
            return []
        sets = self._advance()
        if self._anchor is not None or self._reached() > self._begin_s:
            first = np.inf if self._anchor is None else self._anchor
            start = lead_in(first, self._begin_s, self._period) if self._anchor is None else self._anchor
            last = -np.inf if self._anchor is None else self._anchor
            stop = lead_out(last, self._reached(), self._period)
            self._frames += fill_time_gaps(np.array([start, stop]), self._period)[1:].tolist()
        while self._frames:
            sets += self._emit()
        return sets

    def _advance(self) -> list[FrameSet]:
        if not self._period and not (self._known() and self._begin()):
            return []
        self._extend()
        sets: list[FrameSet] = []
        while len(self._frames) > 1 and all(self._settled(stream) for stream in self._streams.values()):
            sets += self._emit()
        return sets

    def _known(self) -> bool:
        """Return whether the start and the frame rates are known."""
        streams = self._streams.values()
        begun = sorted(stream.first_s for stream in streams)[self._second]
        waited_s = self._newest() - begun
        if self._fps is not None:
            return waited_s > self._patience_s or all(s.ended or s.times_s for s in streams)
        return waited_s > 2 * self._patience_s or all(s.ended or len(s.times_s) >= _ESTIMATE_IMAGES for s in streams)

    def _begin(self) -> bool:
        """Fix the reference camera, the period and the start; return whether that is possible."""
        times = {name: stream.times_s for name, stream in self._streams.items() if stream.times_s}
        fps = self._fps or {name: frame_rate(np.array(t)) for name, t in times.items() if len(t) > 1}
        begin = sorted(stream.first_s for stream in self._streams.values())[self._second]
        counts = {name: len(t) for name, t in times.items() if name in fps}
        if not np.isfinite(begin) or not (self._reference in fps or counts):
            return False
        self._reference = self._reference if self._reference in fps else reference_camera(fps, counts)
        self._period, self._begin_s = 1 / fps[self._reference], begin
        self._pending = [t for t in times.get(self._reference, ()) if t >= begin - self._period / 2]
        return True

    def _extend(self) -> None:
        """Add frames up to the last time that two cameras have reached."""
        reached = self._reached()
        while self._pending and self._pending[0] <= reached + self._period / 2:
            time_s = self._pending.pop(0)
            if self._anchor is not None and time_s <= self._anchor:
                continue  # the camera was silent, and frames were extrapolated beyond this image
            start = lead_in(time_s, self._begin_s, self._period) if self._anchor is None else self._anchor
            self._frames += [*fill_time_gaps(np.array([start, time_s]), self._period)[1:].tolist(), time_s]
            self._anchor = time_s
        if not self._pending:
            # A silent reference camera does not block the others: its frames are extrapolated.
            silent = self._newest() - self._streams[self._reference].last_s > self._patience_s
            start = self._begin_s - self._period if self._anchor is None else self._anchor
            for _ in range(int((reached - start) / self._period) if silent else 0):
                start += self._period
                self._frames.append(start)
                self._anchor = start

    def _settled(self, stream: _Stream) -> bool:
        """Return whether the first frame is final for a camera: later images cannot change it, or are not awaited."""
        frame, following = self._frames[0], self._frames[1]
        if stream.ended or stream.last_s >= following or self._newest() - stream.last_s > self._patience_s:
            return True
        if stream.last_s < frame:
            return False
        place = bisect_left(stream.times_s, frame)
        near = min(stream.times_s[max(0, place - 1) : place + 1], key=lambda t: abs(t - frame), default=np.inf)
        return abs(near - frame) <= abs(near - following)

    def _emit(self) -> list[FrameSet]:
        """Remove the first frame, and return its frame set; empty if it has no image."""
        time_s = self._frames[0]
        window = np.array([*self._emitted, *self._frames[: _CONTEXT + 1]])
        found: dict[str, Frame] = {}
        for name, stream in self._streams.items():
            index = match_images(np.array(stream.times_s), window, self._period)[len(self._emitted)]
            if index >= 0:
                found[name] = stream.frames[index]
        del self._frames[0]
        self._emitted = [*self._emitted, time_s][-_CONTEXT:]
        for stream in self._streams.values():
            used = bisect_left(stream.times_s, self._emitted[0] - self._period)
            del stream.frames[:used], stream.times_s[:used]
        if not found:
            return []
        for name, stream in self._streams.items():
            stream.dropped += name not in found and stream.first_s <= time_s
        self._start_s = time_s if self._start_s is None else self._start_s
        times_ns = [frame.time_ns for frame in found.values()]
        self._count += 1
        skew_s = (max(times_ns) - min(times_ns)) / 1e9
        return [FrameSet(index=self._count - 1, time_s=time_s - self._start_s, frames=found, skew_s=skew_s)]

    def _newest(self) -> float:
        return max(stream.last_s for stream in self._streams.values())

    def _reached(self) -> float:
        """Return the latest time that two cameras have reached."""
        return sorted(stream.last_s for stream in self._streams.values())[-1 - self._second]
