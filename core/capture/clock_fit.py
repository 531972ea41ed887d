"""Drift of a camera's own clock against the shared one, estimated while images arrive."""

from __future__ import annotations

import numpy as np

_BIN_NS = 1_000_000_000
_MOST_BINS = 600  # ten minutes; temperature moves a clock within longer times anyway
_FEWEST_BINS = 5


class ClockFit:
    """Straight line through the differences of two clocks.

    Images are delayed on their way by a time that varies but is never negative, so the smallest difference of each
    second counts. A camera that was opened again begins anew.
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
        """Rate of the camera's clock minus that of the shared clock; None while it is unknown."""
        if len(self._bins) < _FEWEST_BINS:
            return None
        own, late = np.array(self._bins).T
        for _ in range(3):  # the least delayed images are near the lower edge
            slope, start = np.polyfit(own, late, 1)
            rest = late - slope * own - start
            keep = rest <= np.median(rest) + 1e-9
            if keep.sum() < max(_FEWEST_BINS, len(self._bins) // 4):
                break
            own, late = own[keep], late[keep]
        return -1e6 * float(slope)
