"""Dragging of faces of the capture volume in the 3D view."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio.pages.view.joints.picking import nearest_point
from studio.viewport.canvas import Viewport
from studio.viewport.layers.volume import face_centres
from studio.volume.box import VolumeBox

_REACH_PX = 12.0
_PROBE_MM = 10.0
_ITERATIONS = 6
_LEAST_PX_PER_M = 2.0
"""Smallest projected length of a face's axis in px for a drag."""


class FaceDrag:
    """Drag of a face of the capture volume along its axis.

    Args:
        viewport: The 3D view.
        box: The volume.
        face: Index of the face.
        at: Position of the pointer at the start of the drag, which determines the view.
        moved: Function called with each new box.
        dropped: Function called with the final box if it has changed.
    """

    def __init__(
        self,
        viewport: Viewport,
        box: VolumeBox,
        face: int,
        at: tuple[float, float],
        moved: Callable[[VolumeBox], None],
        dropped: Callable[[VolumeBox], None],
    ) -> None:
        self._viewport, self._box, self._face, self._at = viewport, box, face, at
        self._moved, self._dropped = moved, dropped
        self._start = face_centres(box.low_mm, box.high_mm)[face]
        self._offset = np.asarray(at) - viewport.project_to_widget(self._start, at)[0]
        self._last: VolumeBox | None = None

    def to(self, x: float, y: float) -> None:
        """Move the face to the point of its axis nearest to the pointer."""
        pointer, axis = np.array([x, y]) - self._offset, self._face // 2
        place = self._start.copy()
        for _ in range(_ITERATIONS):  # the projection along the axis is nonlinear
            beside = place + np.eye(3)[axis] * _PROBE_MM
            seen, next_ = self._viewport.project_to_widget(np.stack([place, beside]), self._at)
            per_mm = (next_ - seen) / _PROBE_MM
            if not np.isfinite(per_mm).all() or np.linalg.norm(per_mm) * 1000 < _LEAST_PX_PER_M:
                return
            place[axis] += float((pointer - seen) @ per_mm / (per_mm @ per_mm))
        box = self._box.with_face(self._face, float(place[axis]))
        if self._last is None or not np.allclose([box.low_mm, box.high_mm], [self._last.low_mm, self._last.high_mm]):
            self._last = box
            self._moved(box)

    def drop(self) -> None:
        """End the drag."""
        if self._last is not None:
            self._dropped(self._last)


def face_at(viewport: Viewport, box: VolumeBox, at: tuple[float, float]) -> int | None:
    """Return the face of the volume whose handle is at a position of the 3D view; None if there is none."""
    centres = viewport.project_to_widget(face_centres(box.low_mm, box.high_mm), at)
    return nearest_point(centres, at, _REACH_PX)
