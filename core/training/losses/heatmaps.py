"""Losses in heatmap space: predicted or rendered heatmaps against those of the pseudo labels.

Legend: B batch, V view, J joint, H W heatmap.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.models.geometry.render import render_heatmaps, render_max
from core.training.losses.inputs import AugmentedStep, BackboneStep, PoseStep

_EMPTY = 0.01
"""Target height below which a pixel is background."""
_ATTENTION = 0.1
"""Cost of ignoring a pixel: sigma in equation 8 of SelfPose3d."""


def truncated_quadratic(squared_error: Tensor) -> Tensor:
    """Compute the closed form of SelfPose3d's soft attention (equations 7 and 8) at the optimal attention.

    Minimising a·e + 0.1·(a - 1)² over the attention a in 0..1 gives a = max(0, 1 - 5e). The loss is then e - 2.5e² up
    to e = 0.2 and 0.1 beyond: a truncated quadratic, without a network.
    """
    e = squared_error.clamp_max(2 * _ATTENTION)
    return e - e**2 / (4 * _ATTENTION)


def heatmap_loss(
    predicted: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    robust: bool,
    background: float = 1.0,
    attention: Tensor | None = None,
) -> Tensor:
    """Compute the mean weighted squared error of heatmaps (SelfPose3d equations 4 and 7).

    Args:
        predicted: (B, V, J, H, W) heatmaps.
        target: (B, V, J, H, W) heatmaps of the labels.
        weight: (B, V, J) weights.
        robust: Use the truncated quadratic instead of the square.
        background: Weight of pixels where the target is close to 0. Below 1, predictions of unlabelled people cost
            less.
        attention: (B, V, J, H, W) factors in 0..1 on the squared errors, from the attention network.
    """
    error = (predicted - target) ** 2
    if robust:
        error = truncated_quadratic(error)
    if attention is not None:
        error = error * attention
    if background != 1.0:
        error = error * torch.where(target > _EMPTY, 1.0, background)
    return (error.mean((-2, -1)) * weight).sum() / max(weight.numel(), 1)


def attention_loss(attention: Tensor) -> Tensor:
    """Compute the cost of ignoring pixels (SelfPose3d equation 8): 0.1 times the mean squared distance from 1."""
    return _ATTENTION * (attention - 1).square().mean()


def labelled_heatmaps(step: BackboneStep) -> Tensor:
    """Compare the backbone's heatmaps with those of the pseudo labels (SelfPose3d, backbone stage)."""
    background = step.config.background_weight
    return heatmap_loss(step.heatmaps, step.target, step.weight, robust=False, background=background)


def backbone_heatmaps(step: PoseStep) -> Tensor | None:
    """Compare the backbone's heatmaps of all three versions with those of the pseudo labels, averaged over versions."""
    errors = []
    for version in (step.plain, step.first, step.second):
        if version.heatmaps is None:
            return None
        weight = version.label_weight
        target = render_max(version.label_xy, (weight > 0).float(), step.size_hw, step.sigma_px)
        ones = torch.ones_like(weight[:, :, 0])
        background = step.config.background_weight
        errors.append(heatmap_loss(version.heatmaps, target, ones, robust=False, background=background))
    return torch.stack(errors).mean()


def rendered_heatmaps(step: PoseStep) -> Tensor | None:
    """Compare the heatmaps rendered from 3D joints with those of the labels (SelfPose3d section 3.3, equation 4).

    Cross-affine-view projection: the joints found in one augmented version are projected into the other.
    """
    if step.people is None:
        return None
    return torch.stack([_rendered(step, version) for version in (step.second, step.first)]).sum()


def attention_penalty(step: PoseStep) -> Tensor | None:
    """Penalise an attention network that ignores every pixel (SelfPose3d equation 8)."""
    if step.people is None or step.config.attention != "network":
        return None
    maps = [version.attention for version in (step.first, step.second) if version.attention is not None]
    return torch.stack([attention_loss(attention) for attention in maps]).sum() * step.gaussian_scale


def _rendered(step: PoseStep, version: AugmentedStep) -> Tensor:
    """Compute the error in one version for the joints found in the other."""
    maps = [
        render_heatmaps(xy, ahead, step.size_hw, step.sigma_px)
        for xy, ahead in zip(version.joint_xy, version.joint_ahead, strict=True)
    ]
    target = render_heatmaps(version.label_xy, (version.label_weight > 0).float(), step.size_hw, step.sigma_px)
    return step.gaussian_scale * heatmap_loss(
        torch.stack(maps),
        target,
        version.label_weight.amax(2),
        robust=step.config.attention == "closed",
        background=step.config.background_weight,
        attention=version.attention,
    )
