"""Heatmaps in, people out: proposals, joints, refinement, scores. Shared by training and inference.

Legend: B batch, V view, P person (all people of the batch in one row), D detection, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.models.geometry.projection import to_heatmap
from core.models.heads.pose_net import joint_support, merge_skeletons
from core.models.heads.root_net import extract_proposals
from core.models.networks import JOINTS, Networks
from core.models.refiners.ray_refiner import AGREED_MM, JointObservations, ObservationRays, inverse, observe_person
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch

LEAST_SCORE = 0.01
_NEAR_SIGMAS, _LEAST_JOINTS = 2.5, 3
"""A detection agrees with a person when so near are more than half of its joints, and no fewer than these."""
_OWN_MM = 150.0
"""How far a detection's joints may be from those of its person."""


@dataclass(frozen=True, slots=True)
class PosePredictions:
    """People of a batch of frames.

    Attributes:
        xyz_mm: (P, J, 3).
        score: (P, J) in 0..1.
        sample: (P,) frame each belongs to.
        covariance_mm2: (P, J, 3, 3), NaN without refinement.
    """

    xyz_mm: Tensor
    score: Tensor
    sample: Tensor
    covariance_mm2: Tensor


@torch.no_grad()
def propose_roots(networks: Networks, scene: CaptureScene, views: ViewBatch) -> tuple[Tensor, Tensor]:
    """Roots (P, 3) of the people in a batch, best first in each frame, and the frame (P,) each belongs to."""
    output = networks.root(scene.unprojector, views.root, views.affine, views.view_weight)
    xyz, sample, _ = extract_proposals(output, scene.volume, networks.config.root).flat()
    return xyz, sample


@torch.no_grad()
def propose_people(networks: Networks, scene: CaptureScene, views: ViewBatch) -> tuple[Tensor, Tensor, ViewBatch]:
    """Roots that detections bear out: as `propose_roots`, and what the views show of each of them (P entries).

    Without the gate everybody stays, and every entry shows everybody.
    """
    roots, sample = propose_roots(networks, scene, views)
    if not networks.config.pose.gate:
        return roots, sample, views.select(sample)
    mine = networks.pose.prior.gate(scene.projector, views, roots, sample, scene.sigma_px)
    owned = _owned_views(mine, views.peak[sample]) >= networks.config.pose.min_views
    return roots[owned], sample[owned], mine.select(owned)


@torch.no_grad()
def estimate_people(
    networks: Networks, scene: CaptureScene, views: ViewBatch, *, people_at_once: int = 32
) -> PosePredictions:
    """People in a batch of heatmaps.

    Args:
        networks: In evaluation mode.
        scene: The rig.
        views: Un-augmented heatmaps.
        people_at_once: Cubes in memory together.
    """
    config = networks.config.pose
    roots, sample, mine = propose_people(networks, scene, views)
    if not len(roots):
        nobody = roots.new_zeros(0, JOINTS, 3)
        return PosePredictions(nobody, nobody[..., 0], sample, roots.new_zeros(0, JOINTS, 3, 3))
    xyz, spread = _pose_of_all(networks, scene, mine, roots, people_at_once)
    keep = merge_skeletons(xyz, joint_support(scene.projector, mine, xyz).mean(-1), sample, config.merge_mm)
    xyz, spread, sample, mine = xyz[keep], spread[keep], sample[keep], mine.select(keep)
    covariance = xyz.new_full((*xyz.shape, 3), torch.nan)
    if networks.ray_refiner is not None:
        xyz, precision, _ = refine_joints(networks, scene, views, mine, xyz, spread, sample)
        covariance = inverse(precision)
    # A joint that no view supports is still the network's belief: it keeps a score above "missing".
    score = joint_support(scene.projector, mine, xyz).clamp_min(LEAST_SCORE)
    if config.gate:
        keep = select_supported(scene, mine, xyz, score, sample, config.min_views)
        xyz, score, sample, covariance = xyz[keep], score[keep], sample[keep], covariance[keep]
    return PosePredictions(xyz, score, sample, covariance)


def refine_joints(
    networks: Networks,
    scene: CaptureScene,
    views: ViewBatch,
    mine: ViewBatch,
    xyz_mm: Tensor,
    spread_mm: Tensor,
    sample: Tensor,
) -> tuple[Tensor, Tensor, JointObservations]:
    """Refine joints with the ray refiner, which the networks must have.

    Args:
        networks: Trained networks.
        scene: Rig and capture volume.
        views: Views of the batch.
        mine: Views of each person, P entries.
        xyz_mm: (P, J, 3) joints of the pose network.
        spread_mm: (P, J) standard deviations of their soft-argmax.
        sample: (P,) batch entry of each person.

    Returns:
        Joints (P, J, 3) mm, their precisions (P, J, 3, 3) 1/mm², and the observations that they were refined with.
    """
    assert networks.ray_refiner is not None
    config = networks.config.pose
    seen = person_detections(networks, scene, views, xyz_mm, sample) if config.gate else mine
    radius_px = config.ray_refiner.window_sigmas * scene.sigma_px
    found, start, spread = initialize_joints(scene, seen, xyz_mm, spread_mm, radius_px)
    xyz, precision = networks.ray_refiner(scene.projector, mine.affine, found, start, spread)
    return xyz, precision, found


