"""Floor and poles of the rig over the first images of a take."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.session import Session, Take
from core.types import CameraRig
from studio.pages.calibrate import presenter
from studio.theme import GRID_PX
from studio.widgets.images.image_tiles import ImageTiles
from studio.widgets.text import make_label

TILE_PX = 180
"""Minimum width of a landscape tile, with which four cameras fit beside a card in a window of 1280 x 720."""


class OverlayTiles(QWidget):
    """Images of all cameras with floor grid and poles, and a legend.

    Args:
        host: Widget during whose visibility images are loaded; None for the tiles themselves.
        parent: Owner.
    """

    def __init__(self, host: QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.images = ImageTiles(presenter.LEGEND, TILE_PX, host=host)
        self.empty = make_label("Import a take to see floor and poles over its images.", "muted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID_PX)
        layout.addWidget(make_label(presenter.LEGEND, "small"))
        layout.addWidget(self.empty)
        layout.addWidget(self.images)
        layout.addStretch(1)

    def clear(self) -> None:
        """Remove all images."""
        self.images.clear()

    def show_take(self, session: Session, rig: CameraRig, take: Take | None) -> None:
        """Show a rig over the images of a take; None shows an empty state."""
        self.empty.setVisible(take is None)
        self.images.setVisible(take is not None)
        if take is not None:
            sizes = {camera.name: camera.size_px for camera in take.manifest.cameras}
            key = (str(session.root), rig.digest, take.name, take.manifest.created)
            self.images.show_cameras(key, sizes, partial(presenter.overlay, rig, take))
