"""Icon without a button, in a colour of the current theme."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.icons import renderer
from studio.theme import current_theme


class IconLabel(QWidget):
    """One icon of `resources/icons`.

    Args:
        name: File name without suffix.
        token: Colour token of `Theme`.
        size_px: Side length.
    """

    def __init__(self, name: str, token: str = "muted", size_px: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._token, self._size_px = name, token, size_px
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_icon(self, name: str, token: str) -> None:
        """Change icon and colour."""
        self._name, self._token = name, token
        self.update()

    def sizeHint(self) -> QSize:
        """Return the size of the icon."""
        return QSize(self._size_px, self._size_px)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the icon in the current theme."""
        painter = QPainter(self)
        renderer(self._name, getattr(current_theme(), self._token)).render(painter, QRectF(self.rect()))
        painter.end()
