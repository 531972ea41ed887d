"""The capture volume that the window looks at: read from the session, changed with undo."""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.errors import CoreError
from core.session import BASELINE, Session
from core.session.volume import ActiveVolume, active_volume, set_volume
from core.training.config import preset
from core.types import VolumeSettings

_ONE_GESTURE_S = 0.8
"""Changes of one value that follow each other this fast are undone together: a spin box counting up."""


class VolumeState(QObject):
    """The session's capture volume. What it is stands on disk; here is only what it is derived from, and the way back.

    Args:
        undo: Where changes can be undone.
        parent: Owner.

    Signals:
        changed: Another capture volume than before: set, undone, or derived for other takes.
        shown: Somebody wants to see it in 3D.
        failed: An undone or repeated change could not be written: a `CoreError`.
    """

    changed = Signal()
    shown = Signal()
    failed = Signal(object)

    def __init__(self, undo: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo
        self._session: Session | None = None
        self._takes: tuple[str, ...] | None = None
        self._spacing_mm = preset("quick").model.root.spacing_mm
        self._key: object = None
        self._found: ActiveVolume | CoreError | None = None

    def attach(self, session: Session | None) -> None:
        """Looks at another session; its changes cannot undo those of the one before."""
        self._session, self._takes, self._key = session, None, None
        self._undo.clear()

    def look_from(self, takes: tuple[str, ...], spacing_mm: float) -> None:
        """Says for which takes it is derived, and how far apart the settings of training want voxels."""
        if (takes, spacing_mm) != (self._takes, self._spacing_mm):
            self._takes, self._spacing_mm = takes, spacing_mm
            self.changed.emit()

    def current(self) -> ActiveVolume:
        """The capture volume as it is now.

        Raises:
            CoreError: There is none, and why.
        """
        session = self._session
        if session is None:
            raise CoreError("No session is open.", "Open the sample or a session.")
        takes = session.take_names() if self._takes is None else self._takes
        files = [session.layout.rig, session.layout.volume]
        files += [path for t in takes for path in (session.layout.take(t).manifest, _baseline(session, t))]
        key = (session.root, takes, self._spacing_mm, tuple(map(_written_ns, files)))
        if key != self._key or self._found is None:
            self._key, self._found = key, _find(session, takes, self._spacing_mm)
        if isinstance(self._found, CoreError):
            raise self._found
        return self._found

    def set(self, chosen: VolumeSettings, what: str) -> None:
        """Makes it the session's capture volume.

        Args:
            chosen: The whole of it.
            what: Which value was changed, in words.

        Raises:
            CoreError: It makes no sense, or cannot be written.
        """
        session = self._require()
        before = session.volume
        set_volume(session, chosen, self._spacing_mm)
        self._undo.push(_Change(self, session, before, session.volume, what))
        self.changed.emit()

    def reset(self) -> None:
        """Has it derived again.

        Raises:
            CoreError: The session cannot be written.
        """
        session = self._require()
        try:
            before = session.volume
        except CoreError:
            before = None  # damaged: nothing to come back to
        session.set_volume(None)
        if before is not None:
            self._undo.push(_Change(self, session, before, None, "reset"))
        self.changed.emit()

    @property
    def has_rig(self) -> bool:
        """Whether there is a calibration at all to derive it from."""
        return self._session is not None and self._session.layout.rig.exists()

    @property
    def is_set(self) -> bool:
        """Whether somebody set it, rightly or not."""
        return self._session is not None and self._session.layout.volume.exists()

    def put(self, session: Session, chosen: VolumeSettings | None) -> bool:
        """Writes it as it was at another time; says so in `failed` if that does not work."""
        try:
            session.set_volume(chosen)
        except CoreError as error:
            self.failed.emit(error)
            return False
        self.changed.emit()
        return True

    def _require(self) -> Session:
        if self._session is None:
            raise CoreError("No session is open.", "Open the sample or a session.")
        return self._session


class _Change(QUndoCommand):
    """From one capture volume to another; made when the change is done already."""

    def __init__(
        self,
        state: VolumeState,
        session: Session,
        before: VolumeSettings | None,
        after: VolumeSettings | None,
        what: str,
    ) -> None:
        super().__init__(f"capture volume: {what}")
        self._state, self._session, self._before, self._after, self._what = state, session, before, after, what
        self._at_s = time.monotonic()
        self._done = True

    def id(self) -> int:
        return 1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, _Change) or other._what != self._what or other._at_s - self._at_s > _ONE_GESTURE_S:
            return False
        self._after, self._at_s = other._after, other._at_s
        return True

    def redo(self) -> None:
        if self._done:
            self._done = False  # the first time it is done before it is remembered, because it may be refused
        elif not self._state.put(self._session, self._after):
            self.setObsolete(True)

    def undo(self) -> None:
        if not self._state.put(self._session, self._before):
            self.setObsolete(True)


def _find(session: Session, takes: tuple[str, ...] | list[str], spacing_mm: float) -> ActiveVolume | CoreError:
    try:
        return active_volume(session, takes, spacing_mm)
    except CoreError as error:
        return error


def _baseline(session: Session, take: str) -> Path:
    return session.layout.take(take).poses3d(BASELINE)


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
