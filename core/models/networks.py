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
from core.models.projection import RigProjector
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
    roots, sample = find_roots(networks, scene, views)
    mine = networks.pose.prior.gate(scene.projector, views, roots, sample, scene.sigma_px)
    parts = [
        _detect_some(
            networks, scene, mine.part(start, start + people_at_once), roots[start : start + people_at_once], refined
        )
        for start in range(0, max(1, len(roots)), people_at_once)
    ]
    xyz, score, covariance = (torch.cat(column) for column in zip(*parts, strict=True))
    keep = merge_skeletons(xyz, score.mean(-1), sample, config.merge_mm)
    return People(xyz[keep], score[keep], sample[keep], covariance[keep])


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
