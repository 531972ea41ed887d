"""The root stage: synthetic roots in one rig or many, and consistency of augmented versions of the footage.

Legend: B batch, V view, P point, X Y Z voxel.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.models.networks import Networks, Scene
from core.models.root_net import propose
from core.models.views import Views
from core.training.config import RootStage
from core.training.data import Footage
from core.training.losses import root_loss
from core.training.rigs import SyntheticRigs
from core.training.shown import draw_affine, show
from core.training.synthetic import root_scenes, root_target

_RECALL_MM = 150.0


class RootTraining:
    """SelfPose3d's root stage: synthetic roots in this rig, and consistency of augmented real heatmaps."""

    name, title = "root", "Learning where people are"

    def __init__(
        self, config: RootStage, networks: Networks, scene: Scene, footage: Footage, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.scene, self.footage, self.rigs = config, networks, scene, footage, rigs
        self.steps, self.learning_rate = config.steps, config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch

    def module(self) -> nn.Module:
        return self.networks.root

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        scene = self.rigs.draw(rng)
        made = root_scenes(scene, self.batch, self.config, rng)
        target = root_target(scene.space, made.roots_mm, made.visible, self.networks.config.root.sigma_mm)
        synthetic = root_loss(self._volume(scene, made.views), target)
        losses = {"synthetic": synthetic, "loss": self.config.weight_synthetic * synthetic}
        if self.config.real_batch and len(self.footage.train):
            losses["consistency"] = self._consistency(rng)
            losses["loss"] = losses["loss"] + self.config.weight_consistency * losses["consistency"]
        return losses

    def figures(self, rng: np.random.Generator) -> dict[str, float]:
        """Share of synthetic people that are found within 150 mm."""
        made = root_scenes(self.scene, self.batch, self.config, rng)
        with torch.no_grad():
            found = propose(self._volume(self.scene, made.views), self.scene.space, self.networks.config.root)
        apart = torch.cdist(made.roots_mm, found.xyz_mm)
        hit = ((apart < _RECALL_MM) & found.valid[:, None]).any(-1)
        return {"synthetic_recall": float(hit[made.visible].float().mean()) if made.visible.any() else 0.0}

    def _volume(self, scene: Scene, views: Views) -> Tensor:
        volume: Tensor = self.networks.root(scene.unprojector, views.root, views.affine, views.view_weight)
        return volume

    def _consistency(self, rng: np.random.Generator) -> Tensor:
        """Difference between the volume of an augmented version and that of the plain one, which is not moved."""
        moments = rng.choice(self.footage.train, self.config.real_batch)
        still = self.scene.affine.expand(len(moments), -1, -1, -1)
        with torch.no_grad():
            plain = show(self.networks, self.footage, self.scene, moments, still, only_root=True).views
            expected = self._volume(self.scene, plain)
        affine = draw_affine(self.scene, len(moments), rng)
        with torch.no_grad():
            turned = show(self.networks, self.footage, self.scene, moments, affine, only_root=True).views
        return root_loss(self._volume(self.scene, turned), expected)
