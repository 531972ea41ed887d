"""Soft ellipses on the floor: light on it, and shadows of people."""

from __future__ import annotations

from typing import Any

import numpy as np
from vispy import gloo
from vispy.scene.visuals import create_visual_node

from core.types.arrays import F32
from studio.viewport.primitives import Blobs
from studio.viewport.visuals.scene_visual import SceneVisual

_VERTEX = """
attribute vec3 a_position;
attribute vec2 a_place;     // in the ellipse, -1 to 1
attribute vec4 a_color;
varying vec2 v_place;
varying vec4 v_color;
void main() {
    v_place = a_place;
    v_color = a_color;
    gl_Position = u_to_clip * vec4(a_position, 1.0);
}
"""

_FRAGMENT = """
varying vec2 v_place;
varying vec4 v_color;
void main() {
    float inside = max(1.0 - dot(v_place, v_place), 0.0);
    gl_FragColor = vec4(v_color.rgb, v_color.a * inside * inside);
}
"""

_CORNERS: F32 = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
_QUAD = np.array([0, 1, 2, 0, 2, 3], np.uint32)


class BlobVisual(SceneVisual):
    """Any number of `Blobs`, drawn in one call, under everything that stands on the floor."""

    def __init__(self) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        sizes = {"a_position": 3, "a_place": 2, "a_color": 4}
        self._buffers = {name: gloo.VertexBuffer(np.zeros((4, size), np.float32)) for name, size in sizes.items()}
        self._count = 0
        self._draw_mode = "triangles"
        for name, buffer in self._buffers.items():
            self.shared_program[name] = buffer
        self.set_gl_state(
            depth_test=False, blend=True, cull_face=False, blend_func=("src_alpha", "one_minus_src_alpha")
        )
        self.freeze()

    def set_blobs(self, *parts: Blobs) -> None:
        """Upload blobs in place of the earlier ones."""
        centre, along, aspect, colour = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("centre", "along", "aspect", "colour")
        )
        count = len(centre)
        if count:
            across = np.stack([-along[:, 1], along[:, 0]], -1) * aspect[:, None]
            position = np.zeros((count, 4, 3), np.float32)
            x, y = _CORNERS[:, 0, None], _CORNERS[:, 1, None]
            position[..., :2] = centre[:, None] + x * along[:, None] + y * across[:, None]
            self._buffers["a_position"].set_data(position.reshape(-1, 3))
            self._buffers["a_color"].set_data(np.repeat(colour, 4, 0))
            if count != self._count:
                self._buffers["a_place"].set_data(np.tile(_CORNERS, (count, 1)))
                order = (np.arange(count, dtype=np.uint32) * 4)[:, None] + _QUAD
                self._index_buffer = gloo.IndexBuffer(order.ravel())
        self._count = count
        self.update()

    def _prepare_draw(self, view: Any) -> bool:
        self._look(view)
        return self._count > 0


BlobNode: Any = create_visual_node(BlobVisual)
