"""Mapping from wall-clock time to frames during playback. No Qt."""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0)


class PlaybackClock:
    """Playback clock in real time: a slow display skips frames instead of slowing down playback.

    Args:
        time_s: (T,) increasing frame times; T is at least 1.
    """

    def __init__(self, time_s: F64) -> None:
        self._time_s = np.asarray(time_s, float)
        self._start_index, self._start_now, self._speed, self._loop = 0, 0.0, 1.0, False

    @property
    def duration_s(self) -> float:
        """Time from the first frame to the end of the last one, which lasts a median frame period."""
        times = self._time_s
        return float(times[-1] - times[0] + (np.median(np.diff(times)) if len(times) > 1 else 0.0))

    def start(self, index: int, speed: float, now_s: float, *, loop: bool = False) -> None:
        """Start playback.

        Args:
            index: First frame; playback from the last frame starts over.
            speed: Playback speed relative to real time.
            now_s: Wall-clock time.
            loop: Start over at the end.
        """
        last = len(self._time_s) - 1
        self._start_index = 0 if index >= last else max(index, 0)
        self._start_now, self._speed, self._loop = now_s, speed, loop

    def frame(self, now_s: float) -> tuple[int, bool]:
        """Return the frame to show now, and whether the end was reached."""
        played = self._time_s[self._start_index] - self._time_s[0] + (now_s - self._start_now) * self._speed
        ended = played >= self.duration_s
        if ended and self._loop and self.duration_s > 0:
            played, ended = played % self.duration_s, False
        # Show the last frame whose time has been reached. The tolerance covers rounding.
        index = int(np.searchsorted(self._time_s - self._time_s[0], played + 1e-9, side="right")) - 1
        return min(max(index, 0), len(self._time_s) - 1), ended
