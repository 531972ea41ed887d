"""Both networks together: heatmaps in, people out. Shared by training, which measures with it, and inference.

Legend: B batch, V view, P person (all people of the batch in one row), J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.models.affine import fit_rig, heatmap_size
from core.models.config import ModelConfig
from core.models.pose_net import PoseNet, merge_skeletons, support
from core.models.projection import RigProjector, to_heatmap
from core.models.refine import refine
from core.models.root_net import RootNet, propose
from core.models.unproject import SpaceUnprojector
from core.models.views import Views, tensor
from core.types.camera import CameraRig
from core.types.skeleton import PANOPTIC15
from core.types.space import CaptureSpace

JOINTS = len(PANOPTIC15)
ROOT = PANOPTIC15.index("mid_hip")
_LEAST_SCORE = 0.01
_NEAR_SIGMAS, _LEAST_JOINTS = 2.5, 3
"""A detection agrees with a person when so near are more than half of its joints, and no fewer than these."""


class Scene:
    """A rig and its capture space on a device: what is computed once and used at every step.

    Args:
        rig: V posed cameras.
        space: What the root network looks into.
        config: Of the networks.
        device: Where the buffers live.
    """

    def __init__(self, rig: CameraRig, space: CaptureSpace, config: ModelConfig, device: torch.device) -> None:
        self.rig, self.space, self.device = rig, space, device
        self.projector = RigProjector(rig).to(device)
        self.unprojector = SpaceUnprojector(self.projector, space)
        self.size_hw = heatmap_size(rig, config.heatmap.long_side_px)
        self.base_affine = fit_rig(rig, self.size_hw)
        self.affine = tensor(self.base_affine, device)
        self.sigma_px = config.heatmap.sigma_px


class Networks(nn.Module):
    """The root and the pose network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.root = RootNet(config.root)
        self.pose = PoseNet(JOINTS, config.pose)

    def fold(self) -> None:
        """Folds batch norms away; for inference only."""
        self.root.net.fold()
        self.pose.net.fold()


@dataclass(frozen=True, slots=True)
class People:
    """People of a batch of moments.

    Attributes:
        xyz_mm: (P, J, 3).
        score: (P, J) in 0..1.
        sample: (P,) moment each belongs to.
        covariance_mm2: (P, J, 3, 3), NaN without refinement.
    """

    xyz_mm: Tensor
    score: Tensor
    sample: Tensor
    covariance_mm2: Tensor


@torch.no_grad()
def find_roots(networks: Networks, scene: Scene, views: Views) -> tuple[Tensor, Tensor]:
    """Roots (P, 3) of the people in a batch, best first in each moment, and the moment (P,) each belongs to."""
    volume = networks.root(scene.unprojector, views.root, views.affine, views.view_weight)
    xyz, sample, _ = propose(volume, scene.space, networks.config.root).flat()
    return xyz, sample


@torch.no_grad()
def find_people(networks: Networks, scene: Scene, views: Views) -> tuple[Tensor, Tensor, Views]:
    """Roots that detections bear out: as `find_roots`, and what the views show of each of them (P entries)."""
    roots, sample = find_roots(networks, scene, views)
    mine = networks.pose.prior.gate(scene.projector, views, roots, sample, scene.sigma_px)
    owned = _owned_views(mine, views.peak[sample]) >= networks.config.pose.min_views
    return roots[owned], sample[owned], mine.at(owned)


@torch.no_grad()
def detect(networks: Networks, scene: Scene, views: Views, *, refined: bool = True, people_at_once: int = 32) -> People:
    """People in a batch of heatmaps.

    Args:
        networks: In evaluation mode.
        scene: The rig.
        views: Un-augmented heatmaps.
        refined: Whether joints move onto the heatmap peaks, where the settings ask for it.
        people_at_once: Cubes in memory together.
    """
    config = networks.config.pose
    roots, sample, mine = find_people(networks, scene, views)
    parts = [
        _detect_some(
            networks,
            scene,
            mine.at(slice(start, start + people_at_once)),
            roots[start : start + people_at_once],
            refined,
        )
        for start in range(0, max(1, len(roots)), people_at_once)
    ]
    xyz, score, covariance = (torch.cat(column) for column in zip(*parts, strict=True))
    keep = merge_skeletons(xyz, score.mean(-1), sample, config.merge_mm)
    keep &= explained(scene, mine, xyz, score, sample, config.min_views)
    return People(xyz[keep], score[keep], sample[keep], covariance[keep])


def _owned_views(mine: Views, peak: Tensor) -> Tensor:
    """Number of views (P,) in which a person was left at least half of a detection, of heights `peak` (P, V, D, J)."""
    left = mine.peak.sum(-1) / peak.sum(-1).clamp_min(1e-6)
    return ((left > 0.5).any(-1) & (mine.view_weight > 0)).sum(-1)


def explained(scene: Scene, mine: Views, xyz_mm: Tensor, score: Tensor, sample: Tensor, min_views: int) -> Tensor:
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
    keep = torch.zeros(len(xyz_mm), dtype=torch.bool, device=xyz_mm.device)
    taken: dict[int, Tensor] = {}
    order = (agrees.any(-1).sum(-1) + score.mean(-1)).argsort(descending=True)
    for person in order.tolist():  # each choice depends on those before
        moment = int(sample[person])
        free = agrees[person] & ~taken.setdefault(moment, torch.zeros_like(agrees[person]))
        views = free.any(-1)
        keep[person] = int(views.sum()) >= min_views
        if keep[person]:
            best = torch.where(free, misfit[person], torch.inf).argmin(-1)
            taken[moment][views, best[views]] = True
    return keep


def _detect_some(
    networks: Networks, scene: Scene, mine: Views, root_mm: Tensor, refined: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Joints, scores and covariances of people around their roots (P, 3), whom `mine` shows one by one."""
    config = networks.config.pose
    covariance = root_mm.new_full((len(root_mm), JOINTS, 3, 3), torch.nan)
    if not len(root_mm):
        return root_mm.new_zeros(0, JOINTS, 3), root_mm.new_zeros(0, JOINTS), covariance
    xyz, spread = networks.pose(scene.projector, mine, root_mm)
    if refined and config.refine.enabled:
        bones = networks.pose.prior.bone_share
        xyz, covariance = refine(scene.projector, mine, xyz, spread, bones, scene.sigma_px, config.refine)
    # A joint that no view supports is still the network's belief: it keeps a score above "missing".
    return xyz, support(scene.projector, mine, xyz).clamp_min(_LEAST_SCORE), covariance
