"""The pose network: the joints of one person in a cube around the root.

Legend: V view, P person (all people of a batch in one row), J joint, H W heatmap, X Y Z voxel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.models.body_prior import BodyPrior
from core.models.config import PoseNetConfig
from core.models.projection import RigProjector, to_heatmap
from core.models.unproject import CubeUnprojector, evidence, fuse
from core.models.views import Views
from core.models.volume_net import VolumeNet


class PoseNet(nn.Module):
    """Cubes of all joints' heatmaps to joints.

    Args:
        joints: Number of joints.
        config: Cube, network, skip.
    """

    def __init__(self, joints: int, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        self.cube = CubeUnprojector(config.cube_mm, config.voxels)
        self.net = VolumeNet(joints, joints, config.net)
        self.prior = BodyPrior(joints)
        if config.heatmap_skip:
            self.gain = nn.Parameter(torch.full((joints,), config.gain))
            nn.init.zeros_(self.net.out.weight)  # the untrained network is exactly the skip

    def forward(self, projector: RigProjector, views: Views, root_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Joints of all people at once.

        Args:
            projector: The rig.
            views: What the cameras show of each person: P entries.
            root_mm: (P, 3) centres of the cubes.

        Returns:
            Joints (P, J, 3) mm in the world, and the spread (P, J) mm of each one's soft-argmax.
        """
        heatmaps = evidence(views.heatmaps, self.config.evidence_floor)
        volume = self.cube(projector, heatmaps, views.affine, views.view_weight, root_mm)
        offset, spread = self.locate(volume)
        return offset + root_mm[:, None], spread

    def locate(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (P, J, 3) mm from the cube's centre and their spread (P, J), of fused volumes (P, J, X, Y, Z)."""
        logits = self.net(volume)
        if self.config.heatmap_skip:
            prior = self.prior.log_density(self.cube.offsets_mm).view(volume.shape[1:])
            logits = logits + self.gain[:, None, None, None] * volume + prior / self.config.beta
        return soft_argmax(logits, self.cube.offsets_mm, self.config.beta)


def soft_argmax(logits: Tensor, points: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Mean and spread of the voxel positions under a softmax.

    Args:
        logits: (P, J, X, Y, Z).
        points: (X·Y·Z, 3).
        beta: Sharpness.

    Returns:
        Expectation (P, J, 3), and standard deviation per axis (P, J), without gradient.
    """
    weight = torch.softmax(beta * logits.flatten(2), -1)
    mean = weight @ points
    with torch.no_grad():
        squares = weight @ points.square().sum(-1, keepdim=True)
        variance = (squares[..., 0] - mean.square().sum(-1)) / 3
    return mean, variance.clamp_min(0).sqrt()


def support(projector: RigProjector, views: Views, xyz_mm: Tensor) -> Tensor:
    """How well the heatmaps agree with joints: their mean height at the reprojections, over the views that see them.

    Args:
        projector: The rig.
        views: What the cameras show of each person: P entries.
        xyz_mm: (P, J, 3).

    Returns:
        (P, J) in 0..1, the joint's score.
    """
    uv, ahead = projector(xyz_mm)
    seen = ahead & projector.inside(uv)
    values = fuse(views.heatmaps, to_heatmap(views.affine, uv), seen, views.view_weight)  # every map at every joint
    return torch.diagonal(values, dim1=1, dim2=2).clamp(0, 1)


def merge_skeletons(xyz_mm: Tensor, score: Tensor, sample: Tensor, distance_mm: float) -> Tensor:
    """Which people (P,) stay when, of two whose joints are closer than `distance_mm` on average, the better one does.

    Args:
        xyz_mm: (P, J, 3).
        score: (P,) of the person.
        sample: (P,) moment each belongs to; people of different moments never merge.
        distance_mm: Mean joint distance.
    """
    apart = (xyz_mm[:, None] - xyz_mm[None]).norm(dim=-1).mean(-1)
    near = (apart < distance_mm) & (sample[:, None] == sample[None])
    keep = torch.ones(len(xyz_mm), dtype=torch.bool, device=xyz_mm.device)
    order = score.argsort(descending=True).tolist()
    for place, person in enumerate(order):
        better = order[:place]
        keep[person] = not bool((near[person, better] & keep[better]).any())
    return keep
