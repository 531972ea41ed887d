"""Card for camera poses from walking people."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.card import Card
from studio.widgets.text import make_label

_REPAIR_TIP = "Find the smallest change of the cameras that fits the people: a time offset, rotations or poses"
_SOLVE_ALL_TIP = "Solve all camera poses from the people; intrinsics are kept"


class PeopleCard(Card):
    """Buttons for calibration from people.

    Signals:
        requested: The user wants a calibration from the people in the selected take (`CalibratePeopleParams.mode`).
    """

    requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("From people", "Camera poses from the people in the selected take; no board needed.", parent)
        row = QHBoxLayout()
        row.setSpacing(GRID_PX)
        self.repair = button("Repair cameras", "normal", "person")
        self.solve_all = button("Re-solve all cameras", "normal", "person")
        for push, mode in ((self.repair, "repair"), (self.solve_all, "new")):
            push.clicked.connect(partial(self.requested.emit, mode))
            row.addWidget(push)
        row.addStretch(1)
        self.body.addLayout(row)
        self.reason = make_label("", "small")
        self.body.addWidget(self.reason)

    def show_blocked(self, reason: str) -> None:
        """Disable the buttons and show the reason; an empty reason enables them."""
        for push, tip in ((self.repair, _REPAIR_TIP), (self.solve_all, _SOLVE_ALL_TIP)):
            push.setEnabled(not reason)
            push.setToolTip(reason or tip)
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))
