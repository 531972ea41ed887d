"""Icons with the colours of the current theme.

SVG files in `resources/icons` use `currentColor`, which the icon engine replaces by the colour of a theme token while
painting, so that icons follow a change of theme.
"""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from studio.theme import current_theme, tinted_svg


class _ThemedEngine(QIconEngine):
    """Icon engine of one SVG; `token` and `on_token` are theme colours of the normal and the checked state."""

    def __init__(self, name: str, token: str, on_token: str) -> None:
        super().__init__()
        self._name, self._token, self._on_token = name, token, on_token

    def clone(self) -> QIconEngine:
        return _ThemedEngine(self._name, self._token, self._on_token)

    def paint(self, painter: QPainter, rect: object, mode: QIcon.Mode, state: QIcon.State) -> None:
        token = self._on_token if state == QIcon.State.On else self._token
        if mode == QIcon.Mode.Disabled:
            token = "faint"
        box = QRectF(rect)  # type: ignore[call-overload]
        # The extra width is a gap before the text, which style sheets cannot set.
        box.setWidth(box.height())
        renderer(self._name, getattr(current_theme(), token)).render(painter, box)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, pixmap.rect(), mode, state)
        painter.end()
        return pixmap


SIZE_BESIDE_TEXT = QSize(22, 16)
"""Icon size of buttons that also show text."""


def icon(name: str, token: str = "muted", on_token: str = "accent") -> QIcon:
    """Return an icon in a colour of the theme.

    Args:
        name: File name in `resources/icons`, without suffix.
        token: Colour token of `Theme`.
        on_token: Colour token of the checked state of a button.
    """
    return QIcon(_ThemedEngine(name, token, on_token))


def pixmap(name: str, token: str, size_px: int, scale: float = 1.0) -> QPixmap:
    """Render an icon as a pixmap of `size_px` logical pixels, for labels."""
    image = QPixmap(round(size_px * scale), round(size_px * scale))
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    renderer(name, getattr(current_theme(), token)).render(painter)
    painter.end()
    image.setDevicePixelRatio(scale)
    return image


@lru_cache(maxsize=256)
def renderer(name: str, colour: str) -> QSvgRenderer:
    """Return a cached SVG renderer, because parsing an SVG at every repaint would be slow."""
    return QSvgRenderer(QByteArray(tinted_svg(name, colour).encode()))
