"""Clocks: the system clock, and a simulated clock that lets tests of timed work run at full speed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Clock(Protocol):
    """Monotonic clock on which threads can sleep.

    Attributes:
        waits: True if time stands still while a member thread works, so that no work can be late.
    """

    waits: bool

    def now_ns(self) -> int:
        """Return the current time in nanoseconds."""

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread."""

    def member(self) -> AbstractContextManager[None]:
        """Return a context in which the calling thread is a member of this clock."""


class SystemClock:
    """Monotonic clock of the computer."""

    waits = False

    def now_ns(self) -> int:
        """Return the current time in nanoseconds."""
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread; return at once for zero and below."""
        if seconds > 0:
            time.sleep(seconds)

    def member(self) -> AbstractContextManager[None]:
        """Do nothing: the computer's time does not depend on its threads."""
        return contextlib.nullcontext()


SYSTEM_CLOCK = SystemClock()


class SimulatedClock:
    """Clock whose time advances only while every member thread sleeps.

    Work takes no simulated time, so results do not depend on the speed of the machine.

    Args:
        start_ns: Initial time in nanoseconds.
    """

    waits = True

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        self._now_ns = start_ns
        self._members: set[int] = set()
        self._wake_ns: dict[int, int] = {}
        self._changed = threading.Condition()

    def now_ns(self) -> int:
        """Return the current time in nanoseconds."""
        return self._now_ns

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread until all members sleep at least as long."""
        thread = threading.get_ident()
        with self._changed:
            wake_ns = self._now_ns + max(0, round(seconds * 1e9))
            self._wake_ns[thread] = wake_ns
            self._advance()
            while self._now_ns < wake_ns:
                self._changed.wait()
            del self._wake_ns[thread]

    @contextlib.contextmanager
    def member(self) -> Iterator[None]:
        """Stop time while the calling thread works, until the context closes."""
        thread = threading.get_ident()
        with self._changed:
            self._members.add(thread)
        try:
            yield
        finally:
            with self._changed:
                self._members.discard(thread)
                self._advance()

    def _advance(self) -> None:
        if self._wake_ns and self._members <= self._wake_ns.keys():
            self._now_ns = max(self._now_ns, min(self._wake_ns.values()))
            self._changed.notify_all()
