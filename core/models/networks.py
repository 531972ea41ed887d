"""Both networks together: heatmaps in, people out. Shared by training, which measures with it, and inference.

Legend: B batch, V view, P person (all people of the batch in one row), J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.models.affine import fit_rig, heatmap_size
from core.models.backbone import PoseResNet, attention_net
from core.models.config import ModelConfig
from core.models.frozen import faster_engine
from core.models.plane_nets import PlaneRootNet
from core.models.pose_net import PoseNet, merge_skeletons, support
from core.models.projection import RigProjector, to_heatmap
from core.models.ray_refiner import AGREED_MM, Observations, RayRefiner, Rays, inverse, observe_person
from core.models.refine import refine
from core.models.root_net import RootNet, propose
from core.models.temporal_refiner import TemporalRefiner
from core.models.unproject import Lattice, VolumeUnprojector
from core.models.views import Views, tensor
from core.models.volume_net import VolumeNet
from core.types.camera import CameraRig
from core.types.skeleton import PANOPTIC15
from core.types.volume import CaptureVolume

JOINTS = len(PANOPTIC15)
ROOT = PANOPTIC15.index("mid_hip")
LEAST_SCORE = 0.01
_NEAR_SIGMAS, _LEAST_JOINTS = 2.5, 3
"""A detection agrees with a person when so near are more than half of its joints, and no fewer than these."""
_LATTICE_MIB = 1024.0
_OWN_MM = 150.0
"""How far a detection's joints may be from those of its person."""


class Scene:
    """A rig and its capture volume on a device: what is computed once and used at every step.

    Args:
        rig: V posed cameras.
        space: What the root network looks into.
        config: Of the networks.
        device: Where the buffers live.
    """

    def __init__(self, rig: CameraRig, volume: CaptureVolume, config: ModelConfig, device: torch.device) -> None:
        self.rig, self.volume, self.device = rig, volume, device
        self.projector = RigProjector(rig).to(device)
        self.unprojector = VolumeUnprojector(self.projector, volume)
        self.size_hw = heatmap_size(rig, config.heatmap.long_side_px)
        self.base_affine = fit_rig(rig, self.size_hw)
        self.affine = tensor(self.base_affine, device)
        self.sigma_px = config.heatmap.sigma_px
        self._cube = (config.pose.cube_mm, config.pose.voxels)
        self._lattice: Lattice | None = None

    @property
    def cubes(self) -> RigProjector | Lattice:
        """What people's cubes are cut from: a lattice, made at the first use, unless it would take too much memory."""
        if self._lattice is None and Lattice.size_mib(len(self.rig), self.volume, *self._cube) <= _LATTICE_MIB:
            self._lattice = Lattice(self.projector, self.volume, *self._cube)
        return self.projector if self._lattice is None else self._lattice


