"""What a stage computes in a step, as its losses receive it.

Legend: B batch, V view, P person, L labelled person, J joint, F frame, H W heatmap, X Y Z voxel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from core.models.heads.plane_nets import BevOutput
from core.training.stages.config import BackboneStageConfig, PoseStageConfig


@dataclass(frozen=True, slots=True)
class BackboneStep:
    """A step of the backbone stage.

    Attributes:
        config: Settings of the stage.
        heatmaps: (B, V, J, H, W) output of the backbone.
        target: (B, V, J, H, W) rendered pseudo labels.
        weight: (B, V, J) largest confidence of a label of the joint in the view.
    """

    config: BackboneStageConfig
    heatmaps: Tensor
    target: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class RootStep:
    """A step of the root stage.

    Attributes:
        output: Output of the root network for synthetic scenes: a volume (B, X, Y, Z), or that of a plane head.
        target: (B, X, Y, Z) confidence volume of the exact roots.
        cells: (B, P, 2) cells of the floor map that the roots stand in.
        visible: (B, P) bool, roots that at least two views show.
        augmented: Output for augmented real frames; None without real frames.
        plain: Output for the same frames without augmentation, without gradient.
    """

    output: Tensor | BevOutput
    target: Tensor
    cells: Tensor
    visible: Tensor
    augmented: Tensor | BevOutput | None
    plain: Tensor | BevOutput | None


@dataclass(frozen=True, slots=True)
class PositionStep:
    """A step of a stage that is supervised by exact synthetic people.

    Attributes:
        xyz_mm: (..., J, 3) predicted joints.
        exact_mm: (..., J, 3) exact joints.
        weight: (..., J) weight of each joint.
        precision: (..., J, 3, 3) predicted precisions, 1/mm²; None without.
        planes_mm: (P, 3, J, 2) predictions of the single planes of a triplane head; None without.
    """

    xyz_mm: Tensor
    exact_mm: Tensor
    weight: Tensor
    precision: Tensor | None = None
    planes_mm: Tensor | None = None


@dataclass(frozen=True, slots=True)
class AugmentedStep:
    """One augmented version of the frames of a pose step.

    Attributes:
        affine: (B, V, 2, 3) image px to heatmap px.
        label_xy: (B, V, L, J, 2) pseudo labels, heatmap px.
        label_weight: (B, V, L, J) in 0..1, 0 where there is no label.
        heatmaps: (B, V, J, H, W) output of the backbone; None without one.
        attention: (B, V, J, H, W) output of the attention network; None without one.
        joint_xy: For each of the B entries the projections (V, P, J, 2), heatmap px, of the joints found in the other
            augmented version; empty without people.
        joint_ahead: For each of them (V, P, J) 1 where the joint is ahead of the camera, else 0.
    """

    affine: Tensor
    label_xy: Tensor
    label_weight: Tensor
    heatmaps: Tensor | None = None
    attention: Tensor | None = None
    joint_xy: tuple[Tensor, ...] = ()
    joint_ahead: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class PosePeople:
    """The people of a pose step.

    Attributes:
        first_mm: (P, J, 3) joints found in the first augmented version.
        second_mm: (P, J, 3) joints found in the second one.
        planes_mm: (2 P, 3, J, 2) predictions of the single planes in both versions; None without a triplane head.
        anchor_mm: (P, J, 3) joints triangulated without training; None without any.
        anchor_weight: (P, J) 0 where there is no anchor.
    """

    first_mm: Tensor
    second_mm: Tensor
    planes_mm: Tensor | None = None
    anchor_mm: Tensor | None = None
    anchor_weight: Tensor | None = None


@dataclass(frozen=True, slots=True)
class PoseStep:
    """A step of the pose stage.

    Attributes:
        config: Settings of the stage.
        size_hw: Height and width of the heatmaps.
        sigma_px: Standard deviation of the heatmaps' Gaussians, px.
        index: Index of the step in its stage.
        steps: Number of steps of the stage.
        plain: The frames without augmentation.
        first: The first augmented version.
        second: The second one.
        people: The people found; None without any.
    """

    config: PoseStageConfig
    size_hw: tuple[int, int]
    sigma_px: float
    index: int
    steps: int
    plain: AugmentedStep
    first: AugmentedStep
    second: AugmentedStep
    people: PosePeople | None

    @property
    def gaussian_scale(self) -> float:
        """Factor that turns means over pixels, tiny at any map size, into the paper's sums over a Gaussian's area."""
        H, W = self.size_hw
        return float(H * W / (2 * math.pi * self.sigma_px**2))
