"""How each layer type is drawn: one visual a type, listed in `VISUALS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from studio.viewport.layers import (
    AccuracyLayer,
    FloorLayer,
    FrustaLayer,
    LabelLayer,
    Layer,
    SkeletonLayer,
    TrailLayer,
    VolumeLayer,
)
from studio.viewport.visuals.environment import AccuracyDrawing, FloorDrawing, FrustaDrawing, VolumeDrawing
from studio.viewport.visuals.labels import LabelDrawing
from studio.viewport.visuals.people import SkeletonDrawing, TrailDrawing


class Drawing(Protocol):
    """What draws the layers of one type. Made once for a named layer, then told of every change."""

    def show(self, layer: Any) -> None:
        """Draws this state of the layer from now on."""

    def hide(self) -> None:
        """Draws nothing until the next `show`."""


VISUALS: dict[type[Layer], Callable[[Any], Drawing]] = {
    FloorLayer: FloorDrawing,
    AccuracyLayer: AccuracyDrawing,
    VolumeLayer: VolumeDrawing,
    FrustaLayer: FrustaDrawing,
    TrailLayer: TrailDrawing,
    SkeletonLayer: SkeletonDrawing,
    LabelLayer: LabelDrawing,
}
"""Layer type to its drawing, made with the parent scene node."""
