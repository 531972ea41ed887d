"""Camera images of one frame, side by side, with overlays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QHideEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.rendering.draw import Layer
from core.rendering.tiles import Place, tile
from core.session import Take, Timeline
from core.types.arrays import U8
from studio.theme import Theme, current_theme, theme_changed
from studio.widgets.frame_ticker import FrameTicker
from studio.widgets.images.image_decoder import ImageDecoder, ImageRequest
from studio.widgets.images.pane_overlay import EMPTY_OVERLAY, PaneOverlay, paint_overlay

_GAP_PX = 6
# Minimum size of a requested image: it is also shown on the image plane in the 3D view.
_MIN_IMAGE_PX = 320
# Memory for images of all cameras: some minutes of four panes.
_CACHE_BYTES = 384 << 20
_PLATE = QColor(12, 14, 18, 190)

_NAME_PX, _SMALL_NAME_PX, _WIDE_PX = 13, 11, 120
_DROPPED = "Dropped frame"

_LAYER_OPACITY = 0.86
_SHARE_BESIDE_JOBS = 0.1  # fraction of the time in which images are decoded ahead

OverlayAt = Callable[[str, int], PaneOverlay]
LayerAt = Callable[[str, int, tuple[int, int]], Layer | None]
"""Draws a layer for a camera, a frame, and an image width and height; called on threads."""


@dataclass(slots=True)
class _Content:
    """Content of a pane: an image, or a message in its place."""

    frame: int = -1
    image: U8 | None = None
    message: str = "Loading…"
    layer: Layer | None = None


class VideoPane(QWidget):
    """Letterboxed image of a camera with overlay and name.

    Args:
        camera: Name of the camera.
        size_px: Width and height of the recorded images.
        parent: Owner.

    Signals:
        enlarge_requested: Name of the double-clicked camera.
    """

    enlarge_requested = Signal(str)

    def __init__(self, camera: str, size_px: tuple[int, int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.camera, self.size_px = camera, size_px
        self._content = _Content()
        self._overlay = EMPTY_OVERLAY
        self.setAccessibleName(f"Camera {camera}")
        self.setToolTip(f"{camera}. Double-click to enlarge")

    @property
    def frame(self) -> int:
        """Frame of the image or message shown; -1 before the first."""
        return self._content.frame

    @property
    def image(self) -> U8 | None:
        """(H, W, 3) image shown, without overlay, or None while there is a message."""
        return self._content.image

    @property
    def message(self) -> str:
        """Message shown in place of the image; empty while there is an image."""
        return self._content.message

    @property
    def layer(self) -> Layer | None:
        """Layer drawn between the image and the overlay, or None."""
        return self._content.layer

    def show_image(self, frame: int, image: U8, overlay: PaneOverlay, layer: Layer | None = None) -> None:
        """Show the image, the layer and the overlay of a frame."""
        self._content, self._overlay = _Content(frame, image, "", layer), overlay
        self.update()

    def show_message(self, frame: int, message: str, overlay: PaneOverlay) -> None:
        """Show a message in place of the image; the overlay is still drawn."""
        self._content, self._overlay = _Content(frame, None, message), overlay
        self.update()

    def set_overlay(self, overlay: PaneOverlay) -> None:
        """Change the overlay of the same image."""
        self._overlay = overlay
        self.update()

    def image_box(self) -> QRectF:
        """Return the image rectangle in the widget."""
        width, height = self.size_px
        scale = min(self.width() / width, self.height() / height)
        # Whole pixels, so that an image of that size is copied without resampling.
        size = round(width * scale), round(height * scale)
        return QRectF((self.width() - size[0]) // 2, (self.height() - size[1]) // 2, *size)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Request to enlarge the pane, or to restore it."""
        self.enlarge_requested.emit(self.camera)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the image or the message, the overlay and the name."""
        theme, box = current_theme(), self.image_box()
        with QPainter(self) as painter:
            painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
            # A rectangle: clipping to rounded corners makes painting several times slower.
            painter.setClipRect(box)
            painter.fillRect(box, QColor(theme.raised))
            image = self._content.image
            if image is not None:
                height, width = image.shape[:2]
                painter.drawImage(box, QImage(image.data, width, height, 3 * width, QImage.Format.Format_RGB888))
                if self._content.layer is not None:
                    _paint_layer(painter, self._content.layer, box, box.width() / width, box.height() / height)
            paint_overlay(painter, self._overlay, box, box.width() / self.size_px[0], theme)
            if image is None:
                self._paint_message(painter, box, theme)
            self._paint_name(painter, box)

    def _paint_message(self, painter: QPainter, box: QRectF, theme: Theme) -> None:
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        area = box.adjusted(16, 40, -16, -16)
        plate = painter.boundingRect(area, flags, self._content.message).adjusted(-8, -6, 8, 6)
        fill = QColor(theme.panel)
        fill.setAlpha(225)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawRoundedRect(plate, 5, 5)
        painter.setPen(QColor(theme.muted))
        painter.drawText(area, flags, self._content.message)

    def _paint_name(self, painter: QPainter, box: QRectF) -> None:
        font = QFont(painter.font())
        font.setPixelSize(_NAME_PX if box.width() >= _WIDE_PX else _SMALL_NAME_PX)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        name = metrics.elidedText(self.camera, Qt.TextElideMode.ElideMiddle, max(int(box.width()) - 18, 20))
        plate = QRectF(box.x() + 4, box.y() + 4, metrics.horizontalAdvance(name) + 10, metrics.height() + 4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_PLATE)
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(QColor("white"))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, name)


class VideoPanes(QWidget):
    """Grid of panes that follow the timeline. Each camera is decoded on its own thread.

    Args:
        ticker: Ticker shared by the animated parts of the page; a private one by default.
        parent: Owner.

    Signals:
        images_changed: At least one pane shows a new image.
        enlarged_changed: A pane was enlarged or restored.
    """

    images_changed = Signal()
    enlarged_changed = Signal()

    def __init__(self, ticker: FrameTicker | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ticker = ticker or FrameTicker(parent=self)
        self._ticker.subscribe(self._collect)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(180, 120)
        self._panes: dict[str, VideoPane] = {}
        self._decoders: dict[str, ImageDecoder] = {}
        self._timeline: Timeline | None = None
        self._overlay_at: OverlayAt = _no_overlay
        self._layer_at: LayerAt | None = None
        self._frame = 0
        self._enlarged = ""
        self._wanted_px: dict[str, int] = {}
        self._beside_jobs = False
        theme_changed.connect(self._apply_theme)

    def sizeHint(self) -> QSize:
        """Return about half the width of the 3D view."""
        return QSize(420, 600)

    @property
    def panes(self) -> Mapping[str, VideoPane]:
        """Panes by camera name."""
        return self._panes

    @property
    def enlarged(self) -> str:
        """Enlarged camera; empty for none."""
        return self._enlarged

    @property
    def up_to_date(self) -> bool:
        """True if every pane shows the last requested frame."""
        return all(pane.frame == self._frame for pane in self._panes.values())

    def images(self) -> dict[str, U8]:
        """Return the images shown now, by camera name."""
        return {name: pane.image for name, pane in self._panes.items() if pane.image is not None}

    def show_take(self, take: Take | None, timeline: Timeline | None, overlay_at: OverlayAt) -> None:
        """Open the videos of another take.

        Args:
            take: Take, or None.
            timeline: Timeline of the take.
            overlay_at: Returns the overlay of a camera at a frame.
        """
        self.close_videos()
        self._timeline, self._overlay_at, self._frame, self._enlarged = timeline, overlay_at, 0, ""
        self._layer_at = None
        for camera in take.manifest.cameras if take and timeline else ():
            pane = VideoPane(camera.name, camera.size_px, self)
            pane.enlarge_requested.connect(self._enlarge)
            pane.show()
            self._panes[camera.name] = pane
            if take is not None:
                self._decoders[camera.name] = ImageDecoder(
                    take.video_path(camera.name), camera.rotation_deg, _CACHE_BYTES // len(take.cameras)
                )
        self._share_time()
        self._arrange()

    def show_frame(self, frame: int) -> None:
        """Request the images of a frame; they are shown when they are decoded."""
        self._frame = frame
        if self._timeline is None or not self._panes:
            return
        for name, decoder in self._decoders.items():
            index = int(self._timeline.frame_index[frame, self._timeline.cameras.index(name)])
            pane = self._panes[name]
            if index < 0:
                pane.show_message(frame, _DROPPED, self._overlay_at(name, frame))
            else:
                draw = functools.partial(self._layer_at, name) if self._layer_at is not None else None
                decoder.request(ImageRequest(frame=frame, index=index, size_px=self._request_size_px(pane), draw=draw))
        self._ticker.request()

    def show_layer(self, layer_at: LayerAt | None) -> None:
        """Replace the layer over the images, or remove it; it is shown when it is drawn."""
        if layer_at != self._layer_at:  # not `is not`: each access creates a new bound method
            self._layer_at = layer_at
            self.show_frame(self._frame)

    def want_width(self, camera: str, width_px: int) -> None:
        """Request images of at least a width from a camera that is shown elsewhere too; an empty name resets it."""
        wanted = {camera: width_px} if camera in self._panes else {}
        if wanted != self._wanted_px:
            self._wanted_px = wanted
            self.show_frame(self._frame)

    def refresh_overlays(self) -> None:
        """Update the overlays after the result or the options changed."""
        for name, pane in self._panes.items():
            if pane.frame >= 0:
                pane.set_overlay(self._overlay_at(name, pane.frame))

    def leave_time_to_jobs(self, running: bool) -> None:
        """Limit decoding ahead to a small fraction of the time while a job runs."""
        self._beside_jobs = running
        self._share_time()

    def close_videos(self) -> None:
        """Stop the decoder threads and remove the panes."""
        for decoder in self._decoders.values():
            decoder.stop()
        for decoder in self._decoders.values():
            decoder.join()
        self._decoders.clear()
        for pane in self._panes.values():
            pane.hide()
            pane.setParent(None)
            pane.deleteLater()
        self._panes.clear()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Repeat the layout, and request images of the new size."""
        self._arrange()

    def showEvent(self, event: QShowEvent) -> None:
        """Repeat the layout: panes may be small while hidden."""
        self._share_time()
        self._arrange()

    def hideEvent(self, event: QHideEvent) -> None:
        """Stop decoding ahead while the panes are hidden."""
        self._share_time()

    def _request_size_px(self, pane: VideoPane) -> tuple[int, int]:
        box, ratio = pane.image_box(), self.devicePixelRatioF()
        scale = _MIN_IMAGE_PX / max(pane.size_px)
        scale = max(scale, self._wanted_px.get(pane.camera, 0) / pane.size_px[0])
        width = max(box.width() * ratio, pane.size_px[0] * scale)
        height = max(box.height() * ratio, pane.size_px[1] * scale)
        return int(np.ceil(width)), int(np.ceil(height))

    def _share_time(self) -> None:
        share = 0.0 if not self.isVisible() else _SHARE_BESIDE_JOBS if self._beside_jobs else 1.0
        for decoder in self._decoders.values():
            decoder.ahead_share = share

    def _collect(self) -> bool:
        """Show the replies of the decoders; return whether more will follow."""
        changed = waiting = False
        for name, decoder in self._decoders.items():
            waiting |= decoder.waiting
            reply = decoder.take_reply()
            if reply is None or self._dropped(name):
                continue
            overlay = self._overlay_at(name, reply.frame)
            if reply.image is not None:
                self._panes[name].show_image(reply.frame, reply.image, overlay, reply.layer)
            else:
                self._panes[name].show_message(reply.frame, reply.problem, overlay)
            changed = True
        if changed:
            self.images_changed.emit()
        return waiting

    def _dropped(self, name: str) -> bool:
        """Return True if the current frame has no image; a late reply must not replace the message."""
        timeline = self._timeline
        return timeline is not None and timeline.frame_index[self._frame, timeline.cameras.index(name)] < 0

    def _enlarge(self, camera: str) -> None:
        self._enlarged = "" if self._enlarged == camera else camera
        self.enlarged_changed.emit()
        self._arrange()

    def _arrange(self) -> None:
        if not self._panes:
            return
        if self._enlarged:
            boxes = {self._enlarged: self.rect()}
        else:
            shapes = [pane.size_px for pane in self._panes.values()]
            boxes = dict(zip(self._panes, tile_boxes(self.rect(), shapes), strict=True))
        for name, pane in self._panes.items():
            pane.setVisible(name in boxes)
            if name in boxes:
                pane.setGeometry(boxes[name])
        if self._timeline is not None and self.isVisible():
            self.show_frame(self._frame)

    def _apply_theme(self, _theme: Theme) -> None:
        for pane in self._panes.values():
            pane.update()


def _paint_layer(painter: QPainter, layer: Layer, box: QRectF, scale_x: float, scale_y: float) -> None:
    height, width = layer.rgba.shape[:2]
    if not height or not width:
        return
    place = QRectF(box.x() + layer.left * scale_x, box.y() + layer.top * scale_y, width * scale_x, height * scale_y)
    painter.setOpacity(_LAYER_OPACITY)
    painter.drawImage(place, QImage(layer.rgba.data, width, height, 4 * width, QImage.Format.Format_RGBA8888))
    painter.setOpacity(1.0)


def tile_boxes(area: QRect, shapes: list[tuple[int, int]]) -> list[QRect]:
    """Tile an area with boxes of equal size; see `tile`."""
    whole = Place(area.x(), area.y(), area.width(), area.height())
    return [QRect(*box) for box in tile(whole, shapes, _GAP_PX)]


def _no_overlay(camera: str, frame: int) -> PaneOverlay:
    return EMPTY_OVERLAY
