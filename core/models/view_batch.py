"""Input of the root and pose networks: heatmaps of all views, and their rendering from 2D joints.

Legend: B batch, V view, D detection, J joint, H W heatmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from core.models.geometry.projection import to_heatmap
from core.models.geometry.render import render_heatmaps
from core.types.skeleton import DERIVED_JOINTS, Skeleton

_HIPS = DERIVED_JOINTS["mid_hip"]


@dataclass(frozen=True, slots=True)
class ViewBatch:
    """Heatmaps and detections of a batch of frames.

    Attributes:
        heatmaps: (B, V, J, H, W) in 0..1.
        root: (B, V, H, W) input of the root network: the mid-hip, or one hip where the estimator missed the other.
        affine: (B, V, 2, 3) image px to heatmap px.
        view_weight: (B, V) weights of the views; 0 excludes a camera.
        joints: (B, V, D, J, 2) detections in heatmap px, from which the heatmaps were rendered.
        peak: (B, V, D, J) scores of the joints, 0 where missing.
        stored: Indices of joints whose heatmaps come from an estimator or a backbone instead of rendering.
    """

    heatmaps: Tensor
    root: Tensor
    affine: Tensor
    view_weight: Tensor
    joints: Tensor
    peak: Tensor
    stored: tuple[int, ...] = ()

    def select(self, chosen: slice | Tensor) -> ViewBatch:
        """Return some of the entries."""
        return ViewBatch(
            self.heatmaps[chosen],
            self.root[chosen],
            self.affine[chosen],
            self.view_weight[chosen],
            self.joints[chosen],
            self.peak[chosen],
            self.stored,
        )

    def with_heatmaps(self, heatmaps: Tensor, joints: tuple[int, ...], skeleton: Skeleton) -> ViewBatch:
        """Replace the heatmaps of K joints by given ones (B, V, K, H, W), and the root heatmap if it is among them."""
        root = heatmaps[:, :, joints.index(skeleton.root)] if skeleton.root in joints else self.root
        if len(joints) < len(skeleton):
            index = torch.tensor(joints, device=heatmaps.device)
            heatmaps = self.heatmaps.index_copy(2, index, heatmaps)
        return replace(self, heatmaps=heatmaps, root=root, stored=joints)

    def with_weights(self, view_weight: Tensor) -> ViewBatch:
        """Replace the weights (B, V) of the views."""
        return replace(self, view_weight=view_weight)

    @classmethod
    def cat(cls, parts: Sequence[ViewBatch]) -> ViewBatch:
        """Concatenate batches with equal numbers of detections and stored joints."""
        return cls(
            torch.cat([v.heatmaps for v in parts]),
            torch.cat([v.root for v in parts]),
            torch.cat([v.affine for v in parts]),
            torch.cat([v.view_weight for v in parts]),
            torch.cat([v.joints for v in parts]),
            torch.cat([v.peak for v in parts]),
            parts[0].stored,
        )


def render_view_batch(
    xy_px: Tensor,
    score: Tensor,
    affine: Tensor,
    view_weight: Tensor,
    size_hw: tuple[int, int],
    sigma_px: float,
    skeleton: Skeleton,
) -> ViewBatch:
    """Render the heatmaps of 2D joints: Gaussians with the joint's score as the height.

    Args:
        xy_px: (B, V, P, J, 2) image px.
        score: (B, V, P, J), 0 where missing.
        affine: (B, V, 2, 3) image px to heatmap px, including any augmentation, which is therefore exact.
        view_weight: (B, V) weights of the views.
        size_hw: Height and width.
        sigma_px: Standard deviation in heatmap px.
        skeleton: Skeleton of the joints.
    """
    xy = to_heatmap(affine, xy_px.flatten(2, 3)).view(xy_px.shape)
    root_xy, root_score = mid_hips(xy, score, skeleton)
    return ViewBatch(
        heatmaps=render_heatmaps(xy, score, size_hw, sigma_px),
        root=render_heatmaps(root_xy, root_score, size_hw, sigma_px)[:, :, 0],
        affine=affine,
        view_weight=view_weight,
        joints=xy,
        peak=score,
    )


def mid_hips(xy: Tensor, score: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Return the mean (B, V, P, 1, 2) of the detected hips, and the higher of their scores (B, V, P, 1).

    For a joint set without both hips, return its root joint instead.

    A single hip would be a biased label of the mid-hip, but it suffices to find a person within a voxel or two. Without
    it, an estimator that misses one joint in seven would leave four views in ten without a root.
    """
    indices = skeleton.indices(*_HIPS) if skeleton.has(*_HIPS) else list(skeleton.root_joints)
    hips = xy[..., indices, :]
    found = (score[..., indices] > 0).float()[..., None]
    mean = (hips * found).sum(-2, keepdim=True) / found.sum(-2, keepdim=True).clamp_min(1)
    return mean, score[..., indices].amax(-1, keepdim=True)


def float_tensor(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a float32 tensor on a device."""
    return torch.tensor(values, dtype=torch.float32).to(device)
