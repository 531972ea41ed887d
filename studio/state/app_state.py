"""Which session, take and result the window looks at, and how far the session is."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

from core.errors import CoreError
from core.session import Session, Take
from studio.jobs.bridge import JobBridge
from studio.settings import SettingsStore
from studio.state.rig import RigState
from studio.state.volume import VolumeState


class AppState(QObject):
    """The selection shared by all pages. Facts are read from the session on disk, never kept here.

    Args:
        settings: What the window remembers; in memory only when left out.

    Attributes:
        settings: As given.
        jobs: The jobs of the open session; when one ends, `status_changed` follows.
        undo: What was changed by hand in the open session.
        space: The capture volume of the open session.
        rig: Changes of the rig's world frame.

    Signals:
        session_changed: Another session, or none, is open.
        take_changed: Another take is selected.
        poses_changed: Another 3D result of the take is selected.
        status_changed: Something on disk changed: takes, results, reports. Read again what you show.
    """

    session_changed = Signal()
    take_changed = Signal()
    poses_changed = Signal()
    status_changed = Signal()

    def __init__(self, settings: SettingsStore | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.settings = settings or SettingsStore()
        self.jobs = JobBridge(self)
        self.jobs.ended.connect(self.refresh)
        self.undo = QUndoStack(self)
        self.volume = VolumeState(self.undo, self)
        self.rig = RigState(self.undo, self)
        self.rig.changed.connect(self.refresh)
        self._session: Session | None = None
        self._take_name = ""
        self._poses_name = ""
        self._wants_poses = True

    @property
    def session(self) -> Session | None:
        """The open session."""
        return self._session

    @property
    def take_name(self) -> str:
        """Name of the selected take; empty if the session has none."""
        return self._take_name

    @property
    def take(self) -> Take | None:
        """The selected take, read from disk."""
        return self._session.take(self._take_name) if self._session and self._take_name else None

    @property
    def poses_name(self) -> str:
        """Name of the selected 3D result of the take ("baseline" or a run); empty if there is none."""
        return self._poses_name

    def open(self, root: Path) -> None:
        """Opens a session and selects its first take.

        Raises:
            CoreError: The folder is no session.
        """
        self.set_session(Session.open(root))

    def set_session(self, session: Session | None) -> None:
        """Looks at another session, or at none."""
        self._session = session
        self._take_name = self._poses_name = ""
        self.jobs.attach(session)
        self.volume.attach(session)
        self._select_what_exists()
        self.session_changed.emit()
        self.take_changed.emit()
        self.poses_changed.emit()
        self.status_changed.emit()

    def select_take(self, name: str) -> None:
        """Looks at another take, and at its newest result."""
        if name == self._take_name:
            return
        self._take_name, self._poses_name = name, ""
        self._select_what_exists()
        self.take_changed.emit()
        self.poses_changed.emit()

    def select_poses(self, name: str) -> None:
        """Looks at another 3D result of the take, or with an empty name at none."""
        self._wants_poses = bool(name)
        if name != self._poses_name:
            self._poses_name = name
            self.poses_changed.emit()

    def refresh(self, _ended_job: object = None) -> None:
        """Tells everybody to read again, after something was written to the session."""
        before = (self._take_name, self._poses_name)
        self._select_what_exists()
        if self._take_name != before[0]:
            self.take_changed.emit()
        if self._poses_name != before[1]:
            self.poses_changed.emit()
        self.status_changed.emit()

    def _select_what_exists(self) -> None:
        """Keeps the selection where it still exists; else the first take and its newest result if one is wanted."""
        takes = self._session.take_names() if self._session else []
        if self._take_name not in takes:
            self._take_name = takes[0] if takes else ""
        results = self._results()
        if self._poses_name not in results:
            self._poses_name = results[-1] if results and self._wants_poses else ""

    def _results(self) -> list[str]:
        try:
            return self.take.poses3d_runs() if self.take else []
        except CoreError:
            return []  # a damaged take is reported by the page that shows it
