"""Live image of a camera, with its name, its facts and the coverage of the board."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from core.types.arrays import I64
from studio.theme import current_theme
from studio.widgets.images.coverage import FULL_CELL_POINTS
from studio.widgets.images.image_view import ImageView

_MAX_ALPHA = 90
_SEPARATOR = " · "
_PLATE = QColor(12, 14, 18, 200)
_ON_PLATE, _WARN_ON_PLATE = QColor("#ffffff"), QColor("#ffc857")
_RECORDING = QColor("#ff5a55")
_SHADE = QColor(12, 14, 18, 170)
_PLATE_PX, _INSET_PX = 22, 8


class CameraTile(ImageView):
    """Live image of a camera.

    Args:
        name: Name of the camera.
        parent: Owner.

    Attributes:
        name: Name of the camera.
        facts: Facts at the lower edge, such as the frame rate; the last ones are omitted if they do not fit.
        trouble: Message over the last image, such as that the camera is disconnected; empty while it runs.
        warned: True if the facts need attention.
        recording: True while the images are being recorded.
        cells: Number of points of the board per cell (rows, columns).
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(name, parent)
        self.name, self.trouble = name, ""
        self.facts: tuple[str, ...] = ()
        self.warned = self.recording = False
        self.cells: I64 = np.zeros((0, 0), np.int64)
        self.message = "Starting…"
        self.setAccessibleName(f"Camera {name}")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def show_state(
        self,
        facts: tuple[str, ...],
        *,
        warned: bool = False,
        trouble: str = "",
        recording: bool = False,
        cells: I64 | None = None,
    ) -> None:
        """Show the state, as described by the attributes; repaints only if it has changed."""
        cells = self.cells if cells is None else cells
        before = (self.facts, self.warned, self.trouble, self.recording)
        now = (facts, warned, trouble, recording)
        changed = before != now or not np.array_equal(cells, self.cells)
        self.facts, self.warned, self.trouble, self.recording = now
        self.cells = cells
        if changed:
            self.setAccessibleDescription(trouble or _SEPARATOR.join(facts))
            self.update()

    def show_off(self, message: str) -> None:
        """Show a message in place of the image, and no facts."""
        self.facts, self.trouble, self.warned, self.recording = (), "", False, False
        self.cells = np.zeros((0, 0), np.int64)
        self.show_message(message)

    def minimumSizeHint(self) -> QSize:
        """Return a small size, as the grid determines the size."""
        return QSize(80, 45)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Emit `clicked`, also while there is no image."""
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Emit `clicked` on Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the image, then its caption, facts or message."""
        super().paintEvent(event)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if self.trouble:
                self._paint_trouble(painter)
                self._paint_caption(painter)  # again, over the shade
            if self.facts:
                self._paint_facts(painter)
            if self.hasFocus() or self.image is None:
                painter.setPen(QColor(current_theme().accent if self.hasFocus() else current_theme().border))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)

    def _paint_image(self, painter: QPainter, image: QImage) -> None:
        super()._paint_image(painter, image)
        if not self.cells.size:
            return
        scale = min(self.width() / image.width(), self.height() / image.height())
        width, height = image.width() * scale, image.height() * scale
        left, top = (self.width() - width) / 2, (self.height() - height) / 2
        rows, columns = self.cells.shape
        colour = QColor(current_theme().on_image)
        for row, column in np.argwhere(self.cells > 0).tolist():
            colour.setAlpha(round(_MAX_ALPHA * min(1.0, self.cells[row, column] / FULL_CELL_POINTS)))
            x, y = left + column * width / columns, top + row * height / rows
            painter.fillRect(QRectF(x, y, width / columns, height / rows), colour)

    def _paint_caption(self, painter: QPainter) -> None:
        metrics = QFontMetricsF(painter.font())
        dot = 14.0 if self.recording else 0.0
        text = metrics.elidedText(self.caption, Qt.TextElideMode.ElideRight, max(20.0, self.width() - 48.0 - dot))
        box = QRectF(_INSET_PX, _INSET_PX, metrics.horizontalAdvance(text) + 16 + dot, _PLATE_PX)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_PLATE)
        painter.drawRoundedRect(box, 4, 4)
        if self.recording:
            painter.setBrush(_RECORDING)
            painter.drawEllipse(QRectF(box.left() + 8, box.center().y() - 4, 8, 8))
        painter.setPen(_ON_PLATE)
        painter.drawText(box.adjusted(8 + dot, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_facts(self, painter: QPainter) -> None:
        font = painter.font()
        font.setPixelSize(12)
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        room, shown = self.width() - 32.0, len(self.facts)
        while shown > 1 and metrics.horizontalAdvance(_SEPARATOR.join(self.facts[:shown])) > room:
            shown -= 1
        text = _SEPARATOR.join(self.facts[:shown])
        width = metrics.horizontalAdvance(text) + 16
        box = QRectF(_INSET_PX, self.height() - _INSET_PX - _PLATE_PX, width, _PLATE_PX)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_PLATE)
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(_WARN_ON_PLATE if self.warned else _ON_PLATE)
        painter.drawText(box.adjusted(8, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_trouble(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_SHADE)
        painter.drawRoundedRect(QRectF(self.rect()), 6, 6)
        painter.setPen(_WARN_ON_PLATE)
        area = self.rect().adjusted(16, 36, -16, -36 if self.facts else -16)
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.trouble)
