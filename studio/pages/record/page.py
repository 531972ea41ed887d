"""Record page: the takes of the session, and import of videos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QStackedWidget, QVBoxLayout, QWidget

from core.errors import CoreError
from core.pipelines.params import ImportTakeParams
from core.session import Session
from studio.pages.record import presenter
from studio.pages.record.import_dialog import ImportDialog
from studio.shell.dialogs import show_error_dialog
from studio.state.app_state import AppState
from studio.theme import GRID_PX
from studio.widgets.buttons import button, set_blocked
from studio.widgets.card import Card, clear_layout
from studio.widgets.data_table import DataTable
from studio.widgets.empty_state import EmptyState
from studio.widgets.finding_row import FindingRow
from studio.widgets.images.image_tiles import ImageTiles
from studio.widgets.page.scroll_page import ScrollPage

IMPORT_TIP = "Create a take from one video per camera"


class TakeWidget(Card):
    """One take: its properties, cameras and notes, and a button to select it."""

    def __init__(self, take: presenter.TakeCard, parent: QWidget | None = None) -> None:
        super().__init__(take.name, take.summary, parent)
        self.take = take
        self.select = button("Select", "normal", "", "Use this take on the other pages")
        self.selected = FindingRow("ok", "Selected")
        self.selected.setToolTip("This take is used on the other pages")
        self.tools.addWidget(self.select)
        self.tools.addWidget(self.selected)
        if take.error:
            self.body.addWidget(FindingRow("error", take.error))
            return
        self.images = ImageTiles("First frame of the take.", height_px=176)
        self.body.addWidget(self.images)
        table = DataTable(presenter.CAMERA_HEADERS, right=(2, 3, 4, 5), stretch=1)
        table.set_rows(take.rows, dict.fromkeys(take.dropped, "warn"))
        self.body.addWidget(table)
        if not take.dropped:
            self.body.addWidget(FindingRow("ok", "No dropped frames."))
        for note in take.notes:
            self.body.addWidget(FindingRow("warning", note))

    def set_selected(self, selected: bool) -> None:
        """Show whether this take is selected."""
        self.select.setVisible(not selected and not self.take.error)
        self.selected.setVisible(selected)


class RecordPage(ScrollPage):
    """Takes of the session.

    Args:
        state: Selection of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Record", "Takes of this session, as recorded.", parent)
        self._state = state
        self.import_button = button("Import videos…", "normal", "import", IMPORT_TIP)
        self.import_button.clicked.connect(self.import_take)
        self.tools.addWidget(self.import_button)
        self.empty_button = button("Import videos…", "primary", "import")
        self.empty_button.clicked.connect(self.import_take)
        self.empty = EmptyState(
            "record",
            "No takes yet",
            "Import the videos of a take, one per camera. Different lengths, rotated phones and variable frame rates "
            "are handled and noted.",
            self.empty_button,
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        holder = QWidget()
        self._list = QVBoxLayout(holder)
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(2 * GRID_PX)
        self._stack.addWidget(holder)
        self.content.addWidget(self._stack, 1)
        self.takes: list[TakeWidget] = []
        self.refresh_when_visible(state.content_changed)
        state.jobs.active_changed.connect(self._jobs_changed)

    def act(self, action: str) -> None:
        """Carry out an action of the menu."""
        if action == "take.import":
            self.import_take()

    def why_not(self, action: str) -> str:
        """Return why an action of the menu is blocked; empty if it is not."""
        return self._state.jobs.why_not()

    def import_take(self) -> None:
        """Ask for videos, then for the camera of each."""
        start = self._state.settings.value.last_folder
        chosen, _ = QFileDialog.getOpenFileNames(self, "Import videos: one per camera", start, presenter.VIDEO_FILES)
        if chosen:
            self._state.settings.update(last_folder=str(Path(chosen[0]).parent))
            self.ask_about([Path(c) for c in chosen])

    def ask_about(self, videos: Sequence[Path]) -> ImportDialog | None:
        """Open the import dialog for videos."""
        if self._state.session is None:
            return None
        try:
            dialog = ImportDialog(self._state.session, videos, self.window())
        except CoreError as error:
            show_error_dialog(error, self.window())
            return None
        dialog.chosen.connect(self.start_import)
        dialog.open()
        return dialog

    def start_import(self, params: ImportTakeParams) -> None:
        """Import a take as a job."""
        session = self._state.session
        if session is None:
            return
        try:
            self._state.jobs.start(session, "import-take", params, f"Import take {params.name}")
        except CoreError as error:
            show_error_dialog(error, self.window())

    def refresh(self) -> None:
        """Show the takes as they are on disk."""
        session = self._state.session
        cards = presenter.take_cards(session) if session is not None else []
        if session is not None and cards != [widget.take for widget in self.takes]:
            self._rebuild(session, cards)
        for widget in self.takes:
            widget.set_selected(widget.take.name == self._state.take_name)
        self._stack.setCurrentIndex(1 if cards else 0)
        self.import_button.setVisible(bool(cards))

    def _jobs_changed(self) -> None:
        for push in (self.import_button, self.empty_button):
            set_blocked(push, self._state.jobs.why_not(), IMPORT_TIP)

    def _rebuild(self, session: Session, cards: list[presenter.TakeCard]) -> None:
        clear_layout(self._list)
        self.takes = []
        for card in cards:
            widget = TakeWidget(card)
            widget.select.clicked.connect(self._select_take)
            if not card.error:
                take = session.take(card.name)
                sizes = {camera.name: camera.size_px for camera in take.manifest.cameras}
                widget.images.show_cameras(card, sizes, partial(presenter.first_frame, take))
            self.takes.append(widget)
            self._list.addWidget(widget)
        self._list.addStretch(1)

    def _select_take(self) -> None:
        sender = self.sender()
        for widget in self.takes:
            if widget.select is sender:
                self._state.select_take(widget.take.name)
                return
