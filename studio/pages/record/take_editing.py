"""Editing of takes: import, trim, split, rename and delete."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from core.errors import CoreError
from core.files import safe_name
from core.pipelines.params import CertifyParams, ImportTakeParams
from core.session.incoming import free_take_name
from core.session.store import TakeKind
from studio.pages.record import presenter
from studio.pages.record.cut_dialog import CutDialog
from studio.pages.record.import_dialog import ImportDialog
from studio.shell.dialogs import show_error_dialog
from studio.shell.rename_dialog import RenameDialog
from studio.shell.starting import start_job
from studio.state.app_state import AppState
from studio.state.bin import take_name_problem

_WAIT = "Wait until it has ended, or cancel it."


class TakeEditing(QObject):
    """Dialogs and jobs that edit takes.

    Args:
        state: State of the window.
        page: Page of the dialogs.

    Signals:
        refused: A requested change was not made.
        deleted: Name of a deleted take.
    """

    refused = Signal()
    deleted = Signal(str)

    def __init__(self, state: AppState, page: QWidget) -> None:
        super().__init__(page)
        self._page, self._state = page, state

    def import_take(self) -> None:
        """Ask for videos, and for the camera of each."""
        start = self._state.settings.value.last_folder
        title = "Import videos: one per camera"
        chosen, _ = QFileDialog.getOpenFileNames(self._page, title, start, presenter.VIDEO_FILES)
        if chosen:
            self._state.settings.update(last_folder=str(Path(chosen[0]).parent))
            self.ask_about([Path(c) for c in chosen])

    def import_folder(self) -> None:
        """Ask for a folder of videos or image folders, and for the camera of each."""
        start = self._state.settings.value.last_folder
        title = "Import folder: a video or a folder of images per camera"
        chosen = QFileDialog.getExistingDirectory(self._page, title, start)
        if chosen:
            self._state.settings.update(last_folder=str(Path(chosen).parent))
            self.ask_about([Path(chosen)])

    def ask_about(self, videos: Sequence[Path]) -> ImportDialog | None:
        """Open the import dialog for videos, or for folders of them."""
        if self._state.session is None:
            return None
        try:
            dialog = ImportDialog(self._state.session, videos, self._page.window())
        except CoreError as error:
            self.fail(error)
            return None
        dialog.chosen.connect(self._start_import)
        dialog.open()
        return dialog

    def cut(self, name: str, split: bool) -> CutDialog | None:
        """Open the dialog to trim or split a take, and start the job."""
        session = self._state.session
        if session is None or not self._may_change():
            return None
        try:
            manifest = session.take(name).manifest
            proposed = name if split else free_take_name(session, name, numbered=True)
        except CoreError as error:
            self.fail(error)
            return None
        problem = partial(take_name_problem, session)
        dialog = CutDialog(manifest, split=split, name=proposed, problem=problem, parent=self._page.window())
        dialog.chosen.connect(lambda params: self._start("cut-take", params, dialog.windowTitle()))
        dialog.open()
        return dialog

    def certify(self, take: str) -> None:
        """Certify a take as a job."""
        self._start("certify", CertifyParams(take=take), f"Check synchronisation of {take}")

    def rename(self, name: str) -> RenameDialog | None:
        """Open the dialog to rename a take."""
        session = self._state.session
        if session is None or not self._may_change():
            return None
        dialog = RenameDialog("take", name, partial(take_name_problem, session), self._page.window())
        dialog.chosen.connect(lambda text: self._state.bin.rename_take(session, name, safe_name(text)))
        dialog.open()
        return dialog

    def delete(self, name: str) -> None:
        """Move a take to the bin."""
        session = self._state.session
        if session is not None and self._may_change():
            self.deleted.emit(name)
            self._state.bin.delete_take(session, name)

    def set_kind(self, name: str, kind: TakeKind) -> None:
        """Set the kind of a take."""
        session = self._state.session
        if session is None:
            return
        if self._may_change():
            self._state.bin.set_kind(session, name, kind)
        else:
            self.refused.emit()

    def fail(self, error: CoreError) -> None:
        """Show an error."""
        show_error_dialog(error, self._page.window())

    def _start_import(self, params: ImportTakeParams) -> None:
        self._start("import-take", params, f"Import take {params.name}")

    def _start(self, verb: str, params: object, title: str) -> None:
        start_job(self._state, self._state.session, verb, params, title, self._page.window())

    def _may_change(self) -> bool:
        """Return whether takes can be changed; show the reason if not."""
        reason = self._state.jobs.why_not()
        if reason:
            self.fail(CoreError(reason, _WAIT))
        return not reason
