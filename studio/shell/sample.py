"""Opening the embedded sample session in the background."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from PySide6.QtCore import QObject, QTimer, Signal

from core.session import Session

_POLL_MS = 50


class SampleOpener(QObject):
    """Creation or opening of the sample session in a thread.

    The thread touches no Qt object; a timer in the GUI thread polls its result.

    Signals:
        opened: The session.
        failed: The exception that was raised.
    """

    opened = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sample")
        self._future: Future[Session] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def busy(self) -> bool:
        """True while the sample is being prepared."""
        return self._future is not None

    def start(self) -> None:
        """Start preparing the sample; does nothing while busy."""
        if self._future is None:
            self._future = self._pool.submit(_sample_session)
            self._timer.start()

    def shut_down(self) -> None:
        """Wait for the thread before the window closes."""
        self._timer.stop()
        self._pool.shutdown(wait=True)

    def _poll(self) -> None:
        future = self._future
        if future is None or not future.done():
            return
        self._future = None
        self._timer.stop()
        error = future.exception()
        if error is None:
            self.opened.emit(future.result())
        else:
            self.failed.emit(error)


def _sample_session() -> Session:
    from core.pipelines.demo import create_demo, demo_folder  # lazy: the window opens without the video reader

    return create_demo(demo_folder(), result=True)
