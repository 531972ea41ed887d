"""The embedded sample as the window opens it."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from PySide6.QtCore import QObject, QTimer, Signal

from core.session import Session

_LOOK_MS = 50


class SampleOpener(QObject):
    """Makes the sample's session, or opens it where it lies, without holding the window.

    The thread touches no Qt object; a timer of the window's thread looks after it.

    Signals:
        opened: The session is there.
        failed: The exception that came instead.
    """

    opened = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sample")
        self._work: Future[Session] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._look)

    @property
    def busy(self) -> bool:
        """Whether it is at work."""
        return self._work is not None

    def start(self) -> None:
        """Begins; does nothing while it is at work."""
        if self._work is None:
            self._work = self._pool.submit(_session)
            self._timer.start()

    def shut_down(self) -> None:
        """Waits for the thread; called before the window goes."""
        self._timer.stop()
        self._pool.shutdown(wait=True)

    def _look(self) -> None:
        work = self._work
        if work is None or not work.done():
            return
        self._work = None
        self._timer.stop()
        error = work.exception()
        if error is None:
            self.opened.emit(work.result())
        else:
            self.failed.emit(error)


def _session() -> Session:
    from core.pipelines.demo import create_demo, demo_folder  # reading videos is not needed for the window to open

    return create_demo(demo_folder())
