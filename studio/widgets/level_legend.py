"""Legend of colours, such as the reliability levels: a dot and a text per level."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.theme import GRID_PX, current_theme
from studio.widgets.label_plate import paint_label_plate

_ROW_PX, _PAD_PX, _DOT_PX = 18, 10, 9
_TEXT_PX = 11


class LevelLegend(QWidget):
    """Legend over a corner of the 3D view; transparent to the mouse.

    Attributes:
        title: Title.
        rows: Level (0 good, 1 fair, 2 poor, 3 unknown) or colour, and text of each row.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = ""
        self.rows: Sequence[tuple[int | str, str]] = ()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_levels(self, title: str, rows: Sequence[tuple[int | str, str]]) -> None:
        """Show a title and rows; without rows, hide the legend."""
        self.title, self.rows = title, tuple(rows)
        self.setAccessibleName(", ".join([title, *(text for _, text in rows)]))
        self.resize(self.sizeHint())
        self.setVisible(bool(rows))
        self.update()

    def sizeHint(self) -> QSize:
        """Return the size of the text."""
        metrics = QFontMetrics(self._font())
        text_px = max((metrics.horizontalAdvance(text) for _, text in self.rows), default=0) + _DOT_PX + GRID_PX
        width_px = max(text_px, metrics.horizontalAdvance(self.title))
        return QSize(width_px + 2 * _PAD_PX, (len(self.rows) + 1) * _ROW_PX + GRID_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the background, the title and a row per level."""
        theme = current_theme()
        with QPainter(self) as painter:
            paint_label_plate(painter, self)
            painter.setFont(self._font())
            left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            top = GRID_PX // 2
            painter.setPen(QColor(theme.muted))
            painter.drawText(QRectF(_PAD_PX, top, self.width(), _ROW_PX), left, self.title)
            for row, (level, text) in enumerate(self.rows, 1):
                middle = top + (row + 0.5) * _ROW_PX
                painter.setPen(Qt.PenStyle.NoPen)
                levels = (theme.good, theme.warn, theme.bad, theme.muted)
                painter.setBrush(QColor(levels[level] if isinstance(level, int) else level))
                painter.drawEllipse(QRectF(_PAD_PX, middle - _DOT_PX / 2, _DOT_PX, _DOT_PX))
                painter.setPen(QColor(theme.text))
                start = _PAD_PX + _DOT_PX + GRID_PX
                painter.drawText(QRectF(start, top + row * _ROW_PX, self.width(), _ROW_PX), left, text)

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(_TEXT_PX)
        return font
