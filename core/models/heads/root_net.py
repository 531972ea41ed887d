"""Root network: positions of people (VoxelPose's cuboid proposal network).

Legend: B batch, V view, K proposal, H W heatmap, X Y Z voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.config import RootNetConfig
from core.models.geometry.peaks import parabola_peak
from core.models.geometry.unproject import VolumeUnprojector
from core.models.heads.plane_nets import BevOutput
from core.models.volume_net import VolumeNet
from core.types.volume import CaptureVolume


@dataclass(frozen=True, slots=True)
class Proposals:
    """Person proposals, best first.

    Attributes:
        xyz_mm: (B, K, 3) roots.
        score: (B, K) confidence of the peak.
        valid: (B, K) bool, False where there is no proposal.
    """

    xyz_mm: Tensor
    score: Tensor
    valid: Tensor

    def flat(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the valid proposals of the whole batch: roots (N, 3), batch entries (N,), scores (N,)."""
        sample, _ = torch.nonzero(self.valid, as_tuple=True)
        return self.xyz_mm[self.valid], sample, self.score[self.valid]


class RootNet(nn.Module):
    """Network from root heatmaps of all views to a confidence volume."""

    def __init__(self, config: RootNetConfig) -> None:
        super().__init__()
        self.config = config
        self.net = VolumeNet(1, 1, config.net)
        if config.heatmap_skip:
            self.gain = nn.Parameter(torch.ones(()))
            nn.init.zeros_(self.net.out.weight)  # untrained, the network equals its skip connection

    def forward(self, unprojector: VolumeUnprojector, heatmaps: Tensor, affine: Tensor, view_weight: Tensor) -> Tensor:
        """Compute the confidence volume (B, X, Y, Z).

        Args:
            unprojector: Unprojection into the capture volume.
            heatmaps: (B, V, H, W) heatmaps of the root joint.
            affine: (B, V, 2, 3) image px to heatmap px.
            view_weight: (B, V) weights of the views; 0 excludes a camera.
        """
        volume = unprojector(heatmaps[:, :, None], affine, view_weight)
        out: Tensor = self.net(volume)
        if self.config.heatmap_skip:
            out = out + self.gain * volume
        return out[:, 0]

    def fold(self) -> None:
        """Fold batch norms into convolutions; for inference only."""
        self.net.fold()


def extract_proposals(output: Tensor | BevOutput, volume: CaptureVolume, config: RootNetConfig) -> Proposals:
    """Extract person proposals from the output of a root head.

    The best `max_people` local maxima (3^3 neighbourhood) are refined by a parabola along each axis, and thinned by
    non-maximum suppression with radius `merge_mm`.

    Args:
        output: Confidence volume (B, X, Y, Z), or the output of a bird's-eye-view head.
        volume: Capture volume.
        config: Threshold and distances.
    """
    xyz_mm, score = output.propose(volume, config) if isinstance(output, BevOutput) else _peaks(output, volume, config)
    return Proposals(xyz_mm, score, suppress_neighbours(xyz_mm, score > config.threshold, config.merge_mm))


def _peaks(confidence: Tensor, volume: CaptureVolume, config: RootNetConfig) -> tuple[Tensor, Tensor]:
    """Return points (B, K, 3) mm, best first, and scores (B, K) of a volume's peaks."""
    shape = confidence.shape[1:]
    peaks = torch.where(functional.max_pool3d(confidence[:, None], 3, 1, 1)[:, 0] == confidence, confidence, 0.0)
    count = min(config.max_people, peaks[0].numel())
    score, index = peaks.flatten(1).topk(count, dim=1)
    at = torch.stack(torch.unravel_index(index, shape), -1)  # (B, K, 3)
    spacing = torch.tensor(volume.spacing_mm, dtype=confidence.dtype, device=confidence.device)
    low = torch.tensor(volume.low_mm, dtype=confidence.dtype, device=confidence.device)
    return low + (at + parabola_peak(confidence, at)) * spacing, score


def suppress_neighbours(points: Tensor, valid: Tensor, distance: float) -> Tensor:
    """Suppress points that are close to a better one (greedy non-maximum suppression).

    Args:
        points: (B, K, D) points, best first.
        valid: (B, K) bool.
        distance: Euclidean distance, in the unit of the points.

    Returns:
        (B, K) bool, the points to keep.
    """
    near, keep = (torch.cdist(points, points) < distance).cpu().numpy(), valid.cpu().numpy().copy()
    for k in range(1, points.shape[1]):  # sequential, hence not on a GPU
        keep[:, k] &= ~(near[:, k, :k] & keep[:, :k]).any(1)
    return torch.from_numpy(keep).to(points.device)
