"""Tooltip for the joint under the pointer, and a ring around the joint."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.theme import current_theme
from studio.widgets.label_plate import paint_label_plate

_ROW_PX, _PAD_PX, _GAP_PX, _OFFSET_PX = 17, 10, 14, 16
_RING_PX = 22


class JointTip(QWidget):
    """Tooltip with the name of a joint and one row per quantity, transparent for the mouse.

    Attributes:
        title: Name of person and joint; empty while hidden.
        rows: Label and value of each row.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._area = parent
        self.title = ""
        self.rows: tuple[tuple[str, str], ...] = ()
        self._hint, self._person = "", 0
        self._ring = _Ring(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_joint(
        self, title: str, rows: tuple[tuple[str, str], ...], person: int, at: QPoint, hint: str = ""
    ) -> None:
        """Show a joint.

        Args:
            title: Name of person and joint.
            rows: Label and value of each row.
            person: Column in the result, which determines the colour.
            at: Position of the joint in the parent.
            hint: Effect of a click.
        """
        self.title, self.rows, self._person, self._hint = title, rows, person, hint
        self.setAccessibleName(", ".join([title, *(f"{label} {value}" for label, value in rows)]))
        self.resize(self.sizeHint())
        right, below = at.x() + _OFFSET_PX, at.y() + _OFFSET_PX
        x = right if right + self.width() <= self._area.width() else at.x() - _OFFSET_PX - self.width()
        y = below if below + self.height() <= self._area.height() else at.y() - _OFFSET_PX - self.height()
        self.move(max(x, 0), max(y, 0))
        self._ring.person = person
        self._ring.move(at.x() - _RING_PX // 2, at.y() - _RING_PX // 2)
        for widget in (self._ring, self):
            widget.show()
            widget.raise_()
            widget.update()

    def clear(self) -> None:
        """Hide tooltip and ring."""
        if self.title:
            self.title = ""
            self.hide()
            self._ring.hide()

    def sizeHint(self) -> QSize:
        """Return the size of the text."""
        plain, strong = QFontMetrics(self._font()), QFontMetrics(self._font(strong=True))
        widths = [
            plain.horizontalAdvance(label) + _GAP_PX + plain.horizontalAdvance(value) for label, value in self.rows
        ]
        width_px = max([strong.horizontalAdvance(self.title) + 16, plain.horizontalAdvance(self._hint), *widths])
        return QSize(width_px + 2 * _PAD_PX, (len(self.rows) + 1 + bool(self._hint)) * _ROW_PX + _PAD_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint background, name in the colour of the person, and rows."""
        theme = current_theme()
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        with QPainter(self) as painter:
            paint_label_plate(painter, self)
            top = _PAD_PX / 2
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.person(self._person)))
            painter.drawEllipse(QRectF(_PAD_PX, top + (_ROW_PX - 8) / 2, 8, 8))
            painter.setFont(self._font(strong=True))
            painter.setPen(QColor(theme.text))
            painter.drawText(QRectF(_PAD_PX + 14, top, self.width(), _ROW_PX), left, self.title)
            painter.setFont(self._font())
            for row, (label, value) in enumerate(self.rows, 1):
                box = QRectF(_PAD_PX, top + row * _ROW_PX, self.width() - 2 * _PAD_PX, _ROW_PX)
                painter.setPen(QColor(theme.muted))
                painter.drawText(box, left, label)
                painter.setPen(QColor(theme.text))
                painter.drawText(box, right, value)
            painter.setPen(QColor(theme.faint))
            box = QRectF(_PAD_PX, top + (len(self.rows) + 1) * _ROW_PX, self.width() - 2 * _PAD_PX, _ROW_PX)
            painter.drawText(box, left, self._hint)

    def _font(self, *, strong: bool = False) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(12)
        font.setFeature(QFont.Tag("tnum"), 1)
        if strong:
            font.setWeight(QFont.Weight.DemiBold)
        return font


class _Ring(QWidget):
    """Ring around the joint under the pointer."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.person = 0
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.resize(_RING_PX, _RING_PX)
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = current_theme()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.text), 2))
            painter.drawEllipse(QRectF(self.rect()).adjusted(3, 3, -3, -3))
