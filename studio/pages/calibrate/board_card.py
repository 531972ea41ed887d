"""Calibrate from a board: what is printed, which take shows it, and one button."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from core.board.pattern import Board
from studio.pages.calibrate.board_form import BoardForm
from studio.theme import GRID_PX
from studio.widgets.buttons import ReasonButton, button
from studio.widgets.card import Card
from studio.widgets.text import label

_NO_LENS_TAKE = "The same take"


class BoardCard(Card):
    """Asks for a calibration.

    Signals:
        calibrate: Names of the take and of the lens take, which may be empty.
        videos_wanted: Somebody wants to bring in videos of the board.
        sheet_wanted: Somebody wants the board on paper.
        board_edited: The board is another one.
    """

    calibrate = Signal(str, str)
    videos_wanted = Signal()
    sheet_wanted = Signal()
    board_edited = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "From a board", "Film a board that is moved in front of all cameras, two or more at a time.", parent
        )
        self.sheet = button("Board sheet…", "normal", "export", "The board as a PDF at true size, or as a PNG")
        self.sheet.clicked.connect(self.sheet_wanted)
        self.videos = button("Board videos…", "normal", "import", "Bring in videos of the board, one a camera")
        self.videos.clicked.connect(self.videos_wanted)
        self.tools.addWidget(self.sheet)
        self.tools.addWidget(self.videos)
        self.form = BoardForm()
        self.form.edited.connect(self._edited)
        self.body.addWidget(self.form)
        self.take, self.lens_take = QComboBox(), QComboBox()
        self.take.setAccessibleName("Take of the board")
        self.lens_take.setAccessibleName("Take for the lenses")
        self.go = ReasonButton(button("Calibrate", "primary", "calibrate", "Solve lenses, poses and time offsets"))
        self.go.push.clicked.connect(self._go)
        row = QHBoxLayout()
        row.setSpacing(GRID_PX)
        for words, box in (("Take", self.take), ("Lenses from", self.lens_take)):
            row.addWidget(label(words, "small", wrap=False))
            row.addWidget(box, 1)
        self.body.addLayout(row)
        self.advice = label("", "muted")
        self.advice.hide()
        foot = QHBoxLayout()
        foot.setSpacing(GRID_PX)
        foot.addWidget(self.advice, 1)
        foot.addStretch(0)
        foot.addWidget(self.go, 0, Qt.AlignmentFlag.AlignRight)
        self.body.addLayout(foot)

    def show_session(self, board: Board, takes: list[str], *, running: bool) -> None:
        """Shows the board and the takes to choose from.

        Args:
            board: As used or edited last.
            takes: Takes that may show it.
            running: Whether a calibration is being made.
        """
        if not self.form.problem and board != self.form.board:
            self.form.show_board(board)
        for box, first in ((self.take, []), (self.lens_take, [_NO_LENS_TAKE])):
            names = first + takes
            if [box.itemText(i) for i in range(box.count())] != names:
                chosen = box.currentText()
                box.clear()
                box.addItems(names)
                box.setCurrentIndex(names.index(chosen) if chosen in names else 0 if names else -1)
        reason = "Record the board, or bring in videos of it, first." if not takes else ""
        self.go.set_blocked("A calibration is being made." if running else self.form.problem or reason)

    def choose(self, take: str) -> None:
        """Takes a take to calibrate from, if it is offered."""
        if self.take.findText(take) >= 0:
            self.take.setCurrentText(take)

    def say(self, advice: str) -> None:
        """Says what to show next; empty for nothing."""
        self.advice.setText(f"Next: {advice}" if advice else "")
        self.advice.setVisible(bool(advice))

    def _edited(self) -> None:
        self.board_edited.emit(self.form.board)

    def _go(self) -> None:
        lens = self.lens_take.currentText()
        self.calibrate.emit(self.take.currentText(), "" if lens == _NO_LENS_TAKE else lens)
