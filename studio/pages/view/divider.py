"""Dividing line over the 3D view, between two results."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.theme import current_theme
from studio.widgets.label_plate import paint_label_plate

_GRIP_PX, _LINE_PX = 12, 2
_LEAST_SHARE = 0.04
_TOP_PX, _PAD_PX = 12, 8


class NamePlate(QWidget):
    """Short text on a plate over the 3D view; transparent to the mouse."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_text(self, text: str) -> None:
        """Show a text; an empty one hides the plate."""
        self.text = text
        self.setAccessibleName(text)
        self.setVisible(bool(text))
        metrics = QFontMetrics(self._font())
        self.resize(metrics.horizontalAdvance(text) + 2 * _PAD_PX, metrics.height() + _PAD_PX)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the plate and the text."""
        with QPainter(self) as painter:
            paint_label_plate(painter, self)
            painter.setFont(self._font())
            painter.setPen(QColor(current_theme().muted))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text)

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(11)
        return font


class Divider(QWidget):
    """Vertical line that is dragged sideways.

    Args:
        parent: Widget that the line divides.

    Attributes:
        share: Position as a share of the width of the parent.

    Signals:
        moved: New position as a share of the width of the parent.
    """

    moved = Signal(float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._area = parent
        self.share = 0.5
        self.setAccessibleName("Dividing line between two results")
        self.setToolTip("Drag to compare the results")
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self._plates = NamePlate(parent), NamePlate(parent)
        self.hide()

    def show_names(self, left: str, right: str) -> None:
        """Show the line with names on both sides; without names, hide it."""
        for plate, name in zip(self._plates, (left, right), strict=True):
            plate.show_text(name)
        self.setVisible(bool(left or right))
        self.place()

    def place(self) -> None:
        """Put the line at its share of the parent."""
        area = self._area.rect()
        middle = round(area.width() * self.share)
        self.setGeometry(middle - _GRIP_PX, 0, 2 * _GRIP_PX, area.height())
        left, right = self._plates
        left.move(middle - left.width() - _GRIP_PX, _TOP_PX)
        right.move(middle + _GRIP_PX, _TOP_PX)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the mouse."""
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the line with the pointer."""
        area = self._area.rect()
        x = self.mapToParent(event.position().toPoint()).x()
        self.share = min(max(x / max(area.width(), 1), _LEAST_SHARE), 1 - _LEAST_SHARE)
        self.place()
        self.moved.emit(self.share)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the line and its grip."""
        theme, middle = current_theme(), self.width() / 2
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.text), _LINE_PX))
            painter.drawLine(QPointF(middle, 0), QPointF(middle, self.height()))
            painter.setPen(QPen(QColor(theme.border), 1))
            painter.setBrush(QColor(theme.text))
            grip = QRectF(middle - 5, self.height() / 2 - 16, 10, 32)
            painter.drawRoundedRect(grip, 5, 5)
