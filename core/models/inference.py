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
from core.models.networks import Networks
from core.models.refiners.ray_refiner import AGREED_MM, JointObservations, ObservationRays, inverse, observe_person
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch

LEAST_SCORE = 0.01
"""Score of a joint that no view supports: the network's prediction is kept, with a score above "missing"."""
_NEAR_SIGMAS, _MIN_JOINTS = 2.5, 3
"""A detection agrees with a person when more than half of its joints, and at least three, are this close."""
_ASSIGN_MM = 150.0
"""Standard deviation of a person's joints when detections are assigned to known joints."""


@dataclass(frozen=True, slots=True)
class PosePredictions:
    """People of a batch of frames.

    Attributes:
        xyz_mm: (P, J, 3) joints.
        score: (P, J) in 0..1.
        sample: (P,) batch entry of each person.
        covariance_mm2: (P, J, 3, 3), NaN without a ray refiner.
    """

    xyz_mm: Tensor
    score: Tensor
    sample: Tensor
    covariance_mm2: Tensor


@torch.no_grad()
def propose_roots(networks: Networks, scene: CaptureScene, views: ViewBatch) -> tuple[Tensor, Tensor]:
    """Return the roots (P, 3) of the people in a batch, best first in each frame, and their batch entries (P,)."""
    output = networks.root(scene.unprojector, views.root, views.affine, views.view_weight)
    xyz, sample, _ = extract_proposals(output, scene.volume, networks.config.root).flat()
    return xyz, sample


@torch.no_grad()
def propose_people(networks: Networks, scene: CaptureScene, views: ViewBatch) -> tuple[Tensor, Tensor, ViewBatch]:
    """Propose roots that detections support, with what the views show of each person.

    Without the gate every root stays, and every entry shows everyone.

    Returns:
        Roots (P, 3), batch entries (P,) and views with P entries.
    """
    roots, sample = propose_roots(networks, scene, views)
    if not networks.config.pose.gate:
        return roots, sample, views.select(sample)
    person_views = networks.pose.prior.gate(scene.projector, views, roots, sample, scene.sigma_px)
    supported = _supporting_views(person_views, views.peak[sample]) >= networks.config.pose.min_views
    return roots[supported], sample[supported], person_views.select(supported)


@torch.no_grad()
def estimate_people(
    networks: Networks, scene: CaptureScene, views: ViewBatch, *, people_at_once: int = 32
) -> PosePredictions:
    """Estimate the people in a batch of heatmaps.

    Args:
        networks: Networks in evaluation mode.
        scene: Rig and capture volume.
        views: Views without augmentation.
        people_at_once: Number of cubes in memory together.
    """
    config = networks.config.pose
    roots, sample, person_views = propose_people(networks, scene, views)
    if not len(roots):
        empty = roots.new_zeros(0, len(networks.skeleton), 3)
        return PosePredictions(empty, empty[..., 0], sample, roots.new_zeros(*empty.shape, 3))
    xyz, spread = _predict_in_chunks(networks, scene, person_views, roots, people_at_once)
    keep = merge_skeletons(xyz, joint_support(scene.projector, person_views, xyz).mean(-1), sample, config.merge_mm)
    xyz, spread, sample, person_views = xyz[keep], spread[keep], sample[keep], person_views.select(keep)
    covariance = xyz.new_full((*xyz.shape, 3), torch.nan)
    if networks.ray_refiner is not None:
        xyz, precision, _ = refine_joints(networks, scene, views, person_views, xyz, spread, sample)
        covariance = inverse(precision)
    # A joint that no view supports is still predicted: its score stays above "missing".
    score = joint_support(scene.projector, person_views, xyz).clamp_min(LEAST_SCORE)
    if config.gate:
        keep = select_supported(scene, person_views, xyz, score, sample, config.min_views)
        xyz, score, sample, covariance = xyz[keep], score[keep], sample[keep], covariance[keep]
    return PosePredictions(xyz, score, sample, covariance)


def refine_joints(
    networks: Networks,
    scene: CaptureScene,
    views: ViewBatch,
    person_views: ViewBatch,
    xyz_mm: Tensor,
    spread_mm: Tensor,
    sample: Tensor,
) -> tuple[Tensor, Tensor, JointObservations]:
    """Refine joints with the ray refiner, which the networks must have.

    Args:
        networks: Networks.
        scene: Rig and capture volume.
        views: Views of the batch.
        person_views: Views of each person, P entries.
        xyz_mm: (P, J, 3) joints of the pose network.
        spread_mm: (P, J) standard deviations of their soft-argmax.
        sample: (P,) batch entry of each person.

    Returns:
        Joints (P, J, 3) mm, their precisions (P, J, 3, 3) 1/mm², and the observations that they were refined with.
    """
    assert networks.ray_refiner is not None
    config = networks.config.pose
    detections = person_detections(networks, scene, views, xyz_mm, sample) if config.gate else person_views
    radius_px = config.ray_refiner.window_sigmas * scene.sigma_px
    observations, start, spread = initialize_joints(scene, detections, xyz_mm, spread_mm, radius_px)
    xyz, precision = networks.ray_refiner(scene.projector, person_views.affine, observations, start, spread)
    return xyz, precision, observations


