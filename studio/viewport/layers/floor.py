"""Floor: a grid at z = 0 that fades to the background, light on it, and the axes of the world coordinates."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.types.arrays import F32, F64
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA, Palette
from studio.viewport.primitives import Capsules, make_capsules
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

SHOW_FLOOR = DisplayOption(name="floor", label="Floor", icon="floor", shortcut="G")

_AXIS_SHARE, _AXIS_MM = 0.12, (60.0, 700.0)
"""Length of the axes relative to the larger side of the scene, and its limits."""
_MAJOR_M = 5
_BEYOND = 1.35  # radius of the visible floor relative to a circle around the scene
_FULL = 0.45  # fraction of that radius at which lines start to fade
_PIECES = 10  # per line
_RINGS, _AROUND = 9, 32  # vertices of the lit disc


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloorLayer:
    """Grid with a line per metre, a stronger one every five metres, and the world axes.

    Attributes:
        low_m: Lowest x and y, whole metres.
        high_m: Highest x and y, whole metres.
        colour: (4,) colour of the lines.
        major: (4,) colour of every fifth line.
        surface: (4,) colour at the centre of the floor.
        background: (4,) colour that the floor fades to.
        axes: (3, 4) colours of the x, y and z axes.
        axis_mm: Length of the axes.
        lit: Draw the surface; otherwise only the lines, such as over the image of a camera.
    """

    low_m: tuple[int, int]
    high_m: tuple[int, int]
    colour: RGBA
    major: RGBA
    surface: RGBA
    background: RGBA
    axes: RGBA
    axis_mm: float
    lit: bool = True


def build_floor(data: SceneData, frame: SceneFrame) -> FloorLayer:
    """Build the floor under all cameras and people."""
    return _floor(data, frame.palette, not frame.options.through)


@functools.lru_cache(maxsize=4)
def _floor(data: SceneData, palette: Palette, lit: bool) -> FloorLayer:
    return FloorLayer(
        low_m=data.floor_low_m,
        high_m=data.floor_high_m,
        colour=palette.grid,
        major=palette.grid_major,
        surface=palette.floor,
        background=palette.background,
        axes=palette.axes,
        axis_mm=float(np.clip(_AXIS_SHARE * np.ptp(data.extent_mm[:, :2], axis=0).max(initial=0.0), *_AXIS_MM))
        if len(data.extent_mm)
        else _AXIS_MM[1],
        lit=lit,
    )


def floor_capsules(layer: FloorLayer) -> list[Capsules]:
    """Return minor lines, major lines, then axes, so that the stronger ones are on top.

    The lines continue beyond the floor of the scene and fade to the background. They are subdivided, as capsules have
    an opacity only at their ends.
    """
    centre, radius = _disc(layer)
    low, high = np.ceil((centre - radius) / 1000).astype(int), np.floor((centre + radius) / 1000).astype(int)
    parts: dict[bool, list[tuple[F64, F64]]] = {False: [], True: []}
    for axis in (0, 1):
        for metre in range(int(low[axis]), int(high[axis]) + 1):
            half = np.sqrt(max(radius**2 - (1000.0 * metre - centre[axis]) ** 2, 0.0))
            points = np.zeros((_PIECES + 1, 3))
            points[:, axis] = metre * 1000.0
            points[:, 1 - axis] = np.linspace(centre[1 - axis] - half, centre[1 - axis] + half, _PIECES + 1)
            parts[metre % _MAJOR_M == 0].append((points[:-1], points[1:]))
    out = []
    for major, radius_mm, min_px, colour in ((False, 2.5, 0.6, layer.colour), (True, 3.5, 0.7, layer.major)):
        start, end = (np.concatenate([part[i] for part in parts[major]] or [np.zeros((0, 3))]) for i in (0, 1))
        lines = make_capsules(start, end, radius_mm, min_px, colour)
        opacity = np.stack([_fade(points, centre, radius) for points in (start, end)], 1)
        faded = np.repeat(lines.colour[:, None], 2, 1)
        faded[..., 3] *= opacity
        out.append(dataclasses.replace(lines, colour=faded))
    axis_mm = 9.0 * layer.axis_mm / _AXIS_MM[1]
    return [*out, make_capsules(np.zeros((3, 3)), np.eye(3) * layer.axis_mm, axis_mm, 1.2, layer.axes)]


def floor_light(layer: FloorLayer) -> tuple[F32, RGBA, NDArray[np.uint32]]:
    """Return the light on the floor: vertices (V, 3) in mm, opaque colours (V, 4) and triangles (F, 3).

    Vertex colours cost software OpenGL a third of a fragment shader with transparency.
    """
    centre, radius = _disc(layer)
    rings, around = np.linspace(0, 1, _RINGS), np.arange(_AROUND) * 2 * np.pi / _AROUND
    ring = rings[:, None, None] * np.stack([np.cos(around), np.sin(around)], -1)
    vertices = np.zeros((_RINGS, _AROUND, 3), np.float32)
    vertices[..., :2] = centre + radius * ring
    light = ((1 - rings**2) ** 2)[:, None]
    colour = layer.background + light * (layer.surface - layer.background)
    first = np.arange(_AROUND) + _AROUND * np.arange(_RINGS - 1)[:, None]
    second = (np.arange(_AROUND) + 1) % _AROUND + _AROUND * np.arange(_RINGS - 1)[:, None]
    quads = np.stack([first, second, second + _AROUND, first, second + _AROUND, first + _AROUND], -1)
    return (
        vertices.reshape(-1, 3),
        np.repeat(colour, _AROUND, 0).astype(np.float32),
        quads.reshape(-1, 3).astype(np.uint32),
    )


def _disc(layer: FloorLayer) -> tuple[F64, float]:
    """Return centre (2,) and radius in mm of the visible disc of the floor."""
    low, high = np.array(layer.low_m) * 1000.0, np.array(layer.high_m) * 1000.0
    return (low + high) / 2, float(_BEYOND * np.linalg.norm(high - low) / 2)


def _fade(points: F64, centre: F64, radius: float) -> F64:
    """Return the opacity (N,) of lines at points (N, 3)."""
    distance = np.linalg.norm(points[:, :2] - centre, axis=1) / radius
    rise = np.clip((1 - distance) / (1 - _FULL), 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise))


class FloorVisual(NodeVisual[FloorLayer]):
    """Light on the floor, and the lines over it."""

    def __init__(self, parent: Any) -> None:
        from studio.viewport.visuals.capsules import CapsuleNode
        from studio.viewport.visuals.patches import PatchNode

        self._light = PatchNode(parent=parent)
        self._light.order = 1
        self._lines = CapsuleNode(flat=True, parent=parent)
        self._lines.order = 10
        super().__init__(self._light, self._lines)

    def draw(self, layer: FloorLayer) -> None:
        """Draw the floor of a layer."""
        self._light.set_triangles(*floor_light(layer))
        self._lines.set_capsules(*floor_capsules(layer))

    def show(self, layer: FloorLayer) -> None:
        """Replace the floor that is drawn."""
        super().show(layer)
        self._light.visible = layer.lit


FLOOR = LayerSpec(name="floor", layer=FloorLayer, build=build_floor, visual=FloorVisual, option=SHOW_FLOOR)
