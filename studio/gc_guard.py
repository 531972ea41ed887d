"""Garbage collection in the GUI thread only.

Python collects cyclic garbage in whichever thread allocates. If the garbage contains Qt objects and the thread is not
the GUI thread, PySide6 destroys them there, and the process can crash. Therefore the automatic collector is disabled,
and a timer in the GUI thread collects when the usual thresholds are exceeded.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

_INTERVAL_MS = 2_000


class GcGuard(QObject):
    """Replacement of the automatic collector, until `stop` is called."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thresholds = gc.get_threshold()
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.timeout.connect(self.collect)
        self._timer.start()

    def collect(self) -> None:
        """Collect the oldest generation whose threshold is exceeded, and the younger ones with it."""
        for generation in (2, 1, 0):
            threshold = self._thresholds[generation]
            if threshold and gc.get_count()[generation] > threshold:
                gc.collect(generation)
                return

    def stop(self) -> None:
        """Collect everything, and enable the automatic collector again."""
        self._timer.stop()
        gc.collect()
        gc.enable()
