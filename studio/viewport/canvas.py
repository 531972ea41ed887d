"""The 3D view as a widget. Without OpenGL it shows a message, and the rest of the window works."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QResizeEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from core.types.arrays import F64, U8
from studio.theme import Theme, current_theme, theme_changed
from studio.viewport.camera import ViewerCamera, ViewName
from studio.viewport.gl import gl_support
from studio.viewport.layers.spec import LayerVisual
from studio.viewport.layers.table import layer_spec
from studio.viewport.palette import rgba
from studio.viewport.scene import SceneLayers
from studio.widgets.frame_ticker import FrameTicker

_TURN_DEG, _TURN_S = 15.0, 20.0
"""Largest angle and period of the slow turn: the people stay between the cameras that would hide them."""


class Viewport(QWidget):
    """3D view of `SceneLayers`, redrawn only when they change.

    The scene is requested at a tick and only after `invalidate`: it is built once per drawn image, however many
    changes there are.

    Args:
        ticker: Ticker shared by the animated parts of the page; a private one by default.
        parent: Owner.
    """

    def __init__(self, ticker: FrameTicker | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ticker = ticker or FrameTicker(parent=self)
        self._ticker.subscribe(self._tick)
        self._stale = False
        self._source: Callable[[], SceneLayers] | None = None
        self._scene: SceneLayers | None = None
        self._drawn: dict[str, Any] = {}
        self._visuals: dict[str, LayerVisual[Any]] = {}
        self._framed = False
        self._margins_px = (0, 0)
        self._turning_since: float | None = None
        self._canvas: Any = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        support = gl_support()
        if support.problem:
            self._layout.addWidget(_message_label(support.problem))
        else:
            self._make_canvas(support.samples)
        theme_changed.connect(self._apply_theme)
        self._apply_theme(current_theme())

    @property
    def has_gl(self) -> bool:
        """Whether OpenGL is available."""
        return self._canvas is not None

    def sizeHint(self) -> QSize:
        """Return a large size: the 3D view is the main part of its page."""
        return QSize(900, 600)

    def set_scene_source(self, source: Callable[[], SceneLayers]) -> None:
        """Set the function that returns the current scene."""
        self._source = source
        self.invalidate()

    def invalidate(self) -> None:
        """Redraw the scene at the next tick."""
        self._stale = True
        self._ticker.request()

    def set_view(self, view: ViewName) -> None:
        """Turn to a named view and frame everything."""
        if self._canvas is not None:
            self._camera.set_view(view)
            if view == "perspective" and self._scene is not None:
                self._camera.azimuth = self._scene.azimuth_deg
            self.frame_all()

    def frame_all(self) -> None:
        """Fit everything into view in the current direction, until mouse navigation changes the view."""
        if self._canvas is not None and self._scene is not None:
            self._camera.fit(self._scene.extent_mm, (self.width(), self.height()), self._margins_px)

    def set_margins(self, top_px: int, bottom_px: int) -> None:
        """Leave room for what lies over the upper and the lower edge when everything is fitted into view."""
        if self._margins_px != (top_px, bottom_px):
            self._margins_px = (top_px, bottom_px)
            if self._canvas is not None and self._camera.fitted:
                self.frame_all()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the scene again if it was fitted before."""
        super().resizeEvent(event)
        if self._canvas is not None and self._camera.fitted:
            self.frame_all()

    def frame_next_scene(self) -> None:
        """Reset the view at the next scene, for another take."""
        self._framed = False

    def start_turning(self) -> None:
        """Turn slowly to and fro, until `stop_turning` or mouse navigation."""
        self._turning_since = time.perf_counter()
        self._ticker.request()

    def stop_turning(self) -> None:
        """Keep the direction."""
        self._turning_since = None

    @property
    def turning(self) -> bool:
        """Whether the view turns by itself."""
        return self._turning_since is not None

    def grab_image(self) -> U8 | None:
        """Return the drawn image as (H, W, 3) uint8 RGB, or None without OpenGL."""
        if self._canvas is None:
            return None
        self._draw()
        image: QImage = self._canvas.native.grabFramebuffer().convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()

    def project_to_widget(self, xyz_mm: F64) -> F64:
        """Project world points (N, 3) to widget positions (N, 2) in logical px; NaN behind the viewer."""
        points = np.atleast_2d(np.asarray(xyz_mm, float))
        if self._canvas is None:
            return np.full((len(points), 2), np.nan)
        mapped = np.asarray(self._view.scene.node_transform(self._canvas.scene).map(points))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(mapped[:, 3:] > 0, mapped[:, :2] / mapped[:, 3:], np.nan)

    def close_canvas(self) -> None:
        """Free OpenGL resources. The widget is empty afterwards."""
        if self._canvas is not None:
            native, canvas = self._canvas.native, self._canvas
            self._canvas = None
            self._visuals.clear()
            self._layout.removeWidget(native)
            canvas.close()
            native.setParent(None)
            native.deleteLater()

    def _make_canvas(self, samples: int) -> None:
        import vispy
        from vispy.scene import SceneCanvas

        vispy.use(app="pyside6")
        config = {"depth_size": 24, "samples": samples}
        self._canvas = SceneCanvas(show=False, keys=None, config=config, parent=self, size=(900, 600))
        self._view = self._canvas.central_widget.add_view()
        self._camera = ViewerCamera()
        self._view.camera = self._camera
        native: QWidget = self._canvas.native
        native.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        native.setMinimumSize(200, 150)
        self._layout.addWidget(native)

    def _tick(self) -> bool:
        if self._stale:
            self._draw()
        if self._turning_since is None or self._canvas is None or self._scene is None or not self._framed:
            return self._turning_since is not None and self._canvas is not None
        if not self._camera.fitted or not self.isVisible():
            self.stop_turning()
            return False
        turns = (time.perf_counter() - self._turning_since) / _TURN_S
        self._camera.azimuth = self._scene.azimuth_deg + _TURN_DEG * math.sin(2 * math.pi * turns)
        self._canvas.update()
        return True

    def _draw(self) -> None:
        self._stale = False
        if self._source is None or self._canvas is None:
            return
        self._scene = self._source()
        for name, layer in self._scene.layers.items():
            if self._drawn.get(name) is not layer:
                self._visual(name).show(layer)
        for name in self._drawn.keys() - self._scene.layers.keys():
            self._visuals[name].hide()
        self._drawn = dict(self._scene.layers)
        if not self._framed and len(self._scene.extent_mm) and self.isVisible():
            self._framed = True
            self.set_view("perspective")
        if self._scene.focus_mm is not None:
            self._camera.center = tuple(float(c) for c in self._scene.focus_mm)
        self._canvas.update()

    def _visual(self, name: str) -> LayerVisual[Any]:
        if name not in self._visuals:
            self._visuals[name] = layer_spec(name).visual(self._view.scene)
        return self._visuals[name]

    def _apply_theme(self, theme: Theme) -> None:
        if self._canvas is not None:
            self._canvas.bgcolor = tuple(float(c) for c in rgba(theme.viewport))
            self._canvas.update()


def _message_label(problem: str) -> QLabel:
    label = QLabel(f"{problem}\nThe 3D view needs OpenGL 2.1; everything else works without it.")
    label.setObjectName("viewportProblem")
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setWordWrap(True)
    label.setProperty("role", "muted")
    return label
