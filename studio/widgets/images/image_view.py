"""Image with lines drawn over it, scaled to the widget."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QBuffer, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.errors import CoreError
from core.files import write_bytes
from core.session import Take
from core.session.video import VideoReader
from core.types.arrays import F64, U8
from studio.theme import current_theme

_MAX_HEIGHT_PX = 460
_THUMBNAIL_PX, _THUMBNAIL_QUALITY = 960, 88


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Polylines in one colour.

    Attributes:
        paths_px: Polylines (n, 2) in image px; a NaN row breaks the line.
        token: Colour token of `Theme`.
        width_px: Line width on the screen.
    """

    paths_px: tuple[F64, ...]
    token: str
    width_px: float = 1.4


def to_image(image: U8) -> QImage:
    """Copy an RGB array (H, W, 3) to a Qt image."""
    height, width, _ = image.shape
    data = np.ascontiguousarray(image)
    return QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def first_image(take: Take, camera: str) -> QImage:
    """Read the first undamaged image of a camera's video, upright; it is the fastest to decode.

    Raises:
        CoreError: The video cannot be read.
    """
    part = take.camera(camera)
    with VideoReader(take.video_path(camera), rotation_deg=part.rotation_deg) as reader:
        return to_image(reader.read(reader.first))


def first_thumbnail(take: Take, camera: str) -> QImage:
    """Return a thumbnail of a camera's first image. It is cached in the take, as decoding a video is slow.

    Raises:
        CoreError: The video cannot be read.
    """
    stored = take.layout.first_image(camera)
    with contextlib.suppress(OSError):
        if stored.stat().st_mtime_ns >= take.video_path(camera).stat().st_mtime_ns:
            image = QImage(str(stored))
            if not image.isNull():
                return image
    image = first_image(take, camera)
    if max(image.width(), image.height()) > _THUMBNAIL_PX:
        size = image.size().scaled(_THUMBNAIL_PX, _THUMBNAIL_PX, Qt.AspectRatioMode.KeepAspectRatio)
        image = image.scaled(size, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    data = QBuffer()
    image.save(data, "JPG", _THUMBNAIL_QUALITY)  # type: ignore[call-overload]
    with contextlib.suppress(OSError, CoreError):  # a read-only session or a full disk
        write_bytes(stored, bytes(data.data().data()))
    return image


class ImageView(QWidget):
    """Letterboxed image with lines and a caption.

    Args:
        caption: Text in the corner.
        parent: Owner.

    Signals:
        clicked: The image was clicked.
        in_sight: The view was painted for the first time.
    """

    clicked = Signal()
    in_sight = Signal()

    def __init__(self, caption: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.caption = caption
        self.message = "Loading…"
        self._image: QImage | None = None
        self._lines: Sequence[Lines] = ()
        self._aspect = 16 / 9
        self._seen = False
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    @property
    def loaded(self) -> bool:
        """True if there is an image."""
        return self._image is not None

    @property
    def image(self) -> QImage | None:
        """Image without its lines."""
        return self._image

    @property
    def lines(self) -> Sequence[Lines]:
        """Lines over the image."""
        return self._lines

    def set_aspect(self, width_px: int, height_px: int) -> None:
        """Reserve space of this aspect ratio, also before the image is loaded."""
        self._aspect = width_px / height_px
        self.updateGeometry()

    def set_image(self, image: QImage, lines: Sequence[Lines] = ()) -> None:
        """Show an image and the lines over it."""
        self._image, self._lines = image, lines
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.update()

    def show_message(self, message: str) -> None:
        """Show a message in place of the image."""
        self._image, self.message = None, message
        self.update()

    def hasHeightForWidth(self) -> bool:
        """Return True: the height follows the width."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height at the aspect ratio of the image, up to a maximum."""
        return min(round(width / self._aspect), _MAX_HEIGHT_PX)

    def sizeHint(self) -> QSize:
        """Return a small size at the aspect ratio of the image."""
        return QSize(320, round(320 / self._aspect))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Emit `clicked` if there is an image."""
        if (
            event.button() == Qt.MouseButton.LeftButton
            and self.loaded
            and self.rect().contains(event.position().toPoint())
        ):
            self.clicked.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the image or the message, the lines and the caption."""
        if not self._seen:
            self._seen = True
            self.in_sight.emit()
        theme = current_theme()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        corners = QPainterPath()
        corners.addRoundedRect(QRectF(self.rect()), 6, 6)
        painter.setClipPath(corners)
        painter.fillRect(self.rect(), QColor(theme.viewport))
        if self._image is None:
            painter.setPen(QColor(theme.muted))
            area = self.rect().adjusted(16, 16, -16, -16)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.message)
        else:
            self._paint_image(painter, self._image)
        if self.caption:
            self._paint_caption(painter)
        painter.end()

    def _paint_image(self, painter: QPainter, image: QImage) -> None:
        scale = min(self.width() / image.width(), self.height() / image.height())
        size = QRectF(0, 0, image.width() * scale, image.height() * scale)
        size.moveCenter(QPointF(self.width() / 2, self.height() / 2))
        painter.drawImage(size, image)
        painter.save()
        painter.setClipRect(size, Qt.ClipOperation.IntersectClip)
        for lines in self._lines:
            painter.setPen(QPen(QColor(getattr(current_theme(), lines.token)), lines.width_px))
            for path in lines.paths_px:
                # Image coordinates (0, 0) are the centre of the top-left pixel; the painter starts at its corner.
                on_screen = (np.asarray(path) + 0.5) * scale + (size.x(), size.y())
                for run in split_at_gaps(on_screen):
                    painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in run.tolist()]))
        painter.restore()

    def _paint_caption(self, painter: QPainter) -> None:
        metrics = painter.fontMetrics()
        box = QRectF(8, 8, metrics.horizontalAdvance(self.caption) + 16, metrics.height() + 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(12, 14, 18, 190))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QColor("white"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self.caption)


def split_at_gaps(path_px: F64) -> list[F64]:
    """Split a polyline at its NaN rows; return the parts of at least two points."""
    gaps = ~np.isfinite(path_px).all(axis=1)
    parts = np.split(path_px, np.flatnonzero(gaps))
    finite = [part[np.isfinite(part).all(axis=1)] for part in parts]
    return [part for part in finite if len(part) > 1]
