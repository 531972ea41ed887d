"""Augmented network input from footage: 2D joints, stored heatmaps, or images.

Legend: B batch, V view, P person, L labelled person, J joint, H W heatmap, h w image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.datasets.footage import Footage
from core.datasets.poses2d import make_view_batch
from core.models.backbone import predict_heatmaps
from core.models.geometry.affine import augment_affines, random_augmentation
from core.models.geometry.projection import to_heatmap
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch, float_tensor


@dataclass(frozen=True, slots=True)
class AugmentedViews:
    """Augmented version of a batch of frames.

    Attributes:
        views: Input of the root and pose networks.
        images: (B, V, 3, h, w) normalised input of the backbone; None without a backbone.
        heatmaps: (B, V, J, H, W) raw output of the backbone; None without one.
    """

    views: ViewBatch
    images: Tensor | None = None
    heatmaps: Tensor | None = None


def augmented_views(
    networks: Networks,
    footage: Footage,
    scene: CaptureScene,
    frames: np.ndarray,
    affine: Tensor,
    *,
    root_only: bool = False,
    transform: Callable[[Tensor], Tensor] | None = None,
) -> AugmentedViews:
    """Prepare the network input for frames under given affines.

    Args:
        networks: Networks, whose backbone, if any, receives the images.
        footage: Footage of the takes.
        scene: Rig and capture volume.
        frames: (B,) frame indices.
        affine: (B, V, 2, 3) image px to heatmap px.
        root_only: Prepare the input of the root network only, which does not use the estimator's heatmaps.
        transform: Photometric transform of the images.
    """
    inputs = footage.inputs.select(frames)
    if networks.backbone is None:
        maps = None if root_only else footage.maps
        return AugmentedViews(make_view_batch(inputs, affine, scene.size_hw, scene.sigma_px, maps, frames))
    assert footage.images is not None  # checked by the trainer
    images = footage.images.warp(frames, affine, scene.size_hw, transform)
    heatmaps, skeleton = predict_heatmaps(networks.backbone, images), networks.skeleton
    # Without a stored root channel, the input of the root network stays rendered.
    drawn = make_view_batch(inputs, affine, scene.size_hw if skeleton.root is None else (1, 1), scene.sigma_px)
    views = drawn.with_heatmaps(heatmaps.clamp(0, 1), tuple(range(len(skeleton))), skeleton)
    return AugmentedViews(views, images, heatmaps)


def random_affine(scene: CaptureScene, count: int, rng: np.random.Generator) -> Tensor:
    """Draw augmented affines (count, V, 2, 3): one rotation and scale for all views of a sample."""
    affines = augment_affines(scene.base_affine, scene.size_hw, *random_augmentation(rng, count))
    return float_tensor(affines, scene.device)


def warp_labels(footage: Footage, scene: CaptureScene, frames: np.ndarray, affine: Tensor) -> tuple[Tensor, Tensor]:
    """Transform the labels of frames (B,) to heatmap px.

    Returns:
        Labels (B, V, L, J, 2) and their weights (B, V, L, J), 0 outside the heatmap.
    """
    xy_px = float_tensor(footage.labels.xy_px[frames], scene.device)
    xy = to_heatmap(affine, xy_px.flatten(2, 3)).view(xy_px.shape)
    edge = xy.new_tensor([scene.size_hw[1] - 1, scene.size_hw[0] - 1])
    inside = ((xy >= 0) & (xy <= edge)).all(-1)
    return xy, float_tensor(footage.labels.weight[frames], scene.device) * inside
