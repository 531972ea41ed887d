"""Capsule impostors: every bone, joint, trail and line of the scene, shaded and antialiased.

A capsule is drawn as one screen-aligned quad whose fragments measure their distance to the axis. It stays smooth at any
zoom without a mesh and without multisampling, which is too slow with software OpenGL. A ball is a capsule of length
zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from vispy import gloo
from vispy.scene.visuals import create_visual_node

from studio.viewport.primitives import Capsules
from studio.viewport.visuals.scene_visual import SceneVisual

_VERTEX = """
attribute vec3 a_start;
attribute vec3 a_end;
attribute vec2 a_corner;    // x: -1 or 1 across the axis; y: 0 at the start, 1 at the end
attribute vec2 a_radius;    // of start and end, mm
attribute float a_min_px;   // smallest radius on the screen, logical px
attribute vec4 a_color;

uniform vec2 u_size;        // of the framebuffer, px
uniform float u_ratio;      // px per logical px
uniform vec3 u_right;       // world unit vector to the right of the screen
uniform vec3 u_toward;      // world unit vector towards the viewer

varying vec4 v_color;
varying vec2 v_place;       // along and across the axis from its start, px
varying float v_length;
varying vec2 v_radii;       // of start and end, px
varying vec2 v_along;

vec2 pixel(vec4 p) { return (p.xy / p.w * 0.5 + 0.5) * u_size; }

float radius_px(vec3 world, vec4 screen, float radius) {
    vec4 rim = u_to_clip * vec4(world + u_right * radius, 1.0);
    return max(distance(pixel(rim), pixel(screen)), a_min_px * u_ratio);
}

void main() {
    // Shift towards the viewer by the radius, so that a joint covers the bones that end in it.
    vec3 lift = u_toward * max(a_radius.x, a_radius.y);
    vec4 start = u_to_clip * vec4(a_start + lift, 1.0);
    vec4 end = u_to_clip * vec4(a_end + lift, 1.0);
    float near = 1e-3 * max(abs(start.w), abs(end.w));
    vec3 from = a_start + lift;
    vec3 to = a_end + lift;
    // Clip at the viewer.
    if (start.w < near && end.w > near) {
        from = mix(from, to, (near - start.w) / (end.w - start.w));
        start = u_to_clip * vec4(from, 1.0);
    } else if (end.w < near && start.w > near) {
        to = mix(to, from, (near - end.w) / (start.w - end.w));
        end = u_to_clip * vec4(to, 1.0);
    }
    if (start.w < near && end.w < near) {
        gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
        return;
    }
    vec2 a = pixel(start);
    vec2 b = pixel(end);
    v_length = distance(a, b);
    v_along = v_length > 1e-3 ? (b - a) / v_length : vec2(1.0, 0.0);
    vec2 across = vec2(-v_along.y, v_along.x);
    bool last = a_corner.y > 0.5;
    vec4 tip = last ? end : start;
    v_radii = vec2(radius_px(from, start, a_radius.x), radius_px(to, end, a_radius.y));
    float margin = max(v_radii.x, v_radii.y) + 1.0;
    vec2 place = pixel(tip) + v_along * (last ? margin : -margin) + across * a_corner.x * margin;
    v_place = vec2(dot(place - a, v_along), a_corner.x * margin);
    v_color = a_color;
    // Divide by w here: distances in pixels must be interpolated in screen space.
    gl_Position = vec4(place / u_size * 2.0 - 1.0, tip.z / tip.w, 1.0);
}
"""

_FRAGMENT = """
uniform vec3 u_right;
uniform vec3 u_toward;
varying vec4 v_color;
varying vec2 v_place;
varying float v_length;
varying vec2 v_radii;
varying vec2 v_along;

