"""Live cameras: which there are, what they see of the board, and a recording of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QImage, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from core.capture.source import discover_cameras
from studio.pages.calibrate.live_state import LiveCamera, LiveReader, Preview, demo_addresses, named
from studio.settings import SettingsStore
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.card import Card, clear_layout
from studio.widgets.columns import TileGrid
from studio.widgets.image_view import Lines
from studio.widgets.live_image import LiveImage
from studio.widgets.text import label

_POLL_MS = 150
_CROSS_PX = 5.0
_NONE = "No camera yet. Add one by its address, look for those that are plugged in, or try the demo cameras."


class LiveCard(Card):
    """Watches cameras and records the board in front of them.

    Args:
        settings: Keep the cameras' addresses.

    Signals:
        start: Addresses of the cameras, and whether a take is wanted.
        stop: Somebody wants the recording to end.
    """

    start = Signal(tuple, bool)
    stop = Signal()

    def __init__(self, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__("Live cameras", "Watch the board being found, and record it for the calibration.", parent)
        self._settings = settings
        self._run: Path | None = None
        self._live: LiveReader | None = None
        self.demo = button("Demo cameras", "quiet", "", "Four simulated cameras before which a board is carried about")
        self.demo.clicked.connect(self._add_demo)
        self.look_for = button("Find cameras", "quiet", "", "Cameras that are plugged into this computer")
        self.look_for.clicked.connect(self._find)
        self.tools.addWidget(self.demo)
        self.tools.addWidget(self.look_for)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(GRID_PX // 2)
        self.body.addLayout(self._rows)
        add = QHBoxLayout()
        add.setSpacing(GRID_PX)
        self.address = QLineEdit()
        self.address.setAccessibleName("Address of a camera")
        self.address.setPlaceholderText("left=rtsp://192.168.1.20/stream  or  http://…  or the path of a video")
        self.address.returnPressed.connect(self._add_typed)
        self.add = button("Add", "normal", "plus")
        self.add.clicked.connect(self._add_typed)
        add.addWidget(self.address, 1)
        add.addWidget(self.add)
        self.body.addLayout(add)
        self.tiles = TileGrid(220, max_columns=4)
        self.tiles.hide()
        self.body.addWidget(self.tiles)
        foot = QHBoxLayout()
        foot.setSpacing(GRID_PX)
        self.says = label("", "muted")
        foot.addWidget(self.says, 1)
        self.watch = button("Watch", "normal", "view", "Only look, and see what is found of the board")
        self.watch.clicked.connect(partial(self._start, keep=False))
        self.record = button("Record the board", "normal", "record", "Make a take of what the cameras see")
        self.record.clicked.connect(partial(self._start, keep=True))
        self.end = button("Stop", "normal", "stop", "End it; a recording becomes a take of the session")
        self.end.clicked.connect(self.stop)
        for push in (self.watch, self.record, self.end):
            foot.addWidget(push)
        self.body.addLayout(foot)
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)
        self._show_cameras()

    @property
    def cameras(self) -> tuple[str, ...]:
        """ "name=address" of each."""
        return self._settings.value.cameras

    @property
    def images(self) -> dict[str, LiveImage]:
        """What is shown, by camera."""
        return {t.objectName(): t for t in self.tiles.tiles if isinstance(t, LiveImage)}

    def follow(self, run: Path | None) -> None:
        """Shows what the recording in a run's folder tells; None for none."""
        if run == self._run:
            return
        if self._live is not None:
            self._live.close()
        self._run, self._live = run, None if run is None else LiveReader(run)
        self.tiles.set_tiles([])
        self.tiles.setVisible(run is not None)
        if run is None:
            self._timer.stop()
            self.says.setText("")
        else:
            self.says.setText("Starting the cameras…")
            if self.isVisible():
                self._timer.start()
        self._show_cameras()

    def showEvent(self, event: QShowEvent) -> None:
        if self._run is not None:
            self._timer.start()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def _show_cameras(self) -> None:
        running = self._run is not None
        clear_layout(self._rows)
        if not self.cameras:
            self._rows.addWidget(label(_NONE, "muted"))
        for camera in self.cameras if not running else ():
            name, _, address = camera.partition("=")
            row = QHBoxLayout()
            row.setSpacing(GRID_PX)
            row.addWidget(label(name, "small", wrap=False))
            where = label(address, "muted", wrap=False)
            where.setMinimumWidth(60)
            row.addWidget(where, 1)
            remove = button("", "quiet", "close", f"Forget {name}")
            remove.setAccessibleName(f"Forget {name}")
            remove.clicked.connect(partial(self._forget, camera))
            row.addWidget(remove)
            self._rows.addLayout(row)
        for widget in (self.address, self.add, self.demo, self.look_for):
            widget.setVisible(not running)
        for push in (self.watch, self.record):
            push.setVisible(not running)
            push.setEnabled(bool(self.cameras))
        self.end.setVisible(running)

    def _keep(self, cameras: tuple[str, ...]) -> None:
        self._settings.update(cameras=cameras)
        self.says.setText("")
        self._show_cameras()

    def _add_typed(self) -> None:
        if self.address.text().strip():
            self._keep((*self.cameras, named(self.address.text(), self.cameras)))
            self.address.clear()

    def _add_demo(self) -> None:
        self._keep((*self.cameras, *(camera for camera in demo_addresses() if camera not in self.cameras)))

    def _find(self) -> None:
        known = {camera.partition("=")[2] for camera in self.cameras}
        fresh = [camera.address for camera in discover_cameras() if camera.address not in known]
        for address in fresh:
            self._keep((*self.cameras, named(address, self.cameras)))
        if not fresh:
            self.says.setText("No other camera is plugged in. Network cameras are added by their address.")

    def _forget(self, camera: str) -> None:
        self._keep(tuple(other for other in self.cameras if other != camera))

    def _start(self, _checked: bool = False, *, keep: bool) -> None:
        self.start.emit(self.cameras, keep)

    def _poll(self) -> None:
        state = self._live.poll() if self._live is not None else None
        if self._live is None or state is None:
            return
        if not self.images:
            self._make_tiles(state.cameras)
        self.says.setText(f"{state.seconds:.0f} s. {f'Next: {state.advice}' if state.advice else ''}")
        for name, camera in state.cameras.items():
            tile = self.images.get(name)
            if tile is None:
                continue
            if camera.problem:
                tile.show_message(camera.problem)
            elif (preview := self._live.preview(name)) is not None:
                self._draw(tile, camera, preview)

    def _make_tiles(self, cameras: dict[str, LiveCamera]) -> None:
        tiles: list[QWidget] = []
        for name, camera in cameras.items():
            tile = LiveImage(name)
            tile.setObjectName(name)
            if camera.size_px is not None:
                tile.set_aspect(*camera.size_px)
            tiles.append(tile)
        self.tiles.set_tiles(tiles)

    def _draw(self, tile: LiveImage, camera: LiveCamera, preview: Preview) -> None:
        height, width = preview.image.shape[:2]
        # A copy, because Qt would go on reading memory that it does not own.
        image = QImage(preview.image.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        tile.caption = camera.caption
        tile.set_aspect(*(camera.size_px or (width, height)))
        corners = preview.corners_px
        crosses = [np.stack([p - s, p + s]) for p in corners for s in ((_CROSS_PX, 0.0), (0.0, _CROSS_PX))]
        tile.set_image(image, [Lines(tuple(crosses), "on_image_strong", 1.6)])
        tile.set_cells(camera.cells)
