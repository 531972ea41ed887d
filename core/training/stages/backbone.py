"""The backbone stage: the 2D network learns the pseudo labels of the footage's own images.

Legend: B batch, V view, L labelled person, J joint, H W heatmap, K pixel near a joint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.datasets.augmented_views import augmented_views, random_affine, warp_labels
from core.datasets.footage import Footage
from core.datasets.photometric import photometric
from core.models.geometry.render import render_max
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.losses import backbone_loss
from core.training.stages.config import BackboneStageConfig
from core.training.stages.stage import MicroBatched

ENOUGH = 0.8
"""Share of peaks near labels from which on it is worth going on to 3D."""
_NEAR_PX = 2.0
_REACH_PX = 3
_LEAST_PEAK = 0.1
_MEASURED_FRAMES = 16


class BackboneTraining(MicroBatched):
    """SelfPose3d's first stage: heatmaps of the images against Gaussians at the estimator's joints.

    Args:
        config: Steps and switches.
        networks: With a backbone, else there is nothing to do.
        scene: The rig.
        footage: With images.
    """

    name, title = "backbone", "Learning to see joints in your images"

    def __init__(self, config: BackboneStageConfig, networks: Networks, scene: CaptureScene, footage: Footage) -> None:
        self.config, self.networks, self.scene, self.footage = config, networks, scene, footage
        self.steps = config.steps if networks.backbone is not None and len(footage.train) else 0
        self.learning_rate = config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch

    def module(self) -> nn.Module:
        return self.networks.backbone if self.networks.backbone is not None else self.networks

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        frames = rng.choice(self.footage.train, self.batch)
        affine = self._affine(rng)
        change = photometric(rng) if self.config.photometric else None
        heatmaps = augmented_views(self.networks, self.footage, self.scene, frames, affine, change=change).heatmaps
        assert heatmaps is not None
        xy, weight = warp_labels(self.footage, self.scene, frames, affine)
        if self.config.floor_targets:
            xy = xy.floor()
        target = render_max(xy, (weight > 0).float(), self.scene.size_hw, self.scene.sigma_px)
        # As published, a view counts for a joint where anybody shows it; how much, say the labels' confidences.
        return {"loss": backbone_loss(heatmaps, target, weight.amax(2), background=self.config.background)}

    @torch.no_grad()
    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """Share of held-out labelled joints that have a peak within two heatmap px; none without held-out labels."""
        frames = rng.permutation(self.footage.held_out)[:_MEASURED_FRAMES]
        near, known = 0, 0
        for start in range(0, len(frames), self.batch):
            some = frames[start : start + self.batch]
            affine = self.scene.affine.expand(len(some), -1, -1, -1)
            heatmaps = augmented_views(self.networks, self.footage, self.scene, some, affine).heatmaps
            assert heatmaps is not None
            hit, labelled = peaks_near(heatmaps, *warp_labels(self.footage, self.scene, some, affine))
            near, known = near + hit, known + labelled
        return {"peaks_near": near / known} if known else {}

    def _affine(self, rng: np.random.Generator) -> Tensor:
        if self.config.augment:
            return random_affine(self.scene, self.batch, rng)
        return self.scene.affine.expand(self.batch, -1, -1, -1)


def advice(share: float) -> str:
    """What the share of peaks near labels means, in words; empty where it is good enough."""
    if share >= ENOUGH:
        return ""
    return (
        f"The backbone finds {share:.0%} of the labelled joints in images it has not trained on; below {ENOUGH:.0%} "
        "the 3D networks have little to learn from. Train it for longer or on more footage, start it from a file "
        "(model.backbone.weights), or let the networks look at the estimator's joints (model.heatmap.source=joints)."
    )


def peaks_near(heatmaps: Tensor, xy: Tensor, weight: Tensor) -> tuple[int, int]:
    """Number of labelled joints with a peak of their heatmap at most two px away, and of labelled joints.

    A peak is a pixel above a tenth that nothing within two px exceeds: people who stand close keep one each.

    Args:
        heatmaps: (B, V, J, H, W).
        xy: (B, V, L, J, 2) heatmap px.
        weight: (B, V, L, J), 0 where there is no label.
    """
    H, W = heatmaps.shape[-2:]
    top = functional.max_pool2d(heatmaps.flatten(0, 1), 5, 1, 2).view_as(heatmaps)
    peaks = (heatmaps == top) & (heatmaps > _LEAST_PEAK)
    steps = torch.arange(-_REACH_PX, _REACH_PX + 1, device=heatmaps.device)
    x = (xy[..., 0].round().long()[..., None, None] + steps).clamp(0, W - 1)  # (B, V, L, J, 1, K)
    y = (xy[..., 1].round().long()[..., None, None] + steps[:, None]).clamp(0, H - 1)  # (B, V, L, J, K, 1)
    index = (y * W + x).flatten(-2)  # (B, V, L, J, K·K)
    peak = peaks.flatten(-2)[:, :, None].expand(-1, -1, xy.shape[2], -1, -1).gather(-1, index)
    apart = (torch.stack([index % W, index // W], -1) - xy[..., None, :]).norm(dim=-1)
    near, known = (peak & (apart <= _NEAR_PX)).any(-1), weight > 0
    return int(near[known].sum()), int(known.sum())
