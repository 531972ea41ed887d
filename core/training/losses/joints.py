"""Losses of joints: projected joints against matched 2D labels, and 3D joints against each other.

Legend: B batch, V view, P predicted person, L labelled person, J joint.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from core.training.losses.inputs import AugmentedStep, PoseStep
from core.training.losses.positions import triplane_loss


def joint_loss(
    predicted: list[Tensor], target: Tensor, weight: Tensor, size_hw: tuple[int, int], *, gate: float, hard: bool
) -> Tensor:
    """Compute the distance of projected joints from matched labels, as a fraction of the heatmap's size.

    Per view and sample, people are matched with labels by the Hungarian algorithm on the mean over joints and
    coordinates (SelfPose3d equations 5 and 9); missing joints count 0. A match whose error per known joint exceeds the
    gate is rejected, so that a person whom the estimator missed is not attracted to another label. Unmatched people and
    labels cost nothing.

    Args:
        predicted: Projected people (V, P, J, 2) of each sample, heatmap px.
        target: (B, V, L, J, 2) labels, heatmap px.
        weight: (B, V, L, J) in 0..1, 0 where there is no label.
        size_hw: Height and width of the heatmap.
        gate: Largest mean error of a match.
        hard: Exclude the (view, sample) with the largest loss: hard attention (equation 10).

    Returns:
        Mean over (view, sample) of the sums of matched costs.
    """
    size = target.new_tensor([size_hw[1], size_hw[0]])
    losses = []
    for people, labels, w in zip(predicted, target, weight, strict=True):
        cost, error = _costs(people / size, labels / size, w)
        matched, chosen = _match(cost.detach(), error.detach(), gate)
        losses.append((cost * chosen).sum((-2, -1)) if matched else cost.sum((-2, -1)) * 0)
    every = torch.cat(losses)
    if hard and len(every) > 1:
        return (every.sum() - every.max()) / (len(every) - 1)
    return every.mean()


def anchor_loss(xyz_mm: Tensor, anchor_mm: Tensor, weight: Tensor, gate_mm: float) -> Tensor:
    """Compute the mean absolute distance per coordinate, in metres, of joints from triangulated ones.

    Triangulated joints are derived from the same 2D poses and are no labels. They constrain depth, however: the 2D
    losses alone would allow joints to move along their rays.

    Args:
        xyz_mm: (P, J, 3) predicted joints.
        anchor_mm: (P, J, 3) triangulated joints, any value where the weight is 0.
        weight: (P, J) in 0..1.
        gate_mm: Distance above which joints are not attracted.
    """
    distance = (xyz_mm - torch.where(weight[..., None] > 0, anchor_mm, xyz_mm.detach())).abs().clamp_max(gate_mm)
    return (distance.mean(-1) * weight).sum() / weight.sum().clamp_min(1) / 1000


def consistency_loss(first_mm: Tensor, second_mm: Tensor) -> Tensor:
    """Compute the mean absolute distance per coordinate, in metres, of the joints (P, J, 3) of two versions."""
    return (first_mm - second_mm).abs().mean() / 1000


def match_people(people: Tensor, labels: Tensor, weight: Tensor, gate: Tensor) -> Tensor:
    """Compute the distance of each labelled joint from its matched person, clamped to the gate.

    Args:
        people: (V, P, J, 2) px.
        labels: (V, L, J, 2) px.
        weight: (V, L, J), 0 where there is no label.
        gate: (V,) px.

    Returns:
        (V, L, J) px; the gate where a label is unmatched.
    """
    limit = gate[:, None, None, None]
    distance = (people[:, :, None] - labels[:, None]).norm(dim=-1).clamp_max(limit)  # (V, P, L, J)
    known = weight.sum(-1).clamp_min(1e-6)
    cost = (distance * weight[:, None]).sum(-1) / known[:, None]
    _, chosen = _match(cost, cost, float("inf"))
    matched = chosen.sum(1)[..., None] > 0
    return torch.where(matched, (distance * chosen[..., None]).sum(1), limit[:, 0])


def matched_joints(step: PoseStep) -> Tensor | None:
    """Attract projected joints to their matched labels (SelfPose3d equation 5); 0 in the first part of the stage."""
    if step.people is None:
        return None
    if step.index < step.config.joint_from * step.steps:
        return step.people.first_mm.new_zeros(())
    return torch.stack([_matched(step, version) for version in (step.second, step.first)]).sum()


def triangulated_anchor(step: PoseStep) -> Tensor | None:
    """Attract joints to the people triangulated without training."""
    people = step.people
    if people is None or people.anchor_mm is None or people.anchor_weight is None:
        return None
    losses = [
        anchor_loss(xyz_mm, people.anchor_mm, people.anchor_weight, step.config.anchor_mm)
        for xyz_mm in (people.first_mm, people.second_mm)
    ]
    return (losses[0] + losses[1]) / 2


def joint_consistency(step: PoseStep) -> Tensor | None:
    """Penalise differences between the joints of both augmented versions."""
    return None if step.people is None else consistency_loss(step.people.first_mm, step.people.second_mm)


def plane_consistency(step: PoseStep) -> Tensor | None:
    """Attract the predictions of each plane of a triplane head to the fused joints."""
    if step.people is None or step.people.planes_mm is None:
        return None
    joints = torch.cat([step.people.first_mm, step.people.second_mm]).detach()
    return triplane_loss(step.people.planes_mm, joints, torch.ones_like(joints[..., 0]))


def _matched(step: PoseStep, version: AugmentedStep) -> Tensor:
    """Compute the joint loss in one version for the joints found in the other."""
    gate, hard = step.config.match_gate or float("inf"), step.config.hard_attention
    people = list(version.joint_xy)
    return joint_loss(people, version.label_xy, version.label_weight, step.size_hw, gate=gate, hard=hard)


def _costs(people: Tensor, labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cost (V, P, L) over all joints, and the error (V, P, L) over known ones, infinite if none is known."""
    distance = (people[:, :, None] - labels[:, None]).abs().mean(-1)  # (V, P, L, J)
    weighted = torch.where(weight[:, None] > 0, distance * weight[:, None], 0.0).sum(-1)
    known = weight.sum(-1)[:, None]
    error = torch.where(known > 0, weighted / known.clamp_min(1e-6), torch.inf)
    return weighted / weight.shape[-1], error


def _match(cost: Tensor, error: Tensor, gate: float) -> tuple[bool, Tensor]:
    """Return whether any pair was matched, and the chosen pairs (V, P, L) as 0 and 1."""
    chosen = torch.zeros_like(cost)
    allowed = (error <= gate).cpu()
    # A forbidden pair costs more than all allowed ones together, so it is chosen only if no other remains.
    table = torch.where(allowed, cost.cpu(), 1e3).numpy()
    for v, view in enumerate(table):
        for p, label in zip(*linear_sum_assignment(view), strict=True):
            if allowed[v, p, label]:
                chosen[v, p, label] = 1
    return bool(chosen.any()), chosen
