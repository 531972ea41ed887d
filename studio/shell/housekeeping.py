"""Actions to rename and delete takes, results and jobs, with their dialogs and messages."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from core.errors import CoreError
from core.files import safe_name
from studio.jobs.tracked import TrackedJob
from studio.shell.dialogs import QuestionDialog, show_error_dialog
from studio.shell.rename_dialog import RenameDialog
from studio.state.app_state import AppState
from studio.state.bin import take_name_problem
from studio.state.results import result_title


class Housekeeping(QObject):
    """Slots of the actions to rename and delete.

    Args:
        state: Selection of the window.
        window: The window.

    Signals:
        done: Sentence on what was deleted and how to restore it.
    """

    done = Signal(str)

    def __init__(self, state: AppState, window: QWidget) -> None:
        super().__init__(window)
        self._state, self._window = state, window
        state.bin.failed.connect(self._failed)

    def rename_take(self) -> RenameDialog | None:
        """Open the dialog to rename the selected take."""
        session, name = self._state.session, self._state.take_name
        if session is None or not name:
            return None
        return self._ask(
            "take",
            name,
            lambda text: take_name_problem(session, text),
            lambda text: self._state.bin.rename_take(session, name, safe_name(text)),
        )

    def delete_take(self) -> None:
        """Move the selected take to the bin."""
        session, name = self._state.session, self._state.take_name
        if session is not None and name:
            self._state.bin.delete_take(session, name)
            self.done.emit(f"Take {name} is in the bin. Ctrl+Z restores it.")

    def rename_result(self) -> RenameDialog | None:
        """Open the dialog to rename the selected result; an empty name restores the original one."""
        take, name = self._state.take, self._state.poses_name
        if take is None or not name:
            return None
        return self._ask(
            "result",
            result_title(name, take),
            lambda _: "",
            lambda text: self._state.bin.rename_result(take, name, text),
        )

    def delete_result(self) -> None:
        """Move the selected result to the bin."""
        session, take, name = self._state.session, self._state.take, self._state.poses_name
        if session is not None and take is not None and name:
            title = result_title(name, take)
            self._state.bin.delete_result(session, take, name, title)
            self.done.emit(f"{title} of {take.name} is in the bin. Ctrl+Z restores it.")

    def rename_job(self, tracked: TrackedJob) -> RenameDialog:
        """Open the dialog to rename a job."""
        return self._ask(
            "job",
            tracked.title,
            lambda text: "" if text else "A job needs a name.",
            lambda text: self._change_job(tracked.job.folder, text),
        )

    def delete_job(self, tracked: TrackedJob) -> None:
        """Move an ended job with its files to the bin."""
        session = self._state.session
        if session is not None and not tracked.active:
            self._state.bin.delete_job(session, tracked.job.folder, tracked.title)
            self.done.emit(f"“{tracked.title}” is in the bin. Ctrl+Z restores it.")

    def empty_bin(self) -> None:
        """Permanently delete the content of the bin after confirmation."""
        session = self._state.session
        if session is None:
            return
        size = self._state.bin.size_bytes(session)
        question = f"Permanently delete {size / 1e6:.1f} MB in the bin of the session?"
        text = "The files cannot be restored, and earlier changes can no longer be undone."
        dialog = QuestionDialog(question, text, ("Empty bin", "Cancel"), self._window)
        dialog.exec()
        if dialog.answer == "Empty bin":
            self._state.bin.empty(session)

    def _ask(self, what: str, name: str, problem: object, change: object) -> RenameDialog:
        dialog = RenameDialog(what, name, problem, self._window)  # type: ignore[arg-type]
        dialog.chosen.connect(change)
        dialog.open()
        return dialog

    def _change_job(self, folder: Path, title: str) -> None:
        try:
            self._state.bin.rename_job(folder, title)
        except CoreError as error:
            self._failed(error)

    def _failed(self, error: CoreError) -> None:
        show_error_dialog(error, self._window)
