"""Read-only table for a few rows, as high as its content."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from studio.theme import current_theme, theme_changed

_ROW_PX, _HEADER_FONT_PX = 36, 11


class DataTable(QTableWidget):
    """Rows of text, with right-aligned columns for numbers.

    Args:
        headers: Column titles.
        right: Indices of right-aligned columns.
        stretch: Index of the column that takes spare width. If there is none, the table scrolls.
        shorten: Shorten that column in the middle instead of scrolling.
        selectable: Rows can be selected.
    """

    def __init__(
        self,
        headers: Sequence[str],
        right: Sequence[int] = (),
        stretch: int = 0,
        selectable: bool = False,
        shorten: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(0, len(headers), parent)
        self._right, self._stretch, self._shorten = set(right), stretch, shorten
        self._tones: dict[tuple[int, int], str] = {}
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_PX)
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        single = QAbstractItemView.SelectionMode.SingleSelection
        self.setSelectionMode(single if selectable else QAbstractItemView.SelectionMode.NoSelection)
        if not selectable:
            self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(48)
        font = header.font()
        font.setPixelSize(_HEADER_FONT_PX)
        for column, title in enumerate(headers):
            item = QTableWidgetItem(title)
            item.setFont(font)  # Qt measures the width with this font, not with that of the style sheet
            item.setTextAlignment(self._alignment(column))
            self.setHorizontalHeaderItem(column, item)
        theme_changed.connect(self._recolour)

    def set_rows(self, rows: Sequence[Sequence[str]], tones: dict[tuple[int, int], str] | None = None) -> None:
        """Replace the rows.

        Args:
            rows: Text by row and column.
            tones: Colour token by (row, column) for cells that are not in the normal text colour.
        """
        self._tones = tones or {}
        self.setRowCount(len(rows))
        for r, row in enumerate(rows):
            for c, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setTextAlignment(self._alignment(c))
                item.setToolTip(text)
                self.setItem(r, c, item)
        self._recolour()
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give spare width to a column, or reserve space for a scroll bar."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        header, stretch = self.horizontalHeader(), self._stretch
        needed = [max(self.sizeHintForColumn(c), header.sectionSizeHint(c)) for c in range(self.columnCount())]
        is_narrow = sum(needed) > self.viewport().width() and not self._shorten
        modes = QHeaderView.ResizeMode
        header.setSectionResizeMode(stretch, modes.ResizeToContents if is_narrow else modes.Stretch)
        bar_px = self.horizontalScrollBar().sizeHint().height() if is_narrow else 0
        height = header.sizeHint().height() + _ROW_PX * self.rowCount() + 2 + bar_px
        if height != self.height():
            self.setFixedHeight(height)

    def _alignment(self, column: int) -> Qt.AlignmentFlag:
        side = Qt.AlignmentFlag.AlignRight if column in self._right else Qt.AlignmentFlag.AlignLeft
        return side | Qt.AlignmentFlag.AlignVCenter

    def _recolour(self, _theme: object = None) -> None:
        for (r, c), token in self._tones.items():
            item = self.item(r, c)
            if item is not None:
                item.setForeground(QColor(getattr(current_theme(), token)))
