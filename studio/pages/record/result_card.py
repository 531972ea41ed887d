"""Card of a new take with its summary and the next steps."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.pages.record import presenter
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.finding_row import LEVEL_ICONS
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label, set_role

_CHECKING = "The synchronisation is being checked in the images."


class ResultCard(QFrame):
    """Summary and certificate of a new take, with buttons for the next steps.

    Args:
        parent: Owner.

    Signals:
        certify_requested: Name of the take to certify.
        next_requested: Page of the next step: "calibrate" or "train".
        closed: The user has closed the card.
    """

    certify_requested = Signal(str)
    next_requested = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "banner")
        self.take = ""
        row = QHBoxLayout(self)
        row.setContentsMargins(GRID_PX + GRID_PX // 2, GRID_PX, GRID_PX, GRID_PX)
        row.setSpacing(GRID_PX)
        self._icon = IconLabel(*LEVEL_ICONS["ok"], 22)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignVCenter)
        column = QVBoxLayout()
        column.setSpacing(2)
        self.sentence = make_label("", "strong")
        self.details = make_label("", "small")
        column.addWidget(self.sentence)
        column.addWidget(self.details)
        row.addLayout(column, 1)
        self.calibrate = button("Calibrate", "normal", "calibrate", "Calibrate the cameras from this take of the board")
        self.calibrate.clicked.connect(lambda: self.next_requested.emit("calibrate"))
        self.process = button("Process", "normal", "train", "2D poses, 3D poses and training with this take")
        self.process.clicked.connect(lambda: self.next_requested.emit("train"))
        self.check = button(
            "Check sync", "normal", "clock", "Measure offset, drift and drops of each camera in the images"
        )
        self.check.clicked.connect(lambda: self.certify_requested.emit(self.take))
        close = button("", "quiet", "close", "Hide")
        close.setAccessibleName("Hide")
        close.clicked.connect(self.closed)
        for push in (self.check, self.calibrate, self.process, close):
            row.addWidget(push, 0, Qt.AlignmentFlag.AlignVCenter)
        self.hide()

    def show_result(self, result: presenter.TakeResult, *, checking: bool = False) -> None:
        """Show a new take, and whether its synchronisation is being checked."""
        self.take = result.name
        set_role(self, result.level, "level")
        self._icon.set_icon(*LEVEL_ICONS[result.level])
        self.sentence.setText(result.sentence)
        details = " ".join(filter(None, (result.details, _CHECKING if checking else "")))
        self.details.setText(details)
        self.details.setVisible(bool(details))
        self.check.setVisible(result.certifiable and not checking)
        self.calibrate.setVisible(result.kind in ("board", "floor"))
        self.process.setVisible(result.kind == "motion")
        self.show()
