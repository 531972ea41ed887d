"""Clocks: the computer's, and a simulated one that lets tests of timed work run as fast as they compute."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock that threads can sleep on.

    Attributes:
        waits: True if its time stands still while a member works, so that nothing can come too late.
    """

    waits: bool

    def now_ns(self) -> int:
        """Return the current time in nanoseconds."""

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread."""

    def member(self) -> AbstractContextManager[None]:
        """Declare that the calling thread keeps this clock's time while the context is open."""


class SystemClock:
    """The computer's monotonic clock."""

    waits = False

    def now_ns(self) -> int:
        """Return the current time in nanoseconds."""
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread; returns at once for zero and below."""
        if seconds > 0:
            time.sleep(seconds)

    def member(self) -> AbstractContextManager[None]:
        """Do nothing: the computer's time passes without its threads' help."""
        return contextlib.nullcontext()


SYSTEM_CLOCK = SystemClock()


class SimulatedClock:
    """A clock whose time passes only while every member thread sleeps.

    Work takes no simulated time, so results do not depend on the speed of the machine.

    Args:
        start_ns: Time at the beginning.
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
        """Hold time while the calling thread works, until the context closes."""
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
