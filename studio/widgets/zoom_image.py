"""One camera's image that can be zoomed and in which points are shown with the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.theme import Theme, current_theme
from studio.widgets.image_view import Lines, unbroken

_MOST_ZOOM = 24.0
_STEP = 1.25
_REACH_PX = 11  # the mouse takes hold of a mark this near
_CLICK_PX = 4  # the mouse moves this much in a click
_ARM_PX, _GAP_PX = 9.0, 2.5
_HALO = QColor(8, 10, 14, 190)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point shown in an image.

    Attributes:
        key: Tells it from others.
        xy_px: Where, in the image as recorded.
        text: Stands beside it.
        token: Colour token of `Theme`.
        strong: Whether it stands out.
    """

    key: int
    xy_px: tuple[float, float]
    text: str
    token: str
    strong: bool = False


class ZoomImage(QWidget):
    """Shows an image with lines and marks. The wheel zooms, the mouse drags the image or a mark, a click shows a
    point, the right button removes a mark.

    Args:
        camera: Its name, also the caption.
        size_px: Of its images as recorded.

    Signals:
        placed: Camera, x and y in px of the image: where it was clicked.
        moved: Camera, key, x and y: a mark was dragged there.
        removed: Camera and key: a mark is not wanted any more.
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
        self._zoom, self._shift = 1.0, QPointF(0, 0)
        self._pressed: QPointF | None = None
        self._panned: QPointF | None = None
        self._held: Mark | None = None
        self.setAccessibleName(f"Camera {camera}")
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(120, 80)

    @property
    def dragging(self) -> bool:
        """Whether the mouse holds a mark."""
        return self._held is not None

    @property
    def zoom(self) -> float:
        """How much larger than fitted."""
        return self._zoom

    def sizeHint(self) -> QSize:
        return QSize(480, round(480 * self.size_px[1] / self.size_px[0]))

    def show_image(self, image: QImage) -> None:
        """Shows another image; zoom and marks stay."""
        self.image = image
        self.update()

    def show_message(self, message: str) -> None:
        """Says why there is no image."""
        self.image, self.message = None, message
        self.update()

    def show_overlay(self, lines: Sequence[Lines], marks: Sequence[Mark], predicted: Sequence[Mark] = ()) -> None:
        """Changes what lies over the image: lines, clicks, and where clicks in other images say points are."""
        self.lines, self.marks, self.predicted = tuple(lines), tuple(marks), tuple(predicted)
        self.update()

    def fit(self) -> None:
        """Shows the whole image."""
        self._zoom, self._shift = 1.0, QPointF(0, 0)
        self.update()

    def cancel_drag(self) -> None:
        """Puts a mark that is being dragged back where it was taken."""
        if self._held is not None:
            key, (x, y) = self._held.key, self._held.xy_px
            self._held = self._pressed = self._panned = None
            self.moved.emit(self.camera, key, x, y)

    def to_widget(self, x: float, y: float) -> QPointF:
        """Where a pixel of the image lies; pixel (0, 0) is the middle of the top-left one."""
        box, scale = self._box()
        return QPointF(box.x() + (x + 0.5) * scale, box.y() + (y + 0.5) * scale)

    def to_image(self, at: QPointF) -> tuple[float, float]:
        """The pixel at a place of the widget."""
        box, scale = self._box()
        return (at.x() - box.x()) / scale - 0.5, (at.y() - box.y()) / scale - 0.5

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zooms about the mouse."""
        steps = event.angleDelta().y() / 120
        x, y = self.to_image(event.position())
        self._zoom = float(np.clip(self._zoom * _STEP**steps, 1.0, _MOST_ZOOM))
        self._shift += event.position() - self.to_widget(x, y)
        self._keep_inside()
        event.accept()
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Takes hold of a mark or of the image; the right button removes a mark."""
        mark = self._mark_at(event.position())
        if event.button() == Qt.MouseButton.RightButton and mark is not None:
            self.removed.emit(self.camera, mark.key)
        elif event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._held = event.position(), mark
        elif event.button() == Qt.MouseButton.MiddleButton:
            self._panned = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drags what is held."""
        at = event.position()
        if self._held is not None:
            self.moved.emit(self.camera, self._held.key, *self._clipped(at))
        elif self._panned is not None:
            self._shift += at - self._panned
            self._panned = at
            self._keep_inside()
            self.update()
        elif self._pressed is not None and (at - self._pressed).manhattanLength() > _CLICK_PX:
            self._panned = at
        else:
            shape = Qt.CursorShape.SizeAllCursor if self._mark_at(at) is not None else Qt.CursorShape.CrossCursor
            self.setCursor(shape)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Lets go; where nothing was dragged, a point is shown."""
        clicked = event.button() == Qt.MouseButton.LeftButton and self._pressed is not None and self._panned is None
        held, self._held, self._pressed, self._panned = self._held, None, None, None
        box, _ = self._box()
        if clicked and held is None and self.image is not None and box.contains(event.position()):
            self.placed.emit(self.camera, *self.to_image(event.position()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Image or words, lines, marks, name."""
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
                for run in unbroken((np.asarray(path) + 0.5) * scale + (box.x(), box.y())):
                    shape = QPolygonF([QPointF(x, y) for x, y in run.tolist()])
                    for colour, width in ((_HALO, lines.width_px + 1.6), (_colour(theme, lines.token), lines.width_px)):
                        painter.setPen(QPen(colour, width))
                        painter.drawPolyline(shape)

    def _paint_mark(self, painter: QPainter, mark: Mark, theme: Theme) -> None:
        """A cross that leaves its middle free, with its number."""
        at = self.to_widget(*mark.xy_px)
        width = 2.4 if mark.strong else 1.6
        for colour, pen in ((_HALO, width + 2.2), (_colour(theme, mark.token), width)):
            painter.setPen(QPen(colour, pen))
            for way in (QPointF(1, 0), QPointF(-1, 0), QPointF(0, 1), QPointF(0, -1)):
                painter.drawLine(at + way * _GAP_PX, at + way * _ARM_PX)
        self._paint_words(painter, at, mark.text, _colour(theme, mark.token))

    def _paint_predicted(self, painter: QPainter, mark: Mark, theme: Theme) -> None:
        """A ring: nobody clicked here."""
        if not np.isfinite(mark.xy_px).all():
            return
        at = self.to_widget(*mark.xy_px)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, pen in ((_HALO, 3.4), (_colour(theme, mark.token), 1.4)):
            painter.setPen(QPen(colour, pen))
            painter.drawEllipse(at, 6.0, 6.0)
        self._paint_words(painter, at, mark.text, _colour(theme, mark.token))

    def _paint_words(self, painter: QPainter, at: QPointF, words: str, colour: QColor) -> None:
        font = QFont(self.font())
        font.setPixelSize(12)
        font.setBold(True)
        painter.setFont(font)
        plate = QRectF(at.x() + 9, at.y() - 21, 16, 16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_HALO)
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(colour)
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, words)

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
        """Where the whole image lies in the widget, and the size of its pixels there."""
        width, height = self.size_px
        scale = min(self.width() / width, self.height() / height) * self._zoom
        box = QRectF(0, 0, width * scale, height * scale)
        box.moveCenter(QPointF(self.width() / 2, self.height() / 2) + self._shift)
        return box, scale

    def _keep_inside(self) -> None:
        """The image stays in the middle where it is smaller than the widget, and leaves no edge where larger."""
        box, _ = self._box()
        spare_x, spare_y = max(box.width() - self.width(), 0) / 2, max(box.height() - self.height(), 0) / 2
        self._shift = QPointF(
            min(max(self._shift.x(), -spare_x), spare_x), min(max(self._shift.y(), -spare_y), spare_y)
        )

    def _mark_at(self, at: QPointF) -> Mark | None:
        near = [(_length(self.to_widget(*m.xy_px) - at), m) for m in self.marks]
        length, mark = min(near, key=lambda n: n[0], default=(np.inf, None))
        return mark if length <= _REACH_PX else None

    def _clipped(self, at: QPointF) -> tuple[float, float]:
        x, y = self.to_image(at)
        return min(max(x, 0.0), self.size_px[0] - 1.0), min(max(y, 0.0), self.size_px[1] - 1.0)


def _length(way: QPointF) -> float:
    return float(np.hypot(way.x(), way.y()))


def _colour(theme: Theme, token: str) -> QColor:
    return QColor(getattr(theme, token))
