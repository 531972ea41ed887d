"""Images of several cameras, loaded in the background."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.errors import CoreError
from studio.background import Background
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.columns import TileGrid
from studio.widgets.images.image_view import ImageView, Lines
from studio.widgets.text import make_label

_MANY_CAMERAS, _MANY_SCALE = 6, 0.55
"""With more cameras than this, tiles may shrink by this factor, so that all fit into a small window."""

Load = Callable[[str], tuple[QImage, Sequence[Lines]]]
"""Loads the image of a camera and its lines; called on a thread."""


class ImageTiles(QWidget):
    """One tile per camera; a click enlarges it.

    With a host, all images are loaded while it is visible; otherwise, each is loaded when its tile becomes visible.

    Args:
        legend: Legend of the lines, shown below the enlarged image.
        tile_px: Minimum width of a landscape tile; portrait tiles are narrower.
        height_px: Fixed height of small left-aligned tiles; None to fill the width.
        host: Widget whose visibility starts the loading, or None.

    Signals:
        loaded: An `ImageView` whose image was loaded.
    """

    loaded = Signal(object)

    def __init__(
        self,
        legend: str = "",
        tile_px: int = 220,
        height_px: int | None = None,
        host: QWidget | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._legend, self._tile_px, self._height_px = legend, tile_px, height_px
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._grid = TileGrid(tile_px, max_columns=4 if height_px is None else 12, fill_width=height_px is None)
        layout.addWidget(self._grid)
        self._load: Load | None = None
        self._key: Hashable = None
        self._pending: list[ImageView] = []
        self._background = Background(self)
        self._host = host
        if host is not None:
            host.installEventFilter(self)

    @property
    def tiles(self) -> list[ImageView]:
        """Tiles in the order of the cameras."""
        return [tile for tile in self._grid.tiles if isinstance(tile, ImageView)]

    def show_cameras(self, key: Hashable, sizes_px: dict[str, tuple[int, int]], load: Load) -> None:
        """Show cameras, unless the key is that of the current content.

        Args:
            key: Identifies everything that the images depend on.
            sizes_px: Image width and height by camera name.
            load: Loads the image of a camera and the lines over it; a `CoreError` is shown in its place.
        """
        if key == self._key:
            return
        self._key, self._load = key, load
        tiles = [self._tile(name, size) for name, size in sizes_px.items()]
        self._background.drop()
        self._pending = list(tiles)
        portrait = bool(tiles) and all(height > width for width, height in sizes_px.values())
        min_px = self._tile_px * 9 // 16 if portrait else self._tile_px
        if len(tiles) > _MANY_CAMERAS:
            min_px = round(_MANY_SCALE * min_px)
        self._grid.set_tiles(list(tiles), max((t.minimumWidth() for t in tiles), default=0) or min_px)
        if self._host is not None and self._host.isVisible():
            self._load_pending()

    def clear(self) -> None:
        """Remove all tiles."""
        self._background.drop()
        self._pending, self._key, self._load = [], None, None
        self._grid.set_tiles([])

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Load images when the host becomes visible."""
        if event.type() == QEvent.Type.Show:
            self._load_pending()
        return super().eventFilter(watched, event)

    def _tile(self, name: str, size_px: tuple[int, int]) -> ImageView:
        tile = ImageView(name)
        tile.setAccessibleName(f"Camera {name}")
        tile.setToolTip("Click to enlarge")
        tile.set_aspect(*size_px)
        if self._height_px is not None:
            tile.setFixedSize(round(self._height_px * size_px[0] / size_px[1]), self._height_px)
        tile.clicked.connect(self._enlarge)
        if self._host is None:
            tile.in_sight.connect(self._tile_in_sight)
        return tile

    def _tile_in_sight(self) -> None:
        tile = self.sender()
        if tile in self._pending:
            self._load_tile(tile)

    def _load_pending(self) -> None:
        for tile in list(self._pending):
            self._load_tile(tile)

    def _load_tile(self, tile: ImageView) -> None:
        if self._load is None:
            return
        self._pending.remove(tile)
        self._background.run(partial(self._load, tile.caption), partial(self._show, tile), partial(self._fail, tile))

    def _show(self, tile: ImageView, loaded: tuple[QImage, Sequence[Lines]]) -> None:
        tile.set_image(*loaded)
        self.loaded.emit(tile)

    def _fail(self, tile: ImageView, error: CoreError) -> None:
        tile.show_message(f"{error.message} {error.hint}")

    def _enlarge(self) -> None:
        tiles = [tile for tile in self.tiles if tile.loaded]
        sender = self.sender()
        index = next(i for i, tile in enumerate(tiles) if tile is sender)
        ImageDialog(tiles, index, self._legend, self.window()).open()


class ImageDialog(Dialog):
    """Enlarged image of a camera; the arrow keys go to the previous and the next camera.

    Args:
        tiles: Loaded tiles.
        index: Index of the first one shown.
        legend: Legend of the lines.
    """

    def __init__(self, tiles: Sequence[ImageView], index: int, legend: str, parent: QWidget | None = None) -> None:
        super().__init__("Camera", parent, 720)
        self._sources = [(tile.caption, tile.image, tile.lines) for tile in tiles]
        self._index = index
        available = parent.window().size() if parent is not None else QSize(1100, 860)
        self.resize(min(1100, available.width()), min(860, available.height()))
        self.image = ImageView()
        self.image.setMinimumHeight(40 * GRID_PX)
        self.body.addWidget(self.image, 1)
        for text, icon, step in (("Previous", "chevron-left", -1), ("Next", "chevron-right", 1)):
            push = button(text, "normal", icon)
            push.setProperty("step", step)
            push.clicked.connect(self._stepped)
            self.foot.addWidget(push)
        self.foot.addSpacing(GRID_PX)
        self.foot.addWidget(make_label(legend, "small"), 1)
        close = button("Close", "primary")
        close.clicked.connect(self.accept)
        self.foot.addWidget(close)
        self._show()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go to the previous or next camera."""
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._go(1 if event.key() == Qt.Key.Key_Right else -1)
        else:
            super().keyPressEvent(event)

    def _stepped(self) -> None:
        self._go(int(self.sender().property("step")))

    def _go(self, step: int) -> None:
        self._index = (self._index + step) % len(self._sources)
        self._show()

    def _show(self) -> None:
        name, image, lines = self._sources[self._index]
        self.setWindowTitle(f"Camera {name}")
        self.image.caption = name
        if image is not None:
            large = [Lines(line.paths_px, line.token, 1.6 * line.width_px) for line in lines]
            self.image.set_image(image, large)
