"""Selection shared by all pages: session, take and 3D result."""

from __future__ import annotations

import contextlib
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

from core.errors import CoreError
from core.evaluation.choice import choose_result
from core.pipelines.verbs import VERBS
from core.session import Session, Take
from studio.jobs.bridge import JobBridge
from studio.jobs.tracked import TrackedJob
from studio.settings import SettingsStore
from studio.state.bin import BinState
from studio.state.cameras import LiveCameras
from studio.state.rig import RigState
from studio.state.volume import VolumeState


class AppState(QObject):
    """Selection shared by all pages; data are read from the session on disk and not cached.

    Args:
        settings: Persistent settings; kept in memory if None.
        parent: Owner.

    Attributes:
        settings: Persistent settings.
        jobs: Jobs of the open session; `status_changed` follows when one ends.
        undo: Undo stack of manual changes in the open session.
        volume: Capture volume of the open session.
        bin: Deletion and renaming of takes, results and jobs.
        rig: Changes of the rig.
        cameras: Cameras to record with.
        comparison_name: Name of the 3D result that the selected one is compared with; empty for none.

    Signals:
        session_opening: Another session is about to be opened.
        session_changed: Another session was opened, or the session was closed.
        take_changed: Another take is selected.
        poses_changed: Another 3D result of the take is selected.
        status_changed: Takes, results or reports on disk have changed and must be read again.
        page_requested: Name of a page to show, and of the take to use there.
        content_changed: Any content has changed; emitted once after the other signals.
    """

    session_opening = Signal()
    session_changed = Signal()
    take_changed = Signal()
    poses_changed = Signal()
    status_changed = Signal()
    page_requested = Signal(str, str)
    content_changed = Signal()

    def __init__(self, settings: SettingsStore | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.settings = settings or SettingsStore()
        self.jobs = JobBridge(self)
        self.jobs.ended.connect(self._job_ended)
        self.undo = QUndoStack(self)
        self.volume = VolumeState(self.undo, self)
        self.rig = RigState(self.undo, self.jobs.why_not, self)
        self.rig.changed.connect(self.refresh)
        self.bin = BinState(self.undo, self)
        self.bin.changed.connect(self._bin_changed)
        self.bin.take_renamed.connect(self._take_renamed)
        self.cameras = LiveCameras(self.jobs, self.settings, self)
        self.cameras.take_made.connect(self._take_made)
        self._session: Session | None = None
        self._take_name = ""
        self._poses_name = ""
        self._wants_poses = True
        self._written_ns: dict[str, int] = {}
        self.comparison_name = ""

    @property
    def session(self) -> Session | None:
        """Open session, or None."""
        return self._session

    @property
    def take_name(self) -> str:
        """Name of the selected take; empty if there is none."""
        return self._take_name

    @property
    def take(self) -> Take | None:
        """Selected take, read from disk; None if there is none."""
        return self._session.take(self._take_name) if self._session and self._take_name else None

    @property
    def poses_name(self) -> str:
        """Name of the selected 3D result of the take: "baseline" or a run; empty if there is none."""
        return self._poses_name

    def open(self, root: Path) -> None:
        """Open a session and select its first take.

        Raises:
            CoreError: The folder is not a session.
        """
        self.set_session(Session.open(root))

    def set_session(self, session: Session | None) -> None:
        """Switch to another session, or to none."""
        if session is not None:
            self.session_opening.emit()
        self._session = session
        self._take_name = self._poses_name = self.comparison_name = ""
        self.jobs.attach(session)
        self.volume.attach(session)
        self.rig.attach(session)
        self.cameras.attach(session)
        self._select_what_exists()
        # The session last, because the window then shows a page, which needs all other changes.
        for signal in (self.take_changed, self.poses_changed, self.status_changed, self.session_changed):
            signal.emit()
        self.content_changed.emit()

    def select_take(self, name: str) -> None:
        """Select another take and its best 3D result."""
        if name == self._take_name:
            return
        self._take_name, self._poses_name, self.comparison_name = name, "", ""
        self._select_what_exists()
        self.take_changed.emit()
        self.poses_changed.emit()
        self.content_changed.emit()

    def request_page(self, page: str, take: str) -> None:
        """Show another page, and select the take unless it is one of the board."""
        if self._session is not None and take in self._session.take_names():
            if self._session.take(take).manifest.kind == "motion":
                self.select_take(take)
            self.page_requested.emit(page, take)

    def select_poses(self, name: str) -> None:
        """Select another 3D result of the take; an empty name selects none."""
        self._wants_poses = bool(name)
        if name != self._poses_name:
            self._poses_name = name
            self.poses_changed.emit()
            self.content_changed.emit()

    def refresh(self, _ended_job: object = None) -> None:
        """Notify all pages that the session on disk has changed."""
        before = (self._take_name, self._poses_name)
        self._select_what_exists()
        if self._take_name != before[0]:
            self.take_changed.emit()
        if self._poses_name != before[1]:
            self.poses_changed.emit()
        self.status_changed.emit()
        self.content_changed.emit()

    def _job_ended(self, job: TrackedJob) -> None:
        """Put a change of the rig by a job on the undo stack, and refresh the session."""
        if self._session is not None:
            self.rig.follow(self._session, job.title)
        # Such jobs transform or recompute results, none of which is new.
        moves = job.verb == "update" or (job.verb in VERBS and VERBS[job.verb].group == "calibration")
        before, made = self._poses_name, self._new_result()
        if made and not moves:
            self._wants_poses, self._poses_name = True, made
            if before != made:
                self.comparison_name = before
                self.poses_changed.emit()
        self.refresh()

    def _take_made(self, _name: str) -> None:
        if self.cameras.job is not None:  # the end of the job triggers a refresh anyway
            self.refresh()

    def _bin_changed(self) -> None:
        self.refresh()
        if not self.jobs.active:
            self.jobs.attach(self._session)

    def _take_renamed(self, name: str) -> None:
        self._take_name = name

    def _select_what_exists(self) -> None:
        """Keep the selection if it still exists, or else select the first take and its best result."""
        takes = self._session.take_names() if self._session else []
        if self._take_name not in takes:
            self._take_name = takes[0] if takes else ""
        results = self._results()
        if self._poses_name not in results:
            self._poses_name = self._best_result() if results and self._wants_poses else ""
        self._written_ns = self._results_written_ns()

    def _new_result(self) -> str:
        """Return the newest 3D result of the selected take since the last call; empty for none."""
        before, now = self._written_ns, self._results_written_ns()
        fresh = {name: written for name, written in now.items() if before.get(name, 0) < written}
        return max(fresh, key=fresh.__getitem__, default="")

    def _results_written_ns(self) -> dict[str, int]:
        results, written = self._results(), {}
        if results and self._session is not None:
            layout = self._session.layout.take(self._take_name)
            for name in results:
                with contextlib.suppress(OSError):  # deleted meanwhile
                    written[name] = layout.poses3d(name).stat().st_mtime_ns
        return written

    def _best_result(self) -> str:
        """Return the better result by the evaluation, or else the baseline."""
        take = self.take
        return choose_result(self._session, take).name if self._session is not None and take is not None else ""

    def _results(self) -> list[str]:
        try:
            return self.take.poses3d_runs() if self.take else []
        except CoreError:
            return []  # reported by the page that shows the take
