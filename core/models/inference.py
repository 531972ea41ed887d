"""Inference from heatmaps to people: proposals, joints, refinement, scores. Shared with training.

Legend: B batch, V view, P person (of all frames of the batch), D detection, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.models.geometry.projection import to_heatmap
from core.models.heads.body_prior import KNOWN_SPREAD_MM
from core.models.heads.pose_net import joint_support, merge_skeletons
from core.models.heads.root_net import extract_proposals
from core.models.networks import Networks
from core.models.refiners.ray_refiner import AGREED_MM, JointObservations, ObservationRays, inverse, observe_person
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch

LEAST_SCORE = 0.01
"""Score of a joint that no view supports: the network's prediction is kept, with a score above "missing"."""
_NEAR_SIGMAS, _MIN_JOINTS = 2.5, 3
"""Distance of agreement: more than half of a detection's joints, and at least three, must be this close to a person."""


@dataclass(frozen=True, slots=True)
class PosePredictions:
    """People of a batch of frames.

    Attributes:
        xyz_mm: (P, J, 3) joints.
        score: (P, J) in 0..1.
        sample: (P,) batch entry of each person.
        covariance_mm2: (P, J, 3, 3), NaN without a ray refiner.
        known: (P, J) bool, joints known without networks.
    """

    xyz_mm: Tensor
    score: Tensor
    sample: Tensor
    covariance_mm2: Tensor
    known: Tensor


@torch.no_grad()
def propose_roots(networks: Networks, scene: CaptureScene, views: ViewBatch) -> tuple[Tensor, Tensor]:
    """Return the roots (P, 3) of the people in a batch, best first in each frame, and their batch entries (P,)."""
    output = networks.root(scene.unprojector, views.root, views.affine, views.view_weight)
    xyz, sample, _ = extract_proposals(output, scene.volume, networks.config.root).flat()
    return xyz, sample


@dataclass(frozen=True, slots=True)
class KnownPeople:
    """People of a batch found without networks, by association and triangulation.

    Attributes:
        xyz_mm: (P, J, 3) joints, NaN where missing; each person has at least one.
        covariance_mm2: (P, J, 3, 3) their covariances, NaN where unknown.
        sample: (P,) batch entry of each person.
    """

    xyz_mm: Tensor
    covariance_mm2: Tensor
    sample: Tensor


@dataclass(frozen=True, slots=True)
class ProposedPeople:
    """People of a batch whose joints are to be estimated, known people first.

    Attributes:
        root_mm: (P, 3) roots.
        sample: (P,) batch entries.
        views: Views of each person, P entries.
        known_mm: (P, J, 3) joints of known people, NaN where missing and for all others.
        known_covariance_mm2: (P, J, 3, 3) their covariances.
    """

    root_mm: Tensor
    sample: Tensor
    views: ViewBatch
    known_mm: Tensor
    known_covariance_mm2: Tensor

    def __len__(self) -> int:
        return len(self.root_mm)

    @property
    def known(self) -> Tensor:
        """(P,) bool, people known without networks."""
        return self.known_mm.isfinite().all(-1).any(-1)

    def select(self, chosen: Tensor) -> ProposedPeople:
        """Return some of the people, by index or mask (P,)."""
        return ProposedPeople(
            self.root_mm[chosen],
            self.sample[chosen],
            self.views.select(chosen),
            self.known_mm[chosen],
            self.known_covariance_mm2[chosen],
        )