def initialize_joints(
    scene: CaptureScene, person_views: ViewBatch, xyz_mm: Tensor, spread_mm: Tensor, radius_px: float
) -> tuple[JointObservations, Tensor, Tensor]:
    """Move joints to the robust intersection of their rays, where two rays agree.

    Args:
        scene: Rig and capture volume.
        person_views: Views of each person, P entries.
        xyz_mm: (P, J, 3) current joints, kept where no two rays agree.
        spread_mm: Their standard deviations.
        radius_px: See `observe_person`.

    Returns:
        Observations, joints (P, J, 3) and their standard deviations (P, J).
    """
    observations = observe_person(person_views, scene.projector, xyz_mm, radius_px)
    offset, agreed = ObservationRays.of(scene.projector, person_views.affine, observations, xyz_mm).agree()
    return observations, xyz_mm + offset, torch.where(agreed, AGREED_MM, spread_mm)


def person_detections(
    networks: Networks, scene: CaptureScene, views: ViewBatch, xyz_mm: Tensor, sample: Tensor
) -> ViewBatch:
    """Weight detections by how well they fit people whose joints (P, J, 3) are known: sharper than by their roots."""
    spread = xyz_mm.new_full((xyz_mm.shape[1],), _ASSIGN_MM)
    return networks.pose.prior.assign(scene.projector, views, xyz_mm, spread, sample)


def _predict_in_chunks(
    networks: Networks, scene: CaptureScene, person_views: ViewBatch, roots: Tensor, people_at_once: int
) -> tuple[Tensor, Tensor]:
    """Return joints (P, J, 3) and standard deviations (P, J) of people around roots (P, 3), in chunks."""
    parts = [
        networks.pose(scene.cubes, person_views.select(part), roots[part])
        for part in (slice(start, start + people_at_once) for start in range(0, len(roots), people_at_once))
    ]
    xyz, spread = (torch.cat(column) for column in zip(*parts, strict=True))
    return xyz, spread


def _supporting_views(person_views: ViewBatch, peak: Tensor) -> Tensor:
    """Return the number of views (P,) in which a person keeps at least half of a detection of scores (P, V, D, J)."""
    left = person_views.peak.sum(-1) / peak.sum(-1).clamp_min(1e-6)
    return ((left > 0.5).any(-1) & (person_views.view_weight > 0)).sum(-1)


def select_supported(
    scene: CaptureScene, person_views: ViewBatch, xyz_mm: Tensor, score: Tensor, sample: Tensor, min_views: int
) -> Tensor:
    """Select the people (P,) with exclusive detections in at least `min_views` views.

    A detection agrees with a person when most of its joints lie where the person's are projected. Each supports one
    person only, and people whom more views agree with choose first: false intersections of rays between people are left
    without.
    """
    uv, _ = scene.projector(xyz_mm)
    distance = (to_heatmap(person_views.affine, uv)[:, :, None] - person_views.joints).norm(dim=-1)  # (P, V, D, J)
    known = person_views.peak > 0
    near = (known & (distance < _NEAR_SIGMAS * scene.sigma_px)).sum(-1)
    agrees = (near >= _MIN_JOINTS) & (2 * near > known.sum(-1)) & (person_views.view_weight > 0)[..., None]
    misfit = torch.where(known, distance, 0.0).sum(-1) / known.sum(-1).clamp_min(1)
    order = (agrees.any(-1).sum(-1) + score.mean(-1)).argsort(descending=True).tolist()
    return torch.from_numpy(
        _assign_greedily(order, sample.tolist(), agrees.cpu().numpy(), misfit.cpu().numpy(), min_views)
    ).to(xyz_mm.device)


def _assign_greedily(
    order: list[int], sample: list[int], agrees: np.ndarray, misfit: np.ndarray, min_views: int
) -> np.ndarray:
    """Return the people (P,) that stay when each, in order, takes one of the remaining detections (P, V, D) per view.

    Each choice depends on those before: sequential and on the CPU.
    """
    keep = np.zeros(len(agrees), bool)
    taken: dict[int, np.ndarray] = {}
    for person in order:
        taken_by = taken.setdefault(sample[person], np.zeros_like(agrees[person]))
        free = agrees[person] & ~taken_by
        views = free.any(-1)
        keep[person] = views.sum() >= min_views
        if keep[person]:
            best = np.where(free, misfit[person], np.inf).argmin(-1)
            taken_by[views, best[views]] = True
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
