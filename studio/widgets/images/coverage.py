"""Coverage of the images by the board, and frames shared by pairs of cameras."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.types.arrays import I64
from studio.theme import GRID_PX, current_theme, theme_changed

FULL_CELL_POINTS = 40
"""Lowest number of points at which a cell is shown as full."""
_ROW_PX = 24
_TILE_PX = (150, 132)


class CoverageTile(QWidget):
    """Coverage of one camera's image as a heat map.

    Args:
        name: Name of the camera.
        cells: (rows, columns) number of points per cell.
        caption: Line under the map.
    """

    def __init__(self, name: str, cells: I64, caption: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name, self.cells, self.caption = name, np.asarray(cells), caption
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"Coverage of {name}")
        self.setToolTip(f"{name}: {caption}")
        self.setMinimumHeight(_TILE_PX[1])
        theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(*_TILE_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the cells, the name and the caption."""
        theme = current_theme()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        line = painter.fontMetrics().height()
        foot = 2 * line + GRID_PX // 2
        rows, columns = self.cells.shape
        area = QRectF(0, 0, self.width(), self.height() - foot)
        side = min(area.width() / columns, area.height() / rows)
        image = QRectF(0, 0, side * columns, side * rows)
        image.moveCenter(area.center())
        corners = QPainterPath()
        corners.addRoundedRect(image, 4, 4)
        painter.save()
        painter.setClipPath(corners)
        painter.fillRect(image, QColor(theme.viewport))
        for (row, column), count in np.ndenumerate(self.cells):
            if count:
                colour = QColor(theme.accent)
                colour.setAlphaF(0.18 + 0.82 * min(1.0, float(np.log1p(count) / np.log1p(FULL_CELL_POINTS))))
                cell = QRectF(image.x() + column * side, image.y() + row * side, side, side)
                painter.fillRect(cell.adjusted(0.5, 0.5, -0.5, -0.5), colour)
        painter.restore()
        painter.setPen(QPen(QColor(theme.border)))
        painter.drawPath(corners)
        for row, (text, token) in enumerate(((self.name, theme.text), (self.caption, theme.muted))):
            painter.setPen(QColor(token))
            elided = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, self.width())
            box = QRectF(0, self.height() - (2 - row) * line, self.width(), line)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, elided)
        painter.end()


class PairMatrix(QWidget):
    """Matrix of the number of frames in which each pair of cameras sees the board."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.names: tuple[str, ...] = ()
        self.shared = np.zeros((0, 0), np.int64)
        self.enough = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Frames shared by pairs of cameras")
        theme_changed.connect(self.update)

    def show_pairs(self, names: Sequence[str], shared: I64, enough: int) -> None:
        """Show a matrix (V, V); highlight pairs with fewer frames than `enough`."""
        self.names, self.shared, self.enough = tuple(names), np.asarray(shared), enough
        self.setFixedHeight(_ROW_PX * len(names) + 22)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the names and the cells."""
        if not self.names:
            return
        theme = current_theme()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(11)  # fits eight names side by side
        painter.setFont(font)
        metrics = painter.fontMetrics()
        left = min(max(metrics.horizontalAdvance(n) for n in self.names) + GRID_PX, self.width() // 3)
        wide = min((self.width() - left) / len(self.names), 64.0)
        high, top = _ROW_PX, 20
        most = max(int(self.shared[~np.eye(len(self.names), dtype=bool)].max(initial=1)), 1)
        for row, name in enumerate(self.names):
            painter.setPen(QColor(theme.muted))
            line = QRectF(0, top + row * high, left - GRID_PX / 2, high)
            short = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, int(line.width()))
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, short)
            head = QRectF(left + row * wide, 0, wide, top)
            short = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, int(wide))
            painter.drawText(head, Qt.AlignmentFlag.AlignCenter, short)
            for column in range(len(self.names)):
                cell = QRectF(left + column * wide, top + row * high, wide, high).adjusted(1, 1, -1, -1)
                count = int(self.shared[row, column])
                if row == column:
                    painter.fillRect(cell, QColor(theme.raised))
                    painter.setPen(QColor(theme.faint))
                else:
                    few = count < self.enough
                    colour = QColor(theme.bad if count == 0 else theme.warn if few else theme.accent)
                    colour.setAlphaF(0.3 if few else 0.15 + 0.55 * count / most)
                    painter.fillRect(cell, colour)
                    painter.setPen(QColor(theme.text))
                painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, str(count))
        painter.end()