@torch.no_grad()
def propose_people(
    networks: Networks, scene: CaptureScene, views: ViewBatch, known: KnownPeople | None = None
) -> ProposedPeople:
    """Merge the root network's proposals that detections support with people who are already known.

    Proposals close to a known person count as that person. Without the gate every root is kept, every entry contains
    all people, and known people are not merged: the paper's networks find people without association.
    """
    config = networks.config
    roots, sample = propose_roots(networks, scene, views)
    joints = roots.new_full((len(roots), len(networks.skeleton), 3), torch.nan)
    covariances = joints[..., None].expand(*joints.shape, 3)
    if not config.pose.gate:
        return ProposedPeople(roots, sample, views.select(sample), joints, covariances)
    if known is not None and len(known.sample):
        known_roots = networks.pose.prior.root_of(known.xyz_mm)
        same = (torch.cdist(roots, known_roots) < config.root.merge_mm) & (sample[:, None] == known.sample)
        new = ~same.any(1)
        roots, sample = torch.cat([known_roots, roots[new]]), torch.cat([known.sample, sample[new]])
        joints = torch.cat([known.xyz_mm, joints[new]])
        covariances = torch.cat([known.covariance_mm2, covariances[new]])
    person_views = networks.pose.prior.gate(scene.projector, views, roots, sample, scene.sigma_px, joints)
    people = ProposedPeople(roots, sample, person_views, joints, covariances)
    supported = _supporting_views(person_views, views.peak[sample]) >= config.pose.min_views
    return people.select(people.known | supported)


@torch.no_grad()
def estimate_people(
    networks: Networks,
    scene: CaptureScene,
    views: ViewBatch,
    known: KnownPeople | None = None,
    *,
    people_at_once: int = 32,
) -> PosePredictions:
    """Estimate the people in a batch of heatmaps.

    Args:
        networks: Networks in evaluation mode.
        scene: Rig and capture volume.
        views: Views without augmentation.
        known: People found without networks. They are kept except for duplicates; their known joints are unchanged, and
            the missing ones are added.
        people_at_once: Number of cubes in memory at a time.
    """
    config = networks.config.pose
    people = propose_people(networks, scene, views, known)
    if not len(people):
        empty = people.root_mm.new_zeros(0, len(networks.skeleton), 3)
        return PosePredictions(
            empty, empty[..., 0], people.sample, empty.new_zeros(*empty.shape, 3), empty[..., 0].bool()
        )
    xyz, spread = _predict_in_chunks(networks, scene, people, people_at_once)
    xyz = _completed(people.known_mm, xyz)
    support = joint_support(scene.projector, people.views, xyz).mean(-1)
    keep = merge_skeletons(xyz, support + people.known, people.sample, config.merge_mm)
    xyz, spread, people = xyz[keep], spread[keep], people.select(keep)
    covariance = xyz.new_full((*xyz.shape, 3), torch.nan)
    if networks.ray_refiner is not None:
        xyz, precision, _ = refine_joints(networks, scene, views, people.views, xyz, spread, people.sample)
        covariance = inverse(precision)
        # The rays of known joints already agree. In dim rooms, with low scores and few joints, refinement moved them.
        xyz = torch.where(people.known_mm.isfinite(), people.known_mm, xyz)
        covariance = _middle_size(covariance, people.known_covariance_mm2)
    # A joint that no view supports is still predicted: its score stays above "missing".
    score = joint_support(scene.projector, people.views, xyz).clamp_min(LEAST_SCORE)
    # Known people come first; callers expect the people of a frame to be contiguous.
    order = people.sample.argsort(stable=True)
    if config.gate:
        stay = select_supported(scene, people.views, xyz, score, people.sample, config.min_views, people.known)
        order = order[stay[order]]
    known_joints = people.known_mm.isfinite().all(-1)[order]
    return PosePredictions(xyz[order], score[order], people.sample[order], covariance[order], known_joints)


def _middle_size(covariance_mm2: Tensor, known_mm2: Tensor) -> Tensor:
    """Scale covariances (P, J, 3, 3) to the geometric mean of their size and that of known ones, NaN where unknown.

    The network estimates the quality of the observations, and triangulation the size of errors in this take.
    """
    size, known = (torch.diagonal(m, dim1=-2, dim2=-1).sum(-1)[..., None, None] for m in (covariance_mm2, known_mm2))
    return covariance_mm2 * torch.where(known.isfinite(), (known / size).sqrt(), 1.0)


