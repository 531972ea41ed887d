"""Timeline bar: ruler, tracks of people, held-out frames, playhead."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.types.arrays import F64
from studio.theme import Theme, current_theme, theme_changed

_GUTTER_PX = 72
_MARGIN_PX = 14
_RULER_PX = 20
_TRACK_PX, _TRACK_GAP_PX = 16, 6
_TICK_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_TICK_WIDTH_PX = 72


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """Track of one person through the take.

    Attributes:
        name: Name shown.
        person: Column in the result; selects the colour.
        present: (T,) bool.
        confidence: (T,) mean score in 0..1; NaN while absent.
    """

    name: str
    person: int
    present: np.ndarray
    confidence: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimelineModel:
    """Content of the timeline.

    Attributes:
        time_s: (T,) times of the frames.
        tracks: Tracks of people from top to bottom.
        held_out: (T,) bool, frames held out of training, or None if unknown.
    """

    time_s: F64
    tracks: tuple[Track, ...] = ()
    held_out: np.ndarray | None = None


EMPTY_TIMELINE = TimelineModel(time_s=np.zeros(0))


def spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of True as half-open ranges (first, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(mask, bool), [False]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def clock_text(seconds: float, digits: int = 2) -> str:
    """Format minutes and seconds, such as 01:05.25."""
    unit = 10**digits
    total = round(max(seconds, 0.0) * unit)
    minutes, rest = divmod(total, 60 * unit)
    return f"{minutes:02d}:{rest / unit:0{3 + digits if digits else 2}.{digits}f}"


class TimelineBar(QWidget):
    """Painted bar with ruler, tracks and playhead. Everything but the playhead is painted once and cached.

    Signals:
        scrubbed: Frame under the pointer while it drags.
    """

    scrubbed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._frame, self._cache = EMPTY_TIMELINE, 0, QPixmap()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Timeline")
        theme_changed.connect(self._repaint_all)

    def sizeHint(self) -> QSize:
        """Return the height of the tracks."""
        rows = max(1, len(self._model.tracks))
        return QSize(600, _RULER_PX + rows * (_TRACK_PX + _TRACK_GAP_PX) + 10)

    def minimumSizeHint(self) -> QSize:
        """Return a narrow size, so that small windows get a short timeline instead of a clipped one."""
        return QSize(240, self.sizeHint().height())

    def show_model(self, model: TimelineModel) -> None:
        """Show another take or result."""
        self._model = model
        self._frame = min(self._frame, max(len(model.time_s) - 1, 0))
        self.updateGeometry()
        self._repaint_all()

    def show_frame(self, frame: int) -> None:
        """Move the playhead."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    @property
    def n_frames(self) -> int:
        """Number of frames shown."""
        return len(self._model.time_s)

    def x_of(self, frame: float) -> float:
        """Return the position in px where a frame begins; frames have equal width, so that each can be clicked."""
        count = max(len(self._model.time_s), 1)
        return _GUTTER_PX + (self.width() - _GUTTER_PX - _MARGIN_PX) * frame / count

    def frame_at(self, x: float) -> int:
        """Return the frame at a position in px."""
        count = len(self._model.time_s)
        width = max(self.width() - _GUTTER_PX - _MARGIN_PX, 1)
        return int(np.clip((x - _GUTTER_PX) / width * count, 0, max(count - 1, 0)))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the cached image, the playhead and the focus ring."""
        ratio = self.devicePixelRatioF()
        if self._cache.isNull() or self._cache.devicePixelRatio() != ratio:
            self._cache = QPixmap(self.size() * ratio)
            self._cache.setDevicePixelRatio(ratio)
            self._cache.fill(Qt.GlobalColor.transparent)
            with QPainter(self._cache) as cached:
                cached.setRenderHint(QPainter.RenderHint.Antialiasing)
                self._paint_background(cached, current_theme())
        with QPainter(self) as painter:
            painter.drawPixmap(0, 0, self._cache)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if len(self._model.time_s):
                self._paint_playhead(painter, current_theme())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Discard the cached image of the old size."""
        self._cache = QPixmap()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Scrub to the pointer."""
        self._scrub(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Scrub to the pointer while the button is held."""
        self._scrub(event)

    def _scrub(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton and len(self._model.time_s):
            self.scrubbed.emit(self.frame_at(event.position().x()))

    def _repaint_all(self, _theme: Theme | None = None) -> None:
        self._cache = QPixmap()
        self.update()

    def _paint_background(self, painter: QPainter, theme: Theme) -> None:
        left, right = self.x_of(0), self.x_of(len(self._model.time_s))
        top, bottom = float(_RULER_PX), float(self.height() - 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.window))
        painter.drawRoundedRect(QRectF(left, top, right - left, bottom - top), 4, 4)
        if not len(self._model.time_s):
            return
        if self._model.held_out is not None:
            self._paint_held_out(painter, theme, self._model.held_out, top, bottom)
        self._paint_ruler(painter, theme, bottom)
        for row, track in enumerate(self._model.tracks):
            y = top + 4 + row * (_TRACK_PX + _TRACK_GAP_PX)
            self._paint_track(painter, theme, track, y)

    def _paint_held_out(self, painter: QPainter, theme: Theme, held_out: np.ndarray, top: float, bottom: float) -> None:
        shade, edge = QColor(theme.warn), QColor(theme.warn)
        shade.setAlpha(34)
        edge.setAlpha(130)
        painter.setFont(_small_font(painter.font()))
        for first, stop in spans(held_out):
            box = QRectF(self.x_of(first), top, self.x_of(stop) - self.x_of(first), bottom - top)
            painter.fillRect(box, shade)
            painter.fillRect(QRectF(box.left(), top, box.width(), 2), edge)

    def _paint_ruler(self, painter: QPainter, theme: Theme, bottom: float) -> None:
        times = self._model.time_s
        length = float(times[-1] - times[0]) or 1.0
        max_ticks = (self.x_of(len(times)) - self.x_of(0)) / _TICK_WIDTH_PX
        step = next((s for s in _TICK_STEPS_S if length / s <= max_ticks), _TICK_STEPS_S[-1])
        digits = 2 if step < 0.1 else 1 if step < 1 else 0
        painter.setFont(_small_font(painter.font()))
        grid = QColor(theme.grid)
        for tick in np.arange(0.0, length + step / 100, step):
            x = self.x_of(float(np.interp(tick, times - times[0], np.arange(len(times)))))
            painter.setPen(QPen(grid, 1))
            painter.drawLine(QPointF(round(x) + 0.5, _RULER_PX), QPointF(round(x) + 0.5, bottom))
            painter.setPen(QColor(theme.faint))
            box = QRectF(x - _TICK_WIDTH_PX / 2, 0, _TICK_WIDTH_PX, _RULER_PX - 2)
            text = f"{tick:.{digits}f} s" if length < 60 else clock_text(float(tick), digits)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_track(self, painter: QPainter, theme: Theme, track: Track, y: float) -> None:
        """Paint a pale bar where the person is present, and a solid one as high as the confidence."""
        colour = QColor(theme.person(track.person))
        painter.setFont(_small_font(painter.font()))
        painter.setPen(QColor(theme.muted))
        name_box = QRectF(_MARGIN_PX, y, _GUTTER_PX - _MARGIN_PX - 8, _TRACK_PX)
        painter.drawText(name_box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, track.name)
        painter.setPen(Qt.PenStyle.NoPen)
        pale = QColor(colour)
        pale.setAlpha(56)
        shown, step = self._in_columns(track)
        bottom = y + _TRACK_PX
        ridge_y = bottom - np.clip(np.nan_to_num(shown.confidence), 0.08, 1.0) * (_TRACK_PX - 2)
        ridge_x = np.linspace(self.x_of(0.5 * step), self.x_of((len(ridge_y) - 0.5) * step), len(ridge_y))
        for first, stop in spans(shown.present):
            left, right = self.x_of(first * step), self.x_of(min(stop * step, len(track.present)))
            painter.setBrush(pale)
            painter.drawRoundedRect(QRectF(left, y, max(right - left, 1.0), _TRACK_PX), 3, 3)
            painter.setBrush(colour)
            heights = ridge_y[first:stop].tolist()
            ridge = list(map(QPointF, ridge_x[first:stop].tolist(), heights))
            ends = QPointF(left, heights[0]), QPointF(right, heights[-1])
            painter.drawPolygon([QPointF(left, bottom), ends[0], *ridge, ends[1], QPointF(right, bottom)])

    def _in_columns(self, track: Track) -> tuple[Track, int]:
        """Return a track with at most one value per pixel, and the number of frames per value.

        A value is present if any of its frames is. Its confidence is the mean, with 0 for absent frames, so that gaps
        are visible.
        """
        step = max(len(track.present) // max(self.width(), 1), 1)
        if step == 1:
            return track, 1
        starts = np.arange(0, len(track.present), step)
        count = np.diff(np.append(starts, len(track.present)))
        confidence = np.add.reduceat(np.nan_to_num(track.confidence), starts) / count
        return replace(track, present=np.logical_or.reduceat(track.present, starts), confidence=confidence), step

    def _paint_playhead(self, painter: QPainter, theme: Theme) -> None:
        x = self.x_of(self._frame + 0.5)
        colour = QColor(theme.accent if self.hasFocus() else theme.text)
        painter.setPen(QPen(colour, 1.6))
        painter.drawLine(QPointF(x, _RULER_PX - 2), QPointF(x, self.height() - 4))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon([QPointF(x - 5.5, _RULER_PX - 8), QPointF(x + 5.5, _RULER_PX - 8), QPointF(x, _RULER_PX)])


def _small_font(font: QFont) -> QFont:
    small = QFont(font)
    small.setPixelSize(11)
    return small
