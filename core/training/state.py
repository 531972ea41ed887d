"""State of a training run on disk, which makes an interrupted run end with the weights of an uninterrupted one.

No generator state is stored, since the random numbers of a step follow from seed, stage and step (`step_rng`), all of
which are in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.config import from_mapping


@dataclass(slots=True)
class TrainingState:
    """Progress of a run.

    Attributes:
        stage: Index of the stage; equal to the number of stages at the end.
        stage_name: Name of the stage, by which a later version with other stages finds it; empty at the end.
        step: Number of steps done in that stage.
        steps_done: Number of steps done in all stages.
        elapsed_s: Time spent in all attempts, in s.
        best_px: Lowest held-out error so far in px, or None.
        best_stage: Stage with the lowest held-out error.
        seed: Seed of the run.
        reduced_stages: Names of stages whose batch was halved after an out-of-memory error, once for each time.
        micro_batches: Number of micro-batches of a step, equal to the initial number of processes.
    """

    stage: int = 0
    stage_name: str = ""
    step: int = 0
    steps_done: int = 0
    elapsed_s: float = 0.0
    best_px: float | None = None
    best_stage: str = ""
    seed: int = 0
    reduced_stages: tuple[str, ...] = ()
    micro_batches: int = 1

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> TrainingState:
        """Read the state from a checkpoint's meta data; the inverse of `core.config.to_mapping`."""
        return from_mapping(cls, meta, "checkpoint.")


def step_rng(seed: int, stage: int, step: int, part: int = 0) -> np.random.Generator:
    """Return the generator of a training step, or of one of its micro-batches."""
    return np.random.default_rng([seed, stage, step, part] if part else [seed, stage, step])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as named tensors; `3.exp_avg` is that of its fourth parameter."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value) for index, entry in state.items() for name, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore an optimiser from the tensors of `optimizer_tensors`."""
    if not tensors:
        return
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
