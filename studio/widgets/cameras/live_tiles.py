"""Tiles of the running cameras, updated from their job."""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

from core.capture.source import parse_camera
from core.passwords import without_passwords
from studio.state.cameras import LiveCameras
from studio.state.live_status import LiveCamera, LiveStatus
from studio.widgets.cameras.camera_tile import CameraTile
from studio.widgets.cameras.preview_thread import Preview, PreviewSource, PreviewThread
from studio.widgets.images.image_view import Lines

_POLL_MS = 40
_CROSS_PX = 5.0
_VANISHED_S = 2.0
_MUCH_SKEW_MS = 10.0


@dataclass(slots=True)
class _Seen:
    """Number of images of a camera, and the monotonic time of its last change."""

    frames: int
    since_s: float


class LiveTiles(QObject):
    """One tile per camera in use, with live images while the host widget is visible.

    Args:
        cameras: Cameras of the session.
        host: Widget that shows the tiles.

    Attributes:
        tiles: Tiles by camera name, in order.
        board: True to draw corners and coverage of the calibration board.

    Signals:
        remade: The tiles were replaced.
    """

    remade = Signal()

    def __init__(self, cameras: LiveCameras, host: QWidget) -> None:
        super().__init__(host)
        self._cameras, self._host = cameras, host
        self.tiles: dict[str, CameraTile] = {}
        self.board = True
        self._thread: PreviewThread | None = None
        self._sources: dict[str, PreviewSource] = {}
        self._seen: dict[str, _Seen] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._fetch)
        cameras.changed.connect(self._make)
        cameras.job_changed.connect(self._job_changed)
        cameras.status_changed.connect(self._show_status)
        self._make()

    def set_visible(self, visible: bool) -> None:
        """Read images only while the tiles are visible."""
        wanted = visible and self._cameras.job is not None
        if wanted and self._thread is None:
            self._thread, self._sources = PreviewThread(), {}
            self._timer.start()
            if self._cameras.status is not None:
                self._show_status(self._cameras.status)
        elif not wanted and self._thread is not None:
            self._timer.stop()
            self._thread.close()
            self._thread = None

    def _make(self) -> None:
        """Create the tiles of the cameras in use, and of any other running cameras."""
        status = self._cameras.status
        names = list(status.cameras if status is not None else self._cameras.names)
        if names != list(self.tiles):
            self.tiles = {name: CameraTile(name) for name in names}
            self._sources = {}
            self.remade.emit()
            self._show_idle()

    def _job_changed(self) -> None:
        self._seen.clear()
        self._make()
        self._show_idle()
        self.set_visible(self._host.isVisible())

    def _show_idle(self) -> None:
        if self._cameras.status is None:
            addresses = dict(map(parse_camera, self._cameras.cameras))
            for name, tile in self.tiles.items():
                off = without_passwords(addresses.get(name, ""))
                short = off.replace(os.sep, "/").rpartition("/")[-1]
                tile.show_off("Starting…" if self._cameras.running else f"Off\n{short}")
                tile.setToolTip(off)

    def _show_status(self, status: LiveStatus) -> None:
        self._make()
        now_s = time.monotonic()
        for name, camera in status.cameras.items():
            seen = self._seen.setdefault(name, _Seen(camera.frames, now_s))
            if camera.frames != seen.frames:
                seen.frames, seen.since_s = camera.frames, now_s
            tile = self.tiles[name]
            tile.set_aspect(*(camera.size_px or (16, 9)))
            tile.show_state(
                camera_facts(camera) if self.board else camera_facts(dataclasses.replace(camera, share=0.0)),
                warned=camera.missing > 0 or (camera.skew_ms is not None and abs(camera.skew_ms) > _MUCH_SKEW_MS),
                trouble=trouble(name, camera, now_s - seen.since_s),
                recording=status.phase == "recording",
                cells=camera.cells if self.board else np.zeros((0, 0), np.int64),
            )
            if camera.problem and not tile.loaded:
                tile.show_message("")
        if self._thread is not None:
            self._set_sources(status)

    def _set_sources(self, status: LiveStatus) -> None:
        sources = {}
        for name, camera in status.cameras.items():
            tile = self.tiles[name]
            ratio = tile.devicePixelRatioF()
            shown = (max(16, round(tile.width() * ratio)), max(16, round(tile.height() * ratio)))
            if camera.ring and camera.size_px is not None and tile.isVisible():
                sources[name] = PreviewSource(ring=camera.ring, width_px=camera.size_px[0], shown_px=shown)
        if sources != self._sources and self._thread is not None:
            self._sources = sources
            self._thread.set_sources(sources)

    def _fetch(self) -> None:
        if self._thread is None:
            return
        for name, preview in self._thread.fetch().items():
            if name in self.tiles:
                self._draw(self.tiles[name], preview)
        if self._cameras.status is not None:
            self._set_sources(self._cameras.status)  # the tiles may have another size

    def _draw(self, tile: CameraTile, preview: Preview) -> None:
        corners = preview.corners_px if self.board else preview.corners_px[:0]
        crosses = [np.stack([p - s, p + s]) for p in corners for s in ((_CROSS_PX, 0.0), (0.0, _CROSS_PX))]
        tile.set_image(preview.image, [Lines(tuple(crosses), "on_image_strong", 1.6)])


def camera_facts(camera: LiveCamera) -> tuple[str, ...]:
    """Return short facts about a camera, such as its frame rate."""
    parts = []
    if camera.frames > 1:
        parts.append(f"{camera.fps:.0f} fps")
    if camera.skew_ms is not None and camera.frames > 1:
        parts.append(f"{camera.skew_ms:+.0f} ms")
    if camera.missing:
        parts.insert(0, f"{camera.missing:,} dropped")
    if camera.share:
        parts.append(f"board in {100 * camera.share:.0f} %")
    return tuple(parts)


def trouble(name: str, camera: LiveCamera, silent_s: float) -> str:
    """Return the reason why a camera sends no images; empty if it does.

    Args:
        name: Name of the camera.
        camera: Its state.
        silent_s: Time since its last image.
    """
    if camera.problem:
        return camera.problem
    if camera.phase == "ended":
        return f"{name} has ended."
    if camera.phase == "lost" or (camera.frames and silent_s > _VANISHED_S):
        since = f" {silent_s:.0f} s ago" if silent_s >= 1 else ""
        return f"{name} stopped sending images{since}" + ("; reconnecting" if camera.phase == "lost" else ".")
    return ""
