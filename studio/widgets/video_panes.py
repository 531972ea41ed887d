"""The cameras' images of one frame, side by side, with what was found drawn over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QImage, QMouseEvent, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.session import Take, Timeline
from core.types.arrays import U8
from studio.theme import Theme, current_theme, theme_changed
from studio.widgets.frame_ticker import FrameTicker
from studio.widgets.image_source import ImageRequest, ImageSource
from studio.widgets.pane_overlay import NOTHING, PaneOverlay, paint_overlay

_GAP_PX = 6
# The smallest image asked for: it is also shown on the camera's image plane in the 3D view.
_LEAST_PX = 320
# Memory for images of all cameras: ten seconds or so of four panes.
_KEEP_BYTES = 384 << 20
_PLATE = QColor(12, 14, 18, 190)

_NAME_PX, _SMALL_NAME_PX, _ROOMY_PX = 13, 11, 120
_DROPPED = "Dropped frame"

OverlayAt = Callable[[str, int], PaneOverlay]


@dataclass(slots=True)
class _Shown:
    """What a pane shows: an image, or words in its place."""

    frame: int = -1
    image: U8 | None = None
    words: str = "Loading…"


class VideoPane(QWidget):
    """One camera's image, letterboxed, with overlay and name.

    Signals:
        enlarged: Name of the camera that was double-clicked.
    """

    enlarged = Signal(str)

    def __init__(self, camera: str, size_px: tuple[int, int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.camera, self.size_px = camera, size_px
        self._shown = _Shown()
        self._overlay = NOTHING
        self.setAccessibleName(f"Camera {camera}")
        self.setToolTip("Double-click to enlarge")

    @property
    def frame(self) -> int:
        """Frame of the image or the words shown; -1 before the first."""
        return self._shown.frame

    @property
    def image(self) -> U8 | None:
        """(H, W, 3) image shown, without its overlay, or None while words stand there."""
        return self._shown.image

    @property
    def words(self) -> str:
        """What is said in place of the image; empty while there is one."""
        return self._shown.words

    def show_image(self, frame: int, image: U8, overlay: PaneOverlay) -> None:
        """Shows the image of a frame and what belongs to that frame."""
        self._shown, self._overlay = _Shown(frame, image, ""), overlay
        self.update()

    def show_message(self, frame: int, words: str, overlay: PaneOverlay) -> None:
        """Says why there is no image; the overlay is drawn all the same."""
        self._shown, self._overlay = _Shown(frame, None, words), overlay
        self.update()

    def set_overlay(self, overlay: PaneOverlay) -> None:
        """Changes what is drawn over the same image."""
        self._overlay = overlay
        self.update()

    def image_box(self) -> QRectF:
        """Where the image lies in the widget."""
        width, height = self.size_px
        scale = min(self.width() / width, self.height() / height)
        # On whole pixels, so that an image of that size is copied and not resampled.
        shown = round(width * scale), round(height * scale)
        return QRectF((self.width() - shown[0]) // 2, (self.height() - shown[1]) // 2, *shown)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Enlarges, or goes back."""
        self.enlarged.emit(self.camera)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Image or words, overlay, name."""
        theme, box = current_theme(), self.image_box()
        with QPainter(self) as painter:
            painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
            # A rectangle: clipping to rounded corners makes everything in it several times slower to paint.
            painter.setClipRect(box)
            painter.fillRect(box, QColor(theme.raised))
            image = self._shown.image
            if image is not None:
                height, width = image.shape[:2]
                painter.drawImage(box, QImage(image.data, width, height, 3 * width, QImage.Format.Format_RGB888))
            paint_overlay(painter, self._overlay, box, box.width() / self.size_px[0], theme)
            if image is None:
                self._paint_words(painter, box, theme)
            self._paint_name(painter, box)

    def _paint_words(self, painter: QPainter, box: QRectF, theme: Theme) -> None:
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        room = box.adjusted(16, 40, -16, -16)
        plate, paper = painter.boundingRect(room, flags, self._shown.words).adjusted(-8, -6, 8, 6), QColor(theme.panel)
        paper.setAlpha(225)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(paper)
        painter.drawRoundedRect(plate, 5, 5)
        painter.setPen(QColor(theme.muted))
        painter.drawText(room, flags, self._shown.words)

    def _paint_name(self, painter: QPainter, box: QRectF) -> None:
        font = QFont(painter.font())
        font.setPixelSize(_NAME_PX if box.width() >= _ROOMY_PX else _SMALL_NAME_PX)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        name = metrics.elidedText(self.camera, Qt.TextElideMode.ElideRight, max(int(box.width()) - 18, 20))
        plate = QRectF(box.x() + 4, box.y() + 4, metrics.horizontalAdvance(name) + 10, metrics.height() + 4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_PLATE)
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(QColor("white"))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, name)


class VideoPanes(QWidget):
    """A grid of panes in step with the timeline. Decoding happens on a thread a camera.

    Signals:
        images_changed: At least one pane shows another image.

    Args:
        pulse: Beat shared with the page's other moving parts; its own when left out.
        parent: Owner.
    """

    images_changed = Signal()

    def __init__(self, pulse: FrameTicker | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pulse = pulse or FrameTicker(parent=self)
        self._pulse.join(self._collect)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(180, 120)
        self._panes: dict[str, VideoPane] = {}
        self._sources: dict[str, ImageSource] = {}
        self._timeline: Timeline | None = None
        self._overlay_at: OverlayAt = _no_overlay
        self._frame = 0
        self._large = ""
        theme_changed.connect(self._wear)

    def sizeHint(self) -> QSize:
        """Half as wide as the 3D view wants to be."""
        return QSize(420, 600)

    @property
    def panes(self) -> Mapping[str, VideoPane]:
        """By camera name."""
        return self._panes

    @property
    def settled(self) -> bool:
        """Whether every pane shows the frame asked for last."""
        return all(pane.frame == self._frame for pane in self._panes.values())

    def images(self) -> dict[str, U8]:
        """By camera name, the images shown now."""
        return {name: pane.image for name, pane in self._panes.items() if pane.image is not None}

    def show_take(self, take: Take | None, timeline: Timeline | None, overlay_at: OverlayAt) -> None:
        """Opens another take's videos; `overlay_at(camera, frame)` says what to draw over each image."""
        self.close_videos()
        self._timeline, self._overlay_at, self._frame, self._large = timeline, overlay_at, 0, ""
        for camera in take.manifest.cameras if take and timeline else ():
            pane = VideoPane(camera.name, camera.size_px, self)
            pane.enlarged.connect(self._enlarge)
            pane.show()
            self._panes[camera.name] = pane
            if take is not None:
                self._sources[camera.name] = ImageSource(
                    take.video_path(camera.name), camera.rotation_deg, _KEEP_BYTES // len(take.cameras)
                )
        self._arrange()

    def show_frame(self, frame: int) -> None:
        """Asks for the images of a frame; they appear when they are decoded, the newest request first."""
        self._frame = frame
        if self._timeline is None or not self._panes:
            return
        for name, source in self._sources.items():
            index = int(self._timeline.frame_index[frame, self._timeline.cameras.index(name)])
            pane = self._panes[name]
            if index < 0:
                pane.show_message(frame, _DROPPED, self._overlay_at(name, frame))
            else:
                source.request(ImageRequest(frame=frame, index=index, size_px=self._wanted_px(pane)))
        self._pulse.wake()

    def refresh_overlays(self) -> None:
        """Draws the overlays anew: the result or the options changed."""
        for name, pane in self._panes.items():
            if pane.frame >= 0:
                pane.set_overlay(self._overlay_at(name, pane.frame))

    def close_videos(self) -> None:
        """Ends the threads and removes the panes."""
        for source in self._sources.values():
            source.stop()
        for source in self._sources.values():
            source.join()
        self._sources.clear()
        for pane in self._panes.values():
            pane.hide()
            pane.setParent(None)
            pane.deleteLater()
        self._panes.clear()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another arrangement may fit better, and images may be needed larger."""
        self._arrange()

    def showEvent(self, event: QShowEvent) -> None:
        """Panes were small while hidden."""
        self._arrange()

    def _wanted_px(self, pane: VideoPane) -> tuple[int, int]:
        box, ratio = pane.image_box(), self.devicePixelRatioF()
        least = _LEAST_PX / max(pane.size_px)
        width = max(box.width() * ratio, pane.size_px[0] * least)
        height = max(box.height() * ratio, pane.size_px[1] * least)
        return int(np.ceil(width)), int(np.ceil(height))

    def _collect(self) -> bool:
        """Takes what the threads have ready; says whether more is to come."""
        changed = waiting = False
        for name, source in self._sources.items():
            waiting |= source.waiting
            reply = source.take_reply()
            if reply is None or self._dropped(name):
                continue
            overlay = self._overlay_at(name, reply.frame)
            if reply.image is not None:
                self._panes[name].show_image(reply.frame, reply.image, overlay)
            else:
                self._panes[name].show_message(reply.frame, reply.problem, overlay)
            changed = True
        if changed:
            self.images_changed.emit()
        return waiting

    def _dropped(self, name: str) -> bool:
        """Whether the pane says that the frame has no image; a late image of another one must not replace it."""
        timeline = self._timeline
        return timeline is not None and timeline.frame_index[self._frame, timeline.cameras.index(name)] < 0

    def _enlarge(self, camera: str) -> None:
        self._large = "" if self._large == camera else camera
        self._arrange()

    def _arrange(self) -> None:
        if not self._panes:
            return
        if self._large:
            boxes = {self._large: self.rect()}
        else:
            shapes = [pane.size_px for pane in self._panes.values()]
            boxes = dict(zip(self._panes, tile(self.rect(), shapes), strict=True))
        for name, pane in self._panes.items():
            pane.setVisible(name in boxes)
            if name in boxes:
                pane.setGeometry(boxes[name])
        if self._timeline is not None and self.isVisible():
            self.show_frame(self._frame)

    def _wear(self, _theme: Theme) -> None:
        for pane in self._panes.values():
            pane.update()


def tile(area: QRect, shapes: list[tuple[int, int]]) -> list[QRect]:
    """Boxes of equal size, in the number of columns that shows the images largest, together in the middle.

    Args:
        area: RigScene for all.
        shapes: Width and height of each image; the widest one's shape is the boxes'.
    """
    count = len(shapes)
    aspect = max(width / height for width, height in shapes)

    def box_width(columns: int) -> float:
        rows = -(-count // columns)
        width = (area.width() - _GAP_PX * (columns - 1)) / columns
        height = (area.height() - _GAP_PX * (rows - 1)) / rows
        return max(1.0, min(width, height * aspect))

    columns = max(range(1, count + 1), key=box_width)
    rows = -(-count // columns)
    width, height = int(box_width(columns)), int(box_width(columns) / aspect)
    left = area.x() + (area.width() - columns * width - (columns - 1) * _GAP_PX) // 2
    top = area.y() + (area.height() - rows * height - (rows - 1) * _GAP_PX) // 2
    return [
        QRect(left + (i % columns) * (width + _GAP_PX), top + (i // columns) * (height + _GAP_PX), width, height)
        for i in range(count)
    ]


def _no_overlay(camera: str, frame: int) -> PaneOverlay:
    return NOTHING
