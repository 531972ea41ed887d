"""What training minimises. Every loss takes weights, and a weight of 0 carries no gradient.

Legend: B batch, V view, P predicted person, L labelled person, J joint, H W heatmap.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from core.models.heads.plane_nets import BevOutput, project_to_planes

_HEIGHT_SHARE = 0.1
"""A column above a person is full of signal where the floor is mostly empty: on a par, only heights would count."""
_EMPTY = 0.01
"""Below this height a target says nothing but that nobody is there."""
_ATTENTION = 0.1
"""Cost of ignoring a pixel: sigma of SelfPose3d's equation 8."""


def truncated_quadratic(squared_error: Tensor) -> Tensor:
    """Closed form of SelfPose3d's soft attention (equations 7 and 8) with the attention at its optimum.

    Minimising a·e + 0.1·(a - 1)² over the attention a in 0..1 gives a = max(0, 1 - 5e): e - 2.5e² up to e = 0.2 and
    0.1 beyond, a truncated square that no network has to learn.
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
    """Mean weighted error of rendered heatmaps (SelfPose3d equations 4 and 7).

    Args:
        predicted: (B, V, J, H, W).
        target: (B, V, J, H, W).
        weight: (B, V, J).
        robust: The truncated square instead of the plain one.
        background: Weight of pixels on which the target is all but empty: below 1, people without a label are not
            held against the network that found them.
        attention: (B, V, J, H, W) in 0..1 of the attention network, a factor on the squares.
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
    """What ignoring pixels costs (SelfPose3d equation 8): 0.1 times the mean squared distance from 1."""
    return _ATTENTION * (attention - 1).square().mean()


def backbone_loss(predicted: Tensor, target: Tensor, weight: Tensor, *, background: float = 1.0) -> Tensor:
    """Mean squared error of the 2D network's heatmaps (B, V, J, H, W), weighted by (B, V, J); see `heatmap_loss`."""
    return heatmap_loss(predicted, target, weight, robust=False, background=background)


def anchor_loss(found_mm: Tensor, anchor_mm: Tensor, weight: Tensor, gate_mm: float) -> Tensor:
    """Mean absolute distance per coordinate, in metres, of joints from triangulated ones.

    Triangulated people are no labels, they come of the same 2D poses, but they are in 3D: the term keeps joints on
    their rays where the 2D losses alone would let them slide along.

    Args:
        found_mm: (P, J, 3).
        anchor_mm: (P, J, 3), anything where the weight is 0.
        weight: (P, J) in 0..1.
        gate_mm: Joints further off than this pull no harder than at this distance.
    """
    apart = (found_mm - torch.where(weight[..., None] > 0, anchor_mm, found_mm.detach())).abs().clamp_max(gate_mm)
    return (apart.mean(-1) * weight).sum() / weight.sum().clamp_min(1) / 1000


def consistency_loss(one_mm: Tensor, other_mm: Tensor) -> Tensor:
    """Mean absolute distance per coordinate, in metres, of the joints (P, J, 3) found in two versions of a frame."""
    return (one_mm - other_mm).abs().mean() / 1000


def joint_loss(
    predicted: list[Tensor], target: Tensor, weight: Tensor, size_hw: tuple[int, int], *, gate: float, hard: bool
) -> Tensor:
    """Distance of projected joints from the labels they are matched with, in shares of the heatmap's size.

    Per view and sample people are matched to labels by the Hungarian algorithm on the mean over joints and coordinates
    (missing joints count 0). A match whose error per known joint exceeds the gate is no match: a person whom the
    detector missed must not be pulled to somebody else. Unmatched people and labels are free.

    Args:
        predicted: A sample's people each, (V, P, J, 2) heatmap px.
        target: (B, V, L, J, 2) heatmap px.
        weight: (B, V, L, J) in 0..1, 0 where there is no label.
        size_hw: Height and width of the heatmap.
        gate: Largest mean error of a match.
        hard: Leaves out the one (view, sample) with the largest loss: hard attention.

    Returns:
        Mean over (view, sample) of the sums of matched costs.
    """
    size = target.new_tensor([size_hw[1], size_hw[0]])
    losses = []
    for people, labels, w in zip(predicted, target, weight, strict=True):
        cost, error = _costs(people / size, labels / size, w)
        rows, chosen = _match(cost.detach(), error.detach(), gate)
        losses.append((cost * chosen).sum((-2, -1)) if rows else cost.sum((-2, -1)) * 0)
    every = torch.cat(losses)
    if hard and len(every) > 1:
        return (every.sum() - every.max()) / (len(every) - 1)
    return every.mean()


