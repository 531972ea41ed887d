"""A learned last correction: a network that says how far each view is to be believed, and what bodies look like.

Gauss-Newton on heatmap peaks weighs observations by fixed rules. Here a small transformer looks at all observations of
a person at once, as rays relative to the joints found so far, and gives each observation a weight and each joint a
prior; the joint is then the closed-form solution, so that with good views it stays plain weighted triangulation, and
without them it is what bodies in this posture look like. Rays in millimetres know nothing of the rig: networks trained
on random rigs serve any (the idea of ray tokens is RUMPL's, arXiv 2512.15488; solving for the joint is ours).

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
"""The spread of joints that start where rays agree, whatever the soft-argmax's."""
_NOISE_MM = 20.0
"""An observation of full confidence weighs as one with this error before anything is learned."""
_PRIOR_MM = 100.0
"""So much is the start believed before anything is learned, and what was learned at most: surer priors, of synthetic
bodies, made real ones worse wherever a few views say where a joint is."""
_WEIGHTS, _PRIORS = (-12.0, 3.0), (-4.0, 0.0)
"""Bounds of both as logarithms: no further apart than the inverse of a 3x3 matrix in float32 allows."""
_FARTHEST_MM = 2500.0
_FLAT, _WIDE, _LEAST_PAIR, _NEAR_MM, _AGREEING_ROUNDS = 1e-4, 0.35, 0.05, 50.0, 3
"""Of `ObservationRays.agree`: keeps parallel rays solvable; the sine of a good angle; bounds; what is near; its iterations."""
_AT_ONCE = 1 << 18
"""Distances of crossings from rays in memory together."""
_FEATURES_OBSERVED, _FEATURES_JOINT = 11, 6


@dataclass(frozen=True, slots=True)
class JointObservations:
    """Where each view shows a person's joints.

    Attributes:
        xy: (P, V, J, 2) heatmap px.
        height: (P, V, J) confidence in 0..1, 0 where missing.
    """

    xy: Tensor
    height: Tensor


