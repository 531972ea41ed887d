"""Background of text over the 3D view."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QWidget

from studio.theme import current_theme

_ALPHA = 228


def paint_label_plate(painter: QPainter, widget: QWidget) -> None:
    """Fill a widget with a slightly transparent rounded rectangle."""
    theme = current_theme()
    fill = QColor(theme.panel)
    fill.setAlpha(_ALPHA)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(theme.border))
    painter.setBrush(fill)
    painter.drawRoundedRect(QRectF(widget.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
