"""Stages that learn bodies from synthetic people: the pose network and the ray refiner.

Both depart from the paper. They need no labels, and give the networks a prior of bodies before any footage.

Legend: B batch, V view, J joint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.models.inference import initialize_joints, person_detections, predict_joints
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.losses.inputs import PositionStep
from core.training.rigs import SyntheticRigs
from core.training.stages.config import PoseSyntheticStageConfig, RayRefinerStageConfig
from core.training.stages.stage import LossTerms, MicroBatched
from core.training.synthetic import PoseScenes, pose_scenes

_UNSEEN_WEIGHT = 0.2
"""Weight of synthetic joints visible in fewer than two views, which only the rest of the body constrains."""
_SPREAD_MM = 40.0
"""Standard deviation of joints near the exact ones in mm, similar to that of a soft-argmax."""
_COMMON_MM = 30.0
"""Standard deviation in mm of the initial error that all joints of a person share."""


class PoseSyntheticTraining(MicroBatched):
    """Pose network trained on exact synthetic people in this rig, without labels.

    Args:
        config: Settings of the stage.
        networks: Networks to train.
        scene: Rig and capture volume of the footage.
        rigs: Rigs for the synthetic scenes.
    """

    name, title = "pose_synthetic", "Training the pose network on synthetic people"

    def __init__(
        self, config: PoseSyntheticStageConfig, networks: Networks, scene: CaptureScene, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.rigs = config, networks, rigs
        self.steps, self.learning_rate = config.steps, config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch
        self._terms = LossTerms("pose_synthetic", config.weights)

    def module(self) -> nn.Module:
        """See `TrainingStage.module`."""
        return self.networks.pose

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """See `TrainingStage.losses`."""
        scene = self.rigs.draw(rng)
        synthetic = pose_scenes(scene, self.batch, self.config, rng)
        sample = torch.arange(self.batch)
        xyz, planes = predict_joints(self.networks, scene, synthetic.views, synthetic.root_mm, sample)
        triangulable = synthetic.views_of >= 2
        weight = torch.where(triangulable, 1.0, _UNSEEN_WEIGHT)
        with torch.no_grad():
            distance = (xyz - synthetic.exact_mm).norm(dim=-1)
            error_mm = distance[triangulable].mean() if triangulable.any() else weight.sum()
        losses = self._terms.compute(PositionStep(xyz, synthetic.exact_mm, weight, planes_mm=planes))
        return {**losses, "loss": self._terms.total(losses), "mm": error_mm}

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """See `TrainingStage.metrics`."""
        return {}


class RayRefinerTraining(MicroBatched):
    """Ray refiner trained on exact synthetic people: positions and their uncertainty, from near and far initial joints.

    Args:
        config: Settings of the stage.
        networks: Networks; without a ray refiner the stage has no steps.
        scene: Rig and capture volume of the footage.
        rigs: Rigs for the synthetic scenes.
    """

    name, title = "ray_refiner", "Training the ray refiner on synthetic people"

    def __init__(
        self, config: RayRefinerStageConfig, networks: Networks, scene: CaptureScene, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.rigs = config, networks, rigs
        self.steps = config.steps if networks.ray_refiner is not None else 0
        self.learning_rate = config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch
        self._terms = LossTerms("ray_refiner", config.weights)

    def module(self) -> nn.Module:
        """See `TrainingStage.module`."""
        return self.networks.ray_refiner if self.networks.ray_refiner is not None else self.networks.pose

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """See `TrainingStage.losses`."""
        network = self.networks.ray_refiner
        assert network is not None  # there are no steps without it
        scene = self.rigs.draw(rng)
        synthetic = pose_scenes(scene, self.batch, self.config.people, rng, drawn=False)
        sample = torch.arange(self.batch, device=scene.device)
        estimate = self._estimate(synthetic, rng)
        person_views = person_detections(self.networks, scene, synthetic.views, estimate, sample)
        observed, start, spread = initialize_joints(scene, person_views, estimate, estimate.new_tensor(_SPREAD_MM), 1.0)
        # All numbers of rounds are trained, so that inference can use fewer if time is short.
        rounds = int(rng.integers(1, network.config.rounds + 1))
        xyz, precision = network(scene.projector, person_views.affine, observed, start, spread, rounds)
        triangulable = synthetic.views_of >= 2
        weight = torch.where(triangulable, 1.0, _UNSEEN_WEIGHT)
        losses = self._terms.compute(PositionStep(xyz, synthetic.exact_mm, weight, precision))
        with torch.no_grad():
            error_mm = (xyz - synthetic.exact_mm).norm(dim=-1)[triangulable].mean()
            start_mm = (start - synthetic.exact_mm).norm(dim=-1)[triangulable].mean()
        return {**losses, "loss": self._terms.total(losses), "mm": error_mm, "start_mm": start_mm}

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """See `TrainingStage.metrics`."""
        return {}

    def _estimate(self, synthetic: PoseScenes, rng: np.random.Generator) -> Tensor:
        """Draw joints (B, J, 3) with the errors of a pose network, both of single joints and of entire people."""
        B, J = synthetic.exact_mm.shape[:2]
        level = rng.uniform(0, self.config.start_error_mm, (B, 1, 1))
        error = level * rng.standard_normal((B, J, 3)) + _COMMON_MM * rng.standard_normal((B, 1, 3))
        return synthetic.exact_mm + torch.tensor(error, dtype=torch.float32, device=synthetic.exact_mm.device)
