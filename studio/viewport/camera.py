"""Camera of the viewer: a turntable with z up that can fit points into view."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from vispy.scene.cameras import TurntableCamera

from core.types.arrays import F64

ViewName = Literal["perspective", "top", "front", "side"]

VIEWS: dict[ViewName, tuple[float, float, float]] = {
    "perspective": (35.0, 24.0, 32.0),
    "top": (0.0, 90.0, 0.0),
    "front": (0.0, 0.0, 0.0),
    "side": (0.0, 0.0, 90.0),
}
"""Field of view (0 is orthographic), elevation and azimuth in degrees."""

_PADDING_PX = 34, 26  # on each side; half a camera name and the height of a label
_MIN_SCALE_MM = 300.0
_ZOOM_PER_STEP = 1.1
_ZOOM_LIMITS_MM = 50.0, 3e5  # of the scale
_REACH_MM = 700.0  # radius of a person about the centre
_FARTHEST = 3.0  # largest distance of a floor point to zoom toward, relative to the distance of the centre
_MIDDLE_BUTTON = 3


class ViewerCamera(TurntableCamera):
    """Orbit with left drag, pan with middle drag or Shift + left drag, zoom with wheel or right drag. Units are mm.

    Attributes:
        people_mm: (N, 3) centres of the people, which the wheel zooms toward.
    """

    center: tuple[float, ...]

    def __init__(self) -> None:
        fov, elevation, azimuth = VIEWS["perspective"]
        super().__init__(fov=fov, elevation=elevation, azimuth=azimuth, center=(0, 0, 900.0), scale_factor=6000.0)
        # Ratio of far to near plane; vispy's default of a million leaves too little depth precision near the viewer.
        self.depth_value = 3e4
        self._event_value: Any = None
        self.people_mm: F64 = np.zeros((0, 3))
        self.fitted = False
        """True after `fit`, until the user navigates with the mouse."""
        self.window: tuple[int, int, int, int] | None = None
        """Position (left, top) of the view box in a larger picture, then its size; None if the view shows all of it."""

    def set_view(self, view: ViewName) -> None:
        """Turn to a named view; keep centre and zoom."""
        fov, elevation, azimuth = VIEWS[view]
        self.set_state(fov=fov, elevation=elevation, azimuth=azimuth)

    def fit(self, points_mm: F64, size: tuple[int, int], margins_px: tuple[int, int] = (0, 0)) -> None:
        """Fit points into an image, with space for labels; keep the direction.

        Args:
            points_mm: (N, 3) world points.
            size: Width and height of the image.
            margins_px: Free space at the top and at the bottom, together at most half of the height.
        """
        if not len(points_mm) or min(size) <= 0:
            return
        right, up, forward = self._axes()
        tangent = np.tan(np.radians(self.fov) / 2) if self.fov else 0.0
        aspect = size[0] / size[1]
        # vispy's field of view is the vertical one.
        shrink = min(1.0, size[1] / 2 / max(sum(margins_px), 1))
        top, bottom = (shrink * margin for margin in margins_px)
        padding = _PADDING_PX[0], _PADDING_PX[1] + (top + bottom) / 2
        padded = [max(1 - 2 * pad / side, 0.3) for pad, side in zip(padding, size, strict=True)]
        # Offset of the centre of the free part above the image centre, in units of half the image height.
        offset = (bottom - top) / size[1]
        limits = tangent * aspect * padded[0], tangent * padded[1]
        centre = (points_mm.min(0) + points_mm.max(0)) / 2
        scale = _MIN_SCALE_MM
        for _ in range(6):
            across, ahead = (points_mm - centre) @ np.stack([right, up], -1), (points_mm - centre) @ forward
            if not self.fov:
                half = (across.max(0) - across.min(0)) / 2
                scale = max(2 * max(half[1] / padded[1], half[0] / aspect / padded[0]), _MIN_SCALE_MM)
                middle = (across.max(0) + across.min(0)) / 2 - (0.0, offset * scale / 2)
            else:
                raised = np.array([0.0, offset * tangent])
                beside = across - raised * np.maximum(scale / 2 / tangent + ahead, 0.0)[:, None]
                distance = float((np.abs(beside) / limits - ahead[:, None]).max())
                seen = across / np.maximum(distance + ahead, 1.0)[:, None]
                middle = ((seen.max(0) + seen.min(0)) / 2 - raised) * distance
                scale = 2 * distance * tangent
            centre = centre + middle @ np.stack([right, up])
        self.fitted = True
        # The scale is the height of the image at the centre, or its width where that is smaller.
        scale = max(scale, _MIN_SCALE_MM) * (1.0 if aspect >= 1 else aspect)
        self.set_state(center=tuple(float(c) for c in centre), scale_factor=scale)

    def _update_transform(self, event: Any = None) -> None:
        """Map the scene to the view box, which may show only a part of the picture."""
        if self.window is None:
            super()._update_transform(event)
            return
        if self._viewbox is None or self._resetting:
            return
        left, top, width, height = self.window
        aspect = width / height
        self._update_projection_transform(self._scale_factor * max(aspect, 1.0), self._scale_factor / min(aspect, 1.0))
        self._viewbox_tr.set_mapping([[-1, 1], [1, -1]], [[-left, -top], [width - left, height - top]])
        self._set_scene_transform(self._viewbox_tr * self._projection * self.transform.inverse)

    def _axes(self) -> tuple[F64, F64, F64]:
        """Return unit vectors right, up and forward of the current direction."""
        azimuth, elevation = np.radians(self.azimuth), np.radians(self.elevation)
        right = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        level = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
        forward = np.cos(elevation) * level - np.sin(elevation) * np.array([0.0, 0.0, 1.0])
        return right, np.cross(right, forward), forward

    def zoom(self, factor: float, x_px: float, y_px: float) -> None:
        """Zoom about the visible point at a position: a person, the floor, or a point as far away as the centre.

        Args:
            factor: Factor of the viewing distance; below 1 zooms in.
            x_px: Position in the view box from its left side, logical px.
            y_px: Position from its top.
        """
        left, top, width, height = self.window or (0, 0, *self._viewbox.size)
        half = self.scale_factor / 2 * np.array([max(width / height, 1.0), max(height / width, 1.0)])
        right, up, forward = self._axes()
        across, above = half * (2 * (left + x_px) / width - 1, 1 - 2 * (top + y_px) / height)
        centre = np.array(self.center, float)
        offset = right * across + up * above
        if self.fov:
            eye = -forward * half[1] / np.tan(np.radians(self.fov) / 2)
            offset = eye + self._depth(centre + eye, offset - eye) * (offset - eye)
        limited = np.clip(self.scale_factor * factor, *_ZOOM_LIMITS_MM)
        middle = centre + (1 - limited / self.scale_factor) * offset
        self.set_state(center=tuple(middle), scale_factor=float(limited))
        self.fitted = False

    def _depth(self, eye: F64, ray: F64) -> float:
        """Return the depth of the visible point along a ray, relative to that of the centre."""
        along = (self.people_mm - eye) @ ray / (ray @ ray)
        beside = np.linalg.norm(eye + along[:, None] * ray - self.people_mm, axis=1)
        depths = [*along[beside < _REACH_MM].tolist(), -eye[2] / ray[2] if ray[2] else 0.0]
        return min((depth for depth in depths if 0 < depth < _FARTHEST), default=1.0)

    def viewbox_resize_event(self, event: Any) -> None:
        """Do nothing: `SceneView.place` updates the view after it has set position and size."""

    def viewbox_mouse_event(self, event: Any) -> None:
        """Handle a mouse event as vispy does, pan with the middle button, and zoom about the pointer."""
        if event.type in ("mouse_wheel", "gesture_zoom"):
            wheel = event.type == "mouse_wheel"
            share = _ZOOM_PER_STEP ** -event.delta[1] if wheel else np.exp(-event.scale)
            self.zoom(float(share), *map(float, event.pos[:2]))
            event.handled = True
            return
        if event.type == "mouse_move" and event.press_event is not None:
            self.fitted = False
        if event.type == "mouse_move" and event.press_event is not None and _MIDDLE_BUTTON in event.buttons:
            if self._event_value is None:
                self._event_value = np.array(self.center, float)
            right, up, _ = self._axes()
            moved = event.mouse_event.pos - event.mouse_event.press_event.pos
            per_pixel = self.scale_factor / min(self._viewbox.size)
            self.center = tuple(self._event_value - right * moved[0] * per_pixel + up * moved[1] * per_pixel)
            event.handled = True
            return
        super().viewbox_mouse_event(event)
