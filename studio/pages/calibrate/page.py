"""Calibrate: bring in a rig, read what its check found, and see it over the pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QStackedWidget, QVBoxLayout, QWidget

from core.errors import CoreError
from core.pipelines.params import ImportRigParams
from core.session import Session
from core.types import CameraRig
from studio.pages.calibrate import presenter
from studio.pages.calibrate.import_dialog import ImportRigDialog
from studio.shell.dialogs import show_error
from studio.state.app_state import AppState
from studio.widgets.buttons import button
from studio.widgets.card import Card, clear, line
from studio.widgets.columns import Columns
from studio.widgets.data_table import DataTable
from studio.widgets.empty_state import EmptyState
from studio.widgets.finding_row import FindingRow
from studio.widgets.picture_tiles import PictureTiles
from studio.widgets.scroll_page import ScrollPage
from studio.widgets.text import label


class CalibratePage(ScrollPage):
    """The rig of the session.

    Args:
        state: What is looked at.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Calibrate", "Where the cameras stand, and whether that can be believed.", parent)
        self._state = state
        self.import_button = button("Import calibration…", "normal", "import", "Bring in the rig file of another tool")
        self.import_button.clicked.connect(self.import_rig)
        self.tools.addWidget(self.import_button)
        self.empty_button = button("Import calibration…", "primary", "import")
        self.empty_button.clicked.connect(self.import_rig)
        self.empty = EmptyState(
            "calibrate",
            "No calibration yet",
            "Import the rig file of another tool: Qualisys, Anipose or Pose2Sim, VoxelPose, CMU Panoptic, or OpenCV. "
            "Axes and units are checked, and drawn over the pictures.",
            self.empty_button,
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self._filled())
        self.content.addWidget(self._stack, 1)
        state.session_changed.connect(self.refresh)
        state.status_changed.connect(self.refresh)
        state.take_changed.connect(self.refresh)
        self.refresh()

    def act(self, action: str) -> None:
        """Carries out an action of the menu."""
        if action == "rig.import":
            self.import_rig()

    def import_rig(self) -> None:
        """Asks for a rig file and imports it as a job."""
        start = self._state.settings.value.last_folder
        chosen, _ = QFileDialog.getOpenFileName(self, "Import calibration", start, presenter.RIG_FILES)
        if not chosen:
            return
        self._state.settings.update(last_folder=str(Path(chosen).parent))
        self.ask_about(Path(chosen))

    def ask_about(self, path: Path) -> ImportRigDialog:
        """Opens the dialog for a chosen file."""
        dialog = ImportRigDialog(path, self.window())
        dialog.chosen.connect(self.start_import)
        dialog.open()
        return dialog

    def start_import(self, params: ImportRigParams) -> None:
        """Imports as a job."""
        session = self._state.session
        if session is None:
            return
        try:
            self._state.jobs.start(session, "import-rig", params, f"Import calibration {Path(params.path).name}")
        except CoreError as error:
            show_error(error, self.window())

    def refresh(self) -> None:
        """Shows what is on disk."""
        session = self._state.session
        if session is None:
            self.pictures.forget()
            return
        try:
            rig = session.rig
            self._stack.setCurrentIndex(0 if rig is None else 1)
            self.import_button.setVisible(rig is not None)
            if rig is not None:
                self._show_rig(session, rig)
        except CoreError as error:
            self._stack.setCurrentIndex(0)
            self.empty.say("The calibration cannot be read", f"{error.message} {error.hint}")

    def _filled(self) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(self.content.spacing())
        self.check_card = Card("Check")
        self.pictures_card = Card("The rig over the pictures")
        self.pictures_card.set_note(presenter.LEGEND)
        self.pictures = PictureTiles(presenter.LEGEND)
        self.pictures_empty = label("Import a take to see the rig over its pictures.", "muted")
        self.pictures_card.body.addWidget(self.pictures_empty)
        self.pictures_card.body.addWidget(self.pictures)
        self.rig_card = Card("Cameras")
        self.table = DataTable(presenter.CAMERA_HEADERS, right=(2, 3, 4, 5, 6), stretch=0)
        self.rig_card.body.addWidget(self.table)
        columns = Columns(breakpoint_px=900, shares=(7, 4))
        columns.left.addWidget(self.pictures_card)
        columns.left.addStretch(1)
        columns.right.addWidget(self.check_card)
        columns.right.addStretch(1)
        column.addWidget(columns)
        column.addWidget(self.rig_card)
        column.addStretch(1)
        return holder

    def _show_rig(self, session: Session, rig: CameraRig) -> None:
        self.table.set_rows(presenter.camera_rows(rig))
        self.rig_card.set_note(presenter.rig_sentence(rig))
        self._show_findings(session)
        take = self._state.take
        self.pictures_empty.setVisible(take is None)
        self.pictures.setVisible(take is not None)
        if take is not None:
            sizes = {camera.name: camera.size_px for camera in take.manifest.cameras}
            key = (str(session.root), rig.digest, take.name, take.manifest.created)
            self.pictures.show_cameras(key, sizes, partial(presenter.overlay, rig, take))

    def _show_findings(self, session: Session) -> None:
        clear(self.check_card.body)
        check = presenter.rig_check(session)
        if check is None:
            self.check_card.body.addWidget(label("This rig was not checked. Import it again to check it.", "muted"))
            return
        verdict, found = check
        self.check_card.body.addWidget(FindingRow(verdict.level, verdict.sentence))
        self.check_card.body.addWidget(line())
        for finding in found:
            self.check_card.body.addWidget(FindingRow(finding.level, finding.sentence, finding.remedy))
