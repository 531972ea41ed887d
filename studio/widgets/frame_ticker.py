"""One beat for everything that moves on a page.

Widgets that repaint in the same turn of the event loop are brought to the screen together. With a 3D view in the window
each such turn composes the whole window, so five timers would cost five times as much as one.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer

BEAT_MS = 33

Step = Callable[[], bool]
"""Does what is due now; returns whether more will be due at the next beat."""


class FrameTicker(QObject):
    """A timer that runs while anybody needs it.

    Args:
        interval_ms: Between two beats.
        parent: Owner.
    """

    def __init__(self, interval_ms: int = BEAT_MS, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._steps: list[Step] = []
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self.beat)

    @property
    def running(self) -> bool:
        """Whether there will be another beat."""
        return self._timer.isActive()

    def join(self, step: Step) -> None:
        """Calls `step` at every beat, in the order of joining."""
        self._steps.append(step)

    def wake(self) -> None:
        """Something is due at the next beat."""
        if not self._timer.isActive():
            self._timer.start()

    def beat(self) -> None:
        """One turn. Everybody gets it, whoever asked."""
        # A step may wake the pulse for one that had its turn already: it is called again at the next beat.
        self._timer.start()
        again = False
        for step in self._steps:
            again |= step()
        if not again:
            self._timer.stop()