class Networks(nn.Module):
    """The root and the pose network; the learned correction, the smoother and the backbone as the settings ask for."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.root = PlaneRootNet(config.root) if config.root.head == "planes" else RootNet(config.root)
        self.pose = PoseNet(JOINTS, config.pose)
        self.rays = RayRefiner(JOINTS, config.pose.rays) if config.pose.rays.enabled else None
        smooths = config.motion.enabled and config.pose.rays.enabled
        self.motion = TemporalRefiner(JOINTS, config.motion) if smooths else None
        looks = config.heatmap.source == "backbone"
        self.backbone = PoseResNet(config.backbone, JOINTS) if looks else None
        self.attention = attention_net(JOINTS) if looks and config.attention_net else None

    def fold(self) -> None:
        """Folds batch norms away; for inference only."""
        self.root.fold()
        self.pose.fold()
        if self.backbone is not None:
            self.backbone.fold()

    def freeze(self, dtype: torch.dtype | None) -> None:
        """Makes ready for inference alone: no batch norms, convolutions in `dtype`, where None is float32."""
        self.eval()
        self.fold()
        self.requires_grad_(False)
        for part in self.modules():
            if isinstance(part, VolumeNet | PoseResNet):
                part.engine = faster_engine(part, dtype)
                if part.engine is not None:
                    continue
                part.to(dtype=dtype or torch.float32)


@dataclass(frozen=True, slots=True)
class People:
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
def find_roots(networks: Networks, scene: Scene, views: Views) -> tuple[Tensor, Tensor]:
    """Roots (P, 3) of the people in a batch, best first in each frame, and the frame (P,) each belongs to."""
    output = networks.root(scene.unprojector, views.root, views.affine, views.view_weight)
    xyz, sample, _ = propose(output, scene.volume, networks.config.root).flat()
    return xyz, sample


@torch.no_grad()
def find_people(networks: Networks, scene: Scene, views: Views) -> tuple[Tensor, Tensor, Views]:
    """Roots that detections bear out: as `find_roots`, and what the views show of each of them (P entries).

    Without the gate everybody stays, and every entry shows everybody.
    """
    roots, sample = find_roots(networks, scene, views)
    if not networks.config.pose.gate:
        return roots, sample, views.at(sample)
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
    if not len(roots):
        nobody = roots.new_zeros(0, JOINTS, 3)
        return People(nobody, nobody[..., 0], sample, roots.new_zeros(0, JOINTS, 3, 3))
    xyz, spread = _pose_of_all(networks, scene, mine, roots, people_at_once)
    keep = merge_skeletons(xyz, support(scene.projector, mine, xyz).mean(-1), sample, config.merge_mm)
    xyz, spread, sample, mine = xyz[keep], spread[keep], sample[keep], mine.at(keep)
    covariance = xyz.new_full((*xyz.shape, 3), torch.nan)
    if refined:
        xyz, covariance = correct(networks, scene, views, mine, xyz, spread, sample)
    # A joint that no view supports is still the network's belief: it keeps a score above "missing".
    score = support(scene.projector, mine, xyz).clamp_min(LEAST_SCORE)
    if config.gate:
        keep = explained(scene, mine, xyz, score, sample, config.min_views)
        xyz, score, sample, covariance = xyz[keep], score[keep], sample[keep], covariance[keep]
    return People(xyz, score, sample, covariance)


def correct(
    networks: Networks, scene: Scene, views: Views, mine: Views, xyz_mm: Tensor, spread_mm: Tensor, sample: Tensor
) -> tuple[Tensor, Tensor]:
    """The last correction of joints (P, J, 3), as the settings ask for it, and covariances (P, J, 3, 3).

    Args:
        networks: All.
        scene: The rig.
        views: What the cameras show of a batch.
        mine: And of each person.
        xyz_mm: (P, J, 3) the pose network's joints.
        spread_mm: (P, J) of their soft-argmax.
        sample: (P,) entry of the batch that each person belongs to.
    """
    config, prior = networks.config.pose, networks.pose.prior
    if networks.rays is not None:
        xyz, precision, _ = last_correction(networks, scene, views, mine, xyz_mm, spread_mm, sample)
        return xyz, inverse(precision)
    if config.refine.enabled:
        return refine(scene.projector, mine, xyz_mm, spread_mm, prior.bone_share, scene.sigma_px, config.refine)
    return xyz_mm, xyz_mm.new_full((*xyz_mm.shape, 3), torch.nan)


def last_correction(
    networks: Networks, scene: Scene, views: Views, mine: Views, xyz_mm: Tensor, spread_mm: Tensor, sample: Tensor
) -> tuple[Tensor, Tensor, Observations]:
    """Of the learned correction: joints (P, J, 3), their precisions (P, J, 3, 3), and what the views show of them.

    The arguments are those of `correct`.
    """
    assert networks.rays is not None
    config = networks.config.pose
    seen = own_detections(networks, scene, views, xyz_mm, sample) if config.gate else mine
    found, start, spread = where_rays_agree(
        scene, seen, xyz_mm, spread_mm, config.refine.window_sigmas * scene.sigma_px
    )
    xyz, precision = networks.rays(scene.projector, mine.affine, found, start, spread)
    return xyz, precision, found


def where_rays_agree(
    scene: Scene, seen: Views, xyz_mm: Tensor, spread_mm: Tensor, radius_px: float
) -> tuple[Observations, Tensor, Tensor]:
    """What the learned correction starts from: observations, joints (P, J, 3) and their spreads (P, J).

    Args:
        scene: The rig.
        seen: What the cameras show of each person, P entries.
        xyz_mm: (P, J, 3) joints found so far, which stay where no two rays agree.
        spread_mm: Theirs.
        radius_px: See `observe_person`.
    """
    found = observe_person(seen, scene.projector, xyz_mm, radius_px)
    way, agreed = Rays.of(scene.projector, seen.affine, found, xyz_mm).agree()
    return found, xyz_mm + way, torch.where(agreed, AGREED_MM, spread_mm)


def own_detections(networks: Networks, scene: Scene, views: Views, xyz_mm: Tensor, sample: Tensor) -> Views:
    """Detections as high as they fit people whose joints (P, J, 3) are known: a sharper choice than by roots."""
    spread = xyz_mm.new_full((xyz_mm.shape[1],), _OWN_MM)
    return networks.pose.prior.assign(scene.projector, views, xyz_mm, spread, sample)


def _pose_of_all(
    networks: Networks, scene: Scene, mine: Views, roots: Tensor, people_at_once: int
) -> tuple[Tensor, Tensor]:
    """Joints (P, J, 3) and spreads (P, J) of people around their roots (P, 3), some at a time."""
    parts = [
        networks.pose(scene.cubes, mine.at(part), roots[part])
        for part in (slice(start, start + people_at_once) for start in range(0, len(roots), people_at_once))
    ]
    xyz, spread = (torch.cat(column) for column in zip(*parts, strict=True))
    return xyz, spread


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
