"""The stages of training, in their order, behind one protocol."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor, nn

from core.models.networks import Networks, Scene
from core.training.backbone_stage import BackboneTraining
from core.training.body_stages import PoseSyntheticTraining, RaysTraining
from core.training.config import TrainConfig
from core.training.data import Footage
from core.training.motion_stage import MotionTraining
from core.training.pose_stage import PoseTraining
from core.training.rigs import SyntheticRigs
from core.training.root_stage import RootTraining


class Stage(Protocol):
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

    def halve(self) -> bool:
        """Makes steps smaller after memory ran out; False where they cannot be."""

    def figures(self, rng: np.random.Generator) -> dict[str, float]:
        """What is worth measuring now and then, besides the held-out error."""


def build_stages(config: TrainConfig, networks: Networks, scene: Scene, footage: Footage) -> tuple[Stage, ...]:
    """Every stage; those without steps are skipped."""
    rigs = SyntheticRigs(scene, config.rigs, config.model, config.seed)
    return (
        BackboneTraining(config.backbone, networks, scene, footage),
        RootTraining(config.root, networks, scene, footage, rigs),
        PoseSyntheticTraining(config.pose_synthetic, networks, scene, rigs),
        RaysTraining(config.rays, networks, scene, rigs),
        MotionTraining(config.motion, networks, scene, rigs),
        PoseTraining(config.pose, networks, scene, footage),
        PoseTraining(config.finetune, networks, scene, footage, name="finetune"),
    )
