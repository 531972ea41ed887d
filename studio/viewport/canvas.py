"""The 3D view as a widget. Without OpenGL it shows a message, and the rest of the window works."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import vispy
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QResizeEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from core.types import Camera
from core.types.arrays import F64, U8
from studio.theme import Theme, current_theme, theme_changed
from studio.viewport.camera import ViewName
from studio.viewport.gl import gl_support
from studio.viewport.palette import rgba
from studio.viewport.picture import DrawnPicture, draw_picture
from studio.viewport.scene import SceneLayers
from studio.viewport.scene_view import Box, SceneView, ViewCanvas
from studio.widgets.frame_ticker import FrameTicker

FOUR_VIEWS: tuple[ViewName, ...] = ("top", "perspective", "front", "side")
"""The four views, by rows."""
_SAMPLES = 4  # per pixel, for multisampling; too slow with software OpenGL
_GAP_PX = 2
_LABEL_PX = 24  # height of the name of a view
_TURN_DEG, _TURN_S = 15.0, 20.0
"""Largest angle and period of the slow rotation; it is small so that no camera comes to hide the people."""


SceneSource = Callable[[], SceneLayers]
_ViewKey = tuple[ViewName, bool]
"""Direction of a view, and True for its scene to the right of the dividing line."""


class Viewport(QWidget):
    """3D view of `SceneLayers`, redrawn only when they change.

    The scene is requested at the first tick after `invalidate`, so that it is built only once per drawn image.

    Args:
        ticker: Ticker shared by the animated parts of the page; a private one by default.
        parent: Owner.
    """

    def __init__(self, ticker: FrameTicker | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ticker = ticker or FrameTicker(parent=self)
        self._ticker.subscribe(self._tick)
        self._stale = False
        self._source: SceneSource | None = None
        self._wiped_source: SceneSource | None = None
        self._wipe_share = 0.5
        self._four = False
        self._scene: SceneLayers | None = None
        self._views: dict[_ViewKey, SceneView] = {}
        self._framed = self._fits_everything = False
        self._margins_px = (0, 0)
        self._turning_since: float | None = None
        self._canvas: Any = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        support = gl_support()
        if support.problem:
            self._layout.addWidget(_message_label(support.problem))
        else:
            self._make_canvas(support.software)
        theme_changed.connect(self._apply_theme)
        self._apply_theme(current_theme())

    @property
    def has_gl(self) -> bool:
        """True if OpenGL is available."""
        return self._canvas is not None

    def sizeHint(self) -> QSize:
        """Return a large size: the 3D view is the main part of its page."""
        return QSize(900, 600)

    @property
    def native(self) -> QWidget | None:
        """Widget that receives the mouse, or None without OpenGL."""
        return self._canvas.native if self._canvas is not None else None

    def set_scene_source(self, source: SceneSource) -> None:
        """Set the function that returns the current scene."""
        self._source = source
        self.invalidate()

    def set_wiped_source(self, source: SceneSource | None) -> None:
        """Draw a second scene to the right of a dividing line, seen by the same camera; None draws only one scene.

        With four views, each is divided.
        """
        if source != self._wiped_source:  # not `is not`: each access creates a new bound method
            self._wiped_source = source
            self._arrange()
        self.invalidate()

    def set_wipe_share(self, share: float) -> None:
        """Move the dividing line to a fraction of the width of a view."""
        self._wipe_share = share
        self._arrange()

    def set_four(self, on: bool) -> None:
        """Show four views of the scene, or one."""
        if self._four != on:
            self._four = on
            self.look_through(None)
            self._arrange()
            self._draw()
            self._fit(everything=False)

    @property
    def azimuth_deg(self) -> float | None:
        """Direction of the viewer; None without OpenGL."""
        return float(self._main.camera.azimuth) if self._canvas is not None else None

    @property
    def columns(self) -> list[QRect]:
        """Rectangles of the columns of views; the dividing line is at the same fraction of each."""
        boxes = self._boxes()
        return [QRect(x, 0, width, self.height()) for x, _, width, _ in (boxes[:2] if self._four else boxes)]

    @property
    def four(self) -> bool:
        """True if four views are shown."""
        return self._four

    def look_through(self, camera: Camera | None) -> None:
        """Look through a camera of the rig; None returns to the turntable."""
        if self._canvas is not None and (camera is not None or self._main.through is not None):
            self._main.look_through(camera)
            self._arrange()
            self.invalidate()

    def invalidate(self) -> None:
        """Redraw the scene at the next tick."""
        self._stale = True
        self._ticker.request()

    def set_view(self, view: ViewName) -> None:
        """Turn to a named view and fit the people into it, or everything if there are none."""
        if self._canvas is not None:
            self.look_through(None)
            self._four = False
            self._arrange()
            self._main.camera.set_view(view)
            if view == "perspective" and self._scene is not None:
                self._main.camera.azimuth = self._scene.azimuth_deg
            self._fit(everything=False)

    def frame_all(self) -> None:
        """Fit everything into view in the current direction, until mouse navigation changes the view."""
        self._fit(everything=True)

    def _fit(self, *, everything: bool) -> None:
        self._fits_everything = everything
        if self._canvas is not None and self._scene is not None:
            points = self._scene.extent_mm if everything else self._scene.subject_mm
            top, bottom = self._margins_px
            margins = [(top, bottom)]
            if self._four:  # the overlays are at the right, above and below
                margins = [(_LABEL_PX, 0), (max(top, _LABEL_PX), 0), (_LABEL_PX, 0), (_LABEL_PX, bottom)]
            for view, margin in zip(self._shown().values(), itertools.cycle(margins)):
                view.fit(points, margin)

    def set_margins(self, top_px: int, bottom_px: int) -> None:
        """Set the free space for overlays at the top and bottom when the scene is fitted into view."""
        if self._margins_px != (top_px, bottom_px):
            self._margins_px = (top_px, bottom_px)
            if self._fitted:
                self._fit(everything=self._fits_everything)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the scene again unless the user has navigated since."""
        super().resizeEvent(event)
        if self._canvas is not None:
            self._arrange()
            if self._fitted:
                self._fit(everything=self._fits_everything)

    def frame_next_scene(self) -> None:
        """Reset the view when the next scene is drawn, for another take."""
        self._framed = False

    def start_turning(self) -> None:
        """Rotate slowly to and fro, until `stop_turning` or mouse navigation."""
        self._turning_since = time.perf_counter()
        self._ticker.request()

    def stop_turning(self) -> None:
        """Stop the rotation at the current direction."""
        self._turning_since = None

    @property
    def turning(self) -> bool:
        """True while the view rotates by itself."""
        return self._turning_since is not None

    def grab_image(self) -> U8 | None:
        """Return the drawn image as (H, W, 3) uint8 RGB, or None without OpenGL."""
        if self._canvas is None:
            return None
        self._draw()
        image: QImage = self._canvas.native.grabFramebuffer().convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()

    def picture(self, scale: int, *, transparent: bool) -> DrawnPicture | None:
        """Draw the view off the screen, several times as large; None without OpenGL.

        Args:
            scale: Pixels of the picture per pixel of the view.
            transparent: Leave out the background.

        Raises:
            CoreError: The graphics driver cannot draw a picture of this size.
        """
        if self._canvas is None:
            return None

        def draw_all() -> None:
            for view in self._shown().values():
                view.forget()
            self._draw()

        background = None if transparent else rgba(current_theme().viewport)
        return draw_picture(self._canvas, scale, background, draw_all)

    def project_to_widget(self, xyz_mm: F64, at: tuple[float, float] | None = None) -> F64:
        """Project world points (N, 3) to widget positions (N, 2) in logical px; NaN behind the viewer.

        Args:
            xyz_mm: World points.
            at: Widget position that selects the view if there are several.
        """
        view = self._view_at(at)
        return np.full((len(np.atleast_2d(xyz_mm)), 2), np.nan) if view is None else view.project(xyz_mm)

    def is_wiped(self, at: tuple[float, float]) -> bool:
        """Return True for a widget position to the right of the dividing line."""
        return any(wiped and view.contains(*at) for (_, wiped), view in self._shown().items())

    def close_canvas(self) -> None:
        """Free OpenGL resources. The widget is empty afterwards."""
        if self._canvas is not None:
            native, canvas = self._canvas.native, self._canvas
            self._canvas = None
            self._views.clear()
            self._layout.removeWidget(native)
            canvas.close()
            native.setParent(None)
            native.deleteLater()

    def _make_canvas(self, software: bool) -> None:
        vispy.use(app="pyside6")
        config = {"depth_size": 24, "samples": 0 if software else _SAMPLES}
        self._canvas = ViewCanvas(software=software, show=False, keys=None, config=config, parent=self, size=(900, 600))
        self._views["perspective", False] = self._main = SceneView(self._canvas)
        native: QWidget = self._canvas.native
        native.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        native.setMinimumSize(200, 150)
        self._layout.addWidget(native)

    def _tick(self) -> bool:
        if self._stale:
            self._draw()
        if self._turning_since is None or self._canvas is None or self._scene is None or not self._framed:
            return self._turning_since is not None and self._canvas is not None
        if not self._fitted or not self.isVisible():
            self.stop_turning()
            return False
        turns = (time.perf_counter() - self._turning_since) / _TURN_S
        self._main.camera.azimuth = self._scene.azimuth_deg + _TURN_DEG * math.sin(2 * math.pi * turns)
        self._canvas.update()
        return True

    def _draw(self) -> None:
        self._stale = False
        if self._source is None or self._canvas is None:
            return
        self._scene = self._source()
        shown = self._shown()
        other = self._wiped_source() if self._wiped_source is not None and _is_divided(shown) else self._scene
        for (_, wiped), view in shown.items():
            view.draw(other if wiped else self._scene)
        if not self._framed and len(self._scene.extent_mm) and self.isVisible():
            self._framed = True
            if self._four or self._main.through is not None:
                self._fit(everything=False)
            else:
                self.set_view("perspective")
        self._canvas.update()

    def _shown(self) -> dict[_ViewKey, SceneView]:
        """Return the views in use, by rows, then those to the right of the line; create missing ones."""
        if self._canvas is None:
            return {}
        names: tuple[ViewName, ...] = FOUR_VIEWS if self._four else ("perspective",)
        divided = self._wiped_source is not None and self._main.through is None
        for name in names:
            if (name, False) not in self._views:
                self._views[name, False] = SceneView(self._canvas, name)
            if divided and (name, True) not in self._views:
                self._views[name, True] = SceneView(self._canvas, name)
                self._views[name, True].camera.link(self._views[name, False].camera)
                self._views[name, False].camera.view_changed()
        return {(name, side): self._views[name, side] for side in (False, True)[: 1 + divided] for name in names}

    @property
    def _fitted(self) -> bool:
        return self._canvas is not None and all(view.camera.fitted for view in self._shown().values())

    def _arrange(self) -> None:
        """Place the views in the canvas."""
        if self._canvas is None:
            return
        shown = self._shown()
        for key in self._views.keys() - shown.keys():
            self._views[key].hide()
        divided = _is_divided(shown)
        for ((_, wiped), view), area in zip(shown.items(), itertools.cycle(self._boxes())):
            x, y, width, height = area
            at = round(width * self._wipe_share)
            if not divided:
                view.place(area)
            elif wiped:
                view.place((x + at, y, width - at, height), area)
            else:
                view.place((x, y, at, height), area)
        self._canvas.update()

    def _boxes(self) -> list[Box]:
        """Return the boxes of the views in the canvas, by rows."""
        width, height = self.width(), self.height()
        if not self._four:
            return [(0, 0, width, height)]
        left, top = (width - _GAP_PX) // 2, (height - _GAP_PX) // 2
        return [(x, y, left, top) for y in (0, top + _GAP_PX) for x in (0, left + _GAP_PX)]

    def _view_at(self, at: tuple[float, float] | None) -> SceneView | None:
        """Return the view at a widget position, or the first one; None without OpenGL."""
        return next((view for view in self._shown().values() if at is None or view.contains(*at)), None)

    def _apply_theme(self, theme: Theme) -> None:
        if self._canvas is not None:
            self._canvas.bgcolor = tuple(float(c) for c in rgba(theme.viewport))
            self._canvas.update()


def _is_divided(shown: dict[_ViewKey, SceneView]) -> bool:
    return any(wiped for _, wiped in shown)


def _message_label(problem: str) -> QLabel:
    label = QLabel(f"{problem}\nThe 3D view needs OpenGL 2.1; everything else works without it.")
    label.setObjectName("viewportProblem")
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setWordWrap(True)
    label.setProperty("role", "muted")
    return label
