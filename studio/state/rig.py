"""Changes of the rig's world frame by hand, with undo."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.calibration.checks import Finding, check_rig
from core.calibration.world import Similarity
from core.errors import CoreError
from core.files import read_json, write_bytes, write_json
from core.session import Session


class RigState(QObject):
    """Moves the world frame of the session's rig. The rig stands on disk; here is only the way back.

    Args:
        undo: Where changes can be undone.
        parent: Owner.

    Signals:
        changed: The rig on disk is another one.
        failed: An undone or repeated change could not be written: a `CoreError`.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, undo: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo

    def move(self, session: Session, change: Similarity, words: str) -> None:
        """Changes the frame of the session's rig.

        Args:
            session: Whose rig.
            change: Of the frame.
            words: What is done, as a sentence for the rig's source.

        Raises:
            CoreError: There is no rig, or it cannot be written.
        """
        rig = session.rig
        if rig is None:
            raise CoreError("The session has no rig.", "Import or make a calibration first.")
        before = _stored(session)
        moved = change.rig(rig, words)
        report = _report(session)
        kept = [
            Finding(**{k: str(f.get(k, "")) for k in ("check", "level", "sentence", "remedy", "camera")})  # type: ignore[arg-type]
            for f in findings_of(report)
            if f.get("check") in _OF_A_BOARD
        ]
        found = check_rig(moved).with_findings(kept).to_mapping()
        moved.save(session.layout.rig)
        write_json(
            session.layout.rig_report,
            report | {"digest": moved.digest, "source": moved.source, "created": moved.created} | found,
        )
        self._undo.push(_Move(self, session, before, _stored(session), words))
        self.changed.emit()

    def put(self, session: Session, files: dict[str, bytes]) -> None:
        """Writes rig and report as they were at another time."""
        try:
            write_bytes(session.layout.rig, files["rig"])
            write_bytes(session.layout.rig_report, files["report"])
        except CoreError as error:
            self.failed.emit(error)
            return
        self.changed.emit()


# Findings that a board's images support stay true in any world frame.
_OF_A_BOARD = (
    "left out",
    "reprojection",
    "length",
    "board",
    "scale",
    "names",
    "calibrated",
    "certainty",
    "coverage",
    "connection",
    "time_offset",
    "outliers",
)


def findings_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The findings of a report, as far as they can be read."""
    found = report.get("findings", [])
    return [f for f in found if isinstance(f, dict)] if isinstance(found, list) else []


def _stored(session: Session) -> dict[str, bytes]:
    files = {"rig": session.layout.rig, "report": session.layout.rig_report}
    return {name: path.read_bytes() if path.exists() else b"{}" for name, path in files.items()}


def _report(session: Session) -> dict[str, Any]:
    path = session.layout.rig_report
    report = read_json(path) if path.exists() else {}
    return report if isinstance(report, dict) else {}


class _Move(QUndoCommand):
    def __init__(
        self, state: RigState, session: Session, before: dict[str, bytes], after: dict[str, bytes], words: str
    ) -> None:
        super().__init__(words)
        self._state, self._session, self._before, self._after = state, session, before, after
        self._done = True

    def redo(self) -> None:
        if self._done:  # pushing a command calls this once
            self._done = False
            return
        self._state.put(self._session, self._after)

    def undo(self) -> None:
        self._state.put(self._session, self._before)
