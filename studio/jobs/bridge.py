"""Bridge from job files to Qt signals: a timer reads the events that running jobs have written since the last tick.

A job is a detached process that writes its events to a file, so closing the window loses nothing: at the next start,
`attach` reads the same files from the beginning.
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
    """Jobs of one session: starts, follows, cancels, resumes, and attaches to running ones.

    Attributes:
        jobs: All jobs of the session that were read so far.

    Signals:
        added: A `TrackedJob` was added to the list.
        changed: A `TrackedJob` has new events or another state.
        measured: A `TrackedJob` and the list of its new `Metric` events.
        ended: A `TrackedJob` ended while the window was open; its results may be on disk.
        active_changed: Other jobs run than before, or cameras that were watched are recorded.
        cleared: The list was cleared, as another session is open.
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
        """Jobs that still run."""
        return [j for j in self.jobs if j.active]

    def why_not(self) -> str:
        """Return why no job can be started, since two would write the same files; empty if one can.

        Cameras that are only watched stand in nobody's way, nor does what the program does by itself.
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
            params: Settings of the verb, as its dataclass.
            title: Title of the job.
            background: Whether the user did not ask for it, so that it holds up no other job.

        Raises:
            CoreError: Another job runs, the session's folder cannot be written, or the process cannot be started.
        """
        self._require_idle()
        spec = JobSpec(verb=verb, params=to_mapping(params), title=title, background=background)
        tracked = TrackedJob(Job.start(spec, session.new_run(verb).root))
        self._follow(tracked)
        return tracked

    def cancel(self, tracked: TrackedJob) -> None:
        """Request a job to stop; kill it if it is stuck after an earlier request."""
        if tracked.stuck:
            tracked.job.kill()
        elif tracked.active:
            tracked.job.cancel()
            tracked.cancel_requested_s = tracked.cancel_requested_s or time.monotonic()
        self.changed.emit(tracked)

    def resume(self, tracked: TrackedJob) -> None:
        """Start an ended job again in its folder, to continue where it stopped.

        Raises:
            CoreError: Another job runs, or the process cannot be started.
        """
        self._require_idle()
        tracked.job.restart()
        tracked.failure, tracked.fraction, tracked.text, tracked.cancel_requested_s = None, None, "", None
        self.changed.emit(tracked)
        self.active_changed.emit()
        self._timer.start()

    def attach(self, session: Session | None) -> None:
        """Switch to the jobs of another session: running ones are read now, the newest others one per tick."""
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
        """Return the job of a run, which is read if it is an old one; None if there is none."""
        if self._session is not None:
            self._read_old(self._session.layout.run(run).root)
        return next((job for job in self.jobs if job.name == run), None)

    def newest(self, verb: str) -> TrackedJob | None:
        """Return the newest job of a verb."""
        return max((j for j in self.jobs if j.verb == verb), key=lambda j: (j.job.spec.number, j.name), default=None)

    def detach(self) -> None:
        """Stop following; the jobs continue."""
        self._timer.stop()

    def _require_idle(self) -> None:
        """Raise a CoreError if a job runs, also one that another program has started since."""
        self._find_running()
        reason = self.why_not()
        if reason:
            raise CoreError(reason, "Wait until it has ended, or cancel it in the list of jobs.")

    def _find_running(self) -> None:
        """Follow the jobs of the session that run, whoever started them."""
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
            return  # a run with a damaged job file is skipped; its results are found without it
        if tracked.job.spec.parent or _is_named_as_step(folder):
            return  # a step of another job, which reports it
        self._read_on(tracked, runs=process_of(folder) is not None)

    def _read_on(self, tracked: TrackedJob, *, runs: bool = False) -> None:
        """Read a part of the events of a job, and list it when all are read, or at once if it runs."""
        for event in tracked.job.poll(_MOST_BYTES):
            tracked.apply(event)
        self._reading = tracked if tracked.job.behind and not runs else None
        if self._reading is not None:
            self._timer.start()
            return
        for event in tracked.job.poll(_MOST_BYTES):  # tells a dead worker from one that is only silent
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
    """Return whether a folder is the training of a job of all steps, as earlier versions named it."""
    parent = folder.name.removesuffix("-train")
    return parent != folder.name and RunLayout(folder.parent / parent).job.is_file()
