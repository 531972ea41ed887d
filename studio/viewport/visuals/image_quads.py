"""Camera images on their image planes: textured quads with a common texture atlas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from vispy import gloo
from vispy.scene.visuals import create_visual_node

from core.types.arrays import F64, U8
from studio.viewport.palette import RGBA
from studio.viewport.visuals.scene_visual import SceneVisual

_TILE_PX = 320

_VERTEX = """
attribute vec3 a_position;
attribute vec3 a_centre;    // of the image plane
attribute vec2 a_texture;
attribute float a_filled;
uniform vec3 u_middle;      // of the people
uniform vec3 u_toward;      // world unit vector towards the viewer
varying vec2 v_texture;
varying float v_filled;
varying float v_opacity;
void main() {
    v_texture = a_texture;
    v_filled = a_filled;
    // Images between the viewer and the people fade, and lie behind the people then.
    vec3 away = a_centre - u_middle;
    float nearer = dot(away, u_toward) / max(length(away), 1.0);
    v_opacity = mix(0.96, 0.10, smoothstep(0.15, 0.45, nearer));
    gl_Position = u_to_clip * vec4(a_position, 1.0);
    // Otherwise a little farther than the lines around them, which they would cut.
    gl_Position.z = nearer > 0.2 ? 0.99999 * gl_Position.w : gl_Position.z + 1e-5 * gl_Position.w;
}
"""

_FRAGMENT = """
uniform sampler2D u_atlas;
uniform vec4 u_empty;
varying vec2 v_texture;
varying float v_filled;
varying float v_opacity;
void main() {
    gl_FragColor = mix(u_empty, vec4(texture2D(u_atlas, v_texture).rgb, v_opacity), step(0.5, v_filled));
}
"""

_LAYOUT = np.dtype(
    [
        ("a_position", np.float32, 3),
        ("a_centre", np.float32, 3),
        ("a_texture", np.float32, 2),
        ("a_filled", np.float32),
    ]
)


class ImageQuadVisual(SceneVisual):
    """One quad per image. A new image in view is uploaded at about its size on the screen."""

    def __init__(self) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        self._vertices = gloo.VertexBuffer(np.zeros(4, _LAYOUT))
        self._columns = 0
        self._corner = np.zeros((0, 4, 3))
        self._images: tuple[U8 | None, ...] = ()
        self._sizes: list[tuple[int, int]] = []
        self._uploaded: list[U8 | None] = []
        self._halvings: list[int] = []
        self._stale = True
        self._texture = gloo.Texture2D(np.zeros((1, 1, 3), np.uint8), interpolation="linear")
        self._draw_mode = "triangles"
        self.shared_program["u_atlas"] = self._texture
        self.shared_program["u_empty"] = (0.0, 0.0, 0.0, 0.0)
        self.shared_program["u_middle"] = (0.0, 0.0, 0.0)
        self.shared_program.bind(self._vertices)
        self.set_gl_state(depth_test=True, blend=True, cull_face=False, blend_func=("src_alpha", "one_minus_src_alpha"))
        self.freeze()

    def set_images(self, corner: F64, images: tuple[U8 | None, ...], empty: RGBA, middle_mm: F64 | None = None) -> None:
        """Replace the images.

        Args:
            corner: (V, 4, 3) corners: top left, top right, bottom right, bottom left.
            images: (V,) uint8 RGB images, or None for an empty plane.
            empty: (4,) colour of empty planes.
            middle_mm: (3,) point in front of which images fade; None if they never do.
        """
        if len(images) != len(self._sizes):
            self._allocate(len(images))
        filled = [image is not None for image in images]
        if corner is not self._corner or filled != [image is not None for image in self._images]:
            self._stale = True
        self._corner, self._images = corner, images
        self.shared_program["u_empty"] = tuple(float(c) for c in empty)
        # Far above: no image is nearer to a viewer who does not look up.
        self.shared_program["u_middle"] = (0.0, 0.0, 1e9) if middle_mm is None else tuple(map(float, middle_mm))
        self.update()

    def _allocate(self, count: int) -> None:
        self._columns = max(1, int(np.ceil(np.sqrt(count))))
        rows = max(1, -(-count // self._columns))
        self._sizes, self._uploaded, self._stale = [(1, 1)] * count, [None] * count, True
        self._halvings = [0] * count
        self._texture.resize((rows * _TILE_PX, self._columns * _TILE_PX, 3))
        if count:
            quads = (np.arange(count, dtype=np.uint32) * 4)[:, None] + np.array([0, 1, 2, 0, 2, 3], np.uint32)
            self._index_buffer = gloo.IndexBuffer(quads.ravel())

    def _upload(self, index: int, image: U8, side_px: float) -> None:
        """Upload an image, halved while it is larger than its tile or twice as large as on the screen."""
        longest = max(image.shape[:2])
        halvings = max(int(np.ceil(np.log2(longest / _TILE_PX))), int(np.log2(max(longest / side_px, 1.0))), 0)
        if image is self._uploaded[index] and halvings == self._halvings[index]:
            return
        small = image
        for _ in range(halvings):  # OpenCV has a fast path for a factor of two
            height, width = small.shape[:2]
            halved = cv2.resize(small, (max(width // 2, 1), max(height // 2, 1)), interpolation=cv2.INTER_AREA)
            small = np.asarray(halved, np.uint8)
        row, column = divmod(index, self._columns)
        self._texture.set_data(np.ascontiguousarray(small), offset=(row * _TILE_PX, column * _TILE_PX))
        size = small.shape[1], small.shape[0]
        self._stale |= size != self._sizes[index]
        self._sizes[index], self._uploaded[index], self._halvings[index] = size, image, halvings

    def _write_vertices(self) -> None:
        table = np.zeros((len(self._images), 4), _LAYOUT)
        table["a_position"], table["a_centre"] = self._corner, self._corner.mean(1, keepdims=True)
        table["a_filled"] = np.array([image is not None for image in self._images])[:, None]
        for index in range(len(self._images)):
            table["a_texture"][index] = self._texture_corners(index)
        self._vertices.set_data(table.ravel())
        self._stale = False

    def _texture_corners(self, index: int) -> F64:
        """Return texture coordinates (4, 2) of a tile, inset by half a pixel so that its neighbours do not bleed in."""
        rows, columns = self._texture.shape[:2]
        width, height = self._sizes[index]
        row, column = divmod(index, self._columns)
        x0, y0 = column * _TILE_PX + 0.5, row * _TILE_PX + 0.5
        x1, y1 = x0 + width - 1, y0 + height - 1
        return np.asarray(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) / (columns, rows))

    def _prepare_draw(self, view: Any) -> bool:
        if not self._images:
            return False
        look = self._look(view)
        self._set(view, u_toward=look.toward)
        sides = sides_px(look.to_clip, self._corner, view.canvas.physical_size)
        for index, (image, side) in enumerate(zip(self._images, sides.tolist(), strict=True)):
            if image is not None and side > 0:
                self._upload(index, image, side)
        if self._stale:
            self._write_vertices()
        return bool((sides > 0).any())


def sides_px(
    to_clip: Callable[[F64], NDArray[np.floating[Any]]], corner: F64, size_px: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the longest side (V,) of image planes on the screen in px; 0 where out of view.

    Args:
        to_clip: Maps world points (N, 3) to homogeneous clip coordinates (N, 4).
        corner: (V, 4, 3) corners.
        size_px: Width and height of the view.
    """
    clip = np.asarray(to_clip(corner.reshape(-1, 3)), float).reshape(-1, 4, 4)
    behind = clip[..., 3] <= 0
    place = clip[..., :2] / np.where(behind, 1.0, clip[..., 3])[..., None]
    side = np.linalg.norm((np.roll(place, -1, 1) - place) * np.asarray(size_px, float) / 2, axis=-1).max(1)
    side[behind.any(1)] = max(size_px)  # it extends behind the viewer
    outside = ((place.min(1) > 1) | (place.max(1) < -1)).any(1) & ~behind.any(1)
    return np.where(outside | behind.all(1), 0.0, side)


ImageQuadNode: Any = create_visual_node(ImageQuadVisual)
