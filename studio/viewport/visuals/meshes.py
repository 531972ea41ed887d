"""Shaded meshes of bodies in one draw call, with fewer triangles for bodies that are small on the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vispy import gloo
from vispy.scene.visuals import create_visual_node

from core.types.arrays import F32, F64, I64
from studio.viewport.palette import RGBA
from studio.viewport.visuals.scene_visual import SceneVisual

_VERTEX = """
attribute vec3 a_position;
attribute vec3 a_normal;
attribute vec3 a_color;
varying vec3 v_normal;
varying vec3 v_color;
varying float v_height;
void main() {
    v_normal = a_normal;
    v_color = a_color;
    v_height = a_position.z;
    gl_Position = u_to_clip * vec4(a_position, 1.0);
}
"""

_FRAGMENT = """
uniform vec3 u_key;         // world unit vector towards the main light, which moves with the viewer
uniform vec3 u_toward;      // world unit vector towards the viewer
uniform float u_opacity;
varying vec3 v_normal;
varying vec3 v_color;
varying float v_height;
void main() {
    vec3 normal = normalize(v_normal);
    float wrapped = 0.5 + 0.5 * dot(normal, u_key);
    float sky = 0.5 + 0.5 * normal.z;
    float light = 0.20 + 0.34 * sky + 0.58 * wrapped * wrapped;
    // Less of the sky reaches what is near the floor.
    light *= mix(0.72, 1.0, smoothstep(0.0, 350.0, v_height));
    float edge = 1.0 - clamp(dot(normal, u_toward), 0.0, 1.0);
    float shine = max(dot(normal, normalize(u_key + u_toward)), 0.0);
    shine *= shine; shine *= shine; shine *= shine; shine *= shine;
    vec3 rim = mix(v_color, vec3(1.0), 0.35) * (0.30 * edge * edge * edge * sky);
    // The outline fades over a pixel: multisampling doubles the cost with software OpenGL. It fades by a third only,
    // since what lies behind it may be drawn later.
    float facing = 1.0 - edge;
    float cover = 0.67 + 0.33 * clamp(facing / max(fwidth(facing), 1e-4) + 0.1, 0.0, 1.0);
    gl_FragColor = vec4(v_color * light + rim + vec3(0.09 * shine), u_opacity * cover);
}
"""

_LEVEL_PX = (420.0, 220.0)
"""Height of a body on the screen in px below which the next coarser level is drawn."""
_KEY = np.array([-0.45, 0.65, 0.62])  # right, up, towards the viewer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Meshes:
    """Posed meshes of N bodies, one after the other.

    Attributes:
        position_mm: (V, 3) vertices.
        normal: (V, 3) normals of any length.
        triangles: Vertex indices (F, 3) of each body, from 0; the same object for the same surface.
        counts: Number of vertices of each body.
    """

    position_mm: F32
    normal: F32
    triangles: tuple[I64, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeshSource:
    """Bodies of a frame, which are posed when their size on the screen is known.

    Attributes:
        ends_mm: (N, 2, 3) approximate lowest and highest point of each body.
        colour: (N, 4) colours.
        pose: Returns the meshes at levels of detail (N,): 0 is the finest, -1 is not drawn.
        opacity: Opacity of all bodies.
    """

    ends_mm: F64
    colour: RGBA
    pose: Callable[[tuple[int, ...]], Meshes]
    opacity: float = 1.0


class MeshVisual(SceneVisual):
    """Bodies. Triangles and colours are uploaded when a level or a colour changes, vertices when the frame does."""

    def __init__(self) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        # Separate buffers: views of a structured one keep its first length.
        self._buffers = {
            name: gloo.VertexBuffer(np.zeros((4, 3), np.float32)) for name in ("a_position", "a_normal", "a_color")
        }
        self._source: MeshSource | None = None
        self._posed: tuple[MeshSource, tuple[int, ...]] | None = None
        self._static: tuple[object, ...] = ()
        self._triangles: tuple[I64, ...] = ()  # kept alive, so that no other array gets the `id` of one of them
        self._draw_mode = "triangles"
        for name, buffer in self._buffers.items():
            self.shared_program[name] = buffer
        self.shared_program["u_opacity"] = 1.0
        self.set_gl_state(
            depth_test=True, blend=True, cull_face="back", blend_func=("src_alpha", "one_minus_src_alpha")
        )
        self.freeze()

    def set_bodies(self, source: MeshSource) -> None:
        """Replace the bodies."""
        self._source = source
        self.shared_program["u_opacity"] = source.opacity
        self.update()

    def _prepare_draw(self, view: Any) -> bool:
        source = self._source
        if source is None:
            return False
        look = self._look(view)
        levels = levels_of_detail(look.to_clip, source.ends_mm, view.canvas.physical_size)
        if not any(level >= 0 for level in levels):
            return False
        if self._posed is None or self._posed[0] is not source or self._posed[1] != levels:
            self._upload(source, levels)
            self._posed = source, levels
        key = _KEY @ np.stack([look.right, np.cross(look.toward, look.right), look.toward])
        self._set(view, u_key=key / np.linalg.norm(key), u_toward=look.toward)
        return True

    def _upload(self, source: MeshSource, levels: tuple[int, ...]) -> None:
        meshes = source.pose(levels)
        self._buffers["a_position"].set_data(meshes.position_mm)
        self._buffers["a_normal"].set_data(meshes.normal)
        colour = source.colour[np.array(levels) >= 0, :3]
        static = tuple(map(id, meshes.triangles)), colour.tobytes()
        if static == self._static:
            return
        self._static, self._triangles = static, meshes.triangles
        first = np.concatenate([[0], np.cumsum(meshes.counts)])
        faces = [triangles + start for triangles, start in zip(meshes.triangles, first, strict=False)]
        self._index_buffer = gloo.IndexBuffer(np.concatenate(faces).astype(np.uint32).ravel())
        self._buffers["a_color"].set_data(np.repeat(colour.astype(np.float32), meshes.counts, 0))


def levels_of_detail(
    to_clip: Callable[[F64], NDArray[np.floating[Any]]], ends_mm: F64, size_px: tuple[int, int]
) -> tuple[int, ...]:
    """Return the level of detail of each body, -1 for those outside the view.

    Args:
        to_clip: Maps world points (N, 3) to homogeneous clip coordinates (N, 4).
        ends_mm: (N, 2, 3) lowest and highest point of each body.
        size_px: Width and height of the view.
    """
    if not len(ends_mm):
        return ()
    clip = np.asarray(to_clip(ends_mm.reshape(-1, 3)), float).reshape(-1, 2, 4)
    near = clip[..., 3] <= 0
    place = clip[..., :2] / np.where(near, 1.0, clip[..., 3])[..., None]
    height_px = np.linalg.norm((place[:, 1] - place[:, 0]) * np.asarray(size_px, float) / 2, axis=-1)
    levels = (height_px[:, None] < _LEVEL_PX).sum(1)
    levels[near.any(1)] = 0
    # The arm span is about the height of the body.
    reach = height_px[:, None] / np.asarray(size_px, float) * 2
    outside = ((place.min(1) > 1 + reach) | (place.max(1) < -1 - reach)).any(1) & ~near.any(1)
    levels[outside | near.all(1)] = -1
    return tuple(levels.tolist())


MeshNode: Any = create_visual_node(MeshVisual)
