"""Garbage collection on the window's own thread only.

Python may collect cyclic garbage on whichever thread happens to allocate. If that garbage holds Qt objects and the
thread is not the window's, PySide6 destroys them there and the process can crash. So the automatic collector is off,
and a timer of the window's thread collects whenever the usual thresholds are passed.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

_EVERY_MS = 2_000


class GuiCollector(QObject):
    """Replaces the automatic collector while it exists; `stop` gives it back."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thresholds = gc.get_threshold()
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self.collect)
        self._timer.start()

    def collect(self) -> None:
        """Collects each generation that is due, the oldest first."""
        for generation in (2, 1, 0):
            threshold = self._thresholds[generation]
            if threshold and gc.get_count()[generation] > threshold:
                gc.collect(generation)
                return

    def stop(self) -> None:
        """Back to the automatic collector."""
        self._timer.stop()
        gc.enable()
