"""The plate under words that lie over a 3D view."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QWidget

from studio.theme import current_theme

_ALPHA = 228


def paint_plate(painter: QPainter, widget: QWidget) -> None:
    """Fills a widget with a rounded plate through which the image shows a little."""
    theme = current_theme()
    paper = QColor(theme.panel)
    paper.setAlpha(_ALPHA)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(theme.border))
    painter.setBrush(paper)
    painter.drawRoundedRect(QRectF(widget.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
