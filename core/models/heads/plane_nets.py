"""Light heads after Faster-VoxelPose (ECCV 2022): people in bird's-eye view, then heights; joints from three planes.

They process the same fused volumes as the paper's 3D networks, but with 2D and 1D networks of the same architecture and
two orders of magnitude fewer operations.

Legend: B batch, V view, P person, K proposal, J joint, X Y Z voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.config import PoseNetConfig, RootNetConfig
from core.models.geometry.peaks import parabola_peak
from core.models.geometry.unproject import VolumeUnprojector
from core.models.volume_net import VolumeNet
from core.types.volume import CaptureVolume

PLANES = ((0, 1), (0, 2), (1, 2))
"""Axes of each plane: xy is the bird's-eye view, xz and yz are the side views."""
_LOWEST = 1e-6


class BevRootNet(nn.Module):
    """Network from root heatmaps of all views to a bird's-eye-view confidence map, and to heights on request."""

    def __init__(self, config: RootNetConfig) -> None:
        super().__init__()
        self.config = config
        self.net = VolumeNet(1, 1, config.net, dims=2)
        self.line = VolumeNet(1, 1, config.net, dims=1)
        if config.heatmap_skip:
            self.gain = nn.Parameter(torch.ones(2))
            for net in (self.net, self.line):
                nn.init.zeros_(net.out.weight)  # untrained, the networks equal their skip connections

    def forward(
        self, unprojector: VolumeUnprojector, heatmaps: Tensor, affine: Tensor, view_weight: Tensor
    ) -> BevOutput:
        """Compute the bird's-eye-view map; arguments as in `RootNet.forward`."""
        volume = unprojector(heatmaps[:, :, None], affine, view_weight)[:, 0]
        above = volume.amax(-1)
        out: Tensor = self.net(above[:, None])[:, 0]
        if self.config.heatmap_skip:
            out = out + self.gain[0] * above
        return BevOutput(out, volume, self)

    def heights(self, columns: Tensor) -> Tensor:
        """Return the confidence (N, Z) along columns (N, Z) of the fused volume."""
        out: Tensor = self.line(columns[:, None])[:, 0]
        return out + self.gain[1] * columns if self.config.heatmap_skip else out

    def fold(self) -> None:
        """Fold batch norms into convolutions; for inference only."""
        self.net.fold()
        self.line.fold()


@dataclass(frozen=True, slots=True)
class BevOutput:
    """Output of the bird's-eye-view head for a batch of frames.

    Attributes:
        confidence: (B, X, Y) confidence of a person at each cell of the floor.
        volume: (B, X, Y, Z) fused heatmaps, the input of the height network.
        net: Head that has the height network.
    """

    confidence: Tensor
    volume: Tensor
    net: BevRootNet

    def height_confidence(self, at: Tensor) -> Tensor:
        """Return the height confidence (B, K, Z) above cells (B, K, 2)."""
        batch = torch.arange(len(at), device=at.device)[:, None]
        columns = self.volume[batch, at[..., 0], at[..., 1]]
        return self.net.heights(columns.flatten(0, 1)).view(columns.shape)

    def propose(self, volume: CaptureVolume, config: RootNetConfig) -> tuple[Tensor, Tensor]:
        """Return points (B, K, 3) mm, best first, and scores (B, K): geometric means of map and height confidence."""
        peaks = functional.max_pool2d(self.confidence[:, None], 3, 1, 1)[:, 0] == self.confidence
        kept = torch.where(peaks, self.confidence, 0.0)
        count = min(config.max_people, kept[0].numel())
        score, index = kept.flatten(1).topk(count, dim=1)
        at = torch.stack(torch.unravel_index(index, kept.shape[1:]), -1)  # (B, K, 2)
        heights = self.height_confidence(at)
        best, level = heights.max(-1)
        place = at + parabola_peak(self.confidence, at)
        B, K, Z = heights.shape
        rise = parabola_peak(heights.view(B * K, Z), level.view(B * K, 1, 1)).view(B, K, 1)
        cell = torch.cat([place, level[..., None] + rise], -1)
        spacing = torch.tensor(volume.spacing_mm, dtype=cell.dtype, device=cell.device)
        low = torch.tensor(volume.low_mm, dtype=cell.dtype, device=cell.device)
        together = (score.clamp_min(0) * best.clamp_min(0)).sqrt()
        order = together.argsort(dim=1, descending=True)
        xyz = (low + cell * spacing).gather(1, order[..., None].expand(-1, -1, 3))
        return xyz, together.gather(1, order)


class TriplanePoseNet(nn.Module):
    """Network from fused cubes to joints through three projections and one shared 2D network.

    Args:
        joints: Number of joints.
        config: Settings of the pose network.
    """

    def __init__(self, joints: int, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        self.net = VolumeNet(joints, joints, config.net, dims=2)
        self.trust = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            *(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1)),
        )
        if config.heatmap_skip:
            nn.init.zeros_(self.net.out.weight)  # untrained, the network equals its skip connection
        last = self.trust[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, volume: Tensor, gain: Tensor | None, prior: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict the joints of people.

        Args:
            volume: (P, J, N, N, N) fused heatmaps, or their log-evidence.
            gain: (J,) factor of the skip connection; None without one.
            prior: (J, N, N, N) log-density of joints around the root.

        Returns:
            Joints (P, J, 3) mm from the cube's centre, standard deviations (P, J) mm, and the predictions (P, 3, J, 2)
            of the single planes xy, xz and yz.
        """
        P, J, N = volume.shape[:3]
        maps = torch.stack([volume.amax(4), volume.amax(3), volume.amax(2)], 1)  # (P, 3, J, N, N)
        logits: Tensor = self.net(maps.flatten(0, 1)).view(maps.shape)
        if gain is not None:
            flat = torch.stack([prior.amax(3), prior.amax(2), prior.amax(1)])  # (3, J, N, N)
            logits = logits + gain[:, None, None] * maps + flat / self.config.beta
        half = self.config.cube_mm / 2
        axis = torch.linspace(-half, half, N, device=volume.device, dtype=logits.dtype)
        weight = torch.softmax(self.config.beta * logits.flatten(-2), -1).view(maps.shape)
        first, second = weight.sum(-1) @ axis, weight.sum(-2) @ axis  # (P, 3, J)
        place = torch.stack([first, second], -1)
        trust = torch.sigmoid(self.trust(logits.reshape(-1, 1, N, N)).view(P, 3, J)) + _LOWEST
        joints, spread = _fused(place, trust, weight, axis)
        return joints, spread, place


def project_to_planes(xyz: Tensor) -> Tensor:
    """Project points (P, J, 3) onto the three planes: (P, 3, J, 2)."""
    return torch.stack([xyz[..., list(axes)] for axes in PLANES], 1)


def _fused(place: Tensor, trust: Tensor, weight: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Return coordinates (P, J, 3), each a weighted mean of two planes, and standard deviations (P, J) of the maps."""
    columns = []
    for coordinate in range(3):
        parts = [(p, axes.index(coordinate)) for p, axes in enumerate(PLANES) if coordinate in axes]
        values = torch.stack([place[:, p, :, i] for p, i in parts], -1)
        shares = torch.stack([trust[:, p] for p, _ in parts], -1)
        columns.append((values * shares).sum(-1) / shares.sum(-1))
    with torch.no_grad():
        squares = (weight.sum(-1) + weight.sum(-2)) @ axis.square() / 2
        variance = (squares - place.square().mean(-1)).mean(1)
    return torch.stack(columns, -1), variance.clamp_min(0).sqrt()
