"""Ray refiner: learned weights of views and a learned prior of joints in a closed-form triangulation.

A small transformer processes all observations of a person at once, as rays relative to the current joints, and predicts
a weight for each observation and a prior for each joint. The joint is then the closed-form weighted least-squares
solution: plain weighted triangulation with good views, the learned prior of the body without them. Rays in millimetres
do not depend on the rig, so that networks trained on random rigs work with any (ray tokens after RUMPL, arXiv
2512.15488; the closed-form solution is ours).

Legend: P person, V view, J joint, C channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.config import RayRefinerConfig
from core.models.geometry.peaks import nearest_peaks
from core.models.geometry.projection import RigProjector, jacobian, to_heatmap
from core.models.view_batch import ViewBatch

_UNIT_MM = 100.0
AGREED_MM = 20.0
"""Standard deviation of joints that are initialised at an intersection of rays, in mm."""
_NOISE_MM = 20.0
"""Standard deviation of an observation of confidence 1 before training."""
_PRIOR_MM = 100.0
"""Standard deviation of the initial joints before training, and its lower bound.

Tighter priors, learned from synthetic bodies, made real results worse where few views determine a joint.
"""
_WEIGHTS, _PRIORS = (-12.0, 3.0), (-4.0, 0.0)
"""Bounds of the log weights and log prior precisions, as wide as float32 inverses of 3x3 matrices allow."""
_FARTHEST_MM = 2500.0
_FLAT, _WIDE, _LEAST_PAIR, _NEAR_MM, _AGREEING_ROUNDS = 1e-4, 0.35, 0.05, 50.0, 3
"""Constants of `ObservationRays.agree`.

