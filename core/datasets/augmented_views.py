"""What the networks are shown of the footage, in any augmented version: 2D joints, stored heatmaps, or images.

Legend: B batch, V view, P person, L labelled person, J joint, H W heatmap.
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
from core.models.networks import JOINTS, Networks
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch, float_tensor


@dataclass(frozen=True, slots=True)
class AugmentedViews:
    """One version of some frames.

    Attributes:
        views: What the root and the pose network see.
        images: (B, V, 3, h, w) what the backbone saw, normalised; None where there is no backbone.
        heatmaps: (B, V, J, H, W) what it answered, as it left it; None likewise.
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
    change: Callable[[Tensor], Tensor] | None = None,
) -> AugmentedViews:
    """A version of frames (B,) with affines (B, V, 2, 3).

    The root network never looks at the estimator's heatmaps: with `root_only` they are not even read.

    Args:
        networks: Whose backbone looks at images, where they have one.
        footage: The takes.
        scene: The rig.
        frames: (B,).
        affine: Image px to heatmap px.
        root_only: Whether the root network alone will look.
        change: Photometric change of the images.
    """
    inputs = footage.inputs.select(frames)
    if networks.backbone is None:
        maps = None if root_only else footage.maps
        return AugmentedViews(make_view_batch(inputs, affine, scene.size_hw, scene.sigma_px, maps, frames))
    assert footage.images is not None  # the trainer has seen to it
    images = footage.images.warp(frames, affine, scene.size_hw, change)
    heatmaps = predict_heatmaps(networks.backbone, images)
    drawn = make_view_batch(inputs, affine, (1, 1), scene.sigma_px)
    return AugmentedViews(drawn.with_heatmaps(heatmaps.clamp(0, 1), tuple(range(JOINTS))), images, heatmaps)


def predict_joints(
    networks: Networks, scene: CaptureScene, views: ViewBatch, root_mm: Tensor, sample: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Joints (P, J, 3) of people around their roots (P, 3), each in an entry `sample` (P,) of the batch.

    And what the planes of a plane head say by themselves, (P, 3, J, 2).
    """
    mine = networks.pose.prior.gate(scene.projector, views, root_mm, sample.to(scene.device), scene.sigma_px)
    found, _, planes = networks.pose.with_planes(scene.projector, mine, root_mm)
    return found, planes


def random_affine(scene: CaptureScene, count: int, rng: np.random.Generator) -> Tensor:
    """Random augmented affines (count, V, 2, 3), one turn and zoom for all views of a sample."""
    return float_tensor(
        augment_affines(scene.base_affine, scene.size_hw, *random_augmentation(rng, count)), scene.device
    )


def warp_labels(footage: Footage, scene: CaptureScene, frames: np.ndarray, affine: Tensor) -> tuple[Tensor, Tensor]:
    """Labels (B, V, L, J, 2) in heatmap px of a version, and their weights (B, V, L, J), 0 outside the heatmap."""
    xy_px = float_tensor(footage.labels.xy_px[frames], scene.device)
    xy = to_heatmap(affine, xy_px.flatten(2, 3)).view(xy_px.shape)
    edge = xy.new_tensor([scene.size_hw[1] - 1, scene.size_hw[0] - 1])
    on_map = ((xy >= 0) & (xy <= edge)).all(-1)
    return xy, float_tensor(footage.labels.weight[frames], scene.device) * on_map
