"""The stages that learn bodies from synthetic people: the pose network, and the learned correction.

Departures from the paper, both: they need no label of anything, and networks that went through them know what a body
looks like before they see the footage.

Legend: B batch, V view, J joint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.datasets.augmented_views import predict_joints
from core.models.inference import initialize_joints, person_detections
from core.models.networks import JOINTS, Networks
from core.models.refiners.ray_refiner import gaussian_nll
from core.models.scene import CaptureScene
from core.training.losses import position_loss, triplane_loss
from core.training.rigs import SyntheticRigs
from core.training.stages.config import PoseSyntheticStageConfig, RayRefinerStageConfig
from core.training.stages.stage import MicroBatched
from core.training.synthetic import PoseScenes, pose_scenes

_GUESS_WEIGHT = 0.2
"""Of a synthetic joint that fewer than two views show: the body around it is all there is to tell of it."""
SPREAD_MM = 40.0
"""Of joints near the exact ones, as a soft-argmax would have it."""
_MOST_NLL = 20.0
_TOGETHER_MM = 30.0


class PoseSyntheticTraining(MicroBatched):
    """Supervised by exact synthetic people in this rig; a departure from the paper that needs no label of anything."""

    name, title = "pose_synthetic", "Learning bodies from synthetic people"

    def __init__(
        self, config: PoseSyntheticStageConfig, networks: Networks, scene: CaptureScene, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.rigs = config, networks, rigs
        self.steps, self.learning_rate = config.steps, config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch

    def module(self) -> nn.Module:
        return self.networks.pose

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        scene = self.rigs.draw(rng)
        made = pose_scenes(scene, self.batch, self.config, rng)
        found, planes = predict_joints(self.networks, scene, made.views, made.root_mm, torch.arange(self.batch))
        triangulable = made.views_of >= 2
        weight = torch.where(triangulable, 1.0, _GUESS_WEIGHT)
        with torch.no_grad():
            error_mm = (found - made.exact_mm).norm(dim=-1)[triangulable].mean() if triangulable.any() else weight.sum()
        loss = position_loss(found, made.exact_mm, weight)
        if planes is None or not self.config.weight_planes:
            return {"loss": loss, "mm": error_mm}
        alone = triplane_loss(planes, made.exact_mm, weight)
        return {"loss": loss + self.config.weight_planes * alone, "planes": alone, "mm": error_mm}

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        return {}


class RayRefinerTraining(MicroBatched):
    """Supervised by exact synthetic people: starts near and far, detections of every quality, the certainty as well."""

    name, title = "ray_refiner", "Learning how far to believe each camera"

    def __init__(
        self, config: RayRefinerStageConfig, networks: Networks, scene: CaptureScene, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.rigs = config, networks, rigs
        self.steps = config.steps if networks.ray_refiner is not None else 0
        self.learning_rate = config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch

    def module(self) -> nn.Module:
        return self.networks.ray_refiner if self.networks.ray_refiner is not None else self.networks.pose

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        network = self.networks.ray_refiner
        assert network is not None  # no steps without it
        scene = self.rigs.draw(rng)
        made = pose_scenes(scene, self.batch, self.config.people, rng, drawn=False)
        sample = torch.arange(self.batch, device=scene.device)
        near = self._near(made, rng)
        mine = person_detections(self.networks, scene, made.views, near, sample)
        seen, start, spread = initialize_joints(scene, mine, near, near.new_tensor(SPREAD_MM), 1.0)
        # Every number of rounds is learnt, so that fewer serve where time is short.
        rounds = int(rng.integers(1, network.config.rounds + 1))
        found, precision = network(scene.projector, mine.affine, seen, start, spread, rounds)
        triangulable = made.views_of >= 2
        weight = torch.where(triangulable, 1.0, _GUESS_WEIGHT)
        error = found - made.exact_mm
        distance = ((error.square().sum(-1) + 1).sqrt() * weight).sum() / weight.sum() / 100
        unsure = gaussian_nll(error, precision).clamp(-_MOST_NLL, _MOST_NLL)
        certainty = (unsure * weight).sum() / weight.sum()
        with torch.no_grad():
            error_mm = error.norm(dim=-1)[triangulable].mean()
            start_mm = (start - made.exact_mm).norm(dim=-1)[triangulable].mean()
        loss = distance + self.config.weight_certainty * certainty
        return {"loss": loss, "certainty": certainty, "mm": error_mm, "start_mm": start_mm}

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        return {}

    def _near(self, made: PoseScenes, rng: np.random.Generator) -> Tensor:
        """Joints (B, J, 3) as wrong as the pose network's might be: each by itself, and all together."""
        B = len(made.exact_mm)
        level = rng.uniform(0, self.config.start_error_mm, (B, 1, 1))
        off = level * rng.standard_normal((B, JOINTS, 3)) + _TOGETHER_MM * rng.standard_normal((B, 1, 3))
        return made.exact_mm + torch.tensor(off, dtype=torch.float32, device=made.exact_mm.device)
