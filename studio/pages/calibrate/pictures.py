"""Pictures of every camera with the floor grid and poles over them, loaded one a tick so that nothing freezes."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.errors import CoreError
from core.session import Session, Take
from core.types import CameraRig
from studio.pages.calibrate.presenter import overlay
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.columns import TileGrid
from studio.widgets.picture import Lines, Picture, to_image
from studio.widgets.text import label


class RigPictures(QWidget):
    """A tile for every camera of a take."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.grid = TileGrid(tile_px=260, most=4)
        layout.addWidget(self.grid)
        self._rig: CameraRig | None = None
        self._take: Take | None = None
        self._shown = ("", "", "")
        self._pending: list[Picture] = []
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._load_next)

    @property
    def tiles(self) -> list[Picture]:
        return [tile for tile in self.grid.tiles if isinstance(tile, Picture)]

    def show_take(self, session: Session, rig: CameraRig, take: Take) -> None:
        """Shows a take's cameras; does nothing if it shows them already."""
        key = (str(session.root), rig.digest, take.name)
        if key == self._shown:
            return
        self._shown, self._rig, self._take = key, rig, take
        tiles = [self._tile(camera) for camera in take.cameras]
        self._pending = list(tiles)
        self.grid.set_tiles(list(tiles))
        if self.isVisible():
            self._timer.start()

    def forget(self) -> None:
        """Shows nothing."""
        self._timer.stop()
        self._pending, self._shown = [], ("", "", "")
        self.grid.set_tiles([])

    def showEvent(self, event: QShowEvent) -> None:
        if self._pending:
            self._timer.start()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def _tile(self, camera: str) -> Picture:
        assert self._take is not None
        tile = Picture(camera)
        tile.setAccessibleName(f"Camera {camera}")
        tile.setToolTip("Click to enlarge")
        tile.set_aspect(*self._take.camera(camera).size_px)
        tile.clicked.connect(self._enlarge)
        return tile

    def _load_next(self) -> None:
        if not self._pending or self._rig is None or self._take is None:
            self._timer.stop()
            return
        tile = self._pending.pop(0)
        try:
            seen = overlay(self._rig, self._take, tile.caption)
        except CoreError as error:
            tile.say(f"{error.message} {error.hint}")
            return
        floor = Lines(seen.floor_px, "accent", 1.0)
        poles = Lines(seen.poles_px, "warn", 2.4)
        tile.set_picture(to_image(seen.picture), (floor, poles))

    def _enlarge(self) -> None:
        tiles = [tile for tile in self.tiles if tile.loaded]
        sender = self.sender()
        PictureDialog(tiles, next(i for i, t in enumerate(tiles) if t is sender), self.window()).open()


class PictureDialog(Dialog):
    """One camera large; the arrow keys go to the next.

    Args:
        tiles: The loaded pictures.
        index: Which to begin with.
    """

    def __init__(self, tiles: list[Picture], index: int, parent: QWidget | None = None) -> None:
        super().__init__("Camera", parent, 720)
        self._sources = [(t.caption, t.image, t.lines) for t in tiles]
        self._index = index
        self.resize(1120, 720)
        self.picture = Picture()
        self.picture.setToolTip("")
        self.body.addWidget(self.picture, 1)
        for text, icon, step in (("Previous", "chevron-left", -1), ("Next", "chevron-right", 1)):
            push = button(text, "normal", icon)
            push.setProperty("step", step)
            push.clicked.connect(self._stepped)
            self.foot.addWidget(push)
        self.foot.addSpacing(GRID_PX)
        self.foot.addWidget(label("Blue: floor grid, one line a metre. Yellow: poles of 1.8 m.", "small"), 1)
        close = button("Close", "primary")
        close.clicked.connect(self.accept)
        self.foot.addWidget(close)
        self._show()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._go(1 if event.key() == Qt.Key.Key_Right else -1)
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._sources = []
        super().closeEvent(event)

    def _stepped(self) -> None:
        self._go(int(self.sender().property("step")))

    def _go(self, step: int) -> None:
        self._index = (self._index + step) % len(self._sources)
        self._show()

    def _show(self) -> None:
        name, image, lines = self._sources[self._index]
        self.setWindowTitle(f"Camera {name}")
        self.picture.caption = name
        if image is not None:
            self.picture.set_picture(image, [Lines(line.paths_px, line.token, 1.6 * line.width_px) for line in lines])
