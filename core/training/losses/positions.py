"""Losses of 3D joints against exact ones, those of synthetic people.

Legend: P person, J joint.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from core.models.heads.plane_nets import project_to_planes
from core.models.refiners.ray_refiner import gaussian_nll
from core.training.losses.inputs import PositionStep

_MAX_NLL = 20.0
_REFINED_UNIT_MM, _SMOOTHED_UNIT_MM = 100.0, 30.0
"""Distances in mm that count as 1: typical errors before training."""


def position_loss(predicted_mm: Tensor, exact_mm: Tensor, weight: Tensor) -> Tensor:
    """Compute the weighted mean distance per coordinate in decimetres, quadratic within 10 mm (smooth L1).

    Args:
        predicted_mm: (P, J, 3) predicted joints.
        exact_mm: (P, J, 3) exact joints.
        weight: (P, J) weights.
    """
    error = functional.smooth_l1_loss(predicted_mm / 100, exact_mm / 100, beta=0.1, reduction="none").mean(-1)
    return (error * weight).sum() / weight.sum().clamp_min(1)


def triplane_loss(planes_mm: Tensor, joints_mm: Tensor, weight: Tensor) -> Tensor:
    """Compute `position_loss` for the predictions (P, 3, J, 2) of single planes (Faster-VoxelPose, ECCV 2022).

    It also corrects planes whose error the other planes compensate.
    """
    target = project_to_planes(joints_mm)
    error = functional.smooth_l1_loss(planes_mm / 100, target / 100, beta=0.1, reduction="none").mean((1, -1))
    return (error * weight).sum() / weight.sum().clamp_min(1)


def synthetic_position(step: PositionStep) -> Tensor:
    """Compare the pose network's joints with exact ones."""
    return position_loss(step.xyz_mm, step.exact_mm, step.weight)


def synthetic_planes(step: PositionStep) -> Tensor | None:
    """Compare the predictions of single planes with exact joints."""
    return None if step.planes_mm is None else triplane_loss(step.planes_mm, step.exact_mm, step.weight)


def refined_position(step: PositionStep) -> Tensor:
    """Compute the weighted mean distance of the ray refiner's joints, in decimetres, smooth within 1 mm."""
    return _mean_distance(step) / _REFINED_UNIT_MM


def smoothed_position(step: PositionStep) -> Tensor:
    """Compute the weighted mean distance of the temporal refiner's joints, in units of 30 mm, smooth within 1 mm."""
    return _mean_distance(step) / _SMOOTHED_UNIT_MM


def certainty(step: PositionStep) -> Tensor | None:
    """Compute the Gaussian negative log-likelihood of exact joints, which calibrates the predicted covariances."""
    if step.precision is None:
        return None
    nll = gaussian_nll(step.xyz_mm - step.exact_mm, step.precision).clamp(-_MAX_NLL, _MAX_NLL)
    return (nll * step.weight).sum() / step.weight.sum()


def _mean_distance(step: PositionStep) -> Tensor:
    distance = ((step.xyz_mm - step.exact_mm).square().sum(-1) + 1).sqrt()
    return (distance * step.weight).sum() / step.weight.sum()