def _completed(known_mm: Tensor, xyz_mm: Tensor) -> Tensor:
    """Complete known joints (P, J, 3), NaN where missing, with predicted ones, shifted by the offset of the known.

    The rays of known joints agree. Where the pose network's joints differ, the rest of its body is shifted with them.
    """
    known = known_mm.isfinite().all(-1, keepdim=True)
    shift = (known_mm - xyz_mm).nanmedian(1, keepdim=True).values.nan_to_num()
    return torch.where(known, known_mm, xyz_mm + shift)


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
    """Move joints to the robust intersection of their rays, where at least two rays agree.

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
    spread = xyz_mm.new_full((xyz_mm.shape[1],), KNOWN_SPREAD_MM)
    return networks.pose.prior.assign(scene.projector, views, xyz_mm, spread, sample)


def _predict_in_chunks(
    networks: Networks, scene: CaptureScene, people: ProposedPeople, people_at_once: int
) -> tuple[Tensor, Tensor]:
    """Return joints (P, J, 3) and standard deviations (P, J) of people around their roots, in chunks."""
    # Known people may be outside the capture volume, where there is no projected grid.
    low, high = (people.root_mm.new_tensor(end) for end in (scene.volume.low_mm, scene.volume.high_mm))
    within = bool(((people.root_mm >= low) & (people.root_mm <= high)).all())
    source = scene.cubes if within else scene.projector
    parts = [
        networks.pose(source, people.views.select(part), people.root_mm[part])
        for part in (slice(start, start + people_at_once) for start in range(0, len(people), people_at_once))
    ]
    xyz, spread = (torch.cat(column) for column in zip(*parts, strict=True))
    return xyz, spread


def _supporting_views(person_views: ViewBatch, peak: Tensor) -> Tensor:
    """Return the number of views (P,) in which a person keeps at least half of a detection of scores (P, V, D, J)."""
    left = person_views.peak.sum(-1) / peak.sum(-1).clamp_min(1e-6)
    return ((left > 0.5).any(-1) & (person_views.view_weight > 0)).sum(-1)


def select_supported(
    scene: CaptureScene,
    person_views: ViewBatch,
    xyz_mm: Tensor,
    score: Tensor,
    sample: Tensor,
    min_views: int,
    always: Tensor | None = None,
) -> Tensor:
    """Select the people (P,) with exclusive detections in at least `min_views` views, and those marked `always`.

    A detection agrees with a person if most of its joints are near the projected joints of the person. Each supports
    one person only. People marked `always` choose first, then those with the most agreeing views, so that false
    intersections of rays between people get none.
    """
    uv, _ = scene.projector(xyz_mm)
    distance = (to_heatmap(person_views.affine, uv)[:, :, None] - person_views.joints).norm(dim=-1)  # (P, V, D, J)
    known = person_views.peak > 0
    near = (known & (distance < _NEAR_SIGMAS * scene.sigma_px)).sum(-1)
    agrees = (near >= _MIN_JOINTS) & (2 * near > known.sum(-1)) & (person_views.view_weight > 0)[..., None]
    misfit = torch.where(known, distance, 0.0).sum(-1) / known.sum(-1).clamp_min(1)
    stays = torch.zeros_like(sample, dtype=torch.bool) if always is None else always
    rank = agrees.any(-1).sum(-1) + score.mean(-1) + stays * (agrees.shape[1] + 1)
    order = rank.argsort(descending=True).tolist()
    keep = _assign_greedily(order, sample.tolist(), agrees.cpu().numpy(), misfit.cpu().numpy(), min_views)
    return torch.from_numpy(keep).to(xyz_mm.device) | stays


def _assign_greedily(
    order: list[int], sample: list[int], agrees: np.ndarray, misfit: np.ndarray, min_views: int
) -> np.ndarray:
    """Return the people (P,) to keep when each, in order, takes one of the remaining detections (P, V, D) per view.

    Each choice depends on the previous ones, hence a sequential loop on the CPU.
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
