"""Card with the kept calibrations of the session."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QPushButton, QWidget

from core.session.calibrations import KeptCalibration
from studio.theme import GRID_PX
from studio.widgets.buttons import button, set_blocked
from studio.widgets.card import Card, clear_layout
from studio.widgets.finding_row import LEVEL_ICONS
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label

_SHOWN = 5
"""Number of calibrations shown at first."""


class CalibrationsCard(Card):
    """List of kept calibrations, the newest first.

    Attributes:
        uses: Button of each calibration by name; the current one has none.

    Signals:
        use_requested: Name of the calibration to use.
    """

    use_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        note = "Every calibration of this session is kept. Using another one can be undone."
        super().__init__("Calibrations", note, parent)
        self.uses: dict[str, QPushButton] = {}
        self._kept: list[KeptCalibration] = []
        self._busy, self._all = "", False
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(2 * GRID_PX)
        self._grid.setVerticalSpacing(GRID_PX)
        self._grid.setColumnStretch(2, 1)
        self.body.addLayout(self._grid)
        self.more = button("", "quiet")
        self.more.clicked.connect(self._show_all)
        self.body.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)

    def show_calibrations(self, kept: list[KeptCalibration], busy: str) -> None:
        """Show the calibrations.

        Args:
            kept: Calibrations, the newest first.
            busy: Reason why none can be used; empty if possible.
        """
        if kept != self._kept:
            self._kept = kept
            self._fill()
        self._busy = busy
        for push in self.uses.values():
            set_blocked(push, busy, "Make this the calibration of the session")
        self.setVisible(bool(kept))

    def _fill(self) -> None:
        clear_layout(self._grid)
        self.uses = {}
        shown = self._kept if self._all else self._kept[:_SHOWN]
        for row, calibration in enumerate(shown):
            level = "error" if calibration.problem else calibration.level or "info"
            icon = IconLabel(*LEVEL_ICONS[level], 16)
            self._grid.addWidget(icon, row, 0, Qt.AlignmentFlag.AlignVCenter)
            self._grid.addWidget(make_label(made_text(calibration), wrap=False), row, 1, Qt.AlignmentFlag.AlignVCenter)
            self._grid.addWidget(make_label(calibration.problem or calibration.source, "small"), row, 2)
            error = make_label(calibration.error, "small", wrap=False)
            self._grid.addWidget(error, row, 3, Qt.AlignmentFlag.AlignVCenter)
            self._grid.addWidget(self._last_cell(calibration), row, 4, Qt.AlignmentFlag.AlignVCenter)
        hidden = len(self._kept) - len(shown)
        self.more.setText(f"Show {hidden} more")
        self.more.setVisible(hidden > 0)

    def _last_cell(self, calibration: KeptCalibration) -> QWidget:
        if calibration.in_use:
            return make_label("In use", "strong", wrap=False)
        if calibration.problem:
            return make_label("", wrap=False)
        push = button("Use")
        push.setAccessibleName(f"Use the calibration of {made_text(calibration)}")
        push.clicked.connect(partial(self.use_requested.emit, calibration.name))
        self.uses[calibration.name] = push
        return push

    def _show_all(self) -> None:
        self._all = True
        self._fill()
        self.show_calibrations(self._kept, self._busy)


def made_text(calibration: KeptCalibration) -> str:
    """Return the time of a calibration, such as "26 Nov, 14:03", or the name of its folder."""
    try:
        made = datetime.strptime(calibration.name[:15], "%Y%m%d-%H%M%S")
    except ValueError:
        return calibration.name
    return f"{made.day} {made:%b}, {made:%H:%M}"
