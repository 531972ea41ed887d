"""Settings of training. Torch-free: the window reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Training of the root and pose networks."""

    seed: int = 0


PRESETS = {"quick": TrainConfig()}
