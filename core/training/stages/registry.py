"""The stages of training, in their order, behind one protocol."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor, nn

from core.datasets.footage import Footage
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.config import TrainConfig
from core.training.rigs import SyntheticRigs
from core.training.stages.backbone import BackboneTraining
from core.training.stages.body import PoseSyntheticTraining, RayRefinerTraining
from core.training.stages.pose import PoseTraining
from core.training.stages.root import RootTraining
from core.training.stages.temporal import TemporalTraining


class TrainingStage(Protocol):
    """One part of training.

    Attributes:
        name: In metrics and checkpoints.
        title: In words, for progress.
        steps: Optimiser steps; 0 skips it.
        learning_rate: At its highest.
    """

    name: str
    title: str
    steps: int
    learning_rate: float

    def module(self) -> nn.Module:
        """The network that is trained; everything else stays as it is."""

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """Named losses of one step, or of a part of one; "loss" is what is minimised."""

    def split(self, parts: int) -> None:
        """Makes `losses` a part of a step: so many of them share its batch. Called once, before anything else."""

    def reduce_batch(self) -> bool:
        """Makes steps smaller after memory ran out; False where they cannot be."""

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """What is worth measuring now and then, besides the held-out error."""


def build_stages(
    config: TrainConfig, networks: Networks, scene: CaptureScene, footage: Footage
) -> tuple[TrainingStage, ...]:
    """Every stage; those without steps are skipped."""
    rigs = SyntheticRigs(scene, config.rigs, config.model, config.seed)
    return (
        BackboneTraining(config.backbone, networks, scene, footage),
        RootTraining(config.root, networks, scene, footage, rigs),
        PoseSyntheticTraining(config.pose_synthetic, networks, scene, rigs),
        RayRefinerTraining(config.ray_refiner, networks, scene, rigs),
        TemporalTraining(config.temporal, networks, scene, rigs),
        PoseTraining(config.pose, networks, scene, footage),
        PoseTraining(config.finetune, networks, scene, footage, name="finetune"),
    )
