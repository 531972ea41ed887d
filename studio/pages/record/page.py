"""Record page: the takes of the session, and import of videos."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QFileDialog, QStackedWidget, QVBoxLayout, QWidget

from core.errors import CoreError
from core.pipelines.params import ImportTakeParams
from studio.background import Background
from studio.pages.record import presenter
from studio.pages.record.import_dialog import ImportDialog
from studio.shell.dialogs import show_error_dialog
from studio.state.app_state import AppState
from studio.theme import GRID_PX
from studio.widgets.buttons import button, set_blocked
from studio.widgets.card import Card
from studio.widgets.choice import Choice
from studio.widgets.data_table import DataTable
from studio.widgets.empty_state import EmptyState
from studio.widgets.finding_row import FindingRow
from studio.widgets.images.image_tiles import ImageTiles
from studio.widgets.page.scroll_page import ScrollPage

IMPORT_TIP = "Create a take from one video per camera"
FOLDER_TIP = "Create a take from a folder with a video, or with a folder of numbered images, per camera"
_IMAGE_PX, _ROW_PX = 176, 36
_BUDGET_S = 0.012
"""Cards are added for this long in one turn of the event loop."""


class TakeWidget(Card):
    """One take: its properties, cameras and notes, and a button to select it.

    The body is made once the card is in sight; until then an empty one of about the same height takes its place.
    """

    def __init__(self, take: presenter.TakeCard, parent: QWidget | None = None) -> None:
        super().__init__(take.name, take.summary, parent)
        self.take = take
        self.images: ImageTiles | None = None
        self.select = button("Select", "normal", "", "Use this take on the other pages")
        self.selected = FindingRow("ok", "Selected")
        self.selected.setToolTip("This take is used on the other pages")
        self.tools.addWidget(self.select)
        self.tools.addWidget(self.selected)
        self.kind = Choice("What the take shows")
        self.kind.setToolTip("What this take shows: takes of people are triangulated, those of the board calibrate")
        if take.take is not None:
            self.kind.offer(presenter.KINDS, take.take.manifest.kind)
            self.tools.addWidget(self.kind)
        if take.error:
            self.body.addWidget(FindingRow("error", take.error))
            return
        self._place = QWidget()
        self._place.setFixedHeight(_IMAGE_PX + _ROW_PX * (len(take.rows) + len(take.notes) + 2))
        self.body.addWidget(self._place)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Make the body when the card comes into sight."""
        super().paintEvent(event)
        if self.images is None and not self.take.error:
            self.images = ImageTiles("First frame of the take.", height_px=_IMAGE_PX)
            QTimer.singleShot(0, self._fill)

    def _fill(self) -> None:
        assert self.images is not None
        self._place.hide()
        self._place.deleteLater()
        self.body.addWidget(self.images)
        take = self.take.take
        if take is not None:
            sizes = {camera.name: camera.size_px for camera in take.manifest.cameras}
            self.images.show_cameras(self.take, sizes, partial(presenter.first_frame, take))
        table = DataTable(presenter.CAMERA_HEADERS, right=(2, 3, 4, 5), stretch=1)
        table.set_rows(self.take.rows, dict.fromkeys(self.take.dropped, "warn"))
        self.body.addWidget(table)
        if not self.take.dropped:
            self.body.addWidget(FindingRow("ok", "No dropped frames."))
        for note in self.take.notes:
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
        self.folder_button = button("Import folder…", "normal", "import", FOLDER_TIP)
        self.folder_button.clicked.connect(self.import_folder)
        self.tools.addWidget(self.folder_button)
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
        self._list.addStretch(1)
        self.takes: list[TakeWidget] = []
        self._missing: list[tuple[int, presenter.TakeCard]] = []
        self._background = Background(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._add_missing)
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

    def import_folder(self) -> None:
        """Ask for a folder of videos or of image folders, then for the camera of each."""
        start = self._state.settings.value.last_folder
        title = "Import folder: a video or a folder of images per camera"
        chosen = QFileDialog.getExistingDirectory(self, title, start)
        if chosen:
            self._state.settings.update(last_folder=str(Path(chosen).parent))
            self.ask_about([Path(chosen)])

    def ask_about(self, videos: Sequence[Path]) -> ImportDialog | None:
        """Open the import dialog for videos, or for folders of them."""
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
        """Read the takes on disk in the background, and show them."""
        session = self._state.session
        self._background.drop()
        self._show_selection()
        self._jobs_changed()
        if session is not None:
            self._background.run(partial(presenter.take_cards, session), self._show_cards)

    def _show_cards(self, cards: list[presenter.TakeCard]) -> None:
        kept = {widget.take: widget for widget in self.takes}
        for widget in self.takes:
            if widget.take not in cards:
                self._list.removeWidget(widget)
                widget.hide()
                widget.deleteLater()
        self.takes = [kept[card] for card in cards if card in kept]
        self._missing = [(at, card) for at, card in enumerate(cards) if card not in kept]
        self._stack.setCurrentIndex(1 if cards else 0)
        self.import_button.setVisible(bool(cards))
        self._add_missing()

    def _add_missing(self) -> None:
        """Add cards for some milliseconds, and the rest in the next turns of the event loop."""
        until = time.monotonic() + _BUDGET_S
        while self._missing and time.monotonic() < until:
            at, card = self._missing.pop(0)
            widget = TakeWidget(card)
            widget.select.clicked.connect(self._select_take)
            widget.kind.activated.connect(partial(self._set_kind, card.name, widget.kind))
            self.takes.insert(at, widget)
            self._list.insertWidget(at, widget)
        self._show_selection()
        if self._missing:
            self._timer.start()

    def _show_selection(self) -> None:
        for widget in self.takes:
            widget.set_selected(widget.take.name == self._state.take_name)

    def _jobs_changed(self) -> None:
        for push, tip in (
            (self.import_button, IMPORT_TIP),
            (self.empty_button, IMPORT_TIP),
            (self.folder_button, FOLDER_TIP),
        ):
            set_blocked(push, self._state.jobs.why_not(), tip)

    def _set_kind(self, name: str, choice: Choice, _index: int) -> None:
        session = self._state.session
        if session is None:
            return
        if reason := self._state.jobs.why_not():
            show_error_dialog(CoreError(reason, "Wait until it has ended, or cancel it."), self.window())
            self.refresh()
        else:
            self._state.bin.set_kind(session, name, choice.currentData())

    def _select_take(self) -> None:
        sender = self.sender()
        for widget in self.takes:
            if widget.select is sender:
                self._state.select_take(widget.take.name)
                return
