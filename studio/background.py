"""Background tasks of the window in threads, so that decoding and parsing do not block the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer

from core.errors import CoreError

T = TypeVar("T")
_THREADS = 2
_POLL_MS = 15
_BUDGET_S = 0.01
"""Time budget in s for the delivery of results per event-loop iteration; at least one is delivered."""
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="window")


class Background(QObject):
    """Thread pool that delivers results in the GUI thread in the order of completion.

    Tasks must not access widgets. Pending results are discarded with the owner.

    Args:
        parent: Owner.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._waiting: list[tuple[Future[Any], Callable[[Any], None], Callable[[CoreError], None] | None]] = []
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._deliver)

    @property
    def busy(self) -> bool:
        """True while results are pending."""
        return bool(self._waiting)

    def run(
        self, task: Callable[[], T], done: Callable[[T], None], failed: Callable[[CoreError], None] | None = None
    ) -> None:
        """Run a task.

        Args:
            task: Function to run in a thread.
            done: Function called with its result.
            failed: Function called with a CoreError of the task; other errors, or all if omitted, are raised in the GUI
                thread.
        """
        self._waiting.append((_pool.submit(task), done, failed))
        self._timer.start()

    def drop(self) -> None:
        """Discard all tasks; those that have not started are cancelled."""
        for future, _, _ in self._waiting:
            future.cancel()
        self._waiting.clear()
        self._timer.stop()

    def _deliver(self) -> None:
        until = time.monotonic() + _BUDGET_S
        for entry in [entry for entry in self._waiting if entry[0].done()]:
            if entry not in self._waiting:
                continue  # discarded by the receiver of an earlier result
            self._waiting.remove(entry)
            future, done, failed = entry
            error = future.exception()
            if isinstance(error, CoreError) and failed is not None:
                failed(error)
            else:
                done(future.result())
            if time.monotonic() > until:
                break
        if not self._waiting:
            self._timer.stop()
