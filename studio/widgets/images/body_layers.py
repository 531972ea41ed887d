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

_SMALL_PX, _COARSE_VERTICES = 700, 2600


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
        self._coarse: BodyMotion | None = None
        self._last: dict[bool, tuple[int, Surface]] = {}

    def layer(self, camera: str, frame: int, size_px: tuple[int, int]) -> Layer | None:
        """Draw the bodies of a frame for a camera image of a width and height; None if there are none."""
        index = int(self._index[frame]) if frame < len(self._index) else -1
        if index < 0 or camera not in self._cameras or not len(self._motion.people(index)):
            return None
        small = max(size_px) < _SMALL_PX
        return draw_surface(self._cameras[camera], size_px, self._surface(index, small), samples=1)

    def _surface(self, index: int, small: bool) -> Surface:
        """Return the bodies of a frame, with fewer triangles for small images; the cameras share the latest."""
        with self._lock:
            if small and self._coarse is None:
                model = simplified(self._motion.model, _COARSE_VERTICES)
                self._coarse = BodyMotion.of(model, self._motion.bodies)
            motion = self._coarse if small and self._coarse is not None else self._motion
            if small not in self._last or self._last[small][0] != index:
                bodies = zip(motion.vertices_mm(index), motion.people(index), strict=True)
                surfaces = [body_surface(vertices, motion.model.faces, self._colours[p]) for vertices, p in bodies]
                self._last[small] = index, join(surfaces)
            return self._last[small][1]
