"""Expected accuracy at hip height over the floor: a colour map with lines along the direction of the largest error."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.geometry.accuracy import AccuracyMap
from core.types.arrays import F64, U8
from studio.viewport.accuracy_colours import error_colours, map_corners_mm, worst_direction_lines_mm
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA, Palette
from studio.viewport.primitives import make_capsules
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

SHOW_ACCURACY = DisplayOption(
    name="accuracy", label="Expected accuracy at hip height", icon="accuracy", shortcut="A", default=False
)

_CELL_PX = 4  # texture pixels per map cell, so that cells keep their edges under linear filtering
_LINE_HEIGHT_MM = 6.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccuracyLayer:
    """Localization accuracy as an image on the floor.

    Attributes:
        corner_mm: (1, 4, 3) corners, ordered like those of an image plane.
        image: (H, W, 3) uint8 RGB image.
        start_mm: (N, 3) starts of lines along the direction of the largest error.
        end_mm: (N, 3) ends of these lines.
        colour: (4,) colour of the lines.
    """

    corner_mm: F64
    image: U8
    start_mm: F64
    end_mm: F64
    colour: RGBA


def build_accuracy(data: SceneData, frame: SceneFrame) -> AccuracyLayer | None:
    """Build the map at hip height."""
    return _accuracy(data.accuracy, frame.palette) if data.accuracy is not None else None


@functools.lru_cache(maxsize=4)
def _accuracy(accuracy: AccuracyMap, palette: Palette) -> AccuracyLayer:
    level = len(accuracy.z_mm) // 2
    image = error_colours(accuracy, level, np.asarray(255 * palette.levels[:, :3], np.float64))
    image = np.where(image[..., 3:] > 0, image[..., :3], np.uint8(255 * palette.background[:3]))
    lines = worst_direction_lines_mm(accuracy, level)
    start, end = (np.pad(ends, ((0, 0), (0, 1)), constant_values=_LINE_HEIGHT_MM) for ends in lines)
    enlarged = np.repeat(np.repeat(image.swapaxes(0, 1)[::-1], _CELL_PX, 0), _CELL_PX, 1)
    return AccuracyLayer(
        corner_mm=map_corners_mm(accuracy)[None],
        image=np.ascontiguousarray(enlarged),
        start_mm=start,
        end_mm=end,
        colour=palette.background,
    )


class AccuracyVisual(NodeVisual[AccuracyLayer]):
    """The colour map as an image quad, the lines as capsules."""

    def __init__(self, parent: Any) -> None:
        from studio.viewport.visuals.capsules import CapsuleNode
        from studio.viewport.visuals.image_quads import ImageQuadNode

        self._image = ImageQuadNode(parent=parent)
        self._image.order = 5
        self._lines = CapsuleNode(flat=True, parent=parent)
        self._lines.order = 11
        super().__init__(self._image, self._lines)

    def draw(self, layer: AccuracyLayer) -> None:
        """Draw the map of a layer."""
        self._image.set_images(layer.corner_mm, (layer.image,), np.zeros(4, np.float32))
        self._lines.set_capsules(make_capsules(layer.start_mm, layer.end_mm, 6.0, 0.8, layer.colour))


ACCURACY = LayerSpec(
    name="accuracy",
    layer=AccuracyLayer,
    build=build_accuracy,
    visual=AccuracyVisual,
    option=SHOW_ACCURACY,
    available=lambda data: data.accuracy is not None,
    extent=lambda layer: layer.corner_mm[0],
)
