"""Opaque triangles with a colour at each vertex, drawn before everything else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vispy import gloo
from vispy.scene.visuals import create_visual_node

from core.types.arrays import F32
from studio.viewport.palette import RGBA
from studio.viewport.visuals.scene_visual import SceneVisual

_VERTEX = """
attribute vec3 a_position;
attribute vec4 a_color;
varying vec4 v_color;
void main() {
    v_color = a_color;
    gl_Position = u_to_clip * vec4(a_position, 1.0);
}
"""
_FRAGMENT = """
varying vec4 v_color;
void main() { gl_FragColor = v_color; }
"""


class PatchVisual(SceneVisual):
    """Triangles without depth test: everything drawn later covers them."""

    def __init__(self) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        self._position = gloo.VertexBuffer(np.zeros((3, 3), np.float32))
        self._colour = gloo.VertexBuffer(np.zeros((3, 4), np.float32))
        self._draw_mode = "triangles"
        self.shared_program["a_position"], self.shared_program["a_color"] = self._position, self._colour
        self.set_gl_state(depth_test=False, blend=False, cull_face=False)
        self.freeze()

    def set_triangles(self, vertices_mm: F32, colour: RGBA, triangles: NDArray[np.uint32]) -> None:
        """Replace the triangles (F, 3), the vertices (V, 3) and their colours (V, 4)."""
        self._position.set_data(vertices_mm)
        self._colour.set_data(colour)
        self._index_buffer = gloo.IndexBuffer(triangles.ravel())
        self.update()


PatchNode: Any = create_visual_node(PatchVisual)
