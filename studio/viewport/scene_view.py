"""One view of the scene: a box of the canvas with its own camera and its own drawings of the layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from vispy.scene import SceneCanvas
from vispy.scene.widgets import ViewBox

from core.types import Camera
from core.types.arrays import F64
from studio.viewport.camera import ViewerCamera, ViewName
from studio.viewport.layers.spec import LayerVisual
from studio.viewport.layers.table import layer_spec
from studio.viewport.rig_camera import RigViewCamera
from studio.viewport.scene import SceneLayers

Box = tuple[int, int, int, int]
"""Left, top, width and height in logical px."""


class ViewCanvas(SceneCanvas):
    """Canvas that finds the view under the pointer by its place; vispy would draw the scene once more for it.

    Args:
        software: The renderer runs on the CPU.
        settings: As for vispy's canvas.
    """

    picture_scale: int = 0
    """Pixels per logical pixel while a picture is drawn; 0 for those of the screen."""

    def __init__(self, *, software: bool, **settings: Any) -> None:
        self._software = software
        self._backend_kwargs: Any = None
        self.looks: dict[Any, Any] = {}
        """Projections of the views, by the parent of their visuals, in the current drawing."""
        super().__init__(**settings)

    def create_native(self) -> None:
        """Create the widget."""
        if not self._software or self._backend is not None:
            super().create_native()
            return
        from studio.viewport.software_widget import SoftwareWidget

        SoftwareWidget(self, **self._backend_kwargs)  # it makes itself the backend
        self._backend_kwargs = None
        self.events.draw.connect(self.context.flush_commands, position="last")

    def _draw_scene(self, bgcolor: Any = None) -> None:
        self.looks.clear()
        super()._draw_scene(bgcolor)

    @property
    def physical_size(self) -> tuple[int, int]:
        """Width and height in px."""
        if self.picture_scale:
            return int(self.size[0]) * self.picture_scale, int(self.size[1]) * self.picture_scale
        width, height = super().physical_size
        return int(width), int(height)

    def visual_at(self, pos: Any) -> Any:
        """Return the view box at a position, or None."""
        return next((box for box in self.scene.children if isinstance(box, ViewBox) and _contains(box, *pos[:2])), None)


class SceneView:
    """View box of a canvas.

    Args:
        canvas: The vispy canvas.
        view: Initial direction.

    Attributes:
        camera: The turntable camera; it keeps its state while the view looks through a camera of the rig.
    """

    def __init__(self, canvas: Any, view: ViewName = "perspective") -> None:
        self._canvas = canvas
        self._visuals: dict[str, LayerVisual[Any]] = {}
        self._drawn: dict[str, Any] = {}
        self._area: Box = (0, 0, 1, 1)
        self._place: tuple[Box, Box | None] | None = None
        self.camera = ViewerCamera()
        self.camera.set_view(view)
        self._through: RigViewCamera | None = None
        self.box = ViewBox(camera=self.camera, parent=canvas.scene)

    def forget(self) -> None:
        """Draw all layers again, although they did not change: the canvas has another number of pixels."""
        self._drawn.clear()

    @property
    def through(self) -> RigViewCamera | None:
        """Camera of the rig that the view looks through, or None."""
        return self._through

    def place(self, box: Box, area: Box | None = None) -> None:
        """Place the view in the canvas.

        Args:
            box: Part of the canvas that the view draws in.
            area: Part of the canvas that the camera fills, if the view shows only a piece of it.
        """
        place = (box, area)
        if place == self._place and self.box.visible:
            return  # to place it again would cost as much as to draw it
        self._place = place
        left, top, width, height = self._area = area or box
        self.camera.window = None if area is None else (box[0] - left, box[1] - top, width, height)
        self.box.pos, self.box.size = box[:2], box[2:]
        self.box.visible = box[2] > 0 and box[3] > 0
        self.camera.view_changed()

    def hide(self) -> None:
        """Draw nothing until the next `place`."""
        self.box.visible = False

    def contains(self, x: float, y: float) -> bool:
        """Return whether a position in the canvas is in this view."""
        return _contains(self.box, x, y)

    def draw(self, scene: SceneLayers) -> None:
        """Show layers; those that are the same objects as before stay as they are."""
        for name, layer in scene.layers.items():
            if self._drawn.get(name) is not layer:
                self._visual(name).show(layer)
        for name in self._drawn.keys() - scene.layers.keys():
            self._visuals[name].hide()
        self._drawn = dict(scene.layers)
        self.camera.people_mm = scene.people_mm
        if scene.focus_mm is not None:
            self.camera.center = tuple(float(c) for c in scene.focus_mm)

    def fit(self, points_mm: F64, margins_px: tuple[int, int] = (0, 0)) -> None:
        """Fit points (N, 3) into view in the current direction, until mouse navigation changes the view."""
        self.camera.fit(points_mm, self._area[2:], margins_px)
        if self._through is not None:
            self._through.fit()

    def look_through(self, camera: Camera | None) -> None:
        """Look through a camera of the rig; None returns to the turntable."""
        through = None if camera is None else RigViewCamera(camera)
        self.box.camera = through or self.camera
        if self._through is not None:
            self._through.parent = None
        self._through = through

    def project(self, xyz_mm: F64) -> F64:
        """Project world points (N, 3) to canvas positions (N, 2) in logical px; NaN behind the viewer."""
        points = np.atleast_2d(np.asarray(xyz_mm, float))
        mapped = np.asarray(self.box.scene.node_transform(self._canvas.scene).map(points))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(mapped[:, 3:] > 0, mapped[:, :2] / mapped[:, 3:], np.nan)

    def _visual(self, name: str) -> LayerVisual[Any]:
        if name not in self._visuals:
            self._visuals[name] = layer_spec(name).visual(self.box.scene)
        return self._visuals[name]


def _contains(box: ViewBox, x: float, y: float) -> bool:
    (left, top), (width, height) = box.pos, box.size
    return bool(box.visible and left <= x < left + width and top <= y < top + height)
