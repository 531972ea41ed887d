"""Manual changes of the rig's world coordinates, with undo."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.calibration.board.report import BOARD_CHECKS
from core.calibration.checks import finding_from
from core.calibration.session_check import check_session_rig
from core.calibration.world import Similarity
from core.errors import CoreError
from core.files import read_json, write_bytes, write_json
from core.session import Session


class RigState(QObject):
    """Changes of the world coordinates of the session's rig. The rig is on disk; only the undo history is kept here.

    Args:
        undo: Undo stack of the window.
        parent: Owner.

    Signals:
        changed: The rig on disk has changed.
        failed: A `CoreError`: an undone or redone change could not be written.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, undo: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo

    def move(self, session: Session, change: Similarity, description: str) -> None:
        """Change the world coordinates of the session's rig, check it again, and save both.

        Args:
            session: Session of the rig.
            change: Change of the world coordinates.
            description: The change as a sentence, appended to the rig's source.

        Raises:
            CoreError: There is no rig, or it cannot be written.
        """
        rig = session.rig
        if rig is None:
            raise CoreError("The session has no rig.", "Calibrate, or import a calibration first.")
        before = _read_files(session)
        moved = change.rig(rig, description)
        report = _report(session)
        kept = [finding_from(f) for f in findings_of(report) if f.get("check") in BOARD_CHECKS]
        check = check_session_rig(session, moved).with_findings(kept).to_mapping()
        moved.save(session.layout.rig)
        write_json(
            session.layout.rig_report,
            report | {"digest": moved.digest, "source": moved.source, "created": moved.created} | check,
        )
        self._undo.push(_Move(self, session, before, _read_files(session), description))
        self.changed.emit()

    def restore(self, session: Session, files: dict[str, bytes]) -> None:
        """Write an earlier or later version of rig and report."""
        try:
            write_bytes(session.layout.rig, files["rig"])
            write_bytes(session.layout.rig_report, files["report"])
        except CoreError as error:
            self.failed.emit(error)
            return
        self.changed.emit()


def findings_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the readable findings of a report."""
    findings = report.get("findings", [])
    return [f for f in findings if isinstance(f, dict)] if isinstance(findings, list) else []


def _read_files(session: Session) -> dict[str, bytes]:
    files = {"rig": session.layout.rig, "report": session.layout.rig_report}
    return {name: path.read_bytes() if path.exists() else b"{}" for name, path in files.items()}


def _report(session: Session) -> dict[str, Any]:
    path = session.layout.rig_report
    report = read_json(path) if path.exists() else {}
    return report if isinstance(report, dict) else {}


class _Move(QUndoCommand):
    def __init__(
        self, state: RigState, session: Session, before: dict[str, bytes], after: dict[str, bytes], description: str
    ) -> None:
        super().__init__(description)
        self._state, self._session, self._before, self._after = state, session, before, after
        self._done = True

    def redo(self) -> None:
        if self._done:  # pushing the command calls this once
            self._done = False
            return
        self._state.restore(self._session, self._after)

    def undo(self) -> None:
        self._state.restore(self._session, self._before)