Regularisation for parallel rays, sine of a sufficient angle, smallest weight of a pair, inlier distance, iterations.
"""
_AT_ONCE = 1 << 18
"""Number of distances between intersections and rays in memory at a time."""
_FEATURES_OBSERVED, _FEATURES_JOINT = 11, 6


@dataclass(frozen=True, slots=True)
class JointObservations:
    """Observed joints of a person in each view.

    Attributes:
        xy: (P, V, J, 2) heatmap px.
        height: (P, V, J) confidence in 0..1, 0 where missing.
    """

    xy: Tensor
    height: Tensor


def observe_person(views: ViewBatch, projector: RigProjector, xyz_mm: Tensor, radius_px: float) -> JointObservations:
    """Collect each person's observations from the best detection of each view, or from heatmap peaks without one.

    The joints of a detection belong together. The best detection provides all of its joints, regardless of their
    distance from the current ones; the network determines their weights.

    Args:
        views: Gated views, one person per entry.
        projector: Projector of the rig.
        xyz_mm: (P, J, 3) current joints.
        radius_px: Largest distance of a heatmap peak from its joint.
    """
    if views.joints.shape[2] and bool((views.peak > 0).any()):
        best = views.peak.sum(-1).argmax(-1)[..., None, None]  # (P, V, 1, 1)
        J = views.peak.shape[-1]
        height = views.peak.gather(2, best.expand(-1, -1, 1, J))[:, :, 0]
        xy = views.joints.gather(2, best[..., None].expand(-1, -1, 1, J, 2))[:, :, 0]
        return JointObservations(xy, height * (views.view_weight[..., None] > 0))
    uv, ahead = projector(xyz_mm)
    xy, height = nearest_peaks(views.heatmaps, to_heatmap(views.affine, uv), radius_px)
    return JointObservations(xy, height * (ahead & (views.view_weight[..., None] > 0)))


class RayRefiner(nn.Module):
    """Refine joints from the observations of all views.

    Args:
        joints: Number of joints.
        config: Size and number of rounds.
    """

    def __init__(self, joints: int, config: RayRefinerConfig) -> None:
        super().__init__()
        self.config = config
        C = config.channels
        self.observed = nn.Sequential(nn.Linear(_FEATURES_OBSERVED, C), nn.GELU(), nn.Linear(C, C))
        self.joint = nn.Sequential(nn.Linear(_FEATURES_JOINT, C), nn.GELU(), nn.Linear(C, C))
        self.name = nn.Parameter(0.02 * torch.randn(joints, C))
        self.blocks = nn.ModuleList(AxialBlock(C, config.heads) for _ in range(config.layers))
        self.weight = nn.Linear(C, 1)
        self.prior = nn.Linear(C, 4)
        for head in (self.weight, self.prior):  # untrained, the network is plain weighted triangulation
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(
        self,
        projector: RigProjector,
        affine: Tensor,
        seen: JointObservations,
        start_mm: Tensor,
        spread_mm: Tensor,
        rounds: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Refine joints.

        Args:
            projector: Projector of the rig.
            affine: (P, V, 2, 3) image px to heatmap px.
            seen: Observations of each person.
            start_mm: (P, J, 3) current joints.
            spread_mm: (P, J) their standard deviations.
            rounds: Number of rounds; None for the configured one.

        Returns:
            Joints (P, J, 3) mm and their precisions (P, J, 3, 3) 1/mm², the inverses of covariances.
        """
        current, precision = start_mm, start_mm.new_zeros(*start_mm.shape, 3)
        for _ in range(self.config.rounds if rounds is None else rounds):
            current, precision = self._round(projector, affine, seen, current, spread_mm)
        return current, precision

    def _round(
        self, projector: RigProjector, affine: Tensor, seen: JointObservations, current: Tensor, spread_mm: Tensor
    ) -> tuple[Tensor, Tensor]:
        rays = ObservationRays.of(projector, affine, seen, current.detach())
        observed, joint = self._encode(rays, current.detach(), spread_mm)
        weight = rays.height.square() * torch.exp(self.weight(observed)[..., 0].clamp(*_WEIGHTS)) / _NOISE_MM**2
        bias, log_precision = self.prior(joint).split([3, 1], -1)
        precision = torch.exp(log_precision.clamp(*_PRIORS)) / _PRIOR_MM**2  # (P, J, 1)
        normal, right = rays.normal(weight)
        normal = normal + precision[..., None] * torch.eye(3, device=current.device)
        right = right + precision * bias * _UNIT_MM
        return current.detach() + _times(inverse(normal), right), normal

    def _encode(self, rays: ObservationRays, current: Tensor, spread_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens of observations (P, V, J, C) and of joints (P, J, C) after attention."""
        body = (current - current.mean(1, keepdim=True)) / (5 * _UNIT_MM)  # (P, J, 3)
        far = rays.offset_mm / _UNIT_MM
        length = far.norm(dim=-1, keepdim=True)
        known = (rays.height > 0)[..., None]
        features = torch.cat(
            [
                far / (1 + length),  # bounded, linear near zero
                torch.log1p(length),
                rays.direction,
                rays.height[..., None],
                body[:, None].expand(-1, far.shape[1], -1, -1),
            ],
            -1,
        )
        views_of = (rays.height > 0).sum(1, keepdim=True).movedim(1, -1)  # (P, J, 1)
        joint = self.joint(
            torch.cat([body, spread_mm[..., None] / _UNIT_MM, views_of / 4, 1 / (1 + views_of.float())], -1)
        )
        tokens = torch.cat([joint[:, None], self.observed(features) * known], 1) + self.name  # (P, 1 + V, J, C)
        shown = torch.cat([torch.ones_like(known[:, :1]), known], 1)[..., 0]
        for block in self.blocks:
            tokens = block(tokens, shown)
        return tokens[:, 1:], tokens[:, 0]


@dataclass(frozen=True, slots=True)
class ObservationRays:
    """Observations as rays near joints.

    Attributes:
        offset_mm: (P, V, J, 3) from the joint to the nearest point of the ray.
        direction: (P, V, J, 3) unit vector from the camera to the joint.
        height: (P, V, J) confidence, 0 where missing.
    """

    offset_mm: Tensor
    direction: Tensor
    height: Tensor

    @classmethod
    def of(cls, projector: RigProjector, affine: Tensor, seen: JointObservations, xyz_mm: Tensor) -> ObservationRays:
        """Linearise the cameras at joints (P, J, 3) and return the rays of the observations."""
        slope, uv, ahead = jacobian(projector, affine, xyz_mm)  # (P, V, J, 2, 3)
        residual = seen.xy - uv
        gram = slope @ slope.mT
        a, b, d = gram[..., 0, 0], gram[..., 0, 1], gram[..., 1, 1]
        determinant = (a * d - b * b).clamp_min(1e-12)
        solved = torch.stack(
            [d * residual[..., 0] - b * residual[..., 1], a * residual[..., 1] - b * residual[..., 0]], -1
        )
        offset = torch.einsum("pvjri,pvjr->pvji", slope, solved / determinant[..., None])
        centre = -torch.einsum("vji,vj->vi", projector.R, projector.t_mm)
        direction = functional.normalize(xyz_mm[:, None] - centre[:, None], dim=-1)
        # The linearisation is invalid next to a camera, and observations metres away belong to other people.
        near = (offset.norm(dim=-1) < _FARTHEST_MM) & ahead & (seen.height > 0)
        return cls(torch.where(near[..., None], offset, 0.0), direction, torch.where(near, seen.height, 0.0))

    def agree(self) -> tuple[Tensor, Tensor]:
        """Intersect rays robustly without a network: the best intersection of two, then IRLS over all rays near it.

        A wrong limb or a left-right swap is far from the other intersections, and is rejected if two rays are right.

        Returns:
            Offsets (P, J, 3) from the joints, 0 where no two rays intersect, and (P, J) bool, True where two do.
        """
        V = self.height.shape[1]
        one, other = (torch.tensor(i, device=self.height.device) for i in zip(*combinations(range(V), 2), strict=True))
        eye = _FLAT * torch.eye(3, device=self.height.device)
        across = torch.eye(3, device=self.height.device) - self.direction[..., :, None] * self.direction[..., None, :]
        summed = self.offset_mm[:, one] + self.offset_mm[:, other]  # offsets are already orthogonal to their rays
        crossing = _times(inverse(across[:, one] + across[:, other] + eye), summed)  # (P, K, J, 3)
        angle = torch.linalg.cross(self.direction[:, one], self.direction[:, other]).norm(dim=-1)
        pair = torch.minimum(self.height[:, one], self.height[:, other]) * (angle / _WIDE).clamp_max(1)
        support = torch.zeros_like(pair)
        step = max(1, _AT_ONCE // max(1, pair.numel()))
        for part in (slice(first, first + step) for first in range(0, V, step)):
            offset, direction = self.offset_mm[:, part, None], self.direction[:, part, None]
            near = torch.exp(-0.5 * _squared_distance(offset, direction, crossing[:, None]) / _NEAR_MM**2)
            support = support + (self.height[:, part, None].square() * near).sum(1)
        score, index = torch.where(pair > 0, support * pair.clamp_min(_LEAST_PAIR).sqrt(), 0.0).max(1)
        offset_to = crossing.gather(1, index[:, None, :, None].expand(-1, -1, -1, 3))[:, 0]
        for _ in range(_AGREEING_ROUNDS):
            squared = _squared_distance(self.offset_mm, self.direction, offset_to[:, None])
            weight = self.height.square() / (1 + squared / _NEAR_MM**2) ** 2
            normal = (weight[..., None, None] * across).sum(1) + eye
            offset_to = _times(inverse(normal), (weight[..., None] * self.offset_mm).sum(1) + _FLAT * offset_to)
        found = score > 0
        return torch.where(found[..., None], offset_to, 0.0), found

    def normal(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return normal matrices (P, J, 3, 3) and right-hand sides (P, J, 3) of weighted (P, V, J) ray distances."""
        across = torch.eye(3, device=weight.device) - self.direction[..., :, None] * self.direction[..., None, :]
        return (weight[..., None, None] * across).sum(1), (weight[..., None] * self.offset_mm).sum(1)


class AxialBlock(nn.Module):
    """Attention among the joints of a view, then among the views of a joint, then an MLP; each pre-normalised."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.joints = Attention(channels, heads)
        self.views = Attention(channels, heads)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, tokens: Tensor, shown: Tensor) -> Tensor:
        """Process tokens (P, 1 + V, J, C), of which `shown` (P, 1 + V, J) exist."""
        tokens = tokens + self.joints(tokens, shown)
        tokens = tokens + self.views(tokens.transpose(1, 2), shown.transpose(1, 2)).transpose(1, 2)
        out: Tensor = tokens + self.mix(self.norm(tokens))
        return out


class Attention(nn.Module):
    """Self-attention along the second to last axis with a mask."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, shown: Tensor | None, bias: Tensor | None = None) -> Tensor:
        """Attend among tokens (P, A, B, C) along B.

        Args:
            tokens: (P, A, B, C) tokens.
            shown: (P, A, B) bool, tokens that exist; None for all.
            bias: Additive attention bias, broadcast to (P * A, heads, B, B); only without `shown`.
        """
        P, A, B, C = tokens.shape
        parts = self.query_key_value(self.norm(tokens)).view(P * A, B, 3, self.heads, C // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mask = bias
        if shown is not None:
            # A row without existing tokens attends to all uniformly; its result is not used.
            mask = shown.reshape(P * A, 1, 1, B) | ~shown.any(-1).reshape(P * A, 1, 1, 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(P, A, B, C))
        return out


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Multiply matrices (..., 3, 3) and vectors (..., 3); faster than matmul at this size."""
    return (matrix * vector[..., None, :]).sum(-1)


def _squared_distance(offset: Tensor, direction: Tensor, offset_to: Tensor) -> Tensor:
    """Return the squared distances of points (..., 3) from rays with an offset and a unit direction."""
    to_point = offset_to - offset
    return (to_point.square().sum(-1) - (to_point * direction).sum(-1).square()).clamp_min(0)


def inverse(matrix: Tensor) -> Tensor:
    """Invert symmetric positive definite (..., 3, 3) matrices by their adjugates, without factorisation or loop."""
    adjugate, determinant = _adjugate(matrix)
    return adjugate / determinant[..., None, None]


def gaussian_nll(error_mm: Tensor, precision: Tensor) -> Tensor:
    """Compute the negative log-likelihood (...) per coordinate, up to a constant.

    Args:
        error_mm: (..., 3) errors.
        precision: (..., 3, 3) 1/mm², symmetric positive definite.
    """
    scaled = precision * _UNIT_MM**2
    error = error_mm / _UNIT_MM
    distance = torch.einsum("...i,...ik,...k->...", error, scaled, error)
    return (distance - _adjugate(scaled)[1].clamp_min(1e-20).log()) / 6


def _adjugate(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the adjugates (..., 3, 3) and determinants (...) of symmetric matrices."""
    # Each column is the cross product of the other two.
    adjugate = torch.linalg.cross(matrix.roll(-1, -2), matrix.roll(-2, -2))
    return adjugate, (matrix[..., 0, :] * adjugate[..., 0, :]).sum(-1)
