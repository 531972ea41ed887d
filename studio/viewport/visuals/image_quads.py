"""Textured quads for the camera images on their image planes, all in one texture atlas."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from vispy import gloo
from vispy.scene.visuals import create_visual_node
from vispy.visuals import Visual

from core.types.arrays import F64, U8
from studio.viewport.palette import RGBA

_TILE_PX = 320

_VERTEX = """
attribute vec3 a_position;
attribute vec2 a_texture;
attribute float a_filled;
varying vec2 v_texture;
varying float v_filled;
void main() {
    v_texture = a_texture;
    v_filled = a_filled;
    gl_Position = $transform(vec4(a_position, 1.0));
}
"""

_FRAGMENT = """
uniform sampler2D u_atlas;
uniform vec4 u_empty;
varying vec2 v_texture;
varying float v_filled;
void main() {
    gl_FragColor = mix(u_empty, vec4(texture2D(u_atlas, v_texture).rgb, 0.94), step(0.5, v_filled));
}
"""

_LAYOUT = np.dtype([("a_position", np.float32, 3), ("a_texture", np.float32, 2), ("a_filled", np.float32)])


class ImageQuadVisual(Visual):
    """One quad per image. An image is uploaded only if it is a new object."""

    def __init__(self) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        self._vertices = gloo.VertexBuffer(np.zeros(4, _LAYOUT))
        self._columns = 0
        self._sizes: list[tuple[int, int]] = []
        self._uploaded: list[U8 | None] = []
        self._texture = gloo.Texture2D(np.zeros((1, 1, 3), np.uint8), interpolation="linear")
        self._count = 0
        self._draw_mode = "triangles"
        self.shared_program["u_atlas"] = self._texture
        self.shared_program["u_empty"] = (0.0, 0.0, 0.0, 0.0)
        self.shared_program.bind(self._vertices)
        self.set_gl_state(depth_test=True, blend=True, cull_face=False, blend_func=("src_alpha", "one_minus_src_alpha"))
        self.freeze()

    def set_images(self, corner: F64, images: tuple[U8 | None, ...], empty: RGBA) -> None:
        """Draw these images in place of the earlier ones.

        Args:
            corner: (V, 4, 3) corners: top left, top right, bottom right, bottom left.
            images: (V,) uint8 RGB images, or None for an empty plane.
            empty: (4,) colour of empty planes.
        """
        if len(images) != len(self._sizes):
            self._allocate(len(images))
        for index, image in enumerate(images):
            if image is not None and image is not self._uploaded[index]:
                self._upload(index, image)
        self._count = len(images)
        self.shared_program["u_empty"] = tuple(float(c) for c in empty)
        table = np.zeros((len(images), 4), _LAYOUT)
        table["a_position"] = corner
        table["a_filled"] = np.array([p is not None for p in images])[:, None]
        for index in range(len(images)):
            table["a_texture"][index] = self._texture_corners(index)
        if self._count:
            self._vertices.set_data(table.ravel())
            quads = (np.arange(self._count, dtype=np.uint32) * 4)[:, None] + np.array([0, 1, 2, 0, 2, 3], np.uint32)
            self._index_buffer = gloo.IndexBuffer(quads.ravel())
        self.update()

    def _allocate(self, count: int) -> None:
        self._columns = max(1, int(np.ceil(np.sqrt(count))))
        rows = max(1, -(-count // self._columns))
        self._sizes, self._uploaded = [(1, 1)] * count, [None] * count
        self._texture.resize((rows * _TILE_PX, self._columns * _TILE_PX, 3))

    def _upload(self, index: int, image: U8) -> None:
        height, width = image.shape[:2]
        scale = min(1.0, _TILE_PX / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        row, column = divmod(index, self._columns)
        self._texture.set_data(np.ascontiguousarray(small), offset=(row * _TILE_PX, column * _TILE_PX))
        self._sizes[index], self._uploaded[index] = size, image

    def _texture_corners(self, index: int) -> F64:
        """Return texture coordinates (4, 2) of a tile, inset by half a pixel so that its neighbours do not bleed in."""
        rows, columns = self._texture.shape[:2]
        width, height = self._sizes[index]
        row, column = divmod(index, self._columns)
        x0, y0 = column * _TILE_PX + 0.5, row * _TILE_PX + 0.5
        x1, y1 = x0 + width - 1, y0 + height - 1
        return np.asarray(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) / (columns, rows))

    def _prepare_transforms(self, view: Any) -> None:
        view.view_program.vert["transform"] = view.transforms.get_transform("visual", "render")

    def _prepare_draw(self, view: Any) -> bool:
        return self._count > 0

    def _compute_bounds(self, axis: int, view: Any) -> None:
        """Return no bounds: the canvas frames the scene itself."""
        return


ImageQuadNode: Any = create_visual_node(ImageQuadVisual)
