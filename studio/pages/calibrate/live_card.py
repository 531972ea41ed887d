"""Card for live cameras: addresses, live board detection, and recording of the board."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QImage, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from core.capture.source import discover_cameras
from studio.pages.calibrate.live_state import LiveCamera, LiveReader, Preview, demo_addresses, with_name
from studio.settings import SettingsStore
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.card import Card, clear_layout
from studio.widgets.columns import TileGrid
from studio.widgets.elided import ElidedLabel
from studio.widgets.images.image_view import Lines
from studio.widgets.images.live_image import LiveImage
from studio.widgets.text import make_label

_POLL_MS = 150
_CROSS_PX = 5.0
_NO_CAMERAS = "No cameras yet. Find connected cameras, add one by its address, or try the demo cameras."


class LiveCard(Card):
    """Preview of live cameras with the detected board, and recording of it.

    Args:
        settings: Store of the camera addresses.
        parent: Owner.

    Signals:
        start_requested: Addresses of the cameras, and whether to record a take.
        stop_requested: The cameras are to be stopped.
    """

    start_requested = Signal(tuple, bool)
    stop_requested = Signal()

    def __init__(self, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__("Live cameras", "Detect the board live, and record it for calibration.", parent)
        self._settings = settings
        self._run: Path | None = None
        self._live: LiveReader | None = None
        self.demo = button("Demo cameras", "quiet", "", "Add four simulated cameras that see a moving board")
        self.demo.clicked.connect(self._add_demo)
        self.find_button = button("Find cameras", "quiet", "", "Add the cameras connected to this computer")
        self.find_button.clicked.connect(self._find)
        self.tools.addWidget(self.demo)
        self.tools.addWidget(self.find_button)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(GRID_PX // 2)
        self.body.addLayout(self._rows)
        add = QHBoxLayout()
        add.setSpacing(GRID_PX)
        self.address = QLineEdit()
        self.address.setAccessibleName("Camera address")
        self.address.setPlaceholderText("left=rtsp://192.168.1.20/stream, http://…, or a video file")
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
        self.message = make_label("", "muted")
        foot.addWidget(self.message, 1)
        self.preview = button("Preview", "normal", "view", "Show the cameras and the detected board without recording")
        self.preview.clicked.connect(partial(self._start, record=False))
        self.record = button("Record board", "normal", "record", "Record the board as a take")
        self.record.clicked.connect(partial(self._start, record=True))
        self.stop = button("Stop", "normal", "stop", "Stop the cameras; a recording becomes a take of the session")
        self.stop.clicked.connect(self.stop_requested)
        for push in (self.preview, self.record, self.stop):
            foot.addWidget(push)
        self.body.addLayout(foot)
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)
        self._show_cameras()

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras, each as "name=address"."""
        return self._settings.value.cameras

    @property
    def images(self) -> dict[str, LiveImage]:
        """Live images by camera name."""
        return {t.objectName(): t for t in self.tiles.tiles if isinstance(t, LiveImage)}

    def follow(self, run: Path | None) -> None:
        """Show the live state in a run's folder; None stops showing any."""
        if run == self._run:
            return
        if self._live is not None:
            self._live.close()
        self._run, self._live = run, None if run is None else LiveReader(run)
        self.tiles.set_tiles([])
        self.tiles.setVisible(run is not None)
        if run is None:
            self._timer.stop()
            self.message.setText("")
        else:
            self.message.setText("Starting cameras…")
            if self.isVisible():
                self._timer.start()
        self._show_cameras()

    def showEvent(self, event: QShowEvent) -> None:
        """Resume polling."""
        if self._run is not None:
            self._timer.start()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """Pause polling."""
        self._timer.stop()
        super().hideEvent(event)

    def _show_cameras(self) -> None:
        running = self._run is not None
        clear_layout(self._rows)
        if not self.cameras:
            self._rows.addWidget(make_label(_NO_CAMERAS, "muted"))
        for camera in self.cameras if not running else ():
            name, _, address = camera.partition("=")
            row = QHBoxLayout()
            row.setSpacing(GRID_PX)
            row.addWidget(make_label(name, "small", wrap=False))
            address_label = ElidedLabel("muted", Qt.TextElideMode.ElideMiddle)
            address_label.setText(address)
            row.addWidget(address_label, 1)
            remove = button("", "quiet", "close", f"Remove {name}")
            remove.setAccessibleName(f"Remove {name}")
            remove.clicked.connect(partial(self._remove, camera))
            row.addWidget(remove)
            self._rows.addLayout(row)
        for widget in (self.address, self.add, self.demo, self.find_button):
            widget.setVisible(not running)
        for push in (self.preview, self.record):
            push.setVisible(not running)
            push.setEnabled(bool(self.cameras))
        self.stop.setVisible(running)

    def _set_cameras(self, cameras: tuple[str, ...]) -> None:
        self._settings.update(cameras=cameras)
        self.message.setText("")
        self._show_cameras()

    def _add_typed(self) -> None:
        if self.address.text().strip():
            self._set_cameras((*self.cameras, with_name(self.address.text(), self.cameras)))
            self.address.clear()

    def _add_demo(self) -> None:
        self._set_cameras((*self.cameras, *(camera for camera in demo_addresses() if camera not in self.cameras)))

    def _find(self) -> None:
        known = {camera.partition("=")[2] for camera in self.cameras}
        fresh = [camera.address for camera in discover_cameras() if camera.address not in known]
        for address in fresh:
            self._set_cameras((*self.cameras, with_name(address, self.cameras)))
        if not fresh:
            self.message.setText("No other camera is connected. Add network cameras by their address.")

    def _remove(self, camera: str) -> None:
        self._set_cameras(tuple(other for other in self.cameras if other != camera))

    def _start(self, _checked: bool = False, *, record: bool) -> None:
        self.start_requested.emit(self.cameras, record)

    def _poll(self) -> None:
        state = self._live.poll() if self._live is not None else None
        if self._live is None or state is None:
            return
        if not self.images:
            self._make_tiles(state.cameras)
        self.message.setText(f"{state.seconds:.0f} s. {f'Next: {state.advice}' if state.advice else ''}")
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
