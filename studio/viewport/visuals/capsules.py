"""Round, shaded, antialiased capsules: every bone, joint, trail and line of the scene.

A stroke is a capsule between two points. It is drawn as one screen-aligned quad whose fragments measure their distance
to the middle line, so tubes stay smooth at any zoom without a mesh and without multisampling, which software GL cannot
afford. A joint is a capsule of length zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from vispy import gloo
from vispy.scene.visuals import create_visual_node
from vispy.visuals import Visual

from core.types.arrays import F32, F64
from studio.viewport.layers import RGBA

_VERTEX = """
attribute vec3 a_start;
attribute vec3 a_end;
attribute vec2 a_corner;    // x: -1 or 1 across the stroke; y: 0 at the start, 1 at the end
attribute float a_radius;   // in the world
attribute float a_least;    // smallest radius on the screen, px
attribute vec4 a_color;

uniform vec2 u_size;        // of the image, px
uniform vec3 u_right;       // unit vector of the world that points right on the screen
uniform vec3 u_toward;      // unit vector of the world that points at the viewer

varying vec4 v_color;
varying vec2 v_place;       // along and across the stroke from its start, px
varying float v_length;
varying float v_radius;
varying vec2 v_along;

vec2 pixel(vec4 p) { return (p.xy / p.w * 0.5 + 0.5) * u_size; }

float radius_px(vec3 world, vec4 screen) {
    vec4 beside = $transform(vec4(world + u_right * a_radius, 1.0));
    return max(distance(pixel(beside), pixel(screen)), a_least);
}

