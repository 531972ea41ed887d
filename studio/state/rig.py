"""Changes of the session's rig, with undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.errors import CoreError
from core.geometry.similarity import Similarity
from core.pipelines.rig.adopt import move_world, use_calibration
from core.session import Session
from core.session.calibrations import calibration_of
from core.session.moving import RigReplacement


class RigState(QObject):
    """Changes of the session's rig on disk, with the undo history.

    Args:
        undo: Undo stack of the window.
        busy: Function that returns why the rig cannot be changed because of a job; empty if it can be.
        parent: Owner.

    Signals:
        changed: The rig on disk has changed.
        failed: Undo or redo has failed (`CoreError`).
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, undo: QUndoStack, busy: Callable[[], str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo, self._busy = undo, busy
        self._digest = ""

    def attach(self, session: Session | None) -> None:
        """Switch to another session."""
        self._digest = _digest(session)

    def move(self, session: Session, change: Similarity, description: str) -> None:
        """Change the world coordinates of the session, of the rig and of all results.

        Args:
            session: Session of the rig.
            change: Change of the world coordinates.
            description: Sentence on the change, appended to the rig's source.

        Raises:
            CoreError: There is no rig, or a file cannot be read or written.
        """
        self._require_idle()
        replaced = move_world(session, change, description)
        self.follow(session, description)
        self._show_notes(replaced)

    def use(self, session: Session, name: str) -> None:
        """Adopt a kept calibration.

        Raises:
            CoreError: The calibration is damaged, or a file cannot be written.
        """
        self._require_idle()
        replaced = use_calibration(session, name)
        self.follow(session, "Another calibration is used.")
        self._show_notes(replaced)

    def follow(self, session: Session, description: str) -> None:
        """Put a change of the rig from any source on the undo stack; do nothing if the rig has not changed."""
        before, self._digest = self._digest, _digest(session)
        if before == self._digest:
            return
        former, present = (calibration_of(session, digest) for digest in (before, self._digest))
        if former is not None and present is not None:
            self._undo.push(_Change(self, session, former.name, present.name, description))
        self.changed.emit()

    def why_not(self, step: Literal["undo", "redo"]) -> str:
        """Return why the next undo or redo of the rig is blocked; empty if it is not."""
        command = self._undo.command(self._undo.index() - (step == "undo"))
        return self._busy() if isinstance(command, _Change) else ""

    def _require_idle(self) -> None:
        if busy := self._busy():
            raise CoreError(f"The calibration cannot be changed now: {busy}", "Wait until it ends, or cancel it.")

    def restore(self, session: Session, name: str) -> bool:
        """Restore a calibration; on failure, emit `failed` and return False."""
        try:
            replaced = use_calibration(session, name)
        except CoreError as error:
            self.failed.emit(error)
            return False
        self._digest = _digest(session)
        self.changed.emit()
        self._show_notes(replaced)
        return True

    def _show_notes(self, replaced: RigReplacement) -> None:
        """Show what could not be transformed."""
        if replaced.notes:
            self.failed.emit(CoreError(" ".join(replaced.notes), "Set it again on the Train page if it was needed."))


def _digest(session: Session | None) -> str:
    """Return the digest of the session's rig; empty if there is none or it is damaged."""
    try:
        rig = None if session is None else session.rig
    except CoreError:
        rig = None
    return "" if rig is None else rig.digest


class _Change(QUndoCommand):
    """Change between kept calibrations, created after the change was made."""

    def __init__(self, state: RigState, session: Session, before: str, after: str, description: str) -> None:
        super().__init__(description)
        self._state, self._session, self._before, self._after = state, session, before, after
        self._done = True

    def redo(self) -> None:
        if self._done:  # called once when the command is pushed
            self._done = False
        elif not self._state.restore(self._session, self._after):
            self.setObsolete(True)

    def undo(self) -> None:
        if not self._state.restore(self._session, self._before):
            self.setObsolete(True)
