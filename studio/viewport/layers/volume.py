"""Capture volume: its box, its area on the floor, and the range of the hips of synthetic people."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from core.types import CaptureVolume
from core.types.arrays import F64
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA, Palette
from studio.viewport.primitives import Capsules, box_corners, make_capsules
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import capsule_visual

SHOW_VOLUME = DisplayOption(name="volume", label="Capture volume", icon="volume", shortcut="B", default=False)

_HANDLE_MM, _HANDLE_PX = 35.0, 6.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeLayer:
    """Box in which the networks find people.

    Attributes:
        low_mm: (3,) lowest corner.
        high_mm: (3,) highest corner.
        hips_low_mm: (3,) lowest corner of the box in which the hips of synthetic people are placed.
        hips_high_mm: (3,) highest corner of that box.
        colour: (4,) colour.
        handles: Draw handles on the faces.
    """

    low_mm: F64
    high_mm: F64
    hips_low_mm: F64
    hips_high_mm: F64
    colour: RGBA
    handles: bool = False


def build_volume(data: SceneData, frame: SceneFrame) -> VolumeLayer | None:
    """Build the capture volume."""
    return _volume(data, data.volume, frame.palette, frame.options.handles) if data.volume is not None else None


@functools.lru_cache(maxsize=4)
def _volume(data: SceneData, volume: CaptureVolume, palette: Palette, handles: bool) -> VolumeLayer:
    low, high = data.synthetic.corners_mm(volume)
    return VolumeLayer(
        low_mm=volume.low_mm,
        high_mm=volume.high_mm,
        hips_low_mm=low,
        hips_high_mm=high,
        colour=palette.volume,
        handles=handles,
    )


def volume_capsules(layer: VolumeLayer) -> list[Capsules]:
    """Return the inner box, the outer box over it, its rectangle on the floor if it reaches the floor, and handles."""
    faint = layer.colour * np.array((1, 1, 1, 0.45), np.float32)
    solid = np.append(layer.colour[:3], 1).astype(np.float32)
    parts = [make_capsules(*box_edges(layer.hips_low_mm, layer.hips_high_mm), 2.0, 0.5, faint)]
    parts.append(make_capsules(*box_edges(layer.low_mm, layer.high_mm), 4.0, 0.7, layer.colour))
    if layer.low_mm[2] <= 0 <= layer.high_mm[2]:
        (x0, y0), (x1, y1) = layer.low_mm[:2], layer.high_mm[:2]
        corner = np.array([(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)])
        parts.append(make_capsules(corner, np.roll(corner, -1, 0), 6.0, 1.0, solid))
    if layer.handles:
        centre = face_centres(layer.low_mm, layer.high_mm)
        parts.append(make_capsules(centre, centre, _HANDLE_MM, _HANDLE_PX, solid))
    return parts


def face_centres(low: F64, high: F64) -> F64:
    """Return the centres (6, 3) of the faces of a box: lower and upper in x, in y, in z."""
    centre = np.repeat((low + high)[None] / 2, 6, 0)
    centre[[0, 2, 4], [0, 1, 2]], centre[[1, 3, 5], [0, 1, 2]] = low, high
    return np.asarray(centre)


def box_edges(low: F64, high: F64) -> tuple[F64, F64]:
    """Return the ends (12, 3) and (12, 3) of the edges of a box."""
    unit = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    pairs = [(a, b) for a in range(8) for b in range(a) if np.abs(unit[a] - unit[b]).sum() == 1]
    corners = low + unit * (high - low)
    first, second = np.array(pairs).T
    return corners[first], corners[second]


@functools.lru_cache(maxsize=4)
def _extent(layer: VolumeLayer) -> F64:
    return box_corners(layer.low_mm, layer.high_mm)


VOLUME = LayerSpec(
    name="volume",
    layer=VolumeLayer,
    build=build_volume,
    visual=capsule_visual(volume_capsules, order=20),
    option=SHOW_VOLUME,
    available=lambda data: data.volume is not None,
    extent=_extent,
)
