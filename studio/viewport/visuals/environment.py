"""Floor, capture volume and cameras."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.types.arrays import F64
from studio.viewport.layers import AccuracyLayer, FloorLayer, FrustaLayer, VolumeLayer
from studio.viewport.visuals.capsules import CapsuleNode, Capsules, capsules
from studio.viewport.visuals.image_quads import ImageQuadNode

_AXIS_MM = 700.0
_MAJOR_EVERY_M = 5


class FloorDrawing:
    """A line every metre, and the axes at the origin."""

    def __init__(self, parent: Any) -> None:
        self._node = CapsuleNode(flat=True, parent=parent)
        self._node.order = 10

    def show(self, layer: FloorLayer) -> None:
        """Draws this floor."""
        self._node.set_capsules(*floor_capsules(layer))
        self._node.visible = True

    def hide(self) -> None:
        """Draws no floor."""
        self._node.visible = False


class AccuracyDrawing:
    """The colours of the map, and over them lines along the worst direction."""

    def __init__(self, parent: Any) -> None:
        self._image = ImageQuadNode(parent=parent)
        self._image.order = 5
        self._lines = CapsuleNode(flat=True, parent=parent)
        self._lines.order = 11

    def show(self, layer: AccuracyLayer) -> None:
        """Draws this map."""
        self._image.set_images(layer.corner_mm, (layer.image,), np.zeros(4, np.float32))
        self._lines.set_capsules(capsules(layer.start_mm, layer.end_mm, 6.0, 0.8, layer.colour))
        self._image.visible = self._lines.visible = True

    def hide(self) -> None:
        """Draws no map."""
        self._image.visible = self._lines.visible = False


class VolumeDrawing:
    """The edges of the capture volume, its area on the floor, and faintly where synthetic people's hips may be."""

    def __init__(self, parent: Any) -> None:
        self._node = CapsuleNode(parent=parent)
        self._node.order = 20

    def show(self, layer: VolumeLayer) -> None:
        """Draws this box."""
        self._node.set_capsules(*volume_capsules(layer))
        self._node.visible = True

    def hide(self) -> None:
        """Draws no box."""
        self._node.visible = False


class FrustaDrawing:
    """Cameras: a pyramid each, with its image on the image plane and a tick on the top edge."""

    def __init__(self, parent: Any) -> None:
        self._images = ImageQuadNode(parent=parent)
        self._images.order = 30
        self._lines = CapsuleNode(parent=parent)
        self._lines.order = 31
        self._lined: FrustaLayer | None = None

    def show(self, layer: FrustaLayer) -> None:
        """Draws these cameras."""
        empty = layer.colour[0] * (1, 1, 1, 0.10) if len(layer.colour) else np.zeros(4)
        self._images.set_images(layer.corner_mm, layer.images, empty.astype(np.float32))
        # From frame to frame only the images change.
        lined = self._lined
        if lined is None or lined.corner_mm is not layer.corner_mm or lined.colour is not layer.colour:
            self._lines.set_capsules(*frusta_capsules(layer))
            self._lined = layer
        self._images.visible = self._lines.visible = True

    def hide(self) -> None:
        """Draws no camera."""
        self._images.visible = self._lines.visible = False


def floor_capsules(layer: FloorLayer) -> list[Capsules]:
    """Fine lines, then every fifth, then the axes, so that the stronger ones lie on top."""
    (x0, y0), (x1, y1) = layer.low_m, layer.high_m
    xs, ys = np.arange(x0, x1 + 1), np.arange(y0, y1 + 1)
    start = np.concatenate([_points(xs, np.full_like(xs, y0)), _points(np.full_like(ys, x0), ys)])
    end = np.concatenate([_points(xs, np.full_like(xs, y1)), _points(np.full_like(ys, x1), ys)])
    major = np.concatenate([xs, ys]) % _MAJOR_EVERY_M == 0
    axes = np.eye(3) * _AXIS_MM
    return [
        capsules(start[~major], end[~major], 2.5, 0.6, layer.colour),
        capsules(start[major], end[major], 3.5, 0.7, layer.major),
        capsules(np.zeros((3, 3)), axes, 9.0, 1.2, layer.axes),
    ]


def frusta_capsules(layer: FrustaLayer) -> list[Capsules]:
    """Rim of the image plane, the four edges to the centre, and a ball in the centre."""
    drawn = []
    for colour in np.unique(layer.colour, axis=0):
        mine = (layer.colour == colour).all(1)
        corner, centre = layer.corner_mm[mine], layer.centre_mm[mine][:, None]
        pale = colour * np.array((1, 1, 1, 0.6), np.float32)
        drawn += [
            capsules(centre, corner, 2.5, 0.6, pale),
            capsules(corner, np.roll(corner, -1, 1), 4.0, 0.8, colour),
            capsules(centre, centre, 28.0, 2.0, colour),
        ]
    return drawn


def volume_capsules(layer: VolumeLayer) -> list[Capsules]:
    """The inner box, the outer box over it, and its rectangle on the floor where it reaches down to it."""
    faint = layer.colour * np.array((1, 1, 1, 0.45), np.float32)
    solid = np.append(layer.colour[:3], 1).astype(np.float32)
    drawn = [capsules(*box_edges(layer.hips_low_mm, layer.hips_high_mm), 2.0, 0.5, faint)]
    drawn.append(capsules(*box_edges(layer.low_mm, layer.high_mm), 4.0, 0.7, layer.colour))
    if layer.low_mm[2] <= 0 <= layer.high_mm[2]:
        (x0, y0), (x1, y1) = layer.low_mm[:2], layer.high_mm[:2]
        corner = np.array([(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)])
        drawn.append(capsules(corner, np.roll(corner, -1, 0), 6.0, 1.0, solid))
    return drawn


def box_edges(low: F64, high: F64) -> tuple[F64, F64]:
    """Ends (12, 3) and (12, 3) of a box's edges."""
    unit = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    pairs = [(a, b) for a in range(8) for b in range(a) if np.abs(unit[a] - unit[b]).sum() == 1]
    corners = low + unit * (high - low)
    first, second = np.array(pairs).T
    return corners[first], corners[second]


def _points(x_m: np.ndarray, y_m: np.ndarray) -> F64:
    return np.stack([x_m, y_m, np.zeros_like(x_m)], -1) * 1000.0