def _costs(people: Tensor, labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Cost (V, P, L) over all joints, and error (V, P, L) over the known ones; infinite without any."""
    apart = (people[:, :, None] - labels[:, None]).abs().mean(-1)  # (V, P, L, J)
    weighted = torch.where(weight[:, None] > 0, apart * weight[:, None], 0.0).sum(-1)
    known = weight.sum(-1)[:, None]
    error = torch.where(known > 0, weighted / known.clamp_min(1e-6), torch.inf)
    return weighted / weight.shape[-1], error


def _match(cost: Tensor, error: Tensor, gate: float) -> tuple[bool, Tensor]:
    """Whether anything matched, and the chosen pairs (V, P, L) as 0 and 1."""
    chosen = torch.zeros_like(cost)
    allowed = (error <= gate).cpu()
    # A forbidden pair costs more than all allowed ones together, so it is taken only where nothing else is left.
    table = torch.where(allowed, cost.cpu(), 1e3).numpy()
    for v, view in enumerate(table):
        for p, label in zip(*linear_sum_assignment(view), strict=True):
            if allowed[v, p, label]:
                chosen[v, p, label] = 1
    return bool(chosen.any()), chosen


def match_people(people: Tensor, labels: Tensor, weight: Tensor, gate: Tensor) -> Tensor:
    """Distance of every labelled joint to the person it is matched with, at most the gate; the gate where unmatched.

    Args:
        people: (V, P, J, 2) px.
        labels: (V, L, J, 2) px.
        weight: (V, L, J), 0 where there is no label.
        gate: (V,) px.

    Returns:
        (V, L, J) px.
    """
    limit = gate[:, None, None, None]
    apart = (people[:, :, None] - labels[:, None]).norm(dim=-1).clamp_max(limit)  # (V, P, L, J)
    known = weight.sum(-1).clamp_min(1e-6)
    cost = (apart * weight[:, None]).sum(-1) / known[:, None]
    _, chosen = _match(cost, cost, float("inf"))
    matched = chosen.sum(1)[..., None] > 0
    return torch.where(matched, (apart * chosen[..., None]).sum(1), limit[:, 0])


def root_loss(volume: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over voxels (SelfPose3d equation 2)."""
    return ((volume - target) ** 2).mean()


def root_consistency_loss(output: Tensor | BevOutput, expected: Tensor | BevOutput) -> Tensor:
    """Mean squared difference between what a root head says of two versions (SelfPose3d equation 3)."""
    if isinstance(output, BevOutput) and isinstance(expected, BevOutput):
        return root_loss(output.centre, expected.centre)
    assert isinstance(output, Tensor) and isinstance(expected, Tensor)
    return root_loss(output, expected)


def bev_loss(plan: BevOutput, target: Tensor, cells: Tensor, shown: Tensor) -> Tensor:
    """Error of a plane head against a target volume: of its map of the floor, and of heights above people.

    Args:
        plan: Of B scenes.
        target: (B, X, Y, Z).
        cells: (B, P, 2) where on the floor the people are.
        shown: (B, P) bool, the people that count.
    """
    batch = torch.arange(len(cells), device=cells.device)[:, None]
    error = (plan.columns(cells) - target[batch, cells[..., 0], cells[..., 1]]) ** 2
    heights = (error.mean(-1) * shown).sum() / shown.sum().clamp_min(1)
    return root_loss(plan.centre, target.amax(-1)) + _HEIGHT_SHARE * heights


def position_loss(predicted_mm: Tensor, exact_mm: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean distance per coordinate in decimetres, smooth within 10 mm: of synthetic people, known exactly.

    Args:
        predicted_mm: (P, J, 3).
        exact_mm: (P, J, 3).
        weight: (P, J).
    """
    error = torch.nn.functional.smooth_l1_loss(predicted_mm / 100, exact_mm / 100, beta=0.1, reduction="none").mean(-1)
    return (error * weight).sum() / weight.sum().clamp_min(1)


def triplane_loss(planes_mm: Tensor, joints_mm: Tensor, weight: Tensor) -> Tensor:
    """As `position_loss`, of what the planes of a plane head say by themselves, (P, 3, J, 2).

    A plane whose error the others make up for is told of it (Faster-VoxelPose, ECCV 2022).
    """
    target = project_to_planes(joints_mm)
    error = torch.nn.functional.smooth_l1_loss(planes_mm / 100, target / 100, beta=0.1, reduction="none").mean((1, -1))
    return (error * weight).sum() / weight.sum().clamp_min(1)
