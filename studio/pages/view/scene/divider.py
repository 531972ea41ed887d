"""Dividing line over the 3D view, between two results."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.theme import current_theme
from studio.widgets.label_plate import paint_label_plate

_GRIP_PX, _LINE_PX = 12, 2
_LEAST_SHARE = 0.04
_TOP_PX, _PAD_PX = 12, 8
_NARROWEST_PX, _WIDEST_PX = 64, 1000


class NamePlate(QWidget):
    """Short label over the 3D view, transparent for the mouse."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_text(self, text: str, width_px: int = _WIDEST_PX) -> None:
        """Show a text, shortened to a width; without text or width for it, hide the plate."""
        metrics = QFontMetrics(self._font())
        self.setAccessibleName(text)
        if text and width_px < _NARROWEST_PX:
            text = ""
        self.text = text = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, width_px - 2 * _PAD_PX)
        self.setVisible(bool(text))
        self.resize(metrics.horizontalAdvance(text) + 2 * _PAD_PX, metrics.height() + _PAD_PX)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint background and text."""
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
    """Vertical line that can be dragged sideways, with names on both sides.

    Args:
        parent: The 3D view.

    Attributes:
        share: Position relative to the width of the divided area.

    Signals:
        moved: New position relative to that width.
    """

    moved = Signal(float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._area = QRect()
        self.share = 0.5
        self.setAccessibleName("Dividing line between two results")
        self.setToolTip("Drag to compare the results")
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self._names = "", ""
        self._plates = NamePlate(parent), NamePlate(parent)
        self.hide()

    def show_names(self, left: str, right: str) -> None:
        """Set the names of both sides, which take effect with `place`."""
        self._names = left, right

    def place(self, area: QRect, top_px: int, taken: QRect) -> None:
        """Place the line in an area of the parent, with names beside it if there is space.

        Args:
            area: Area to divide.
            top_px: Space above the names.
            taken: Area of the parent to keep free of names.
        """
        self._area = area
        middle = area.left() + round(area.width() * self.share)
        self.setGeometry(middle - _GRIP_PX, area.top(), 2 * _GRIP_PX, area.height())
        left, right = self._plates
        rooms = middle - area.left(), area.right() - middle
        for plate, name, room in zip(self._plates, self._names, rooms, strict=True):
            plate.show_text("" if self.isHidden() else name, room - 2 * _GRIP_PX)
        left.move(middle - left.width() - _GRIP_PX, area.top() + top_px + _TOP_PX)
        right.move(middle + _GRIP_PX, area.top() + top_px + _TOP_PX)
        for plate in self._plates:
            if plate.geometry().intersects(taken):
                plate.move(plate.x(), taken.bottom() + _PAD_PX)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a drag."""
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Request to move the line to the pointer."""
        x = self.mapToParent(event.position().toPoint()).x() - self._area.left()
        self.moved.emit(min(max(x / max(self._area.width(), 1), _LEAST_SHARE), 1 - _LEAST_SHARE))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint line and grip."""
        theme, middle = current_theme(), self.width() / 2
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.text), _LINE_PX))
            painter.drawLine(QPointF(middle, 0), QPointF(middle, self.height()))
            painter.setPen(QPen(QColor(theme.border), 1))
            painter.setBrush(QColor(theme.text))
            grip = QRectF(middle - 5, self.height() / 2 - 16, 10, 32)
            painter.drawRoundedRect(grip, 5, 5)
