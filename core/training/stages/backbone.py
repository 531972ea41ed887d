"""Backbone stage: training of the 2D network on the pseudo labels of the footage.

Legend: B batch, V view, L labelled person, J joint, H W heatmap, K pixel near a joint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.datasets.augmented_views import augmented_views, random_affine, warp_labels
from core.datasets.footage import Footage
from core.datasets.photometric import random_photometric
from core.models.geometry.render import render_max
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.losses.inputs import BackboneStep
from core.training.stages.config import BackboneStageConfig
from core.training.stages.stage import LossTerms, MicroBatched

SUFFICIENT_SHARE = 0.8
"""Fraction of labelled joints with a peak nearby above which the 3D networks can be trained."""
_NEAR_PX = 2.0
_REACH_PX = 3
_MIN_PEAK = 0.1
_MEASURED_FRAMES = 16


class BackboneTraining(MicroBatched):
    """Backbone stage of SelfPose3d: heatmaps of the images against Gaussians at the estimator's joints.

    Args:
        config: Settings of the stage.
        networks: Networks; without a backbone the stage has no steps.
        scene: Rig and capture volume.
        footage: Footage with images.
    """

    name, title = "backbone", "Training the backbone on your images"

    def __init__(self, config: BackboneStageConfig, networks: Networks, scene: CaptureScene, footage: Footage) -> None:
        self.config, self.networks, self.scene, self.footage = config, networks, scene, footage
        self.steps = config.steps if networks.backbone is not None and len(footage.train) else 0
        self.learning_rate = config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch
        self._terms = LossTerms("backbone", config.weights)

    def module(self) -> nn.Module:
        """See `TrainingStage.module`."""
        return self.networks.backbone if self.networks.backbone is not None else self.networks

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """See `TrainingStage.losses`."""
        frames = rng.choice(self.footage.train, self.batch)
        affine = self._affine(rng)
        transform = random_photometric(rng) if self.config.photometric else None
        heatmaps = augmented_views(
            self.networks, self.footage, self.scene, frames, affine, transform=transform
        ).heatmaps
        assert heatmaps is not None
        xy, weight = warp_labels(self.footage, self.scene, frames, affine)
        if self.config.floor_targets:
            xy = xy.floor()
        target = render_max(xy, (weight > 0).float(), self.scene.size_hw, self.scene.sigma_px)
        # As in the paper, a view counts for a joint if it shows the joint of any person; here by the largest label
        # confidence.
        losses = self._terms.compute(BackboneStep(self.config, heatmaps, target, weight.amax(2)))
        return {**losses, "loss": self._terms.total(losses)}

    @torch.no_grad()
    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """Measure the fraction of held-out labelled joints with a peak within two heatmap px; empty without labels."""
        frames = rng.permutation(self.footage.held_out)[:_MEASURED_FRAMES]
        near, known = 0, 0
        for start in range(0, len(frames), self.batch):
            batch = frames[start : start + self.batch]
            affine = self.scene.affine.expand(len(batch), -1, -1, -1)
            heatmaps = augmented_views(self.networks, self.footage, self.scene, batch, affine).heatmaps
            assert heatmaps is not None
            hits, labelled = peaks_near(heatmaps, *warp_labels(self.footage, self.scene, batch, affine))
            near, known = near + hits, known + labelled
        return {"peaks_near": near / known} if known else {}

    def _affine(self, rng: np.random.Generator) -> Tensor:
        if self.config.augment:
            return random_affine(self.scene, self.batch, rng)
        return self.scene.affine.expand(self.batch, -1, -1, -1)


def advice(share: float) -> str:
    """Return a remedy for a low fraction of joints with a peak nearby; empty if the fraction is sufficient."""
    if share >= SUFFICIENT_SHARE:
        return ""
    return (
        f"The backbone finds {100 * share:.0f} % of the labelled joints in images it was not trained on. Below "
        f"{100 * SUFFICIENT_SHARE:.0f} % the 3D networks have little to learn from. Train it longer or on more "
        "footage, initialise it from a file (model.backbone.weights), or use the estimator's joints instead "
        "(model.heatmap.source=joints)."
    )


def peaks_near(heatmaps: Tensor, xy: Tensor, weight: Tensor) -> tuple[int, int]:
    """Count labelled joints with a peak of their heatmap within two px, and all labelled joints.

    A peak is a pixel above 0.1 that no pixel within two px exceeds, so that people close to each other have separate
    peaks.

    Args:
        heatmaps: (B, V, J, H, W) heatmaps.
        xy: (B, V, L, J, 2) labels, heatmap px.
        weight: (B, V, L, J), 0 where there is no label.
    """
    H, W = heatmaps.shape[-2:]
    local_max = functional.max_pool2d(heatmaps.flatten(0, 1), 5, 1, 2).view_as(heatmaps)
    peaks = (heatmaps == local_max) & (heatmaps > _MIN_PEAK)
    offsets = torch.arange(-_REACH_PX, _REACH_PX + 1, device=heatmaps.device)
    x = (xy[..., 0].round().long()[..., None, None] + offsets).clamp(0, W - 1)  # (B, V, L, J, 1, K)
    y = (xy[..., 1].round().long()[..., None, None] + offsets[:, None]).clamp(0, H - 1)  # (B, V, L, J, K, 1)
    index = (y * W + x).flatten(-2)  # (B, V, L, J, K·K)
    peak = peaks.flatten(-2)[:, :, None].expand(-1, -1, xy.shape[2], -1, -1).gather(-1, index)
    distance = (torch.stack([index % W, index // W], -1) - xy[..., None, :]).norm(dim=-1)
    near, known = (peak & (distance <= _NEAR_PX)).any(-1), weight > 0
    return int(near[known].sum()), int(known.sum())
