"""Card for calibration from a board: the board, the takes that show it, and the button that starts."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from core.board.pattern import Board
from studio.pages.calibrate.board_form import BoardForm
from studio.theme import GRID_PX
from studio.widgets.buttons import ReasonButton, button
from studio.widgets.card import Card
from studio.widgets.choice import Choice
from studio.widgets.text import make_label

_SAME_TAKE = "Same take"


class BoardCard(Card):
    """Form for a calibration from a board.

    Signals:
        calibrate_requested: Name of the take, and of the take for the intrinsics, which may be empty.
        import_requested: Videos of the board are to be imported.
        sheet_requested: The board is to be saved for printing.
        board_edited: The edited `Board`.
    """

    calibrate_requested = Signal(str, str)
    import_requested = Signal()
    sheet_requested = Signal()
    board_edited = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "Board calibration", "Move the board so that at least two cameras see it at the same time.", parent
        )
        self.sheet = button("Print board…", "normal", "export", "Save the board as a PDF at true size, or as a PNG")
        self.sheet.clicked.connect(self.sheet_requested)
        self.videos = button("Import videos…", "normal", "import", "Import videos of the board, one per camera")
        self.videos.clicked.connect(self.import_requested)
        self.tools.addWidget(self.sheet)
        self.tools.addWidget(self.videos)
        self.form = BoardForm()
        self.form.edited.connect(self._edited)
        self.body.addWidget(self.form)
        self.take, self.intrinsics_take = Choice(), Choice()
        self.take.setAccessibleName("Board take")
        self.intrinsics_take.setAccessibleName("Take for the intrinsics")
        self.intrinsics_take.setToolTip("Another take of the same board, used for the intrinsics only")
        self.go = ReasonButton(button("Calibrate", "primary", "calibrate", "Solve intrinsics, poses and time offsets"))
        self.go.push.clicked.connect(self._request_calibration)
        row = QHBoxLayout()
        row.setSpacing(GRID_PX)
        for caption, box in (("Take", self.take), ("Intrinsics from", self.intrinsics_take)):
            row.addWidget(make_label(caption, "small", wrap=False))
            row.addWidget(box, 1)
        self.body.addLayout(row)
        self.advice = make_label("", "muted")
        self.advice.hide()
        foot = QHBoxLayout()
        foot.setSpacing(GRID_PX)
        foot.addWidget(self.advice, 1)
        foot.addStretch(0)
        foot.addWidget(self.go, 0, Qt.AlignmentFlag.AlignRight)
        self.body.addLayout(foot)

    def show_session(self, board: Board, takes: list[str], *, running: bool) -> None:
        """Show the board and offer the takes.

        Args:
            board: Board that was used or edited last.
            takes: Names of takes that may show it.
            running: Whether a calibration is running.
        """
        if not self.form.problem and board != self.form.board:
            self.form.show_board(board)
        for box, first in ((self.take, []), (self.intrinsics_take, [_SAME_TAKE])):
            names = first + takes
            if [box.itemText(i) for i in range(box.count())] != names:
                chosen = box.currentText()
                box.clear()
                box.addItems(names)
                box.setCurrentIndex(names.index(chosen) if chosen in names else 0 if names else -1)
        reason = "Record the board or import videos of it first." if not takes else ""
        self.go.set_blocked("A calibration is running." if running else self.form.problem or reason)

    def select_take(self, take: str) -> None:
        """Select the take to calibrate from, if it is offered."""
        if self.take.findText(take) >= 0:
            self.take.setCurrentText(take)

    def show_advice(self, advice: str) -> None:
        """Show what to record next; empty hides the line."""
        self.advice.setText(f"Next: {advice}" if advice else "")
        self.advice.setVisible(bool(advice))

    def _edited(self) -> None:
        self.board_edited.emit(self.form.board)

    def _request_calibration(self) -> None:
        other = self.intrinsics_take.currentText()
        self.calibrate_requested.emit(self.take.currentText(), "" if other == _SAME_TAKE else other)
