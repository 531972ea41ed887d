"""Card for live cameras: addresses, live board detection, and recording of the board."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from core.passwords import without_passwords
from studio.state.cameras import LiveCameras
from studio.state.live_status import LiveStatus
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.cameras.camera_tile import CameraTile
from studio.widgets.cameras.live_tiles import LiveTiles
from studio.widgets.card import Card, clear_layout
from studio.widgets.columns import TileGrid
from studio.widgets.elided import ElidedLabel
from studio.widgets.text import make_label

_NO_CAMERAS = "No cameras yet. Find connected cameras, add one by its address, or try the demo cameras."


class LiveCard(Card):
    """Preview of live cameras with the detected board, and recording of the board.

    Args:
        cameras: Cameras of the session.
        parent: Owner.

    Signals:
        start_requested: True to record a take, False to only show the cameras.
    """

    start_requested = Signal(bool)

    def __init__(self, cameras: LiveCameras, parent: QWidget | None = None) -> None:
        super().__init__("Live cameras", "Detect the board live, and record it for calibration.", parent)
        self._cameras = cameras
        self._wanted = False
        self.demo = button("Demo cameras", "quiet", "", "Add four simulated cameras that see a moving board")
        self.demo.clicked.connect(lambda: cameras.add_demo())
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
        self._live = LiveTiles(cameras, self)
        self._live.remade.connect(self._place_tiles)
        self._grid = TileGrid(220, max_columns=4)
        self.body.addWidget(self._grid)
        foot = QHBoxLayout()
        foot.setSpacing(GRID_PX)
        self.message = make_label("", "muted")
        foot.addWidget(self.message, 1)
        self.preview = button("Preview", "normal", "view", "Show the cameras and the detected board without recording")
        self.preview.clicked.connect(partial(self._start, record=False))
        self.record = button("Record board", "normal", "record", "Record the board as a take")
        self.record.clicked.connect(partial(self._start, record=True))
        self.stop = button("Stop", "normal", "stop", "Stop the cameras; a recording is saved as a take")
        self.stop.clicked.connect(cameras.stop)
        for push in (self.preview, self.record, self.stop):
            foot.addWidget(push)
        self.body.addLayout(foot)
        cameras.changed.connect(self._show_cameras)
        cameras.job_changed.connect(self._job_changed)
        cameras.status_changed.connect(self._show_status)
        self._place_tiles()
        self._show_cameras()

    @property
    def images(self) -> dict[str, CameraTile]:
        """Live images by camera name; empty while the cameras are off."""
        return self._live.tiles if self._cameras.running else {}

    def showEvent(self, event: QShowEvent) -> None:
        """Resume live images."""
        super().showEvent(event)
        self._live.set_visible(True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Suspend live images."""
        self._live.set_visible(False)
        self._cameras.search(False)
        super().hideEvent(event)

    def _place_tiles(self) -> None:
        self._grid.set_tiles(list(self._live.tiles.values()))

    def _job_changed(self) -> None:
        self.message.setText("Starting cameras…" if self._cameras.running else "")
        self._show_cameras()

    def _show_cameras(self) -> None:
        running, cameras = self._cameras.running, self._cameras.cameras
        clear_layout(self._rows)
        if not cameras:
            self._rows.addWidget(make_label(_NO_CAMERAS, "muted"))
        for camera in cameras if not running else ():
            name, _, address = camera.partition("=")
            row = QHBoxLayout()
            row.setSpacing(GRID_PX)
            row.addWidget(make_label(name, "small", wrap=False))
            address_label = ElidedLabel("muted", Qt.TextElideMode.ElideMiddle)
            address_label.setText(without_passwords(address))
            row.addWidget(address_label, 1)
            remove = button("", "quiet", "close", f"Remove {name}")
            remove.setAccessibleName(f"Remove {name}")
            remove.clicked.connect(partial(self._cameras.remove, name))
            row.addWidget(remove)
            self._rows.addLayout(row)
        for widget in (self.address, self.add, self.demo, self.find_button):
            widget.setVisible(not running)
        for push in (self.preview, self.record):
            push.setVisible(not running)
            push.setEnabled(bool(cameras))
        self.stop.setVisible(running)
        self._grid.setVisible(running)
        if self._wanted and self._cameras.searched:
            self._add_found()

    def _add_typed(self) -> None:
        if self.address.text().strip():
            text = self.address.text().strip()
            self.address.clear()
            self._cameras.add([text])

    def _find(self) -> None:
        self._wanted = True
        self.message.setText("Looking for cameras…")
        self._cameras.search(False)
        self._cameras.search(True)

    def _add_found(self) -> None:
        self._wanted = False
        self._cameras.search(False)
        before = self._cameras.cameras
        self._cameras.add(camera.address for camera in self._cameras.found)
        none = "No other camera is connected. Add network cameras by their address."
        self.message.setText("" if self._cameras.cameras != before else none)

    def _start(self, _checked: bool = False, *, record: bool) -> None:
        self.start_requested.emit(record)

    def _show_status(self, status: LiveStatus) -> None:
        self.message.setText(f"{status.seconds:.0f} s. {f'Next: {status.advice}' if status.advice else ''}")
