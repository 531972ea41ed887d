"""Status dot: done, ready, running, outdated or blocked."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.theme import current_theme

StepState = Literal["done", "ready", "blocked", "running", "outdated"]
STATE_LABELS: dict[StepState, str] = {
    "done": "Done",
    "ready": "Ready",
    "blocked": "Blocked",
    "running": "Running",
    "outdated": "Out of date",
}


def paint_status_dot(painter: QPainter, centre: QPointF, state: StepState, radius_px: float = 7.0) -> None:
    """Paint a status dot. The shapes differ too, so that the states can be distinguished without colour."""
    theme = current_theme()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    box = QRectF(centre.x() - radius_px, centre.y() - radius_px, 2 * radius_px, 2 * radius_px)
    if state == "done":
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.good))
        painter.drawEllipse(box)
        painter.setPen(QPen(QColor(theme.panel), 1.8, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        at, unit = centre, radius_px / 7
        painter.drawPolyline(
            [
                at + QPointF(-3 * unit, 0.2 * unit),
                at + QPointF(-0.8 * unit, 2.5 * unit),
                at + QPointF(3.2 * unit, -2.2 * unit),
            ]
        )
        return
    if state == "outdated":
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.warn))
        painter.drawEllipse(box)
        painter.setPen(QPen(QColor(theme.panel), 1.8, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        unit = radius_px / 7
        painter.drawLine(centre + QPointF(0, -3.4 * unit), centre + QPointF(0, 0.8 * unit))
        painter.drawPoint(centre + QPointF(0, 3.6 * unit))
        return
    painter.setBrush(Qt.BrushStyle.NoBrush)
    inner = box.adjusted(1, 1, -1, -1)
    if state == "running":
        painter.setPen(QPen(QColor(theme.border), 2))
        painter.drawEllipse(inner)
        painter.setPen(QPen(QColor(theme.accent), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawArc(inner, 90 * 16, -120 * 16)
    elif state == "ready":
        painter.setPen(QPen(QColor(theme.accent), 2))
        painter.drawEllipse(inner)
    else:
        painter.setPen(QPen(QColor(theme.faint), 1.4, Qt.PenStyle.DotLine))
        painter.drawEllipse(inner)


class StatusDot(QWidget):
    """Status dot as a widget."""

    def __init__(self, state: StepState = "blocked", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state: StepState = state
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def set_state(self, state: StepState, reason: str = "") -> None:
        """Change the state; the reason becomes the tooltip."""
        self.state = state
        self.setToolTip(reason or STATE_LABELS[state])
        self.update()

    def sizeHint(self) -> QSize:
        """Return the size of the dot."""
        return QSize(16, 16)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the dot in the current theme."""
        painter = QPainter(self)
        paint_status_dot(painter, QPointF(self.width() / 2, self.height() / 2), self.state)
        painter.end()
