"""Textured mesh: one image on any surface, drawn before everything else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vispy import gloo
from vispy.scene.visuals import create_visual_node

from core.types.arrays import F32, U8
from studio.viewport.visuals.scene_visual import SceneVisual

_VERTEX = """
attribute vec3 a_position;
attribute vec2 a_texture;
varying vec2 v_texture;
void main() {
    v_texture = a_texture;
    gl_Position = u_to_clip * vec4(a_position, 1.0);
}
"""
_FRAGMENT = """
uniform sampler2D u_image;
varying vec2 v_texture;
void main() { gl_FragColor = vec4(texture2D(u_image, v_texture).rgb, 1.0); }
"""


class ImageMeshVisual(SceneVisual):
    """Image on a mesh, without depth test. Unchanged parts are not uploaded again."""

    def __init__(self) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        self._texture = gloo.Texture2D(np.zeros((1, 1, 3), np.uint8), interpolation="linear")
        self._image: U8 | None = None
        self._xyz_mm: F32 | None = None
        self._draw_mode = "triangles"
        self.shared_program["u_image"] = self._texture
        self.set_gl_state(depth_test=False, blend=False, cull_face=False)
        self.freeze()

    def set_image(self, xyz_mm: F32, texture: F32, triangles: NDArray[np.uint32], image: U8) -> None:
        """Replace the image and its mesh.

        Args:
            xyz_mm: (N, 3) points.
            texture: (N, 2) texture coordinates.
            triangles: (M, 3) indices of points.
            image: (H, W, 3) uint8 RGB image.
        """
        if xyz_mm is not self._xyz_mm:
            self.shared_program["a_position"] = gloo.VertexBuffer(xyz_mm)
            self.shared_program["a_texture"] = gloo.VertexBuffer(texture)
            self._index_buffer = gloo.IndexBuffer(triangles.ravel())
            self._xyz_mm = xyz_mm
        if image is not self._image:
            if self._image is None or image.shape != self._image.shape:
                self._texture.resize(image.shape)
            self._texture.set_data(np.ascontiguousarray(image))
            self._image = image
        self.update()

    def _prepare_draw(self, view: Any) -> bool:
        self._look(view)
        return self._image is not None


ImageMeshNode: Any = create_visual_node(ImageMeshVisual)
