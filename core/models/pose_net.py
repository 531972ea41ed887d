"""The pose network: the joints of one person in a cube around the root.

Legend: B batch, V view, P person (all people of the batch in one row), J joint, H W heatmap, X Y Z voxel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
        if config.heatmap_skip:
            self.gain = nn.Parameter(torch.full((joints,), config.gain))
            nn.init.zeros_(self.net.out.weight)  # the untrained network is exactly the skip

    def forward(self, projector: RigProjector, views: Views, root_mm: Tensor, sample: Tensor) -> Tensor:
        """Joints of all people at once.

        Args:
            projector: The rig.
            views: Heatmaps of the batch.
            root_mm: (P, 3) centres of the cubes.
            sample: (P,) entry of the batch that each person belongs to.

        Returns:
            (P, J, 3) mm in the world.
        """
        seen = Views(evidence(views.heatmaps, self.config.evidence_floor), views.affine, views.view_weight)
        seen = seen.of(sample)
        volume = self.cube(projector, seen.heatmaps, seen.affine, seen.view_weight, root_mm)
        return self.locate(volume) + root_mm[:, None]

    def locate(self, volume: Tensor) -> Tensor:
        """Joints (P, J, 3) mm from the cube's centre, of fused volumes (P, J, X, Y, Z)."""
        logits = self.net(volume)
        if self.config.heatmap_skip:
            logits = logits + self.gain[:, None, None, None] * volume
        return soft_argmax(logits, self.cube.offsets_mm, self.config.beta)


def soft_argmax(logits: Tensor, points: Tensor, beta: float) -> Tensor:
    """Expectation (P, J, 3) of the voxel positions `points` (X·Y·Z, 3) under softmax(beta · logits (P, J, X, Y, Z))."""
    return torch.softmax(beta * logits.flatten(2), -1) @ points


def support(projector: RigProjector, views: Views, xyz_mm: Tensor, sample: Tensor) -> Tensor:
    """How well the heatmaps agree with joints: their mean height at the reprojections, over the views that see them.

    Args:
        projector: The rig.
        views: Heatmaps of the batch.
        xyz_mm: (P, J, 3).
        sample: (P,).

    Returns:
        (P, J) in 0..1, the joint's score.
    """
    J = xyz_mm.shape[1]
    uv, ahead = projector(xyz_mm)
    mine = views.of(sample)
    seen = ahead & projector.inside(uv)
    values = fuse(mine.heatmaps, to_heatmap(mine.affine, uv), seen, mine.view_weight)  # every map at every joint
    own = torch.arange(J, device=xyz_mm.device)
    return values[:, own, own].clamp(0, 1)


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
