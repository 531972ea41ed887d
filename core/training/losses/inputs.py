"""Inputs of the losses: the outputs of a stage in one step.

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
    """Step of the backbone stage.

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
    """Step of the root stage.

    Attributes:
        output: Output of the root network for synthetic scenes: a volume (B, X, Y, Z), or the output of a plane head.
        target: (B, X, Y, Z) confidence volume of the exact roots.
        cells: (B, P, 2) floor map cells of the roots.
        visible: (B, P) bool, True for roots visible in at least two views.
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
    """Step of a stage with supervision by exact synthetic people.

    Attributes:
        xyz_mm: (..., J, 3) predicted joints.
        exact_mm: (..., J, 3) exact joints.
        weight: (..., J) weight of each joint.
        precision: (..., J, 3, 3) predicted precisions, 1/mm²; None if not predicted.
        planes_mm: (P, 3, J, 2) predictions of the single planes of a triplane head; None without one.
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
        joint_xy: Projections (V, P, J, 2), heatmap px, for each of the B entries, of the joints found in the other
            augmented version; empty without people.
        joint_ahead: Masks (V, P, J) for the same joints, 1 in front of the camera, else 0.
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
    """People of a pose step.

    Attributes:
        first_mm: (P, J, 3) joints found in the first augmented version.
        second_mm: (P, J, 3) joints found in the second augmented version.
        planes_mm: (2 P, 3, J, 2) predictions of the single planes in both versions; None without a triplane head.
        anchor_mm: (P, J, 3) joints triangulated without training; None if not available.
        anchor_weight: (P, J) 0 where there is no anchor.
    """

    first_mm: Tensor
    second_mm: Tensor
    planes_mm: Tensor | None = None
    anchor_mm: Tensor | None = None
    anchor_weight: Tensor | None = None


@dataclass(frozen=True, slots=True)
class PoseStep:
    """Step of the pose stage.

    Attributes:
        config: Settings of the stage.
        size_hw: Height and width of the heatmaps.
        sigma_px: Standard deviation of the heatmaps' Gaussians, px.
        index: Index of the step in its stage.
        steps: Number of steps of the stage.
        plain: Views of the frames without augmentation.
        first: First augmented version of the frames.
        second: Second augmented version of the frames.
        people: People found in both versions; None without any.
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
        """Factor from means over pixels, tiny at any map size, to the paper's sums over the area of a Gaussian."""
        H, W = self.size_hw
        return float(H * W / (2 * math.pi * self.sigma_px**2))
