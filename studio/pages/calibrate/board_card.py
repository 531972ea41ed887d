"""Card for the calibration board."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from core.board.pattern import Board
from studio.pages.calibrate.board_form import BoardForm
from studio.widgets.buttons import button
from studio.widgets.card import Card


class BoardCard(Card):
    """Form of the board, with buttons to print it and to import videos.

    Signals:
        import_requested: The user wants to import videos of the board.
        sheet_requested: The user wants to save the board for printing.
        board_edited: The edited `Board`.
    """

    import_requested = Signal()
    sheet_requested = Signal()
    board_edited = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Board", "Move it so that at least two cameras see it at the same time.", parent)
        self.sheet = button("Print board…", "normal", "export", "Save the board as a PDF at true size, or as a PNG")
        self.sheet.clicked.connect(self.sheet_requested)
        self.videos = button("Import videos…", "normal", "import", "Import videos of the board, one per camera")
        self.videos.clicked.connect(self.import_requested)
        self.tools.addWidget(self.sheet)
        self.tools.addWidget(self.videos)
        self.form = BoardForm()
        self.form.edited.connect(self._edited)
        self._stored: Board | None = None
        self.body.addWidget(self.form)
        self.body.addStretch(1)

    def show_board(self, board: Board) -> None:
        """Show a board unless the same one is being edited."""
        if board != self._stored:
            self._stored = board
            self.form.show_board(board)

    def _edited(self) -> None:
        self._stored = self.form.board
        self.board_edited.emit(self._stored)
