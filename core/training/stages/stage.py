"""Interface of a training stage, and classes that stages share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from core.training.losses.table import loss_weights, stage_functions


class TrainingStage(Protocol):
    """Interface of a part of training.

    Attributes:
        name: Name in metrics and checkpoints.
        title: Name in progress messages.
        steps: Number of optimiser steps; 0 skips the stage.
        learning_rate: Peak learning rate.
    """

    name: str
    title: str
    steps: int
    learning_rate: float

    def module(self) -> nn.Module:
        """Return the network in training; all others stay unchanged."""

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """Compute the named losses of a step, or of one of its micro-batches; "loss" is minimised."""

    def set_micro_batches(self, count: int) -> None:
        """Divide the batch of a step among `count` calls of `losses`; called once, before any other method."""

    def reduce_batch(self) -> bool:
        """Halve the batch after an out-of-memory error; return False if it cannot be smaller."""

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """Measure the metrics of the stage besides the held-out error."""


class MicroBatched:
    """Stage whose batch can be divided into micro-batches.

    Attributes:
        batch: Frames, scenes or people per call of `losses`.
    """

    batch: int

    def set_micro_batches(self, count: int) -> None:
        """See `TrainingStage.set_micro_batches`."""
        self.batch = -(-self.batch // count)

    def reduce_batch(self) -> bool:
        """See `TrainingStage.reduce_batch`."""
        before = self.batch
        self.batch = max(1, before // 2)
        return self.batch < before


class LossTerms:
    """Weighted losses of a stage.

    Args:
        stage: Name of the stage in `LOSSES`.
        weights: Weights by name; losses without one have their default weight.

    Raises:
        CoreError: A weight belongs to no loss of the stage.
    """

    def __init__(self, stage: str, weights: Mapping[str, float]) -> None:
        self.weights = loss_weights(stage, weights)
        self._functions: dict[str, Callable[[Any], Tensor | None]] = stage_functions(stage, self.weights)

    def compute(self, step: object) -> dict[str, Tensor]:
        """Compute the losses that apply to a step, in the order of `LOSSES`."""
        values = {name: function(step) for name, function in self._functions.items()}
        return {name: value for name, value in values.items() if value is not None}

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of losses."""
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
