"""A picture in which points are marked: it zooms under the wheel, and marks can be moved and taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.theme import current_theme
from studio.widgets.picture import Lines, unbroken

_NEAR_PX = 12.0
_DRAG_PX = 4.0
_MOST_ZOOM = 24.0
_RADIUS_PX = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point in a picture.

    Attributes:
        key: What stands for it.
        xy_px: Where.
        words: Beside it.
        strong: Whether it is the one that is worked on.
        movable: Whether it was marked here; else it only shows where the point should be.
    """

    key: int
    xy_px: tuple[float, float]
    words: str
    strong: bool = False
    movable: bool = True


class MarkPicture(QWidget):
    """Shows one camera's picture and its marks.

    The wheel zooms, a drag moves a mark or the enlarged picture, a click marks, a right click takes a mark back, a
    double click shows all of the picture again.

    Signals:
        marked: x and y of a click on the picture, px.
        moved: Key of a mark, and where it was dragged to, px.
        removed: Key of a mark.
    """

    marked = Signal(float, float)
    moved = Signal(int, float, float)
    removed = Signal(int)

    def __init__(self, caption: str, size_px: tuple[int, int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.caption, self.size_px = caption, size_px
        self.message = "Loading…"
        self._image: QImage | None = None
        self._marks: Sequence[Mark] = ()
        self._lines: Sequence[Lines] = ()
        self._zoom = 1.0
        self._middle = QPointF(size_px[0] / 2, size_px[1] / 2)
        self._pressed: QPointF | None = None
        self._held: Mark | None = None
        self._dragging = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(200, 120)
        self.setMouseTracking(True)
        self.setAccessibleName(f"Camera {caption}")
        self.setCursor(Qt.CursorShape.CrossCursor)

    @property
    def zoom(self) -> float:
        """1 shows all of the picture."""
        return self._zoom

    @property
    def marks(self) -> Sequence[Mark]:
        return self._marks

    @property
    def lines(self) -> Sequence[Lines]:
        return self._lines

    @property
    def loaded(self) -> bool:
        return self._image is not None

    def sizeHint(self) -> QSize:
        return QSize(480, round(480 * self.size_px[1] / self.size_px[0]))

    def set_picture(self, image: QImage) -> None:
        """Shows another picture; zoom and marks stay."""
        self._image = image
        self.update()

    def say(self, message: str) -> None:
        """Shows a sentence in place of the picture."""
        self._image, self.message = None, message
        self.update()

    def set_marks(self, marks: Sequence[Mark], lines: Sequence[Lines] = ()) -> None:
        """Shows these marks, and lines that help to find others."""
        self._marks, self._lines = marks, lines
        self.update()

    def on_screen(self, xy_px: tuple[float, float]) -> QPointF:
        """Where a place of the picture is in the widget."""
        # Pixel (0, 0) is the centre of the top-left pixel, whose corner is the origin of the drawing.
        x, y = (v + 0.5 for v in xy_px)
        scale = self._scale
        return QPointF(
            (x - self._middle.x()) * scale + self.width() / 2, (y - self._middle.y()) * scale + self.height() / 2
        )

    def in_picture(self, place: QPointF) -> tuple[float, float]:
        """The reverse of `on_screen`."""
        scale = self._scale
        return (
            (place.x() - self.width() / 2) / scale + self._middle.x() - 0.5,
            (place.y() - self.height() / 2) / scale + self._middle.y() - 0.5,
        )

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zooms about the pointer."""
        steps = event.angleDelta().y() / 120
        if self._image is None or not steps:
            event.ignore()
            return
        at = self.in_picture(event.position())
        self._zoom = float(np.clip(self._zoom * 1.25**steps, 1.0, _MOST_ZOOM))
        now = self.in_picture(event.position())
        self._middle += QPointF(at[0] - now[0], at[1] - now[1])
        self._keep_inside()
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._image is None:
            return
        near = self._mark_at(event.position())
        if event.button() == Qt.MouseButton.RightButton and near is not None:
            self.removed.emit(near.key)
        elif event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._held, self._dragging = event.position(), near, False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            over = self._mark_at(event.position()) is not None
            self.setCursor(Qt.CursorShape.OpenHandCursor if over else Qt.CursorShape.CrossCursor)
            return
        way = event.position() - self._pressed
        self._dragging = self._dragging or way.manhattanLength() > _DRAG_PX
        if not self._dragging:
            return
        if self._held is not None:
            self.moved.emit(self._held.key, *self._inside(event.position()))
        else:
            self._middle -= way / self._scale
            self._pressed = event.position()
            self._keep_inside()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self._pressed is None:
            return
        clicked = not self._dragging
        self._pressed, self._held, self._dragging = None, None, False
        x, y = self.in_picture(event.position())
        width, height = self.size_px
        if clicked and -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5:
            self.marked.emit(x, y)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._zoom = 1.0
        self._keep_inside()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._keep_inside()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = current_theme()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), QColor(theme.viewport))
        if self._image is None:
            painter.setPen(QColor(theme.muted))
            area = self.rect().adjusted(16, 16, -16, -16)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.message)
        else:
            corner = self.on_screen((-0.5, -0.5))
            size = QRectF(corner.x(), corner.y(), self.size_px[0] * self._scale, self.size_px[1] * self._scale)
            painter.drawImage(size, self._image)
            painter.setClipRect(size)
            self._paint_lines(painter)
            painter.setClipping(False)
            for mark in self._marks:
                self._paint_mark(painter, mark)
        self._paint_words(painter, self.caption, QPointF(8, 8))
        painter.end()

    @property
    def _scale(self) -> float:
        """Widget px for a picture px."""
        return self._zoom * min(self.width() / self.size_px[0], self.height() / self.size_px[1])

    def _keep_inside(self) -> None:
        """No more is shown beside the picture than there has to be."""
        middle = []
        for side, room, at in zip(
            self.size_px, (self.width(), self.height()), (self._middle.x(), self._middle.y()), strict=True
        ):
            half = room / 2 / self._scale
            middle.append(side / 2 if 2 * half >= side else float(np.clip(at, half, side - half)))
        self._middle = QPointF(*middle)
        self.update()

    def _inside(self, place: QPointF) -> tuple[float, float]:
        x, y = self.in_picture(place)
        width, height = self.size_px
        return float(np.clip(x, -0.5, width - 0.5)), float(np.clip(y, -0.5, height - 0.5))

    def _mark_at(self, place: QPointF) -> Mark | None:
        movable = [m for m in self._marks if m.movable]
        apart = [(self.on_screen(m.xy_px) - place).manhattanLength() for m in movable]
        return movable[int(np.argmin(apart))] if apart and min(apart) <= _NEAR_PX else None

    def _paint_lines(self, painter: QPainter) -> None:
        for lines in self._lines:
            painter.setPen(QPen(QColor(getattr(current_theme(), lines.token)), lines.width_px))
            for path in lines.paths_px:
                for run in unbroken(np.asarray(path)):
                    painter.drawPolyline(QPolygonF([self.on_screen((x, y)) for x, y in run.tolist()]))

    def _paint_mark(self, painter: QPainter, mark: Mark) -> None:
        theme, at = current_theme(), self.on_screen(mark.xy_px)
        colour = QColor(theme.on_picture_strong if mark.strong else theme.on_picture)
        for pen in (QPen(QColor(0, 0, 0, 160), 4.0), QPen(colour, 2.0)):
            if not mark.movable:
                pen.setStyle(Qt.PenStyle.DotLine)
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(at, _RADIUS_PX, _RADIUS_PX)
            if mark.movable:
                for x, y in ((1, 0), (0, 1)):
                    arm = QPointF(x * _RADIUS_PX * 1.8, y * _RADIUS_PX * 1.8)
                    painter.drawLine(at - arm, at - arm / 3)
                    painter.drawLine(at + arm / 3, at + arm)
        if mark.words:
            self._paint_words(painter, mark.words, at + QPointF(_RADIUS_PX + 6, -_RADIUS_PX - 16))

    def _paint_words(self, painter: QPainter, words: str, place: QPointF) -> None:
        metrics = painter.fontMetrics()
        size = QSize(metrics.horizontalAdvance(words) + 14, metrics.height() + 6)
        x = min(place.x(), self.width() - size.width() - 4)
        box = QRectF(max(x, 4), max(place.y(), 4), size.width(), size.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(12, 14, 18, 190))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QColor("white"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
