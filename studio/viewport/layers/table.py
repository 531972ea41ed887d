"""Table of the layers, in the order of their toggles in the toolbar.

A new layer is one module with a `LayerSpec` and one line here. Builder, visuals, toolbar, shortcuts and options of the
View page are derived from the table.
"""

from __future__ import annotations

from typing import Any

from studio.viewport.layers import (
    accuracy,
    backdrop,
    board,
    bodies,
    cameras,
    ellipsoids,
    floor,
    labels,
    shadows,
    skeletons,
    trails,
    volume,
)
from studio.viewport.layers.spec import DisplayOption, LayerSpec
from studio.viewport.scene_data import SceneData

LAYERS: tuple[LayerSpec[Any], ...] = (
    bodies.BODIES,
    skeletons.GHOST,
    skeletons.SKELETONS,
    ellipsoids.ELLIPSOIDS,
    trails.TRAILS,
    labels.NAMES,
    labels.FLOOR_MARKS,
    cameras.CAMERAS,
    backdrop.BACKDROP,
    floor.FLOOR,
    shadows.SHADOWS,
    volume.VOLUME,
    accuracy.ACCURACY,
    board.TRAJECTORY,
    board.BOARD,
)


def layer_spec(name: str) -> LayerSpec[Any]:
    """Return the specification of a layer by name."""
    return next(spec for spec in LAYERS if spec.name == name)


def display_options() -> tuple[DisplayOption, ...]:
    """Return the toggles of all layers, each once, in the order of the table."""
    return tuple(dict.fromkeys(option for spec in LAYERS for option in (spec.option, *spec.modifiers)))


def is_available(option: DisplayOption, data: SceneData) -> bool:
    """Return True if an option affects at least one layer that the scene data can fill."""
    return any(spec.available(data) for spec in LAYERS if option in (spec.option, *spec.modifiers))
