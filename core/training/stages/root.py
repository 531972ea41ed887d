"""The root stage: synthetic roots in one rig or many, and consistency of augmented versions of the footage.

Legend: B batch, V view, P point, X Y Z voxel.
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
from core.training.losses import bev_loss, root_consistency_loss, root_loss
from core.training.rigs import SyntheticRigs
from core.training.stages.config import RootStageConfig
from core.training.stages.stage import MicroBatched
from core.training.synthetic import root_scenes, root_target
from core.types.volume import CaptureVolume

_RECALL_MM = 150.0


class RootTraining(MicroBatched):
    """SelfPose3d's root stage: synthetic roots in this rig, and consistency of augmented real heatmaps."""

    name, title = "root", "Learning where people are"

    def __init__(
        self, config: RootStageConfig, networks: Networks, scene: CaptureScene, footage: Footage, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.scene, self.footage, self.rigs = config, networks, scene, footage, rigs
        self.steps, self.learning_rate = config.steps, config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch
        self.real_batch = config.real_batch

    def split(self, parts: int) -> None:
        super().split(parts)
        self.real_batch = -(-self.real_batch // parts)

    def module(self) -> nn.Module:
        return self.networks.root

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        scene = self.rigs.draw(rng)
        made = root_scenes(scene, self.batch, self.config, rng)
        target = root_target(scene.volume, made.roots_mm, made.visible, self.networks.config.root.sigma_mm)
        output = self._output(scene, made.views)
        if isinstance(output, BevOutput):
            synthetic = bev_loss(output, target, _cells(scene.volume, made.roots_mm), made.visible)
        else:
            synthetic = root_loss(output, target)
        losses = {"synthetic": synthetic, "loss": self.config.weight_synthetic * synthetic}
        if self.real_batch and len(self.footage.train):
            losses["consistency"] = self._consistency(rng)
            losses["loss"] = losses["loss"] + self.config.weight_consistency * losses["consistency"]
        return losses

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """Share of synthetic people that are found within 150 mm."""
        made = root_scenes(self.scene, self.batch, self.config, rng)
        with torch.no_grad():
            found = extract_proposals(
                self._output(self.scene, made.views), self.scene.volume, self.networks.config.root
            )
        apart = torch.cdist(made.roots_mm, found.xyz_mm)
        hit = ((apart < _RECALL_MM) & found.valid[:, None]).any(-1)
        return {"synthetic_recall": float(hit[made.visible].float().mean()) if made.visible.any() else 0.0}

    def _output(self, scene: CaptureScene, views: ViewBatch) -> Tensor | BevOutput:
        output: Tensor | BevOutput = self.networks.root(scene.unprojector, views.root, views.affine, views.view_weight)
        return output

    def _consistency(self, rng: np.random.Generator) -> Tensor:
        """Difference between the volume of an augmented version and that of the plain one, which is not moved."""
        frames = rng.choice(self.footage.train, self.real_batch)
        still = self.scene.affine.expand(len(frames), -1, -1, -1)
        with torch.no_grad():
            plain = augmented_views(self.networks, self.footage, self.scene, frames, still, root_only=True).views
            expected = self._output(self.scene, plain)
        affine = random_affine(self.scene, len(frames), rng)
        with torch.no_grad():
            turned = augmented_views(self.networks, self.footage, self.scene, frames, affine, root_only=True).views
        return root_consistency_loss(self._output(self.scene, turned), expected)


def _cells(volume: CaptureVolume, roots_mm: Tensor) -> Tensor:
    """Cells (B, P, 2) of the floor map that roots (B, P, 3) stand in."""
    low = float_tensor(volume.low_mm[:2], roots_mm.device)
    spacing = float_tensor(volume.spacing_mm[:2], roots_mm.device)
    most = torch.tensor(volume.voxels[:2], device=roots_mm.device) - 1
    return torch.minimum(((roots_mm[..., :2] - low) / spacing).round().long().clamp_min(0), most)
