"""Form for the calibration board."""

from __future__ import annotations

import dataclasses
from typing import get_args

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from core.board.pattern import DICTIONARIES, Back, Board
from core.errors import CoreError
from studio.theme import GRID_PX
from studio.widgets.choice import Choice
from studio.widgets.number_field import NumberField
from studio.widgets.text import make_label, set_role

_KINDS: dict[str, str] = {
    "auto": "Auto-detect",
    "charuco": "ChArUco",
    "chessboard": "Chessboard",
    "markers": "Marker grid",
    "aprilgrid": "AprilGrid",
}
_AUTO_NOTE = (
    "The pattern is recognised in the images. Measure one square of the print, or the distance between markers."
)
_BACKS: dict[str, str] = {
    "auto": "Auto-detect",
    "none": "Blank",
    "mirrored": "Mirrored front",
    "numbered": "Continued IDs",
}
_NO_SIZE = ("The size of the squares is not known.", "Measure one on the print, and enter its size in mm.")


class BoardForm(QWidget):
    """Fields of a `Board`.

    Signals:
        edited: The user changed a field, and the board is valid.
    """

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind, self.dictionary, self.back = Choice(), Choice(), Choice()
        for box, texts, choices in (
            (self.kind, _KINDS, tuple(_KINDS)),
            (self.back, _BACKS, get_args(Back)),
            (self.dictionary, {d: d.removeprefix("DICT_") for d in DICTIONARIES}, DICTIONARIES),
        ):
            for choice in choices:
                box.addItem(texts[choice], choice)
        self.back.setToolTip("What is printed on the back of the board")
        self.columns, self.rows = (NumberField(name, "", 0) for name in ("Columns", "Rows"))
        self.square, self.marker = NumberField("Square", "mm", 2), NumberField("Marker", "mm", 2)
        self.thickness = NumberField("Thickness", "mm", 1)
        for field, low, high in (
            (self.columns, 1, 60),
            (self.rows, 1, 60),
            (self.square, 0, 5000),
            (self.marker, 0, 5000),
            (self.thickness, 0, 400),
        ):
            field.setRange(low, high)
        self.inverted = QCheckBox("Inverted")
        self.inverted.setToolTip("Black and white are swapped: white markers on black squares")
        self.legacy = QCheckBox("Legacy pattern")
        self.legacy.setToolTip("ChArUco layout of OpenCV before version 4.6")
        self._note = make_label(_AUTO_NOTE, "small")
        self._problem = make_label("", "small")
        self._problem.hide()
        self._lay_out()
        self._shown = Board()
        self.show_board(self._shown)
        for box in (self.kind, self.dictionary, self.back):
            box.activated.connect(self._changed)
        for field in (self.columns, self.rows, self.square, self.marker, self.thickness):
            field.edited.connect(self._changed)
        for tick in (self.inverted, self.legacy):
            tick.clicked.connect(self._changed)

    @property
    def board(self) -> Board:
        """Board described by the fields.

        Raises:
            CoreError: The board is invalid.
        """
        kind = self.kind.currentData()
        if kind == "auto":
            return Board(kind="auto", square_mm=self.square.value())
        if not self.square.value():
            raise CoreError(*_NO_SIZE)
        return dataclasses.replace(
            self._shown,
            kind=kind,
            columns=round(self.columns.value()),
            rows=round(self.rows.value()),
            square_mm=self.square.value(),
            marker_mm=self.marker.value(),
            dictionary=self.dictionary.currentData(),
            legacy=self.legacy.isChecked(),
            inverted=self.inverted.isChecked(),
            back="none" if kind in ("chessboard", "aprilgrid") else self.back.currentData(),
            thickness_mm=self.thickness.value(),
        )

    @property
    def problem(self) -> str:
        """Reason why the board is invalid; empty if it is valid."""
        try:
            if self.board.square_mm:
                return ""
            raise CoreError(*_NO_SIZE)
        except CoreError as error:
            return f"{error.message} {error.hint}"

    def show_board(self, board: Board) -> None:
        """Show a board in the fields."""
        self._shown = board
        for box, value in ((self.kind, board.kind), (self.dictionary, board.dictionary), (self.back, board.back)):
            box.setCurrentIndex(max(box.findData(value), 0))
        for field, number in (
            (self.columns, board.columns),
            (self.rows, board.rows),
            (self.square, board.square_mm),
            (self.marker, board.marker_mm),
            (self.thickness, board.thickness_mm),
        ):
            field.show_value(number)
        self.inverted.setChecked(board.inverted)
        self.legacy.setChecked(board.legacy)
        self._update_fields()

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GRID_PX + GRID_PX // 2)
        grid.setVerticalSpacing(GRID_PX // 2)
        self._captions = {}
        cells = (
            ("Board", self.kind, 0, 0),
            ("Columns", self.columns, 0, 1),
            ("Rows", self.rows, 0, 2),
            ("Square", self.square, 0, 3),
            ("Dictionary", self.dictionary, 2, 0),
            ("Marker", self.marker, 2, 1),
            ("Back", self.back, 2, 2),
            ("Thickness", self.thickness, 2, 3),
        )
        for caption, field, row, column in cells:
            field.setAccessibleName(caption)
            self._captions[field] = make_label(caption, "small", wrap=False)
            grid.addWidget(self._captions[field], row, column)
            grid.addWidget(field, row + 1, column)
            grid.setColumnStretch(column, 1)
        self._grid = grid
        grid.addWidget(self.inverted, 4, 0, 1, 2)
        grid.addWidget(self.legacy, 4, 2, 1, 2)
        grid.addWidget(self._note, 5, 0, 1, 4)
        grid.addWidget(self._problem, 6, 0, 1, 4)

    def _changed(self) -> None:
        self._update_fields()
        if not self.problem:
            self._shown = self.board
            self.marker.show_value(self._shown.marker_mm)
            self.edited.emit()

    def _update_fields(self) -> None:
        """Show only the fields of this kind of board, and the reason if the board is invalid."""
        kind = self.kind.currentData()
        shown: dict[Choice | NumberField, bool] = {
            self.columns: kind != "auto",
            self.rows: kind != "auto",
            self.dictionary: kind not in ("auto", "chessboard"),
            self.marker: kind not in ("auto", "chessboard"),
            self.back: kind in ("charuco", "markers"),
            self.thickness: kind in ("charuco", "markers"),
        }
        for field, visible in shown.items():
            field.setVisible(visible)
            self._captions[field].setVisible(visible)
        for column in (1, 2):
            self._grid.setColumnStretch(column, int(kind != "auto"))  # no space for hidden fields
        self.inverted.setVisible(kind != "auto")
        self.legacy.setVisible(kind == "charuco")
        self._note.setVisible(kind == "auto")
        self._captions[self.square].setText("Spacing" if kind in ("markers", "aprilgrid") else "Square")
        # A size that was not entered yet is no mistake.
        problem, empty = self.problem, not self.square.value()
        self._problem.setText(_NO_SIZE[1] if empty else problem)
        self._problem.setVisible(bool(problem) and not (empty and kind == "auto"))
        set_role(self._problem, "bad" if problem and not empty else "small")
