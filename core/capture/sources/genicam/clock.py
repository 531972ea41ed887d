"""Block numbers and clock of an industrial camera."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_LAST_SHORT_ID = 0xFFFF  # 16-bit block numbers run from 1 to this value
_LATCH_EVERY_NS = 5_000_000_000
_LATCH_TRIES = 4
_RATE_AFTER_NS = 30_000_000_000
_MAX_RATE = 500e-6  # relative rate of the two clocks; more means that a clock was set
_EARLY_NS, _LATE_NS = 5_000_000, 250_000_000
_ARRIVALS = 300

Latch = Callable[[], tuple[int, int, int] | None]


class BlockNumbers:
    """Continuous numbers for the blocks of a stream, whose own numbers wrap around."""

    def __init__(self) -> None:
        self._last_id: int | None = None
        self._number = 0

    def number(self, block_id: int) -> int:
        """Return the number of the next block.

        Args:
            block_id: Block number of the camera: 16 bits and never 0, or 64 bits.
        """
        last, self._last_id = self._last_id, block_id
        if last is None:
            self._number = block_id
        elif block_id > last:
            self._number += block_id - last
        elif last <= _LAST_SHORT_ID and last - block_id > _LAST_SHORT_ID // 2:
            self._number += block_id - last + _LAST_SHORT_ID
        else:
            self._number += 1  # the camera restarted; the number of missing blocks is unknown
        return self._number


class LatchedClock:
    """Mapping from the camera's clock to the shared clock.

    The clock of a camera that can latch it is read regularly; the reading with the shortest round trip sets the offset.
    For other cameras, the offset is the shortest recent delay of arrival.

    Args:
        latch: Function that returns the times before and after a reading of the camera's clock, and the reading, in ns,
            or None if it failed; None for a camera without latch.
    """

    def __init__(self, latch: Latch | None) -> None:
        self._latch = latch
        self._first: tuple[int, int] | None = None  # source time and offset of the first latch, for the rate
        self._offset: tuple[int, int] | None = None  # those of the latest latch
        self._rate = 0.0
        self._tried_ns: int | None = None
        self._delays: deque[int] = deque(maxlen=_ARRIVALS)
        self._last_ns = 0

    @property
    def latched(self) -> bool:
        """True if times come from readings of the camera's clock, not from arrivals."""
        return self._offset is not None

    def camera_ns(self, time_ns: int) -> int | None:
        """Return the camera's clock at a time on the shared clock; None if it was not latched."""
        if self._offset is None:
            return None
        read_ns, offset_ns = self._offset
        return time_ns - offset_ns - round(self._rate * (time_ns - offset_ns - read_ns))

    def time_ns(self, source_ns: int | None, arrival_ns: int) -> int:
        """Return the time of an image on the shared clock; times increase strictly.

        Args:
            source_ns: Time stamp of the camera; None without one.
            arrival_ns: Time of arrival on the shared clock.
        """
        time_ns = arrival_ns if source_ns is None else self._mapped(source_ns, arrival_ns)
        self._last_ns = max(self._last_ns + 1, time_ns)
        return self._last_ns

    def _mapped(self, source_ns: int, arrival_ns: int) -> int:
        if self._latch is not None and (self._tried_ns is None or arrival_ns - self._tried_ns > _LATCH_EVERY_NS):
            self._tried_ns = arrival_ns
            self._read(self._latch)
        if self._offset is not None:
            read_ns, offset_ns = self._offset
            mapped = source_ns + offset_ns + round(self._rate * (source_ns - read_ns))
            if -_EARLY_NS <= arrival_ns - mapped <= _LATE_NS:
                return mapped
            self._first = self._offset = None  # images are stamped by another clock, or the clock was set
        delay = arrival_ns - source_ns
        if self._delays and not -_LATE_NS <= delay - self._delays[-1] <= _LATE_NS:
            self._delays.clear()
        self._delays.append(delay)
        return source_ns + min(self._delays)

    def _read(self, latch: Latch) -> None:
        reads = [read for _ in range(_LATCH_TRIES) if (read := latch()) is not None]
        if not reads:
            return
        before, after, source_ns = min(reads, key=lambda read: read[1] - read[0])
        self._offset = (source_ns, (before + after) // 2 - source_ns)
        self._first = self._first or self._offset
        passed = source_ns - self._first[0]
        if passed > _RATE_AFTER_NS and abs(rate := (self._offset[1] - self._first[1]) / passed) < _MAX_RATE:
            self._rate = rate
