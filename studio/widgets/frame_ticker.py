"""Shared timer of the animated parts of a page.

Widgets that repaint in the same event-loop iteration reach the screen together. With a 3D view in the window, each
such iteration composes the whole window, so five timers would cost five times as much as one.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer

INTERVAL_MS = 33

Tick = Callable[[], bool]
"""Update of a subscriber; returns True if it needs another tick."""


class FrameTicker(QObject):
    """Timer that runs only while a subscriber needs it.

    Args:
        interval_ms: Time between ticks.
        parent: Owner.
    """

    def __init__(self, interval_ms: int = INTERVAL_MS, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._subscribers: list[Tick] = []
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self.tick)

    @property
    def running(self) -> bool:
        """True if another tick will follow."""
        return self._timer.isActive()

    def subscribe(self, callback: Tick) -> None:
        """Call `callback` at every tick, in the order of subscription."""
        self._subscribers.append(callback)

    def request(self) -> None:
        """Request a tick."""
        if not self._timer.isActive():
            self._timer.start()

    def tick(self) -> None:
        """Call all subscribers, and stop the timer if none needs another tick."""
        # A subscriber may request a tick for one that was called before it: start the timer first.
        self._timer.start()
        again = False
        for callback in self._subscribers:
            again |= callback()
        if not again:
            self._timer.stop()