def observe_person(views: ViewBatch, projector: RigProjector, xyz_mm: Tensor, radius_px: float) -> JointObservations:
    """What the views show of each person (P entries): their own detection, or peaks where there are no detections.

    A detection's joints belong together, so the one that fits the person best gives all of its joints, however far
    they lie from what was found so far: whether to believe them is for the network to say.

    Args:
        views: Gated: each entry shows one person.
        projector: The rig.
        xyz_mm: (P, J, 3) joints found so far.
        radius_px: How far a peak may lie from its joint.
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
    """Corrects joints given what every view shows of them.

    Args:
        joints: Number of joints.
        config: Size and rounds.
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
        for head in (self.weight, self.prior):  # the untrained network is plain weighted triangulation
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
        """Corrected joints.

        Args:
            projector: The rig.
            affine: (P, V, 2, 3) image px to heatmap px.
            seen: Of each person.
            start_mm: (P, J, 3) joints found so far.
            spread_mm: (P, J) of their soft-argmax.
            rounds: In place of the configured ones.

        Returns:
            Joints (P, J, 3) mm and their precisions (P, J, 3, 3) 1/mm², the inverses of covariances.
        """
        now, precision = start_mm, start_mm.new_zeros(*start_mm.shape, 3)
        for _ in range(self.config.rounds if rounds is None else rounds):
            now, precision = self._round(projector, affine, seen, now, spread_mm)
        return now, precision

    def _round(
        self, projector: RigProjector, affine: Tensor, seen: JointObservations, now: Tensor, spread_mm: Tensor
    ) -> tuple[Tensor, Tensor]:
        rays = ObservationRays.of(projector, affine, seen, now.detach())
        observed, joint = self._look(rays, now.detach(), spread_mm)
        weight = rays.height.square() * torch.exp(self.weight(observed)[..., 0].clamp(*_WEIGHTS)) / _NOISE_MM**2
        shift, log_precision = self.prior(joint).split([3, 1], -1)
        precision = torch.exp(log_precision.clamp(*_PRIORS)) / _PRIOR_MM**2  # (P, J, 1)
        normal, right = rays.normal(weight)
        normal = normal + precision[..., None] * torch.eye(3, device=now.device)
        right = right + precision * shift * _UNIT_MM
        return now.detach() + _times(inverse(normal), right), normal

    def _look(self, rays: ObservationRays, now: Tensor, spread_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Features of observations (P, V, J, C) and of joints (P, J, C) that know of each other."""
        body = (now - now.mean(1, keepdim=True)) / (5 * _UNIT_MM)  # (P, J, 3)
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
        offset_mm: (P, V, J, 3) from the joint to the ray, at a right angle to it.
        direction: (P, V, J, 3) from the camera to the joint, unit length.
        height: (P, V, J) confidence, 0 where there is nothing.
    """

    offset_mm: Tensor
    direction: Tensor
    height: Tensor

    @classmethod
    def of(cls, projector: RigProjector, affine: Tensor, seen: JointObservations, xyz_mm: Tensor) -> ObservationRays:
        """Rays of what was seen, near joints (P, J, 3); the lens is linearised there."""
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
        # Next to a camera the linear lens says nothing, and what is metres off is not this person.
        near = (offset.norm(dim=-1) < _FARTHEST_MM) & ahead & (seen.height > 0)
        return cls(torch.where(near[..., None], offset, 0.0), direction, torch.where(near, seen.height, 0.0))

    def agree(self) -> tuple[Tensor, Tensor]:
        """Where most rays agree, without a network: the best crossing of two, then all rays near it.

        A guessed limb or an exchanged side is far from the others' crossing and is left out, as long as two are right.

        Returns:
            Ways (P, J, 3) from the joints, 0 where no two rays cross, and (P, J) bool: whether two do.
        """
        V = self.height.shape[1]
        one, other = (torch.tensor(i, device=self.height.device) for i in zip(*combinations(range(V), 2), strict=True))
        eye = _FLAT * torch.eye(3, device=self.height.device)
        across = torch.eye(3, device=self.height.device) - self.direction[..., :, None] * self.direction[..., None, :]
        drawn = self.offset_mm[:, one] + self.offset_mm[:, other]  # offsets are at a right angle to their rays already
        crossing = _times(inverse(across[:, one] + across[:, other] + eye), drawn)  # (P, K, J, 3)
        angle = torch.linalg.cross(self.direction[:, one], self.direction[:, other]).norm(dim=-1)
        pair = torch.minimum(self.height[:, one], self.height[:, other]) * (angle / _WIDE).clamp_max(1)
        support = torch.zeros_like(pair)
        step = max(1, _AT_ONCE // max(1, pair.numel()))
        for part in (slice(first, first + step) for first in range(0, V, step)):
            offset, direction = self.offset_mm[:, part, None], self.direction[:, part, None]
            near = torch.exp(-0.5 * _square_apart(offset, direction, crossing[:, None]) / _NEAR_MM**2)
            support = support + (self.height[:, part, None].square() * near).sum(1)
        score, index = torch.where(pair > 0, support * pair.clamp_min(_LEAST_PAIR).sqrt(), 0.0).max(1)
        way = crossing.gather(1, index[:, None, :, None].expand(-1, -1, -1, 3))[:, 0]
        for _ in range(_AGREEING_ROUNDS):
            apart = _square_apart(self.offset_mm, self.direction, way[:, None])
            weight = self.height.square() / (1 + apart / _NEAR_MM**2) ** 2
            normal = (weight[..., None, None] * across).sum(1) + eye
            way = _times(inverse(normal), (weight[..., None] * self.offset_mm).sum(1) + _FLAT * way)
        found = score > 0
        return torch.where(found[..., None], way, 0.0), found

    def normal(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Normal matrices (P, J, 3, 3) and right sides (P, J, 3) of weighted (P, V, J) distances to the rays."""
        across = torch.eye(3, device=weight.device) - self.direction[..., :, None] * self.direction[..., None, :]
        return (weight[..., None, None] * across).sum(1), (weight[..., None] * self.offset_mm).sum(1)


class AxialBlock(nn.Module):
    """Attention among the joints of a view, then among the views of a joint, then a perceptron; each pre-normalised."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.joints = Attention(channels, heads)
        self.views = Attention(channels, heads)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, tokens: Tensor, shown: Tensor) -> Tensor:
        """(P, 1 + V, J, C) tokens of which `shown` (P, 1 + V, J) exist."""
        tokens = tokens + self.joints(tokens, shown)
        tokens = tokens + self.views(tokens.transpose(1, 2), shown.transpose(1, 2)).transpose(1, 2)
        out: Tensor = tokens + self.mix(self.norm(tokens))
        return out


class Attention(nn.Module):
    """Self-attention along the last but one axis; tokens that do not exist are not looked at."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, shown: Tensor | None, bias: Tensor | None = None) -> Tensor:
        """(P, A, B, C) tokens attend along B where `shown` (P, A, B), everywhere when None.

        With a `bias`, which broadcasts to (P * A, heads, B, B), on the logarithms of their weights; without `shown`.
        """
        P, A, B, C = tokens.shape
        parts = self.query_key_value(self.norm(tokens)).view(P * A, B, 3, self.heads, C // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mask = bias
        if shown is not None:
            # A row of which nothing exists attends to itself alike: its result is never looked at.
            mask = shown.reshape(P * A, 1, 1, B) | ~shown.any(-1).reshape(P * A, 1, 1, 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(P, A, B, C))
        return out


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Products (..., 3) of matrices (..., 3, 3) and vectors (..., 3); for such small ones faster than matmul."""
    return (matrix * vector[..., None, :]).sum(-1)


def _square_apart(offset: Tensor, direction: Tensor, way: Tensor) -> Tensor:
    """Squared distances of points (..., 3) from rays with an offset and a unit direction."""
    to_point = way - offset
    return (to_point.square().sum(-1) - (to_point * direction).sum(-1).square()).clamp_min(0)


def inverse(matrix: Tensor) -> Tensor:
    """Inverse of symmetric positive definite (..., 3, 3) matrices by their adjugates: no factorisation, no loop."""
    adjugate, determinant = _adjugate(matrix)
    return adjugate / determinant[..., None, None]


def gaussian_nll(error_mm: Tensor, precision: Tensor) -> Tensor:
    """Negative log-likelihood (...) a coordinate, up to a constant.

    Args:
        error_mm: (..., 3).
        precision: (..., 3, 3) 1/mm², symmetric positive definite.
    """
    scaled = precision * _UNIT_MM**2
    error = error_mm / _UNIT_MM
    distance = torch.einsum("...i,...ik,...k->...", error, scaled, error)
    return (distance - _adjugate(scaled)[1].clamp_min(1e-20).log()) / 6


def _adjugate(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Adjugates (..., 3, 3) and determinants (...) of symmetric matrices."""
    # Column by column the cross product of the other two.
    adjugate = torch.linalg.cross(matrix.roll(-1, -2), matrix.roll(-2, -2))
    return adjugate, (matrix[..., 0, :] * adjugate[..., 0, :]).sum(-1)
