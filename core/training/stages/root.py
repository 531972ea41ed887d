"""Root stage: synthetic roots in one rig or many, and consistency of augmented versions of the footage.

Legend: B batch, V view, P person, X Y Z voxel.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.datasets.augmented_views import augmented_views, random_affine
from core.datasets.footage import Footage
from core.models.heads.plane_nets import BevOutput
from core.models.heads.root_net import extract_proposals
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch, float_tensor
from core.training.losses.inputs import RootStep
from core.training.rigs import SyntheticRigs
from core.training.stages.config import RootStageConfig
from core.training.stages.stage import LossTerms, MicroBatched
from core.training.synthetic import root_scenes, root_target
from core.types.volume import CaptureVolume

_RECALL_MM = 150.0


class RootTraining(MicroBatched):
    """Root stage of SelfPose3d (section 3.2): synthetic roots, and consistency of augmented real heatmaps.

    Args:
        config: Settings of the stage.
        networks: Networks to train.
        scene: Rig and capture volume of the footage.
        footage: Footage for the consistency loss.
        rigs: Rigs for the synthetic scenes.
    """

    name, title = "root", "Training the root network"

    def __init__(
        self, config: RootStageConfig, networks: Networks, scene: CaptureScene, footage: Footage, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.scene, self.footage, self.rigs = config, networks, scene, footage, rigs
        self.steps, self.learning_rate = config.steps, config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch
        self.real_batch = config.real_batch
        self._terms = LossTerms("root", config.weights)

    def set_micro_batches(self, count: int) -> None:
        """See `TrainingStage.set_micro_batches`."""
        super().set_micro_batches(count)
        self.real_batch = -(-self.real_batch // count)

    def module(self) -> nn.Module:
        """See `TrainingStage.module`."""
        return self.networks.root

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """See `TrainingStage.losses`."""
        scene = self.rigs.draw(rng)
        synthetic = root_scenes(scene, self.batch, self.config, rng)
        sigma_mm = self.networks.config.root.sigma_mm
        target = root_target(scene.volume, synthetic.roots_mm, synthetic.visible, sigma_mm)
        output = self._output(scene, synthetic.views)
        use_real = self.real_batch and len(self.footage.train) and self.config.weights["consistency"]
        augmented, plain = self._real(rng) if use_real else (None, None)
        cells = _cells(scene.volume, synthetic.roots_mm)
        losses = self._terms.compute(RootStep(output, target, cells, synthetic.visible, augmented, plain))
        return {**losses, "loss": self._terms.total(losses)}

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """Measure the fraction of synthetic people found within 150 mm."""
        synthetic = root_scenes(self.scene, self.batch, self.config, rng)
        with torch.no_grad():
            output = self._output(self.scene, synthetic.views)
            proposals = extract_proposals(output, self.scene.volume, self.networks.config.root)
        distance = torch.cdist(synthetic.roots_mm, proposals.xyz_mm)
        hits = ((distance < _RECALL_MM) & proposals.valid[:, None]).any(-1)
        recall = float(hits[synthetic.visible].float().mean()) if synthetic.visible.any() else 0.0
        return {"synthetic_recall": recall}

    def _output(self, scene: CaptureScene, views: ViewBatch) -> Tensor | BevOutput:
        output: Tensor | BevOutput = self.networks.root(scene.unprojector, views.root, views.affine, views.view_weight)
        return output

    def _real(self, rng: np.random.Generator) -> tuple[Tensor | BevOutput, Tensor | BevOutput]:
        """Return the outputs for augmented and for plain versions of real frames; only the first has a gradient."""
        frames = rng.choice(self.footage.train, self.real_batch)
        identity = self.scene.affine.expand(len(frames), -1, -1, -1)
        with torch.no_grad():
            plain = augmented_views(self.networks, self.footage, self.scene, frames, identity, root_only=True).views
            expected = self._output(self.scene, plain)
        affine = random_affine(self.scene, len(frames), rng)
        with torch.no_grad():
            augmented = augmented_views(self.networks, self.footage, self.scene, frames, affine, root_only=True).views
        return self._output(self.scene, augmented), expected


def _cells(volume: CaptureVolume, roots_mm: Tensor) -> Tensor:
    """Return the floor map cells (B, P, 2) of roots (B, P, 3)."""
    low = float_tensor(volume.low_mm[:2], roots_mm.device)
    spacing = float_tensor(volume.spacing_mm[:2], roots_mm.device)
    last = torch.tensor(volume.voxels[:2], device=roots_mm.device) - 1
    return torch.minimum(((roots_mm[..., :2] - low) / spacing).round().long().clamp_min(0), last)
