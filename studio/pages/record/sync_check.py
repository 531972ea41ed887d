"""Automatic sync certificates for new takes."""

from __future__ import annotations

from PySide6.QtCore import QObject

from core.errors import CoreError
from core.pipelines.params import CertifyParams
from studio.jobs.tracked import TrackedJob
from studio.state.app_state import AppState


class SyncCheck(QObject):
    """Queue of takes to certify in the background, paused while a take is being recorded.

    Args:
        state: State of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._waiting: list[str] = []
        self._job: TrackedJob | None = None
        state.session_changed.connect(self._waiting.clear)
        state.jobs.active_changed.connect(self._next)
        state.cameras.status_changed.connect(self._next)

    def add(self, take: str) -> None:
        """Queue a take."""
        self._waiting.append(take)
        self._next()

    def runs_for(self, take: str) -> bool:
        """Return whether a take is being certified or queued."""
        job = self._job
        return take in self._waiting or (job is not None and job.active and job.job.spec.params.get("take") == take)

    def _next(self, *_changed: object) -> None:
        session, busy = self._state.session, self._job is not None and self._job.active
        if session is None or busy or not self._waiting or self._state.jobs.why_not():
            return
        take = self._waiting.pop(0)
        title = f"Check synchronisation of {take}"
        try:
            self._job = self._state.jobs.start(session, "certify", CertifyParams(take=take), title, background=True)
        except CoreError:
            self._job = None  # another program has locked the take: the card offers the check
