"""Card for calibration from a board."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from core.board.pattern import Board
from studio.theme import GRID_PX
from studio.widgets.buttons import ReasonButton, button
from studio.widgets.card import Card
from studio.widgets.choice import Choice
from studio.widgets.text import make_label

_SAME_TAKE = "Same take"


class SolveCard(Card):
    """Choice of takes and start of a calibration from a board.

    Signals:
        calibrate_requested: Name of the take, and of the take for the intrinsics (may be empty).
        board_chosen: Board (`Board`) in a take, to replace that in the form.
    """

    calibrate_requested = Signal(str, str)
    board_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("From a board", "Intrinsics, poses and time offsets of all cameras.", parent)
        self.take, self.intrinsics_take = Choice(), Choice()
        self.take.setAccessibleName("Board take")
        self.take.setPlaceholderText("No take of a board")
        self.intrinsics_take.setAccessibleName("Take for the intrinsics")
        self.intrinsics_take.setToolTip("Another take of the same board, for the intrinsics only")
        self.go = ReasonButton(button("Calibrate", "primary", "calibrate", "Solve intrinsics, poses and time offsets"))
        self.go.push.clicked.connect(self._request_calibration)
        grid = QGridLayout()
        grid.setHorizontalSpacing(GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(1, 1)
        for row, (caption, box) in enumerate((("Take", self.take), ("Intrinsics from", self.intrinsics_take))):
            grid.addWidget(make_label(caption, "small", wrap=False), row, 0)
            grid.addWidget(box, row, 1)
        self.body.addLayout(grid)
        self.advice = make_label("", "muted")
        self.advice.hide()
        self.body.addWidget(self.advice)
        self.wrong_board = make_label("", "bad")
        self.use_board = button("", "normal", "check-circle")
        self.use_board.clicked.connect(self._use_board)
        self._offered: Board | None = None
        self.body.addWidget(self.wrong_board)
        self.body.addWidget(self.use_board, 0, Qt.AlignmentFlag.AlignLeft)
        self.offer_board("", None)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.go, 0, Qt.AlignmentFlag.AlignRight)
        self.body.addLayout(foot)

    def show_takes(self, takes: list[str], problem: str, *, busy: str) -> None:
        """Show the available takes.

        Args:
            takes: Names of takes of the board.
            problem: Reason why the board is invalid; empty if it is valid.
            busy: Reason why no job can be started; empty if one can.
        """
        for box, first in ((self.take, []), (self.intrinsics_take, [_SAME_TAKE])):
            names = first + takes
            if [box.itemText(i) for i in range(box.count())] != names:
                chosen = box.currentText()
                box.clear()
                box.addItems(names)
                box.setCurrentIndex(names.index(chosen) if chosen in names else 0 if names else -1)
        reason = "Record the board or import videos of it first." if not takes else ""
        self.go.set_blocked(reason or problem or busy)

    def select_take(self, take: str) -> None:
        """Select the take for the calibration, if it is available."""
        if self.take.findText(take) >= 0:
            self.take.setCurrentText(take)

    def show_advice(self, advice: str) -> None:
        """Show advice on what to record next; empty hides the line."""
        self.advice.setText(f"Next: {advice}" if advice else "")
        self.advice.setVisible(bool(advice))

    def offer_board(self, message: str, board: Board | None) -> None:
        """Offer the board that a take shows instead of the given one; None hides the offer."""
        self._offered = board
        self.wrong_board.setText(message)
        self.use_board.setText("" if board is None else f"Use {board.pattern_title}")
        for widget in (self.wrong_board, self.use_board):
            widget.setVisible(board is not None)

    def _use_board(self) -> None:
        board = self._offered
        self.offer_board("", None)
        self.board_chosen.emit(board)

    def _request_calibration(self) -> None:
        self.offer_board("", None)
        other = self.intrinsics_take.currentText()
        self.calibrate_requested.emit(self.take.currentText(), "" if other == _SAME_TAKE else other)
