"""Zoomable camera image in which the user clicks points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.theme import Theme, current_theme
from studio.widgets.images.image_view import Lines, split_at_gaps

_MAX_ZOOM = 24.0
_ZOOM_STEP = 1.25
_GRAB_PX = 11  # largest distance at which the mouse grabs a mark
_CLICK_PX = 4  # largest movement of the mouse within a click
_ARM_PX, _GAP_PX = 9.0, 2.5
_HALO = QColor(8, 10, 14, 190)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Point marked in an image.

    Attributes:
        key: Identifies the mark.
        xy_px: Position in the recorded image.
        text: Label next to the mark.
        token: Colour token of `Theme`.
        strong: True to highlight the mark.
    """

    key: int
    xy_px: tuple[float, float]
    text: str
    token: str
    strong: bool = False


class ZoomImage(QWidget):
    """Image with lines and marks.

    The wheel zooms, dragging moves the image or a mark, a click places a point, a right click removes a mark.

    Args:
        camera: Name of the camera, also the caption.
        size_px: Width and height of the recorded images.

    Signals:
        placed: Camera, x and y in image px of a click.
        moved: Camera, key, x and y of a dragged mark.
        removed: Camera and key of a removed mark.
    """

    placed = Signal(str, float, float)
    moved = Signal(str, int, float, float)
    removed = Signal(str, int)

    def __init__(self, camera: str, size_px: tuple[int, int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.camera, self.size_px = camera, size_px
        self.message = "Loading…"
        self.image: QImage | None = None
        self.lines: Sequence[Lines] = ()
        self.marks: Sequence[Mark] = ()
        self.predicted: Sequence[Mark] = ()
        self._zoom, self._pan_px = 1.0, QPointF(0, 0)
        self._pressed: QPointF | None = None
        self._panned: QPointF | None = None
        self._dragged: Mark | None = None
        self.setAccessibleName(f"Camera {camera}")
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(120, 80)

    @property
    def dragging(self) -> bool:
        """True while a mark is being dragged."""
        return self._dragged is not None

    @property
    def zoom(self) -> float:
        """Magnification relative to the fitted image."""
        return self._zoom

    def sizeHint(self) -> QSize:
        """Return a size at the aspect ratio of the image."""
        return QSize(480, round(480 * self.size_px[1] / self.size_px[0]))

    def show_image(self, image: QImage) -> None:
        """Replace the image; keep zoom and marks."""
        self.image = image
        self.update()

    def show_message(self, message: str) -> None:
        """Show a message in place of the image."""
        self.image, self.message = None, message
        self.update()

    def show_overlay(self, lines: Sequence[Lines], marks: Sequence[Mark], predicted: Sequence[Mark] = ()) -> None:
        """Change the overlay.

        Args:
            lines: Lines.
            marks: Points clicked in this image.
            predicted: Points predicted from clicks in other images.
        """
        self.lines, self.marks, self.predicted = tuple(lines), tuple(marks), tuple(predicted)
        self.update()

    def fit(self) -> None:
        """Fit the whole image into the widget."""
        self._zoom, self._pan_px = 1.0, QPointF(0, 0)
        self.update()

    def cancel_drag(self) -> None:
        """Return a dragged mark to its start."""
        if self._dragged is not None:
            key, (x, y) = self._dragged.key, self._dragged.xy_px
            self._dragged = self._pressed = self._panned = None
            self.moved.emit(self.camera, key, x, y)

    def to_widget(self, x: float, y: float) -> QPointF:
        """Map image coordinates to the widget; (0, 0) is the centre of the top-left pixel."""
        box, scale = self._box()
        return QPointF(box.x() + (x + 0.5) * scale, box.y() + (y + 0.5) * scale)

    def to_image(self, at: QPointF) -> tuple[float, float]:
        """Map a widget position to image coordinates."""
        box, scale = self._box()
        return (at.x() - box.x()) / scale - 0.5, (at.y() - box.y()) / scale - 0.5

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the pointer."""
        steps = event.angleDelta().y() / 120
        x, y = self.to_image(event.position())
        self._zoom = float(np.clip(self._zoom * _ZOOM_STEP**steps, 1.0, _MAX_ZOOM))
        self._pan_px += event.position() - self.to_widget(x, y)
        self._limit_pan()
        event.accept()
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Grab a mark or the image; remove a mark with the right button."""
        mark = self._mark_at(event.position())
        if event.button() == Qt.MouseButton.RightButton and mark is not None:
            self.removed.emit(self.camera, mark.key)
        elif event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._dragged = event.position(), mark
        elif event.button() == Qt.MouseButton.MiddleButton:
            self._panned = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the mark or the image."""
        at = event.position()
        if self._dragged is not None:
            self.moved.emit(self.camera, self._dragged.key, *self._clipped(at))
        elif self._panned is not None:
            self._pan_px += at - self._panned
            self._panned = at
            self._limit_pan()
            self.update()
        elif self._pressed is not None and (at - self._pressed).manhattanLength() > _CLICK_PX:
            self._panned = at
        else:
            shape = Qt.CursorShape.SizeAllCursor if self._mark_at(at) is not None else Qt.CursorShape.CrossCursor
            self.setCursor(shape)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Release; place a point if nothing was dragged."""
        clicked = event.button() == Qt.MouseButton.LeftButton and self._pressed is not None and self._panned is None
        dragged, self._dragged, self._pressed, self._panned = self._dragged, None, None, None
        box, _ = self._box()
        if clicked and dragged is None and self.image is not None and box.contains(event.position()):
            self.placed.emit(self.camera, *self.to_image(event.position()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the image or the message, lines, marks and name."""
        theme = current_theme()
        box, scale = self._box()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scale < 4)
            painter.fillRect(self.rect(), QColor(theme.viewport))
            if self.image is None:
                painter.setPen(QColor(theme.muted))
                flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
                painter.drawText(self.rect().adjusted(12, 30, -12, -12), flags, self.message)
            else:
                painter.drawImage(box, self.image)
            painter.setClipRect(box.intersected(QRectF(self.rect())))
            self._paint_lines(painter, theme)
            painter.setClipRect(self.rect())
            for mark in self.predicted:
                self._paint_predicted(painter, mark, theme)
            for mark in self.marks:
                self._paint_mark(painter, mark, theme)
            self._paint_name(painter)

    def _paint_lines(self, painter: QPainter, theme: Theme) -> None:
        box, scale = self._box()
        for lines in self.lines:
            for path in lines.paths_px:
                for run in split_at_gaps((np.asarray(path) + 0.5) * scale + (box.x(), box.y())):
                    shape = QPolygonF([QPointF(x, y) for x, y in run.tolist()])
                    for colour, width in ((_HALO, lines.width_px + 1.6), (_colour(theme, lines.token), lines.width_px)):
                        painter.setPen(QPen(colour, width))
                        painter.drawPolyline(shape)

    def _paint_mark(self, painter: QPainter, mark: Mark, theme: Theme) -> None:
        """Paint a cross with a gap in its centre, and the label."""
        at = self.to_widget(*mark.xy_px)
        width = 2.4 if mark.strong else 1.6
        for colour, pen in ((_HALO, width + 2.2), (_colour(theme, mark.token), width)):
            painter.setPen(QPen(colour, pen))
            for direction in (QPointF(1, 0), QPointF(-1, 0), QPointF(0, 1), QPointF(0, -1)):
                painter.drawLine(at + direction * _GAP_PX, at + direction * _ARM_PX)
        self._paint_label(painter, at, mark.text, _colour(theme, mark.token))

    def _paint_predicted(self, painter: QPainter, mark: Mark, theme: Theme) -> None:
        """Paint a ring: a predicted point, not a click."""
        if not np.isfinite(mark.xy_px).all():
            return
        at = self.to_widget(*mark.xy_px)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, pen in ((_HALO, 3.4), (_colour(theme, mark.token), 1.4)):
            painter.setPen(QPen(colour, pen))
            painter.drawEllipse(at, 6.0, 6.0)
        self._paint_label(painter, at, mark.text, _colour(theme, mark.token))

    def _paint_label(self, painter: QPainter, at: QPointF, text: str, colour: QColor) -> None:
        font = QFont(self.font())
        font.setPixelSize(12)
        font.setBold(True)
        painter.setFont(font)
        plate = QRectF(at.x() + 9, at.y() - 21, 16, 16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_HALO)
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(colour)
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_name(self, painter: QPainter) -> None:
        painter.setFont(self.font())
        metrics = painter.fontMetrics()
        plate = QRectF(6, 6, metrics.horizontalAdvance(self.camera) + 14, metrics.height() + 4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_HALO)
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(QColor("white"))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, self.camera)

    def _box(self) -> tuple[QRectF, float]:
        """Return the rectangle of the whole image in the widget, and its scale."""
        width, height = self.size_px
        scale = min(self.width() / width, self.height() / height) * self._zoom
        box = QRectF(0, 0, width * scale, height * scale)
        box.moveCenter(QPointF(self.width() / 2, self.height() / 2) + self._pan_px)
        return box, scale

    def _limit_pan(self) -> None:
        """Limit panning: a smaller image stays centred, a larger one covers the widget."""
        box, _ = self._box()
        spare_x, spare_y = max(box.width() - self.width(), 0) / 2, max(box.height() - self.height(), 0) / 2
        self._pan_px = QPointF(
            min(max(self._pan_px.x(), -spare_x), spare_x), min(max(self._pan_px.y(), -spare_y), spare_y)
        )

    def _mark_at(self, at: QPointF) -> Mark | None:
        near = [(_length(self.to_widget(*m.xy_px) - at), m) for m in self.marks]
        length, mark = min(near, key=lambda n: n[0], default=(np.inf, None))
        return mark if length <= _GRAB_PX else None

    def _clipped(self, at: QPointF) -> tuple[float, float]:
        x, y = self.to_image(at)
        return min(max(x, 0.0), self.size_px[0] - 1.0), min(max(y, 0.0), self.size_px[1] - 1.0)


def _length(vector: QPointF) -> float:
    return float(np.hypot(vector.x(), vector.y()))


def _colour(theme: Theme, token: str) -> QColor:
    return QColor(getattr(theme, token))