void main() {
    float nearest = clamp(v_place.x, 0.0, v_length);
    vec2 offset = vec2(v_place.x - nearest, v_place.y);
    float radius = mix(v_radii.x, v_radii.y, nearest / max(v_length, 1e-3));
    float coverage = clamp(radius - length(offset) + 0.5, 0.0, 1.0);
    if (coverage * v_color.a < 0.01) discard;
    vec3 color = v_color.rgb;
    %s
    gl_FragColor = vec4(color, v_color.a * coverage);
}
"""

# The light of the meshes.
_SHADING = """
    vec2 flat_normal = offset / max(radius, 1e-3);
    vec2 screen = flat_normal.x * v_along + flat_normal.y * vec2(-v_along.y, v_along.x);
    vec3 normal = vec3(screen, sqrt(max(0.0, 1.0 - dot(screen, screen))));
    vec3 key = normalize(vec3(-0.45, 0.65, 0.62));
    float wrapped = 0.5 + 0.5 * dot(normal, key);
    float sky = 0.5 + 0.5 * (normal.x * u_right + normal.y * cross(u_toward, u_right) + normal.z * u_toward).z;
    float shine = max(dot(normal, normalize(key + vec3(0.0, 0.0, 1.0))), 0.0);
    shine *= shine; shine *= shine; shine *= shine; shine *= shine;
    color = color * (0.28 + 0.34 * sky + 0.58 * wrapped * wrapped) + vec3(0.12 * shine);
"""

_LAYOUT = np.dtype(
    [
        ("a_start", np.float32, 3),
        ("a_end", np.float32, 3),
        ("a_corner", np.float32, 2),
        ("a_radius", np.float32, 2),
        ("a_min_px", np.float32),
        ("a_color", np.float32, 4),
    ]
)
_BLEND = ("src_alpha", "one_minus_src_alpha")
_QUAD = np.array([0, 1, 2, 2, 1, 3])
_CORNERS = np.array([(-1, 0), (1, 0), (-1, 1), (1, 1)], np.float32)


class CapsuleVisual(SceneVisual):
    """`Capsules`, all in one draw call.

    Args:
        shade: Shade as solid bodies; otherwise draw plain lines.
        sort: Draw distant capsules first, so that antialiased edges blend with what is behind them; otherwise draw
            in the given order.
        flat: Draw without depth test, for lines on the floor that are drawn before everything else: coplanar lines
            would cause z-fighting.
    """

    def __init__(self, shade: bool = False, *, sort: bool = False, flat: bool = False) -> None:
        super().__init__(_VERTEX, _FRAGMENT % (_SHADING if shade else ""))
        self._vertices = gloo.VertexBuffer(np.zeros(4, _LAYOUT))
        self._count = 0
        self._sort = sort
        self._ends = np.zeros((0, 2, 3))
        self._sorted_for = np.zeros(3, np.float32)
        self._indices = gloo.IndexBuffer()
        self._draw_mode = "triangles"
        self.shared_program.bind(self._vertices)
        self.set_gl_state(depth_test=not flat, blend=True, cull_face=False, blend_func=_BLEND)
        self.freeze()

    def set_capsules(self, *parts: Capsules) -> None:
        """Replace the capsules and upload them."""
        count = sum(len(p.radius) for p in parts)
        table = np.zeros((count, 4), _LAYOUT)
        first = 0
        for part in parts:
            rows = table[first : first + len(part.radius)]
            rows["a_start"] = part.start[:, None]
            rows["a_end"] = part.end[:, None]
            rows["a_radius"] = part.radius[:, None]
            rows["a_min_px"] = part.min_px
            rows["a_color"] = part.colour[:, None] if part.colour.ndim == 2 else np.repeat(part.colour, 2, 1)
            first += len(part.radius)
        table["a_corner"] = _CORNERS
        if count:
            self._vertices.set_data(table.ravel())
            if self._sort:
                self._ends = np.stack([table["a_start"][:, 0], table["a_end"][:, 0]], 1)
                self._sorted_for = np.zeros(3, np.float32)
            elif count != self._count:
                self._set_order(np.arange(count))
        self._count = count
        self.update()

    def _set_order(self, order: np.ndarray) -> None:
        indices = ((order * 4)[:, None] + _QUAD).astype(np.uint32).ravel()
        if self._indices.size != len(indices):
            self._indices = self._index_buffer = gloo.IndexBuffer(indices)
        else:
            self._indices.set_data(indices)

    def _prepare_draw(self, view: Any) -> bool:
        if not self._count:
            return False
        look, canvas = self._look(view), view.canvas
        toward = look.toward
        self._set(view, u_size=canvas.physical_size, u_ratio=float(canvas.pixel_scale), u_right=look.right)
        self._set(view, u_toward=toward)
        if self._sort and not np.allclose(toward, self._sorted_for, atol=1e-3):
            # By the farther end, and stable: joints, given after their bones, are drawn after them.
            self._set_order(np.argsort((self._ends @ toward).min(-1), kind="stable"))
            self._sorted_for = toward
        return True


CapsuleNode: Any = create_visual_node(CapsuleVisual)
