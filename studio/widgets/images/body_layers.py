"""Bodies over the videos, drawn on the threads of the decoders."""

from __future__ import annotations

import threading

from core.body.sequence import BodyMotion
from core.body.simplify import simplified
from core.rendering.draw import Layer, draw_surface
from core.rendering.surfaces import Surface, body_surface, join
from core.types.arrays import F32, F64
from core.types.camera import CameraRig
from core.types.rate import nearest_samples

_LEVELS = ((400, 1000), (700, 2600))  # images with a side below so many px show bodies of so many vertices


class BodyLayers:
    """Bodies of a take, projected into its cameras; thread-safe.

    Args:
        rig: Cameras of the take.
        motion: Bodies.
        time_s: (T,) times of the take's frames.
        colours: (P, 3) sRGB colours of the people, in 0..1.
    """

    def __init__(self, rig: CameraRig, motion: BodyMotion, time_s: F64, colours: F32) -> None:
        self._cameras = {camera.name: camera for camera in rig if camera.posed}
        self._motion, self._colours = motion, colours
        self._index = nearest_samples(motion.bodies.time_s, time_s, motion.bodies.fps)
        self._lock = threading.Lock()
        self._coarse: dict[int, BodyMotion] = {}
        self._last: dict[int, tuple[int, Surface]] = {}

    def layer(self, camera: str, frame: int, size_px: tuple[int, int]) -> Layer | None:
        """Draw the bodies of a frame for a camera image of a width and height; None if there are none."""
        index = int(self._index[frame]) if frame < len(self._index) else -1
        if index < 0 or camera not in self._cameras or not len(self._motion.people(index)):
            return None
        vertices = next((count for below_px, count in _LEVELS if max(size_px) < below_px), 0)
        return draw_surface(self._cameras[camera], size_px, self._surface(index, vertices), samples=1)

    def _surface(self, index: int, vertices: int) -> Surface:
        """Return the bodies of a frame, of about so many vertices, 0 for all; the cameras share the latest."""
        with self._lock:
            if vertices not in self._coarse:
                model = self._motion.model
                self._coarse[vertices] = (
                    BodyMotion.of(simplified(model, vertices), self._motion.bodies) if vertices else self._motion
                )
            motion = self._coarse[vertices]
            if vertices not in self._last or self._last[vertices][0] != index:
                bodies = zip(motion.vertices_mm(index), motion.people(index), strict=True)
                surfaces = [body_surface(corners, motion.model.faces, self._colours[p]) for corners, p in bodies]
                self._last[vertices] = index, join(surfaces)
            return self._last[vertices][1]