void main() {
    // Lifted towards the viewer by its radius, so that a joint covers the bones that end in it.
    vec3 lift = u_toward * a_radius;
    vec4 start = $transform(vec4(a_start + lift, 1.0));
    vec4 end = $transform(vec4(a_end + lift, 1.0));
    float near = 1e-3 * max(abs(start.w), abs(end.w));
    vec3 from = a_start + lift;
    vec3 to = a_end + lift;
    // What lies behind the viewer is cut off at the viewer.
    if (start.w < near && end.w > near) {
        from = mix(from, to, (near - start.w) / (end.w - start.w));
        start = $transform(vec4(from, 1.0));
    } else if (end.w < near && start.w > near) {
        to = mix(to, from, (near - end.w) / (start.w - end.w));
        end = $transform(vec4(to, 1.0));
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
    vec4 own = last ? end : start;
    v_radius = radius_px(last ? to : from, own);
    float reach = v_radius + 1.0;
    vec2 place = pixel(own) + v_along * (last ? reach : -reach) + across * a_corner.x * reach;
    v_place = vec2(dot(place - a, v_along), a_corner.x * reach);
    v_color = a_color;
    // Divided by w here: what is measured in pixels must be interpolated on the screen.
    gl_Position = vec4(place / u_size * 2.0 - 1.0, own.z / own.w, 1.0);
}
"""

_FRAGMENT = """
uniform float u_shade;
varying vec4 v_color;
varying vec2 v_place;
varying float v_length;
varying float v_radius;
varying vec2 v_along;

void main() {
    vec2 off = vec2(v_place.x - clamp(v_place.x, 0.0, v_length), v_place.y);
    float reach = length(off);
    float cover = clamp(v_radius - reach + 0.5, 0.0, 1.0);
    if (cover * v_color.a < 0.01) discard;
    vec2 flat_normal = off / max(v_radius, 1e-3);
    vec2 screen = flat_normal.x * v_along + flat_normal.y * vec2(-v_along.y, v_along.x);
    vec3 normal = vec3(screen, sqrt(max(0.0, 1.0 - dot(screen, screen))));
    float light = 0.62 + 0.46 * max(0.0, dot(normal, normalize(vec3(-0.35, 0.6, 0.72))));
    gl_FragColor = vec4(v_color.rgb * mix(1.0, light, u_shade), v_color.a * cover);
}
"""

_LAYOUT = np.dtype(
    [
        ("a_start", np.float32, 3),
        ("a_end", np.float32, 3),
        ("a_corner", np.float32, 2),
        ("a_radius", np.float32),
        ("a_least", np.float32),
        ("a_color", np.float32, 4),
    ]
)
_BLEND = ("src_alpha", "one_minus_src_alpha")
_QUAD = np.array([0, 1, 2, 2, 1, 3])
_CORNERS = np.array([(-1, 0), (1, 0), (-1, 1), (1, 1)], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capsules:
    """N capsules.

    Attributes:
        start: (N, 3) in the scene's units.
        end: (N, 3).
        radius: (N,) in the scene's units.
        least_px: Radius below which a far stroke does not shrink.
        colour: (N, 4).
    """

    start: F64
    end: F64
    radius: F32
    least_px: float
    colour: RGBA

    def known(self) -> Capsules:
        """Without capsules of which an end is NaN."""
        keep = np.isfinite(self.start).all(-1) & np.isfinite(self.end).all(-1)
        return Capsules(
            start=self.start[keep],
            end=self.end[keep],
            radius=self.radius[keep],
            least_px=self.least_px,
            colour=self.colour[keep],
        )


def capsules(start: F64, end: F64, radius: float | F32, least_px: float, colour: RGBA) -> Capsules:
    """Capsules between points (..., 3), radius and colour (..., 4) broadcast; those with a NaN end are dropped."""
    start, end = np.broadcast_arrays(start, end)
    shape = start.shape[:-1]
    made = Capsules(
        start=start.reshape(-1, 3),
        end=end.reshape(-1, 3),
        radius=np.broadcast_to(np.asarray(radius, np.float32), shape).ravel(),
        least_px=least_px,
        colour=np.broadcast_to(colour, (*shape, 4)).reshape(-1, 4),
    )
    return made.known()


class CapsuleVisual(Visual):
    """Draws any number of `Capsules` in one call.

    Args:
        shade: 0 for plain lines to 1 for round bodies.
        sort: Whether to draw the far ones first, so that soft rims blend with what lies behind them; else in the
            order given.
        flat: Whether these lie on the floor and are drawn before everything else: without depth, so that lines on
            top of each other do not fight.
    """

    def __init__(self, shade: float = 0.0, *, sort: bool = False, flat: bool = False) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        self._vertices = gloo.VertexBuffer(np.zeros(4, _LAYOUT))
        self._count = 0
        self._sort = sort
        self._ends = np.zeros((0, 2, 3))
        self._sorted_for = np.zeros(3, np.float32)
        self._draw_mode = "triangles"
        self.shared_program["u_shade"] = shade
        self.shared_program.bind(self._vertices)
        self.set_gl_state(depth_test=not flat, blend=True, cull_face=False, blend_func=_BLEND)
        self.freeze()

    def set_capsules(self, *parts: Capsules) -> None:
        """Replaces what is drawn."""
        count = sum(len(p.radius) for p in parts)
        table = np.zeros((count, 4), _LAYOUT)
        at = 0
        for part in parts:
            rows = table[at : at + len(part.radius)]
            rows["a_start"] = part.start[:, None]
            rows["a_end"] = part.end[:, None]
            rows["a_radius"] = part.radius[:, None]
            rows["a_least"] = part.least_px
            rows["a_color"] = part.colour[:, None]
            at += len(part.radius)
        table["a_corner"] = _CORNERS
        self._count = count
        if count:
            self._vertices.set_data(table.ravel())
            self._ends = np.stack([table["a_start"][:, 0], table["a_end"][:, 0]], 1)
            self._index_buffer = gloo.IndexBuffer()
            self._set_order(np.arange(count))
            self._sorted_for = np.zeros(3, np.float32)
        self.update()

    def _set_order(self, order: np.ndarray) -> None:
        self._index_buffer.set_data(((order * 4)[:, None] + _QUAD).astype(np.uint32).ravel())

    def _prepare_transforms(self, view: Any) -> None:
        view.view_program.vert["transform"] = view.transforms.get_transform("visual", "render")

    def _prepare_draw(self, view: Any) -> bool:
        if not self._count:
            return False
        program = view.view_program
        program["u_size"] = [float(s) for s in view.canvas.physical_size]
        right, toward = screen_axes(view)
        program["u_right"], program["u_toward"] = right, toward
        if self._sort and not np.allclose(toward, self._sorted_for, atol=1e-3):
            # By the farther end, and stable: a joint, given after its bones, is drawn after them too.
            self._set_order(np.argsort((self._ends @ toward).min(-1), kind="stable"))
            self._sorted_for = toward
        return True

    def _compute_bounds(self, axis: int, view: Any) -> None:
        """None: the canvas frames the scene by itself."""
        return


def screen_axes(view: Any) -> tuple[F32, F32]:
    """Unit vectors of a visual's world that point right on the screen and at the viewer."""
    back = view.transforms.get_transform("render", "visual")
    points = np.asarray(back.map(np.array([[0, 0, 0, 1], [0.5, 0, 0, 1], [0, 0, -0.5, 1]], float)))
    points = points[:, :3] / points[:, 3:]
    axes = points[1:] - points[0]
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    return axes[0].astype(np.float32), axes[1].astype(np.float32)


CapsuleNode: Any = create_visual_node(CapsuleVisual)
