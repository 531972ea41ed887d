"""Legends in a corner of the 3D view."""

from __future__ import annotations

from PySide6.QtCore import QRect

from studio.pages.view.presenter import ViewPresenter
from studio.theme import GRID_PX, Theme
from studio.viewport.accuracy_colours import ACCURACY_TITLE
from studio.viewport.canvas import Viewport
from studio.viewport.layers.accuracy import SHOW_ACCURACY
from studio.viewport.layers.cameras import SHOW_CAMERAS
from studio.widgets.level_legend import LevelLegend


class SceneLegends:
    """Legends of cameras, accuracy map and joints; that of the joints also applies to the videos.

    Args:
        viewport: The 3D view.

    Attributes:
        cameras: Reliability of the cameras.
        accuracy: Scale of the accuracy map.
        joints: Sides and confidence.
    """

    def __init__(self, viewport: Viewport) -> None:
        self._viewport = viewport
        self.cameras, self.accuracy, self.joints = (LevelLegend(viewport) for _ in range(3))

    def show(self, presenter: ViewPresenter, theme: Theme) -> None:
        """Show the legends of the visible layers."""
        reliability, shows = presenter.reliability, presenter.options.shows
        self.cameras.show_levels(reliability.title, reliability.legend_rows() if shows(SHOW_CAMERAS) else [])
        self.accuracy.show_levels(ACCURACY_TITLE, presenter.accuracy_rows() if shows(SHOW_ACCURACY) else [])
        self.joints.show_levels(*presenter.joint_legend(theme))

    def place(self, margin_px: int) -> QRect:
        """Place the legends side by side in the upper right corner, and return their area."""
        right, taken = self._viewport.width() - margin_px, QRect()
        for legend in (self.cameras, self.accuracy, self.joints):
            if not legend.isHidden():
                legend.move(right - legend.width(), margin_px)
                right, taken = right - legend.width() - GRID_PX, taken.united(legend.geometry())
        return taken
