"""What the networks are shown of the footage, in any augmented version: 2D joints, stored heatmaps, or images.

Legend: B batch, V view, P person, L labelled person, J joint, H W heatmap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.models.affine import augment, draw_augmentation
from core.models.backbone import heatmaps_of
from core.models.networks import JOINTS, Networks, Scene
from core.models.projection import to_heatmap
from core.models.views import Views, shown_views, tensor
from core.training.data import Footage


@dataclass(frozen=True, slots=True)
class Version:
    """One version of some frames.

    Attributes:
        views: What the root and the pose network see.
        images: (B, V, 3, h, w) what the backbone saw, normalised; None where there is no backbone.
        heatmaps: (B, V, J, H, W) what it answered, as it left it; None likewise.
    """

    views: Views
    images: Tensor | None = None
    heatmaps: Tensor | None = None


def show(
    networks: Networks,
    footage: Footage,
    scene: Scene,
    frames: np.ndarray,
    affine: Tensor,
    *,
    only_root: bool = False,
    change: Callable[[Tensor], Tensor] | None = None,
) -> Version:
    """A version of frames (B,) with affines (B, V, 2, 3).

    The root network never looks at the estimator's heatmaps: with `only_root` they are not even read.

    Args:
        networks: Whose backbone looks at images, where they have one.
        footage: The takes.
        scene: The rig.
        frames: (B,).
        affine: Image px to heatmap px.
        only_root: Whether the root network alone will look.
        change: Photometric change of the images.
    """
    inputs = footage.inputs.at(frames)
    if networks.backbone is None:
        maps = None if only_root else footage.maps
        return Version(shown_views(inputs, affine, scene.size_hw, scene.sigma_px, maps, frames))
    assert footage.images is not None  # the trainer has seen to it
    images = footage.images.version(frames, affine, scene.size_hw, change)
    heatmaps = heatmaps_of(networks.backbone, images)
    drawn = shown_views(inputs, affine, (1, 1), scene.sigma_px)
    return Version(drawn.showing(heatmaps.clamp(0, 1), tuple(range(JOINTS))), images, heatmaps)


def pose_of(
    networks: Networks, scene: Scene, views: Views, root_mm: Tensor, sample: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Joints (P, J, 3) of people around their roots (P, 3), each in an entry `sample` (P,) of the batch.

    And what the planes of a plane head say by themselves, (P, 3, J, 2).
    """
    mine = networks.pose.prior.gate(scene.projector, views, root_mm, sample.to(scene.device), scene.sigma_px)
    found, _, planes = networks.pose.with_planes(scene.projector, mine, root_mm)
    return found, planes


def draw_affine(scene: Scene, count: int, rng: np.random.Generator) -> Tensor:
    """Random augmented affines (count, V, 2, 3), one turn and zoom for all views of a sample."""
    return tensor(augment(scene.base_affine, scene.size_hw, *draw_augmentation(rng, count)), scene.device)


def footage_labels(footage: Footage, scene: Scene, frames: np.ndarray, affine: Tensor) -> tuple[Tensor, Tensor]:
    """Labels (B, V, L, J, 2) in heatmap px of a version, and their weights (B, V, L, J), 0 outside the heatmap."""
    xy_px = tensor(footage.labels.xy_px[frames], scene.device)
    xy = to_heatmap(affine, xy_px.flatten(2, 3)).view(xy_px.shape)
    edge = xy.new_tensor([scene.size_hw[1] - 1, scene.size_hw[0] - 1])
    on_map = ((xy >= 0) & (xy <= edge)).all(-1)
    return xy, tensor(footage.labels.weight[frames], scene.device) * on_map
