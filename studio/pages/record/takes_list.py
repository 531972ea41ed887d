"""Cards of the takes of a session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from PySide6.QtCore import Qt, QTimer, Signal, SignalInstance
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.pages.record import presenter
from studio.theme import GRID_PX
from studio.widgets.buttons import MenuButton, button
from studio.widgets.card import Card
from studio.widgets.choice import Choice
from studio.widgets.data_table import DataTable
from studio.widgets.finding_row import FindingRow
from studio.widgets.images.image_tiles import ImageTiles

_IMAGE_PX, _ROW_PX = 176, 36
_BUDGET_S = 0.012
"""Time budget in s for adding cards per event-loop iteration."""


class TakeWidget(Card):
    """Card of a take with properties, cameras, notes and actions.

    The body is created once the card is visible; until then, a placeholder of similar height replaces it.
    """

    def __init__(self, take: presenter.TakeCard, parent: QWidget | None = None) -> None:
        super().__init__(take.name, take.summary, parent)
        self.take = take
        self.images: ImageTiles | None = None
        self.select = button("Select", "normal", "", "Use this take on the other pages")
        self.selected = FindingRow("ok", "Selected")
        self.selected.setToolTip("The other pages use this take")
        self.tools.addWidget(self.select)
        self.tools.addWidget(self.selected, 0, Qt.AlignmentFlag.AlignVCenter)
        self.kind = Choice("What the take shows")
        self.kind.setToolTip(
            "Content of the take: takes of people are triangulated, those of the board are for calibration"
        )
        if take.take is not None:
            self.kind.offer(presenter.KINDS, take.take.manifest.kind)
            self.tools.addWidget(self.kind)
        self.more = MenuButton(f"More about {take.name}")
        self.rename = self.more.add("Rename…")
        self.trim = self.more.add("Trim…", "Create a take from a part of this one")
        self.split = self.more.add("Split…", "Create two takes from this one")
        for entry in (self.trim, self.split):
            entry.setEnabled(take.take is not None)
        self.certify = self.more.add(
            "Check synchronisation", "Measure offset, drift and drops of each camera in the images"
        )
        self.certify.setEnabled(take.take is not None and len(take.rows) > 1)
        self.delete = self.more.add("Delete", "Move the take to the bin; Ctrl+Z restores it")
        self.tools.addWidget(self.more)
        if take.error:
            self.body.addWidget(FindingRow("error", take.error))
            return
        self._place = QWidget()
        self._place.setFixedHeight(_IMAGE_PX + _ROW_PX * (len(take.rows) + len(take.notes) + 2))
        self.body.addWidget(self._place)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Create the body when the card becomes visible."""
        super().paintEvent(event)
        if self.images is None and not self.take.error:
            self.images = ImageTiles("First frame of the take.", height_px=_IMAGE_PX)
            QTimer.singleShot(0, self, self._fill)

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
        self._facts = list(self._made_facts())
        self._add_fact()

    def _made_facts(self) -> Iterator[tuple[str, str, str]]:
        """Yield level, sentence and remedy of each fact on the take."""
        certificate = self.take.certificate
        if not self.take.dropped and not (certificate is not None and any(c.drops for c in certificate.cameras)):
            yield "ok", "No dropped frames.", ""
        if certificate is not None:
            yield "ok" if certificate.good else "warning", certificate.summary, " ".join(certificate.notes)
        elif self.take.unchecked:
            yield "info", self.take.unchecked, ""
        for note in self.take.notes:
            yield "warning", note, ""

    def _add_fact(self) -> None:
        """Add one row per event-loop iteration, because each takes some milliseconds."""
        if self._facts:
            row = FindingRow(*self._facts.pop(0))
            if self.take.certifiable and row.sentence.text() == self.take.unchecked:
                check = button("Check sync", "normal", "clock", self.certify.toolTip())
                check.clicked.connect(self.certify.trigger)
                row.add(check)
            self.body.addWidget(row)
            QTimer.singleShot(0, self, self._add_fact)

    def set_selected(self, selected: bool) -> None:
        """Show whether this take is selected."""
        self.select.setVisible(not selected and not self.take.error)
        self.selected.setVisible(selected)


class TakesList(QWidget):
    """Cards of all takes, a few of which are added per event-loop iteration.

    Attributes:
        widgets: Cards added so far, in order.

    Signals:
        selected: Name of the take whose button was pressed.
        rename_requested: Name of a take.
        cut_requested: Name of a take, and True to split it, False to trim it.
        certify_requested: Name of a take.
        delete_requested: Name of a take.
        kind_chosen: Name of a take, and its new kind.
    """

    selected = Signal(str)
    rename_requested = Signal(str)
    cut_requested = Signal(str, bool)
    certify_requested = Signal(str)
    delete_requested = Signal(str)
    kind_chosen = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.widgets: list[TakeWidget] = []
        self._selected = ""
        self._missing: list[tuple[int, presenter.TakeCard]] = []
        self._list = QVBoxLayout(self)
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(2 * GRID_PX)
        self._list.addStretch(1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._add_missing)

    def show_cards(self, cards: list[presenter.TakeCard]) -> None:
        """Show takes; cards of unchanged takes are kept."""
        kept = {widget.take: widget for widget in self.widgets}
        for widget in self.widgets:
            if widget.take not in cards:
                self._list.removeWidget(widget)
                widget.hide()
                widget.deleteLater()
        self.widgets = [kept[card] for card in cards if card in kept]
        self._missing = [(at, card) for at, card in enumerate(cards) if card not in kept]
        self._add_missing()

    def show_selection(self, name: str) -> None:
        """Show which take is selected."""
        self._selected = name
        for widget in self.widgets:
            widget.set_selected(widget.take.name == name)

    def _add_missing(self) -> None:
        """Add cards within the time budget, and schedule the rest."""
        until = time.monotonic() + _BUDGET_S
        while self._missing and time.monotonic() < until:
            at, card = self._missing.pop(0)
            widget = TakeWidget(card)
            widget.select.clicked.connect(partial(self._pressed, self.selected, card.name))
            widget.rename.triggered.connect(partial(self._pressed, self.rename_requested, card.name))
            widget.trim.triggered.connect(partial(self._cut_pressed, card.name, False))
            widget.split.triggered.connect(partial(self._cut_pressed, card.name, True))
            widget.certify.triggered.connect(partial(self._pressed, self.certify_requested, card.name))
            widget.delete.triggered.connect(partial(self._pressed, self.delete_requested, card.name))
            widget.kind.activated.connect(partial(self._kind_activated, card.name, widget.kind))
            self.widgets.insert(at, widget)
            self._list.insertWidget(at, widget)
        self.show_selection(self._selected)
        if self._missing:
            self._timer.start()

    def _pressed(self, signal: SignalInstance, name: str, _checked: bool = False) -> None:
        signal.emit(name)

    def _cut_pressed(self, name: str, split: bool, _checked: bool = False) -> None:
        self.cut_requested.emit(name, split)

    def _kind_activated(self, name: str, choice: Choice, _index: int) -> None:
        self.kind_chosen.emit(name, choice.currentData())
