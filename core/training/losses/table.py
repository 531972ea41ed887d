"""Registry of losses. Torch-free: the settings read it.

A loss is a function in a module of this package and one line in `LOSSES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import CoreError
from core.registry import closest


@dataclass(frozen=True, slots=True)
class LossEntry:
    """Entry of a loss in the registry.

    Attributes:
        function: `package.module:function`, imported on first use. The function takes the outputs of a step (a class of
            `core.training.losses.inputs`) and returns a scalar tensor, or None if it does not apply.
        weight: Default weight in the total loss of the stage.
    """

    function: str
    weight: float


_PACKAGE = "core.training.losses"
LOSSES: dict[str, LossEntry] = {
    "backbone/heatmap": LossEntry(f"{_PACKAGE}.heatmaps:labelled_heatmaps", 1.0),
    "root/synthetic": LossEntry(f"{_PACKAGE}.roots:synthetic_roots", 100.0),
    "root/consistency": LossEntry(f"{_PACKAGE}.roots:root_consistency", 1.0),
    "pose_synthetic/position": LossEntry(f"{_PACKAGE}.positions:synthetic_position", 1.0),
    "pose_synthetic/planes": LossEntry(f"{_PACKAGE}.positions:synthetic_planes", 0.2),
    "ray_refiner/position": LossEntry(f"{_PACKAGE}.positions:refined_position", 1.0),
    "ray_refiner/certainty": LossEntry(f"{_PACKAGE}.positions:certainty", 0.05),
    "temporal/position": LossEntry(f"{_PACKAGE}.positions:smoothed_position", 1.0),
    "temporal/certainty": LossEntry(f"{_PACKAGE}.positions:certainty", 0.3),
    "pose/backbone": LossEntry(f"{_PACKAGE}.heatmaps:backbone_heatmaps", 1.0),
    "pose/heatmap": LossEntry(f"{_PACKAGE}.heatmaps:rendered_heatmaps", 1.0),
    "pose/joint": LossEntry(f"{_PACKAGE}.joints:matched_joints", 0.01),
    "pose/attention": LossEntry(f"{_PACKAGE}.heatmaps:attention_penalty", 1.0),
    "pose/anchor": LossEntry(f"{_PACKAGE}.joints:triangulated_anchor", 0.1),
    "pose/consistency": LossEntry(f"{_PACKAGE}.joints:joint_consistency", 0.02),
    "pose/planes": LossEntry(f"{_PACKAGE}.joints:plane_consistency", 0.02),
}
"""Losses by `stage/name`, in the order of the terms of the total. The fine-tuning stage uses those of `pose`."""


def stage_losses(stage: str) -> dict[str, LossEntry]:
    """Return the losses of a stage by name."""
    return {key.partition("/")[2]: entry for key, entry in LOSSES.items() if key.partition("/")[0] == stage}


def loss_weights(stage: str, given: Mapping[str, float]) -> dict[str, float]:
    """Return the weights of all losses of a stage, with defaults for those not given.

    Args:
        stage: Name of the stage.
        given: Weights by name; 0 switches a loss off.

    Raises:
        CoreError: A weight belongs to no loss of the stage, or is not a number of at least 0.
    """
    known = stage_losses(stage)
    for name, weight in given.items():
        if name not in known:
            raise CoreError(f"Stage '{stage}' has no loss named '{name}'.", closest(str(name), list(known)))
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            raise CoreError(
                f"The weight of loss '{name}' of stage '{stage}' is {weight!r}.",
                "Give a number of at least 0; 0 switches the loss off.",
            )
    return {name: float(given.get(name, entry.weight)) for name, entry in known.items()}


def stage_functions(stage: str, weights: Mapping[str, float]) -> dict[str, Callable[[Any], Any]]:
    """Import the functions of a stage's losses whose weight is not 0, by name.

    Raises:
        CoreError: A weight belongs to no loss of the stage.
    """
    loaded = {}
    complete = loss_weights(stage, weights)
    for name, entry in stage_losses(stage).items():
        if complete[name]:
            module, _, attribute = entry.function.partition(":")
            loaded[name] = getattr(importlib.import_module(module), attribute)
    return loaded
