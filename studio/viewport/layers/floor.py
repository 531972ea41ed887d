"""Floor: a grid at z = 0 and the axes of the world coordinates."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types.arrays import F64
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA, Palette
from studio.viewport.primitives import Capsules, make_capsules
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import capsule_visual

SHOW_FLOOR = DisplayOption(name="floor", label="Floor", icon="floor", shortcut="G")

_AXIS_SHARE, _AXIS_MM = 0.12, (60.0, 700.0)
"""Length of the axes relative to the larger side of the scene, and its limits: they must not swamp a small rig."""
_MAJOR_M = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloorLayer:
    """Grid with a line per metre, a stronger one every five metres, and the world axes.

    Attributes:
        low_m: Lowest x and y, whole metres.
        high_m: Highest x and y, whole metres.
        colour: (4,) colour of the lines.
        major: (4,) colour of every fifth line.
        axes: (3, 4) colours of the x, y and z axes.
        axis_mm: Length of the axes.
    """

    low_m: tuple[int, int]
    high_m: tuple[int, int]
    colour: RGBA
    major: RGBA
    axes: RGBA
    axis_mm: float


def build_floor(data: SceneData, frame: SceneFrame) -> FloorLayer:
    """Build the floor under all cameras and people."""
    return _floor(data, frame.palette)


@functools.lru_cache(maxsize=4)
def _floor(data: SceneData, palette: Palette) -> FloorLayer:
    return FloorLayer(
        low_m=data.floor_low_m,
        high_m=data.floor_high_m,
        colour=palette.grid,
        major=palette.grid_major,
        axes=palette.axes,
        axis_mm=float(np.clip(_AXIS_SHARE * np.ptp(data.extent_mm[:, :2], axis=0).max(initial=0.0), *_AXIS_MM))
        if len(data.extent_mm)
        else _AXIS_MM[1],
    )


def floor_capsules(layer: FloorLayer) -> list[Capsules]:
    """Return minor lines, major lines, then axes, so that the stronger ones lie on top."""
    (x0, y0), (x1, y1) = layer.low_m, layer.high_m
    xs, ys = np.arange(x0, x1 + 1), np.arange(y0, y1 + 1)
    start = np.concatenate([_points_mm(xs, np.full_like(xs, y0)), _points_mm(np.full_like(ys, x0), ys)])
    end = np.concatenate([_points_mm(xs, np.full_like(xs, y1)), _points_mm(np.full_like(ys, x1), ys)])
    major = np.concatenate([xs, ys]) % _MAJOR_M == 0
    return [
        make_capsules(start[~major], end[~major], 2.5, 0.6, layer.colour),
        make_capsules(start[major], end[major], 3.5, 0.7, layer.major),
        make_capsules(np.zeros((3, 3)), np.eye(3) * layer.axis_mm, 9.0 * layer.axis_mm / _AXIS_MM[1], 1.2, layer.axes),
    ]


def _points_mm(x_m: NDArray[np.int64], y_m: NDArray[np.int64]) -> F64:
    return np.stack([x_m, y_m, np.zeros_like(x_m)], -1) * 1000.0


floor_visual = capsule_visual(floor_capsules, order=10, flat=True)

FLOOR = LayerSpec(name="floor", layer=FloorLayer, build=build_floor, visual=floor_visual, option=SHOW_FLOOR)
