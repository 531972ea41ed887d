"""Viewer camera that looks through a camera of the rig."""

from __future__ import annotations

from typing import Any

import numpy as np
from vispy.scene.cameras import BaseCamera
from vispy.visuals.transforms import MatrixTransform

from core.types import Camera

_NEAR_MM, _FAR_MM = 50.0, 1e5
_ZOOM_PER_STEP, _MAX_ZOOM = 1.15, 20.0


class RigViewCamera(BaseCamera):
    """View of a calibrated camera: its pose and its intrinsics without distortion. The wheel zooms, a drag pans.

    Args:
        camera: Camera with a pose.
    """

    def __init__(self, camera: Camera) -> None:
        super().__init__(interactive=True)
        self.camera = camera
        self._zoom, self._offset = 1.0, np.zeros(2)
        self._drag_from: Any = None

    def fit(self) -> None:
        """Show the whole image."""
        self._zoom, self._offset = 1.0, np.zeros(2)
        self.view_changed()

    def set_range(self, *args: Any, **kwargs: Any) -> None:
        """Ignore the bounds of the scene: the image gives the range."""
        self._xlim = self._ylim = self._zlim = (0.0, 1.0)

    def viewbox_resize_event(self, event: Any) -> None:
        """Fit the image into the new size."""
        self.view_changed()

    def viewbox_mouse_event(self, event: Any) -> None:
        """Zoom with the wheel about the pointer, pan with a drag."""
        if event.type == "mouse_press":
            event.handled = True
        elif event.type == "mouse_wheel":
            zoom = float(np.clip(self._zoom * _ZOOM_PER_STEP ** event.delta[1], 1.0, _MAX_ZOOM))
            middle = np.asarray(event.pos[:2], float) - np.asarray(self._viewbox.size) / 2
            self._offset = middle + (self._offset - middle) * (zoom / self._zoom)
            self._zoom = zoom
            event.handled = True
            self.view_changed()
        elif event.type == "mouse_move" and event.press_event is not None:
            if self._drag_from is None:
                self._drag_from = self._offset.copy()
            self._offset = self._drag_from + (event.mouse_event.pos - event.mouse_event.press_event.pos)[:2]
            self.view_changed()
        if event.type == "mouse_release":
            self._drag_from = None

    def _update_transform(self, event: Any = None) -> None:
        if self._viewbox is None or min(self._viewbox.size) <= 0:
            return
        size, image = np.asarray(self._viewbox.size, float), np.asarray(self.camera.size_px, float)
        scale = self._zoom * float((size / image).min())
        # (0, 0) is the centre of the first pixel, so the image begins half a pixel before it.
        shift = size / 2 + self._offset - scale * (image / 2 - 0.5)
        projection = np.zeros((4, 4))
        projection[:2, :3] = scale * self.camera.K[:2]
        projection[:2, 2] += shift
        depth = _FAR_MM - _NEAR_MM
        projection[2, 2:] = (_FAR_MM + _NEAR_MM) / depth, -2 * _FAR_MM * _NEAR_MM / depth
        projection[3, 2] = 1.0
        world = np.eye(4)
        world[:3, :3], world[:3, 3] = self.camera.pose
        self._set_scene_transform(MatrixTransform((projection @ world).T))