def initialize_joints(
    scene: CaptureScene, seen: ViewBatch, xyz_mm: Tensor, spread_mm: Tensor, radius_px: float
) -> tuple[JointObservations, Tensor, Tensor]:
    """What the learned correction starts from: observations, joints (P, J, 3) and their spreads (P, J).

    Args:
        scene: The rig.
        seen: What the cameras show of each person, P entries.
        xyz_mm: (P, J, 3) joints found so far, which stay where no two rays agree.
        spread_mm: Theirs.
        radius_px: See `observe_person`.
    """
    found = observe_person(seen, scene.projector, xyz_mm, radius_px)
    way, agreed = ObservationRays.of(scene.projector, seen.affine, found, xyz_mm).agree()
    return found, xyz_mm + way, torch.where(agreed, AGREED_MM, spread_mm)


def person_detections(
    networks: Networks, scene: CaptureScene, views: ViewBatch, xyz_mm: Tensor, sample: Tensor
) -> ViewBatch:
    """Detections as high as they fit people whose joints (P, J, 3) are known: a sharper choice than by roots."""
    spread = xyz_mm.new_full((xyz_mm.shape[1],), _OWN_MM)
    return networks.pose.prior.assign(scene.projector, views, xyz_mm, spread, sample)


def _pose_of_all(
    networks: Networks, scene: CaptureScene, mine: ViewBatch, roots: Tensor, people_at_once: int
) -> tuple[Tensor, Tensor]:
    """Joints (P, J, 3) and spreads (P, J) of people around their roots (P, 3), some at a time."""
    parts = [
        networks.pose(scene.cubes, mine.select(part), roots[part])
        for part in (slice(start, start + people_at_once) for start in range(0, len(roots), people_at_once))
    ]
    xyz, spread = (torch.cat(column) for column in zip(*parts, strict=True))
    return xyz, spread


def _owned_views(mine: ViewBatch, peak: Tensor) -> Tensor:
    """Number of views (P,) in which a person was left at least half of a detection, of heights `peak` (P, V, D, J)."""
    left = mine.peak.sum(-1) / peak.sum(-1).clamp_min(1e-6)
    return ((left > 0.5).any(-1) & (mine.view_weight > 0)).sum(-1)


def select_supported(
    scene: CaptureScene, mine: ViewBatch, xyz_mm: Tensor, score: Tensor, sample: Tensor, min_views: int
) -> Tensor:
    """Which people (P,) have detections of their own in `min_views` views.

    A detection agrees with a person when most of its joints lie where the person's reproject. Each goes to one person
    only, and those whom more views agree with choose first: rays that cross by chance between people are left with
    nothing.
    """
    uv, _ = scene.projector(xyz_mm)
    apart = (to_heatmap(mine.affine, uv)[:, :, None] - mine.joints).norm(dim=-1)  # (P, V, D, J)
    known = mine.peak > 0
    near = (known & (apart < _NEAR_SIGMAS * scene.sigma_px)).sum(-1)
    agrees = (near >= _LEAST_JOINTS) & (2 * near > known.sum(-1)) & (mine.view_weight > 0)[..., None]
    misfit = torch.where(known, apart, 0.0).sum(-1) / known.sum(-1).clamp_min(1)
    order = (agrees.any(-1).sum(-1) + score.mean(-1)).argsort(descending=True).tolist()
    return torch.from_numpy(_choose(order, sample.tolist(), agrees.cpu().numpy(), misfit.cpu().numpy(), min_views)).to(
        xyz_mm.device
    )


def _choose(order: list[int], sample: list[int], agrees: np.ndarray, misfit: np.ndarray, min_views: int) -> np.ndarray:
    """Which people (P,) stay when each, in order, takes one of the detections left that agree with it (P, V, D).

    Each choice depends on those before: a few small ones, and not for a GPU.
    """
    keep = np.zeros(len(agrees), bool)
    taken: dict[int, np.ndarray] = {}
    for person in order:
        mine = taken.setdefault(sample[person], np.zeros_like(agrees[person]))
        free = agrees[person] & ~mine
        views = free.any(-1)
        keep[person] = views.sum() >= min_views
        if keep[person]:
            best = np.where(free, misfit[person], np.inf).argmin(-1)
            mine[views, best[views]] = True
    return keep


def predict_joints(
    networks: Networks, scene: CaptureScene, views: ViewBatch, root_mm: Tensor, sample: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Predict the joints of people around given roots, without refinement.

    Args:
        networks: Networks.
        scene: Rig and capture volume.
        views: Views of the batch.
        root_mm: (P, 3) roots.
        sample: (P,) batch entry of each person.

    Returns:
        Joints (P, J, 3) mm, and the predictions (P, 3, J, 2) of the single planes of a triplane head, or None.
    """
    person_views = networks.pose.prior.gate(scene.projector, views, root_mm, sample.to(scene.device), scene.sigma_px)
    xyz, _, planes = networks.pose.with_planes(scene.projector, person_views, root_mm)
    return xyz, planes
