"""Losses of the root network.

Legend: B batch, P person, X Y Z voxel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.models.heads.plane_nets import BevOutput
from core.training.losses.inputs import RootStep

_HEIGHT_SHARE = 0.1
"""Weight of the height columns, which would dominate otherwise, since the floor map is mostly empty."""


def root_loss(volume: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared error over voxels (SelfPose3d equation 2)."""
    return ((volume - target) ** 2).mean()


def root_consistency_loss(output: Tensor | BevOutput, expected: Tensor | BevOutput) -> Tensor:
    """Compute the mean squared difference between the outputs for two versions (SelfPose3d equation 3)."""
    if isinstance(output, BevOutput) and isinstance(expected, BevOutput):
        return root_loss(output.confidence, expected.confidence)
    assert isinstance(output, Tensor) and isinstance(expected, Tensor)
    return root_loss(output, expected)


def bev_loss(output: BevOutput, target: Tensor, cells: Tensor, visible: Tensor) -> Tensor:
    """Compute the error of a plane head in its bird's-eye-view map and in the height columns above people.

    Args:
        output: Output for B scenes.
        target: (B, X, Y, Z) confidence volume.
        cells: (B, P, 2) map cells of the people.
        visible: (B, P) bool, True for people to include.
    """
    batch = torch.arange(len(cells), device=cells.device)[:, None]
    error = (output.height_confidence(cells) - target[batch, cells[..., 0], cells[..., 1]]) ** 2
    heights = (error.mean(-1) * visible).sum() / visible.sum().clamp_min(1)
    return root_loss(output.confidence, target.amax(-1)) + _HEIGHT_SHARE * heights


def synthetic_roots(step: RootStep) -> Tensor:
    """Compare the output for synthetic scenes with the exact roots (SelfPose3d equation 2)."""
    if isinstance(step.output, BevOutput):
        return bev_loss(step.output, step.target, step.cells, step.visible)
    return root_loss(step.output, step.target)


def root_consistency(step: RootStep) -> Tensor | None:
    """Penalise differences between the outputs for augmented and plain real frames (SelfPose3d equation 3)."""
    if step.augmented is None or step.plain is None:
        return None
    return root_consistency_loss(step.augmented, step.plain)
