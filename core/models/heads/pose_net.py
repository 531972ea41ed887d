"""Pose network: the joints of one person in a cube around the root.

Legend: V view, P person (of all frames of a batch), J joint, H W heatmap, X Y Z voxel.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.models.config import PoseNetConfig
from core.models.geometry.projection import RigProjector, to_heatmap
from core.models.geometry.unproject import CubeUnprojector, ProjectedGrid, fuse_views, log_evidence
from core.models.heads.body_prior import BodyPrior
from core.models.heads.plane_nets import TriplanePoseNet, project_to_planes
from core.models.view_batch import ViewBatch
from core.models.volume_net import VolumeNet


class PoseNet(nn.Module):
    """Network from cubes of all joints' heatmaps to joints (VoxelPose's pose regression network).

    Args:
        joints: Number of joints.
        config: Settings of the pose network.
    """

    def __init__(self, joints: int, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        self.cube = CubeUnprojector(config.cube_mm, config.voxels)
        self.planes = TriplanePoseNet(joints, config) if config.head == "planes" else None
        self.net = VolumeNet(joints, joints, config.net) if config.head == "volume" else None
        self.prior = BodyPrior(joints)
        self.frozen_prior: Tensor | None = None
        if config.heatmap_skip:
            self.gain = nn.Parameter(torch.full((joints,), config.gain))
            if self.net is not None:
                nn.init.zeros_(self.net.out.weight)  # untrained, the network equals its skip connection

    def forward(self, source: RigProjector | ProjectedGrid, views: ViewBatch, root_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the joints of all people at once.

        Args:
            source: Projector of the rig, or the projected grid of its capture volume, which is faster.
            views: Views of each person, P entries.
            root_mm: (P, 3) centres of the cubes.

        Returns:
            Joints (P, J, 3) mm in world coordinates, and the standard deviation (P, J) mm of each soft-argmax.
        """
        joints, spread, _ = self.with_planes(source, views, root_mm)
        return joints, spread

    def with_planes(
        self, source: RigProjector | ProjectedGrid, views: ViewBatch, root_mm: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Predict joints as `forward` does, and return the predictions (P, 3, J, 2) mm of a triplane head's planes."""
        volume, centre_mm = self.fused(source, views, root_mm)
        if self.planes is None:
            offset, spread = self.locate(volume)
            return offset + centre_mm[:, None], spread, None
        offset, spread, place = self.from_planes(volume)
        return offset + centre_mm[:, None], spread, place + project_to_planes(centre_mm[:, None])

    def fused(self, source: RigProjector | ProjectedGrid, views: ViewBatch, root_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Return volumes (P, J, X, Y, Z) fused from all views around roots (P, 3), and their centres (P, 3)."""
        heatmaps = log_evidence(views.heatmaps, self.config.evidence_floor)
        volume, centre_mm = self.cube(source, heatmaps, views.affine, views.view_weight, root_mm)
        return volume, centre_mm

    def locate(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Return joints (P, J, 3) mm from the centre and standard deviations (P, J) for volumes (P, J, X, Y, Z)."""
        if self.net is None:
            joints, spread, _ = self.from_planes(volume)
            return joints, spread
        logits = self.net(volume)
        if self.config.heatmap_skip:
            logits = logits + self.gain[:, None, None, None] * volume + self._prior(volume) / self.config.beta
        return soft_argmax(logits, self.cube.offsets_mm, self.config.beta)

    def from_planes(self, volume: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict as `locate` does, with the triplane head and its planes' predictions; see `TriplanePoseNet`."""
        assert self.planes is not None
        predicted: tuple[Tensor, Tensor, Tensor] = self.planes(
            volume, self.gain if self.config.heatmap_skip else None, self._prior(volume)
        )
        return predicted

    def fold(self) -> None:
        """Fold batch norms into convolutions and fix the prior; for inference only."""
        net = self.net if self.planes is None else self.planes.net
        assert net is not None
        net.fold()
        self.frozen_prior = self.prior.log_density(self.cube.offsets_mm).view(-1, *self.cube.voxels)

    def _prior(self, volume: Tensor) -> Tensor:
        """Return the log-density (J, X, Y, Z) of joints around the root."""
        if self.frozen_prior is None:
            return self.prior.log_density(self.cube.offsets_mm).view(volume.shape[1:])
        return self.frozen_prior


def soft_argmax(logits: Tensor, points: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of voxel positions under a softmax.

    Args:
        logits: (P, J, X, Y, Z) logits.
        points: (X·Y·Z, 3) voxel positions.
        beta: Inverse temperature.

    Returns:
        Expectation (P, J, 3), and standard deviation per axis (P, J), without gradient.
    """
    weight = torch.softmax(beta * logits.flatten(2), -1)
    mean = weight @ points
    with torch.no_grad():
        squares = weight @ points.square().sum(-1, keepdim=True)
        variance = (squares[..., 0] - mean.square().sum(-1)) / 3
    return mean, variance.clamp_min(0).sqrt()


def joint_support(projector: RigProjector, views: ViewBatch, xyz_mm: Tensor) -> Tensor:
    """Compute the score of joints: mean heatmap height at their projections, over the views that see them.

    Args:
        projector: Projector of the rig.
        views: Views of each person, P entries.
        xyz_mm: (P, J, 3) joints.

    Returns:
        (P, J) in 0..1.
    """
    uv, ahead = projector(xyz_mm)
    seen = ahead & projector.inside(uv)
    values = fuse_views(
        views.heatmaps, to_heatmap(views.affine, uv), seen, views.view_weight
    )  # every map at every joint
    return torch.diagonal(values, dim1=1, dim2=2).clamp(0, 1)


def merge_skeletons(xyz_mm: Tensor, score: Tensor, sample: Tensor, distance_mm: float) -> Tensor:
    """Suppress duplicates: of people closer than `distance_mm` in mean joint distance, the best one is kept.

    Args:
        xyz_mm: (P, J, 3) joints.
        score: (P,) score of each person.
        sample: (P,) frame of each person; people of different frames are never merged.
        distance_mm: Mean joint distance in mm.

    Returns:
        (P,) bool, the people to keep.
    """
    distance = (xyz_mm[:, None] - xyz_mm[None]).norm(dim=-1).mean(-1)
    near = ((distance < distance_mm) & (sample[:, None] == sample[None])).cpu().numpy()
    keep = np.ones(len(xyz_mm), bool)
    order = score.argsort(descending=True).tolist()
    for place, person in enumerate(order):  # few and sequential, hence not on a GPU
        better = order[:place]
        keep[person] = not (near[person, better] & keep[better]).any()
    return torch.from_numpy(keep).to(xyz_mm.device)
