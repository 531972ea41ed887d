"""The 3D view as a widget. Without OpenGL it shows a sentence, and the rest of the window works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QResizeEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from core.types.arrays import F64
from studio.theme import Theme, current_theme, theme_changed
from studio.viewport.camera import ViewerCamera, ViewName
from studio.viewport.gl import gl_support
from studio.viewport.layers import Layer, SceneLayers
from studio.viewport.palette import rgba
from studio.viewport.visuals import VISUALS, Drawing
from studio.widgets.frame_ticker import FrameTicker


class Viewport(QWidget):
    """Draws a `SceneLayers`, and again only when it changes.

    The scene is asked for at a beat of the pulse and only after `invalidate`: however often something changes, it is
    resolved once an image.

    Args:
        pulse: Beat shared with the page's other moving parts; its own when left out.
        parent: Owner.
    """

    def __init__(self, pulse: FrameTicker | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pulse = pulse or FrameTicker(parent=self)
        self._pulse.join(self._step)
        self._dirty = False
        self._source: Callable[[], SceneLayers] | None = None
        self._scene: SceneLayers | None = None
        self._drawn: dict[str, Layer] = {}
        self._drawings: dict[str, Drawing] = {}
        self._framed = False
        self._canvas: Any = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        support = gl_support()
        if support.problem:
            self._layout.addWidget(_sentence(support.problem))
        else:
            self._make_canvas(support.samples)
        theme_changed.connect(self._wear)
        self._wear(current_theme())

    @property
    def has_gl(self) -> bool:
        """Whether there is a 3D image at all."""
        return self._canvas is not None

    def sizeHint(self) -> QSize:
        """Large: the 3D view is what the page is for."""
        return QSize(900, 600)

    def set_source(self, source: Callable[[], SceneLayers]) -> None:
        """Says where the scene comes from."""
        self._source = source
        self.invalidate()

    def invalidate(self) -> None:
        """The scene is another one than before: it is drawn at the next beat."""
        self._dirty = True
        self._pulse.wake()

    def look(self, view: ViewName) -> None:
        """Turns to a named view and frames everything."""
        if self._canvas is not None:
            self._camera.look(view)
            if view == "perspective" and self._scene is not None:
                self._camera.azimuth = self._scene.azimuth_deg
            self.frame_all()

    def frame_all(self) -> None:
        """Brings everything into view, in the current direction, and keeps it there until the mouse moves the view."""
        if self._canvas is not None and self._scene is not None:
            self._camera.fit(self._scene.extent_mm, (self.width(), self.height()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Frames anew what was framed."""
        super().resizeEvent(event)
        if self._canvas is not None and self._camera.fitted:
            self.frame_all()

    def reframe(self) -> None:
        """Frames the next scene anew: it is another take's."""
        self._framed = False

    def image(self) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB of what is drawn now, or None without OpenGL."""
        if self._canvas is None:
            return None
        self._draw()
        image: QImage = self._canvas.native.grabFramebuffer().convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()

    def pixels_of(self, xyz_mm: F64) -> F64:
        """(N, 2) places in the widget of world points (N, 3), logical px; NaN behind the viewer."""
        points = np.atleast_2d(np.asarray(xyz_mm, float))
        if self._canvas is None:
            return np.full((len(points), 2), np.nan)
        mapped = np.asarray(self._view.scene.node_transform(self._canvas.scene).map(points))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(mapped[:, 3:] > 0, mapped[:, :2] / mapped[:, 3:], np.nan)

    def close_canvas(self) -> None:
        """Frees what OpenGL holds. The widget shows nothing afterwards."""
        if self._canvas is not None:
            native, canvas = self._canvas.native, self._canvas
            self._canvas = None
            self._drawings.clear()
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

    def _step(self) -> bool:
        if self._dirty:
            self._draw()
        return False

    def _draw(self) -> None:
        self._dirty = False
        if self._source is None or self._canvas is None:
            return
        self._scene = self._source()
        for name, layer in self._scene.layers.items():
            if self._drawn.get(name) is not layer:
                self._drawing(name, layer).show(layer)
        for name in self._drawn.keys() - self._scene.layers.keys():
            self._drawings[name].hide()
        self._drawn = dict(self._scene.layers)
        if not self._framed and len(self._scene.extent_mm) and self.isVisible():
            self._framed = True
            self.look("perspective")
        if self._scene.focus_mm is not None:
            self._camera.center = tuple(float(c) for c in self._scene.focus_mm)
        self._canvas.update()

    def _drawing(self, name: str, layer: Layer) -> Drawing:
        if name not in self._drawings:
            self._drawings[name] = VISUALS[type(layer)](self._view.scene)
        return self._drawings[name]

    def _wear(self, theme: Theme) -> None:
        if self._canvas is not None:
            self._canvas.bgcolor = tuple(float(c) for c in rgba(theme.viewport))
            self._canvas.update()


def _sentence(problem: str) -> QLabel:
    label = QLabel(f"{problem}\nThe 3D view needs OpenGL 2.1; everything else works without it.")
    label.setObjectName("viewportProblem")
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setWordWrap(True)
    label.setProperty("role", "muted")
    return label
