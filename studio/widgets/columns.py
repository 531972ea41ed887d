"""Layouts that adapt to the width of the window."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QVBoxLayout, QWidget

from studio.theme import GRID_PX


class Columns(QWidget):
    """Two stacks of cards: side by side if the width suffices, otherwise one below the other.

    Args:
        breakpoint_px: Smallest width at which the stacks are side by side.
        stretch: Stretch factors of the stacks.

    Attributes:
        left: Layout of the first stack.
        right: Layout of the second stack.
    """

    def __init__(
        self, breakpoint_px: int = 880, stretch: tuple[int, int] = (1, 1), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._breakpoint_px, self._stretch = breakpoint_px, stretch
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(2 * GRID_PX)
        self.left, self.right = QVBoxLayout(), QVBoxLayout()
        for stack, factor in zip((self.left, self.right), stretch, strict=True):
            stack.setSpacing(2 * GRID_PX)
            self._box.addLayout(stack, factor)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Switch between one and two columns."""
        wide = event.size().width() >= self._breakpoint_px
        direction = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        if self._box.direction() != direction:
            self._box.setDirection(direction)
            for index, factor in enumerate(self._stretch):
                self._box.setStretch(index, factor if wide else 0)
        super().resizeEvent(event)


class TileGrid(QWidget):
    """Equal tiles in as many columns as fit.

    Args:
        tile_px: Minimum width of a tile.
        max_columns: Maximum number of columns.
        fill_width: Stretch the tiles to the width; otherwise align them left.
    """

    def __init__(
        self, tile_px: int = 280, max_columns: int = 4, *, fill_width: bool = True, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._tile_px, self._max_columns, self._fill_width, self._columns = tile_px, max_columns, fill_width, 0
        self._tiles: list[QWidget] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GRID_PX + GRID_PX // 2)
        self._grid.setAlignment(Qt.AlignmentFlag.AlignTop)

    @property
    def tiles(self) -> list[QWidget]:
        """Tiles in order."""
        return list(self._tiles)

    def set_tiles(self, tiles: list[QWidget], tile_px: int | None = None) -> None:
        """Replace the tiles, and the minimum width if given."""
        self._tile_px = tile_px or self._tile_px
        for old in self._tiles:
            self._grid.removeWidget(old)
            old.hide()
            old.deleteLater()
        self._tiles, self._columns = list(tiles), 0
        self._arrange(self.width())

    def insert_tile(self, index: int, tile: QWidget) -> None:
        """Insert a tile."""
        self._tiles.insert(index, tile)
        self.relayout()

    def relayout(self) -> None:
        """Repeat the layout after tiles were shown or hidden."""
        self._columns = 0
        for tile in self._tiles:
            self._grid.removeWidget(tile)
        self._arrange(self.width())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Adapt the number of columns."""
        self._arrange(event.size().width())
        super().resizeEvent(event)

    def _arrange(self, width_px: int) -> None:
        gap = self._grid.spacing()
        # New tiles count as hidden until their parent is shown: omit only those that were hidden explicitly.
        visible = [
            t
            for t in self._tiles
            if not t.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide) or not t.isHidden()
        ]
        fits = max(1, min(self._max_columns, (width_px + gap) // (self._tile_px + gap), len(visible) or 1))
        if fits == 3 and len(visible) == 4 and self._fill_width:
            fits = 2  # four tiles look better as two rows of two than as three and one
        if fits == self._columns:
            return
        for column in range(max(fits, self._columns)):
            self._grid.setColumnStretch(column, 1 if column < fits and self._fill_width else 0)
        self._grid.setColumnStretch(fits, 0 if self._fill_width else 1)
        self._columns = fits
        for index, tile in enumerate(visible):
            self._grid.addWidget(tile, index // fits, index % fits)
