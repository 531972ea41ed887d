"""Mapping of a camera's clock to the shared clock by the arrival times of its images.

An image cannot arrive before it was taken, and the network only adds delay: the offset between the clocks is the lower
envelope of arrival time minus source time. A low percentile over the last seconds estimates it, robust to single wrong
times, and follows the drift of the camera's clock.
"""

from __future__ import annotations

from collections import deque

import numpy as np

_WINDOW = 300  # images; 10 s at 30 fps, in which 100 ppm of drift make 1 ms
_PERCENTILE = 5.0
_EVERY = 8  # images per estimate
_JUMP_NS = 500_000_000
_LATE_NS = 2_000_000_000  # of late arrivals, after which the camera's clock is assumed to have jumped
_STEP_NS = 1000
_BIN_NS = 1_000_000_000
_MOST_BINS = 600  # ten minutes; over longer times, temperature changes the rate of a clock
_FEWEST_BINS = 5


class SourceClock:
    """Mapping of the times of one camera; used by one thread.

    A jump of the camera's clock, such as after a restart, begins a new estimate.
    """

    def __init__(self) -> None:
        self._delays: deque[int] = deque(maxlen=_WINDOW)
        self._offset_ns = 0
        self._count = 0
        self._late_since_ns: int | None = None
        self._last_ns: int | None = None

    def add(self, source_ns: int, arrival_ns: int) -> None:
        """Add the arrival of an image.

        Args:
            source_ns: Time on the camera's clock.
            arrival_ns: Time of arrival on the shared clock.
        """
        delay = arrival_ns - source_ns
        if delay <= self._offset_ns + _JUMP_NS:
            self._late_since_ns = None
        elif self._late_since_ns is None:
            self._late_since_ns = arrival_ns
        late_ns = 0 if self._late_since_ns is None else arrival_ns - self._late_since_ns
        if self._delays and (delay < self._offset_ns - _JUMP_NS or late_ns > _LATE_NS):
            self._delays.clear()
            self._count, self._late_since_ns = 0, None
        self._delays.append(delay)
        # The first estimates change most.
        if self._count < _WINDOW // 10 or self._count % _EVERY == 0:
            self._offset_ns = int(np.percentile(np.array(self._delays), _PERCENTILE))
        self._count += 1

    @property
    def offset_ns(self) -> int:
        """Current estimate of the shared clock minus the camera's, in ns."""
        return self._offset_ns

    def time_ns(self, source_ns: int) -> int:
        """Return a time of the camera on the shared clock; results increase strictly."""
        time_ns = source_ns + self._offset_ns
        if self._last_ns is not None:
            time_ns = max(time_ns, self._last_ns + _STEP_NS)
        self._last_ns = time_ns
        return time_ns


class ClockFit:
    """Linear fit of the difference of two clocks.

    Delays of images vary but are never negative, so only the smallest difference of each second counts. A reopened
    camera needs a new fit.
    """

    def __init__(self) -> None:
        self._origin: tuple[int, int] | None = None
        self._bins: list[tuple[float, float]] = []  # s on the camera's clock, smallest difference in s
        self._bin = -1

    def add(self, source_time_ns: int, time_ns: int) -> None:
        """Add an image.

        Args:
            source_time_ns: Time on the camera's clock.
            time_ns: Time on the shared clock.
        """
        if self._origin is None or source_time_ns < self._origin[0]:
            self._origin, self._bins, self._bin = (source_time_ns, time_ns), [], -1
        own, shared = source_time_ns - self._origin[0], time_ns - self._origin[1]
        point = own / 1e9, (shared - own) / 1e9
        if own // _BIN_NS != self._bin:
            self._bin = own // _BIN_NS
            self._bins = [*self._bins[-_MOST_BINS + 1 :], point]
        elif point[1] < self._bins[-1][1]:
            self._bins[-1] = point

    @property
    def drift_ppm(self) -> float | None:
        """Rate of the camera's clock minus that of the shared clock, in ppm; None while unknown."""
        if len(self._bins) < _FEWEST_BINS:
            return None
        own, late = np.array(self._bins).T
        for _ in range(3):  # approaches the lower envelope, where images are delayed least
            slope, start = np.polyfit(own, late, 1)
            rest = late - slope * own - start
            keep = rest <= np.median(rest) + 1e-9
            if keep.sum() < max(_FEWEST_BINS, len(self._bins) // 4):
                break
            own, late = own[keep], late[keep]
        return -1e6 * float(slope)
