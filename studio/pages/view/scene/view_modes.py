"""View modes: single view, four views, view through a camera, and two results with a dividing line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PySide6.QtCore import QRect

from core.types import Camera
from studio.pages.view.options import VIEWS
from studio.pages.view.presenter import ViewPresenter
from studio.pages.view.scene.divider import Divider, NamePlate
from studio.pages.view.toolbar import ViewStrip
from studio.theme import GRID_PX
from studio.viewport.camera import ViewName
from studio.viewport.canvas import FOUR_VIEWS, SceneSource, Viewport
from studio.widgets.images.video_panes import VideoPanes


class ViewModes:
    """Controller of the view modes.

    Args:
        presenter: Content of the page.
        viewport: The 3D view.
        strip: Buttons for the views.
        dividers: Dividing lines, one per column of the four views; a single view has the first.
        panes: Camera images, for the background of the view through a camera.
        compared: Scene of the compared result.
    """

    def __init__(
        self,
        presenter: ViewPresenter,
        viewport: Viewport,
        strip: ViewStrip,
        dividers: Sequence[Divider],
        panes: VideoPanes,
        compared: SceneSource,
    ) -> None:
        self._presenter, self._viewport, self._strip = presenter, viewport, strip
        self._dividers, self._panes, self._compared = tuple(dividers), panes, compared
        self._wipe = False
        self._camera: Camera | None = None
        self._taken = QRect()
        names = {name: text for name, text, _ in VIEWS}
        self._plates = [NamePlate(viewport) for _ in FOUR_VIEWS]
        self._names = [names[name] for name in FOUR_VIEWS]
        strip.view_selected.connect(self.show_view)
        strip.four_selected.connect(self.show_four)
        strip.camera_selected.connect(self.look_through)
        for divider in dividers:
            divider.moved.connect(self._move_lines)

    def refresh(self) -> None:
        """Update after a change of result, cameras or comparison."""
        self._strip.show_cameras(self._presenter.camera_names)
        name = self._presenter.options.through
        camera = self._presenter.camera(name)
        if camera is not None and self._camera is not None and not _same_view(camera, self._camera):
            self.look_through(name)
        self._show_wipe()

    def keep_clear(self, taken: QRect) -> None:
        """Keep an area of the 3D view free of names."""
        self._taken = taken
        self.place()

    def place(self) -> None:
        """Place the lines and the names of the views."""
        below = self._plates[0].geometry().bottom() + 1 if self._viewport.four else 0
        for divider, column in zip(self._dividers, self._viewport.columns, strict=False):
            divider.place(column, below, self._taken)
        width, height = self._viewport.width(), self._viewport.height()
        for index, plate in enumerate(self._plates):
            plate.move(index % 2 * width // 2 + GRID_PX, index // 2 * height // 2 + GRID_PX)

    def set_wipe(self, on: bool) -> None:
        """Compare two results by a dividing line, or with ghosts."""
        self._wipe = on
        self._show_wipe()

    def show_view(self, view: ViewName) -> None:
        """Show a single view."""
        self._leave_camera()
        self._viewport.set_view(view)
        self._show_wipe()

    def show_four(self) -> None:
        """Show four views."""
        self._leave_camera()
        self._viewport.set_four(True)
        self._show_wipe()

    def look_through(self, name: str) -> None:
        """Show the view through a camera with its image as background."""
        self._viewport.set_four(False)
        self._presenter.options = replace(self._presenter.options, through=name)
        self._camera = self._presenter.camera(name)
        self._viewport.look_through(self._camera)
        self._want_image()
        self._show_wipe()

    def _show_wipe(self) -> None:
        """Divide the view between two results if chosen and possible, and show their names."""
        for plate, name in zip(self._plates, self._names, strict=True):
            plate.show_text(name if self._viewport.four else "")
        presenter = self._presenter
        presenter.wipe = (
            self._wipe and presenter.has_comparison and not presenter.options.through and self._viewport.has_gl
        )
        first, second = self._dividers
        first.show_names(presenter.title(presenter.result), presenter.title(presenter.comparison))
        first.setVisible(presenter.wipe)
        second.setVisible(presenter.wipe and self._viewport.four)
        self._viewport.set_wiped_source(self._compared if presenter.wipe else None)
        self.place()

    def _move_lines(self, share: float) -> None:
        for divider in self._dividers:
            divider.share = share
        self._viewport.set_wipe_share(share)
        self.place()

    def _leave_camera(self) -> None:
        self._presenter.options = replace(self._presenter.options, through="")
        self._camera = None
        self._viewport.look_through(None)
        self._want_image()

    def _want_image(self) -> None:
        """Request the background image at its displayed size."""
        width_px = 0
        if self._camera is not None:
            width, height = self._camera.size_px
            area = self._viewport.size() * self._viewport.devicePixelRatioF()
            width_px = round(min(area.width(), area.height() * width / height, width))
        self._panes.want_width(self._presenter.options.through, width_px)


def _same_view(camera: Camera, other: Camera) -> bool:
    parts = ((c.K, c.distortion, *c.pose, c.size_px) for c in (camera, other))
    return camera.name == other.name and all(np.array_equal(a, b) for a, b in zip(*parts, strict=True))
