"""Grid of tiles that fills its area: all of equal size, or one enlarged above a row of the others."""

from __future__ import annotations

import math

from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from studio.theme import GRID_PX

_GAP_PX = GRID_PX
_STRIP_PX, _STRIP_SHARE = 112, 0.22


class FitGrid(QWidget):
    """Tiles as large as the area allows at an aspect ratio, without scrolling.

    Args:
        aspect: Preferred width-to-height ratio of tiles.
        parent: Owner.

    Attributes:
        large: Enlarged tile, or None if all have equal size.
    """

    def __init__(self, aspect: float = 16 / 9, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._aspect = aspect
        self._tiles: list[QWidget] = []
        self.large: QWidget | None = None

    def set_tiles(self, tiles: list[QWidget]) -> None:
        """Replace the tiles."""
        for old in self._tiles:
            if old not in tiles:
                old.hide()
                old.deleteLater()
        self._tiles, self.large = list(tiles), None
        for tile in tiles:
            tile.setParent(self)
            tile.show()
        self._arrange()

    def set_aspect(self, aspect: float) -> None:
        """Change the aspect ratio of the tiles."""
        if abs(aspect - self._aspect) > 0.01:
            self._aspect = aspect
            self._arrange()

    def enlarge(self, tile: QWidget | None) -> None:
        """Enlarge a tile; None shows all at equal size."""
        self.large = tile
        self._arrange()

    def minimumSizeHint(self) -> QSize:
        """Return a small size, as tiles may shrink."""
        return QSize(160, 90)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Adapt the layout to the new size."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        if self.large is None:
            self._place(self._tiles, self.rect())
            return
        others = [tile for tile in self._tiles if tile is not self.large]
        strip_px = min(_STRIP_PX, round(_STRIP_SHARE * self.height())) if others else 0
        area = self.rect()
        if strip_px:
            strip = QRect(0, self.height() - strip_px, self.width(), strip_px)
            width = min(round(strip_px * self._aspect), (self.width() + _GAP_PX) // len(others) - _GAP_PX)
            left = (self.width() - len(others) * (width + _GAP_PX) + _GAP_PX) // 2
            height = min(strip_px, round(width / self._aspect))
            for number, tile in enumerate(others):
                tile.setGeometry(left + number * (width + _GAP_PX), self.height() - height, width, height)
            strip.setTop(self.height() - height)
            area.setBottom(strip.top() - _GAP_PX - 1)
        self._place([self.large], area)

    def _place(self, tiles: list[QWidget], area: QRect) -> None:
        """Place equal tiles in the number of columns that makes them largest."""
        if not tiles or area.isEmpty():
            return
        columns = max(range(1, len(tiles) + 1), key=lambda n: self._tile_size(len(tiles), n, area)[0])
        rows = math.ceil(len(tiles) / columns)
        width, height = (int(value) for value in self._tile_size(len(tiles), columns, area))
        top = (area.height() - rows * (height + _GAP_PX) + _GAP_PX) // 2
        for number, tile in enumerate(tiles):
            row, column = divmod(number, columns)
            here = min(columns, len(tiles) - row * columns)  # the last row may be shorter, and is centred
            left = area.left() + (area.width() - here * (width + _GAP_PX) + _GAP_PX) // 2
            y = area.top() + top + row * (height + _GAP_PX)
            tile.setGeometry(left + column * (width + _GAP_PX), y, width, height)

    def _tile_size(self, count: int, columns: int, area: QRect) -> tuple[float, float]:
        rows = math.ceil(count / columns)
        width = (area.width() - _GAP_PX * (columns - 1)) / columns
        height = (area.height() - _GAP_PX * (rows - 1)) / rows
        width = max(1.0, min(width, height * self._aspect))
        return width, width / self._aspect
