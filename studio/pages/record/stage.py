"""Live images of all cameras, or of one with its controls, with a countdown over them."""

from __future__ import annotations

import math
from functools import partial

from PySide6.QtCore import QEvent, QObject, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QHideEvent, QKeyEvent, QPainter, QPaintEvent, QPen, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from studio.pages.record.camera_panel import CameraPanel
from studio.state.cameras import LiveCameras
from studio.state.live_status import LiveStatus, TakePhase
from studio.theme import GRID_PX, current_theme
from studio.widgets.cameras.camera_tile import CameraTile
from studio.widgets.cameras.fit_grid import FitGrid
from studio.widgets.cameras.live_tiles import LiveTiles

_FRAME_PX, _INSET_PX = 4, GRID_PX
_DIGIT_SHARE = 0.5
_PLATE = QColor(12, 14, 18, 190)


class Stage(QWidget):
    """Tiles of the cameras in use, with the panel of the enlarged one.

    Args:
        cameras: Cameras of the session.
        parent: Owner.

    Attributes:
        grid: Grid of the tiles.
        live: Source of the live images.
        panel: Panel of the enlarged camera.

    Signals:
        rename_requested: Name of a camera.
        control_set: Camera, control and new value; None for automatic.
    """

    rename_requested = Signal(str)
    control_set = Signal(str, str, object)

    def __init__(self, cameras: LiveCameras, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cameras = cameras
        self.grid = FitGrid()
        self.live = LiveTiles(cameras, self)
        self.panel = CameraPanel()
        self.panel.hide()
        self.panel.back_requested.connect(self.show_all)
        self.panel.rename_requested.connect(self.rename_requested)
        self.panel.remove_requested.connect(cameras.remove)
        self.panel.control_set.connect(self.control_set)
        row = QHBoxLayout(self)
        row.setContentsMargins(_INSET_PX, _INSET_PX, _INSET_PX, _INSET_PX)
        row.setSpacing(GRID_PX)
        row.addWidget(self.grid, 1)
        row.addWidget(self.panel)
        self.cover = _Cover(self)
        self.live.remade.connect(self._place_tiles)
        cameras.status_changed.connect(self._show_status)
        cameras.job_changed.connect(self._job_changed)
        self._place_tiles()

    @property
    def tiles(self) -> dict[str, CameraTile]:
        """Tiles by camera name."""
        return self.live.tiles

    @property
    def large(self) -> str:
        """Name of the enlarged camera; empty if all have the same size."""
        return self.grid.large.name if isinstance(self.grid.large, CameraTile) else ""

    def show_large(self, name: str) -> None:
        """Enlarge a camera and show its controls, or show all cameras if it is already enlarged."""
        tile = self.tiles.get(name)
        if tile is None or tile is self.grid.large:
            self.show_all()
            return
        self.grid.enlarge(tile)
        self.panel.show()
        self._show_panel()
        tile.setFocus()

    def show_all(self) -> None:
        """Show all cameras at the same size."""
        self.grid.enlarge(None)
        self.panel.hide()

    def set_phase(self, phase: TakePhase, countdown_s: float = 0.0) -> None:
        """Show whether a take is being recorded, visible from a distance.

        Args:
            phase: Phase of the recording.
            countdown_s: Time until the take begins.
        """
        self.cover.set_phase(phase, countdown_s)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Show all cameras on Escape; enlarge another camera with the arrow keys."""
        names = list(self.tiles)
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape and self.large:
            self.show_all()
        elif step is not None and self.large in names and len(names) > 1:
            self.show_large(names[(names.index(self.large) + step) % len(names)])
        else:
            super().keyPressEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        """Resume live images."""
        super().showEvent(event)
        self.live.set_visible(True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Suspend live images."""
        self.live.set_visible(False)
        super().hideEvent(event)

    def _place_tiles(self) -> None:
        self.show_all()
        for name, tile in self.tiles.items():
            tile.setToolTip("Click to enlarge")
            tile.clicked.connect(partial(self.show_large, name))
        self.grid.set_tiles(list(self.tiles.values()))

    def _job_changed(self) -> None:
        if self._cameras.job is None:
            self.set_phase("watching")
        self._show_panel()

    def _show_status(self, status: LiveStatus) -> None:
        sizes = [camera.size_px for camera in status.cameras.values() if camera.size_px is not None]
        if sizes:
            aspects = sorted(width / height for width, height in sizes)
            self.grid.set_aspect(min(2.0, max(0.55, aspects[len(aspects) // 2])))
        self._show_panel()

    def _show_panel(self) -> None:
        if self.large:
            status = self._cameras.status
            self.panel.show_camera(
                self.large,
                dict(one.split("=", 1) for one in self._cameras.cameras).get(self.large, ""),
                None if status is None else status.cameras.get(self.large),
                fixed=status is not None and status.phase != "watching",
            )


class _Cover(QWidget):
    """Border and countdown over the images, transparent for clicks."""

    def __init__(self, stage: QWidget) -> None:
        super().__init__(stage)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._phase: TakePhase = "watching"
        self._countdown_s = 0.0
        self._stage = stage
        stage.installEventFilter(self)
        self.hide()

    def set_phase(self, phase: TakePhase, countdown_s: float) -> None:
        digits = math.ceil(countdown_s)
        if phase != self._phase or (phase == "countdown" and digits != math.ceil(self._countdown_s)):
            self.update()
        self._phase, self._countdown_s = phase, countdown_s
        self.setVisible(phase != "watching")
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self.resize(self._stage.size())
        return super().eventFilter(watched, event)

    def paintEvent(self, event: QPaintEvent) -> None:
        bad = QColor(current_theme().bad)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            pen = QPen(bad, _FRAME_PX)
            painter.setPen(pen)
            half = _FRAME_PX / 2
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(half, half, -half, -half), 8, 8)
            if self._phase != "countdown" or self._countdown_s <= 0:
                return
            side = _DIGIT_SHARE * self.height()
            box = QRectF(0, 0, 1.2 * side, side)
            box.moveCenter(QRectF(self.rect()).center())
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(_PLATE)
            painter.drawRoundedRect(box, 24, 24)
            font = painter.font()
            font.setPixelSize(max(24, round(0.8 * side)))
            font.setBold(True)
            painter.setFont(font)
            painter.setPen(QColor("white"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(math.ceil(self._countdown_s)))
