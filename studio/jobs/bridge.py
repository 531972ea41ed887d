"""Bridge from job files to Qt signals: a timer reads the new events of running jobs.

A job is a detached process that writes its events to a file, so that nothing is lost when the window closes: at the
next start, `attach` reads the same files from the beginning.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from core.config import to_mapping
from core.errors import CoreError
from core.jobs import Job, JobSpec, Metric, process_of, reap
from core.session import RunLayout, Session
from studio.jobs.tracked import TrackedJob

TICK_MS = 200
_HISTORY = 12
_MOST_BYTES = 1 << 17
"""Number of bytes of a job's events that are read per event-loop iteration, about 1000 events."""


class JobBridge(QObject):
    """Jobs of a session: start, monitor, cancel, resume, and attach to running ones.

    Attributes:
        jobs: Jobs of the session read so far.

    Signals:
        added: A `TrackedJob` was added to the list.
        changed: A `TrackedJob` has new events or another state.
        measured: A `TrackedJob` and the list of its new `Metric` events.
        ended: A `TrackedJob` ended while the window was open; its results may be on disk.
        active_changed: The set of running jobs has changed, or a preview has become a recording.
        cleared: The list was cleared because another session was opened.
    """

    added = Signal(object)
    changed = Signal(object)
    measured = Signal(object, list)
    ended = Signal(object)
    active_changed = Signal()
    cleared = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs: list[TrackedJob] = []
        self._session: Session | None = None
        self._history: list[Path] = []
        self._reading: TrackedJob | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def active(self) -> list[TrackedJob]:
        """Running jobs."""
        return [j for j in self.jobs if j.active]

    def why_not(self) -> str:
        """Return why no job can be started (two would write the same files); empty if one can be.

        Previews of cameras and background jobs do not block others.
        """
        running = next((job for job in self.active if not job.watching and not job.job.spec.background), None)
        return f"“{running.title}” is running." if running else ""

    def start(
        self, session: Session, verb: str, params: Any, title: str = "", *, background: bool = False
    ) -> TrackedJob:
        """Run a verb in a child process.

        Args:
            session: Session to work on.
            verb: Name in the table of verbs.
            params: Settings of the verb (its dataclass).
            title: Title of the job.
            background: True for an automatic job, which does not block others.

        Raises:
            CoreError: Another job is running, the session cannot be written, or the process cannot be started.
        """
        self._require_idle()
        spec = JobSpec(verb=verb, params=to_mapping(params), title=title, background=background)
        tracked = TrackedJob(Job.start(spec, session.new_run(verb).root))
        self._follow(tracked)
        return tracked

    def cancel(self, tracked: TrackedJob) -> None:
        """Request the cancellation of a job; kill it if it is stuck after an earlier request."""
        if tracked.stuck:
            tracked.job.kill()
        elif tracked.active:
            tracked.job.cancel()
            tracked.cancel_requested_s = tracked.cancel_requested_s or time.monotonic()
        self.changed.emit(tracked)

    def resume(self, tracked: TrackedJob) -> None:
        """Restart an ended job in its folder, to continue where it stopped.

        Raises:
            CoreError: Another job is running, or the process cannot be started.
        """
        self._require_idle()
        tracked.job.restart()
        tracked.failure, tracked.fraction, tracked.text, tracked.cancel_requested_s = None, None, "", None
        self.changed.emit(tracked)
        self.active_changed.emit()
        self._timer.start()

    def attach(self, session: Session | None) -> None:
        """Switch to another session; running jobs are read immediately, the others one per tick, newest first."""
        self._timer.stop()
        self.jobs.clear()
        self._reading = None
        self.cleared.emit()
        self._session = session
        self._history = [run.root for run in session.runs()][-_HISTORY:] if session else []
        self._find_running()
        self.active_changed.emit()
        if self._history:
            self._timer.start()

    def find(self, run: str) -> TrackedJob | None:
        """Return the job of a run, which is read if necessary; None if there is none."""
        if self._session is not None:
            self._read_old(self._session.layout.run(run).root)
        return next((job for job in self.jobs if job.name == run), None)

    def newest(self, verb: str) -> TrackedJob | None:
        """Return the newest job of a verb."""
        return max((j for j in self.jobs if j.verb == verb), key=lambda j: (j.job.spec.number, j.name), default=None)

    def detach(self) -> None:
        """Stop monitoring; the jobs continue."""
        self._timer.stop()

    def _require_idle(self) -> None:
        """Raise CoreError if a job is running, including one started by another program."""
        self._find_running()
        reason = self.why_not()
        if reason:
            raise CoreError(reason, "Wait until it has ended, or cancel it in the list of jobs.")

    def _find_running(self) -> None:
        """Monitor all running jobs of the session, including those of other programs."""
        runs = self._session.runs()[-_HISTORY:] if self._session is not None else []
        known = {j.job.folder for j in self.jobs}
        for run in runs:
            if run.root not in known and process_of(run.root) is not None:
                self._read_old(run.root)

    def _follow(self, tracked: TrackedJob) -> None:
        self.jobs.append(tracked)
        self.added.emit(tracked)
        if tracked.active:
            self.active_changed.emit()
        self._timer.start()

    def _tick(self) -> None:
        if self._reading is not None:
            self._read_on(self._reading)
        elif self._history:
            self._read_old(self._history.pop())
        for tracked in self.jobs:
            if tracked.active:
                self._poll(tracked)
        if not self._history and self._reading is None and not self.active and not reap():
            self._timer.stop()

    def _read_old(self, folder: Path) -> None:
        if any(j.job.folder == folder for j in self.jobs):
            return
        try:
            tracked = TrackedJob(Job(folder))
        except CoreError:
            return  # a run with a damaged job file is skipped
        if tracked.job.spec.parent or _is_named_as_step(folder):
            return  # a step of another job
        self._read_on(tracked, runs=process_of(folder) is not None)

    def _read_on(self, tracked: TrackedJob, *, runs: bool = False) -> None:
        """Read a part of a job's events; the job is listed once all are read, or at once if it is running."""
        for event in tracked.job.poll(_MOST_BYTES):
            tracked.apply(event)
        self._reading = tracked if tracked.job.behind and not runs else None
        if self._reading is not None:
            self._timer.start()
            return
        for event in tracked.job.poll(_MOST_BYTES):  # also detects a dead worker
            tracked.apply(event)
        self._follow(tracked)
        self.changed.emit(tracked)
        self.measured.emit(tracked, list(tracked.metrics))

    def _poll(self, tracked: TrackedJob) -> None:
        before, watched = tracked.state, tracked.watching
        events = tracked.job.poll(_MOST_BYTES)
        for event in events:
            tracked.apply(event)
        if events or tracked.state != before or tracked.cancel_requested_s is not None:
            self.changed.emit(tracked)
        metrics = [e for e in events if isinstance(e, Metric)]
        if metrics:
            self.measured.emit(tracked, metrics)
        if not tracked.active:
            self.ended.emit(tracked)
        if not tracked.active or tracked.watching != watched:
            self.active_changed.emit()


def _is_named_as_step(folder: Path) -> bool:
    """Return whether the name of a folder is that of a nested training in earlier versions."""
    parent = folder.name.removesuffix("-train")
    return parent != folder.name and RunLayout(folder.parent / parent).job.is_file()
