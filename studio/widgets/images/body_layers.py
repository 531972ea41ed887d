"""Bodies over the videos, drawn on the threads of the decoders."""

from __future__ import annotations

import threading

import numpy as np

from core.body.sequence import BodyMotion
from core.rendering.draw import Layer, draw_surface
from core.rendering.surfaces import Surface, body_surface, join
from core.types.arrays import F32, F64
from core.types.camera import CameraRig
from core.types.rate import nearest_samples


class BodyLayers:
    """The bodies of a take as its cameras see them; thread-safe.

    Args:
        rig: Cameras of the take.
        motion: Bodies.
        time_s: (T,) times of the take's frames.
        colours: (P, 3) sRGB colours in 0..1 of the people of the bodies.
    """

    def __init__(self, rig: CameraRig, motion: BodyMotion, time_s: F64, colours: F32) -> None:
        self._cameras = {camera.name: camera for camera in rig if camera.posed}
        self._motion, self._colours = motion, colours
        self._index = nearest_samples(motion.bodies.time_s, time_s, motion.bodies.fps)
        self._lock = threading.Lock()
        self._last: tuple[int, Surface] | None = None

    def layer(self, camera: str, frame: int, size_px: tuple[int, int]) -> Layer | None:
        """Draw the bodies of a frame over a camera's image of a width and height; None without any."""
        index = int(self._index[frame]) if frame < len(self._index) else -1
        if index < 0 or camera not in self._cameras or not len(self._motion.people(index)):
            return None
        return draw_surface(self._cameras[camera], size_px, self._surface(index))

    def _surface(self, index: int) -> Surface:
        """Return the bodies of a frame; the cameras share the latest."""
        with self._lock:
            if self._last is None or self._last[0] != index:
                people, faces = self._motion.people(index), self._motion.model.faces
                bodies = zip(self._motion.vertices_mm(index), people, strict=True)
                surfaces = [body_surface(vertices, faces, np.asarray(self._colours[p])) for vertices, p in bodies]
                self._last = index, join(surfaces)
            return self._last[1]
