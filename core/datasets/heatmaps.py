"""Heatmaps as network input: stored by a 2D estimator, or computed by a backbone.

Legend: B batch, V view, J joint of the networks, K joint with a channel, C channel, H W heatmap, h w stored heatmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from core.datasets.images import ImageSource
from core.errors import CoreError
from core.models.backbone import predict_heatmaps
from core.models.geometry.resample import resampled
from core.types.arrays import F32, F64
from core.types.skeleton import Skeleton


class HeatmapReader(Protocol):
    """Stored heatmaps of one camera of a take.

    Attributes:
        skeleton: Joints of the channels.
        scale: (2,) x, y; stored px = image px * scale + offset, with pixel centres in both grids.
        offset: (2,) x, y.
    """

    skeleton: Skeleton
    scale: F64
    offset: F64

    def read(self, indices: np.ndarray) -> F32:
        """Read the heatmaps (N, C, h, w) in 0..1 of frames (N,)."""


class HeatmapSource(Protocol):
    """Heatmaps of all views, read on demand for each batch.

    Attributes:
        joints: Joints of the networks that have a channel.
    """

    joints: tuple[int, ...]

    def warp(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Return heatmaps (B, V, K, H, W) of the K `joints` at frames (B,) under affines (B, V, 2, 3) from image px."""


class StoredHeatmaps:
    """Stored heatmaps of one take. Caches only the most recently read frames.

    Args:
        readers: V cameras in the rig's order; None for a camera that did not film the take, whose heatmaps are empty.
        skeleton: Joints of the networks.

    Raises:
        CoreError: There is no reader, or the channels of the cameras have different joints.
    """

    def __init__(self, readers: Sequence[HeatmapReader | None], skeleton: Skeleton) -> None:
        stored = {reader.skeleton.name: reader.skeleton for reader in readers if reader is not None}
        if len(stored) != 1:
            raise CoreError(
                "The heatmaps are missing, or their joints differ between cameras.", "Run pose2d on the take again."
            )
        (source,) = stored.values()
        self.joints = skeleton.shared_joints(source)
        self._channels = [source.index(skeleton.joints[j]) for j in self.joints]
        self._readers = tuple(readers)
        self._frames = np.empty(0, int)
        self._cache: dict[int, Tensor] = {}

    def warp(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Warp heatmaps; see `HeatmapSource.warp`."""
        cached = self._read(frames, affine.device)
        views = [
            affine.new_zeros(len(frames), len(self.joints), *size_hw)
            if reader is None
            else resampled(cached[v], _grid(reader, affine.device), affine[:, v], size_hw)
            for v, reader in enumerate(self._readers)
        ]
        return torch.stack(views, 1)

    def _read(self, frames: np.ndarray, device: torch.device) -> dict[int, Tensor]:
        """Return heatmaps (B, K, h, w) by view; cached, so that the second version of a batch reads no file."""
        if not self._cache or not np.array_equal(frames, self._frames):
            self._cache = {
                v: self._channels_of(r, frames, device) for v, r in enumerate(self._readers) if r is not None
            }
            self._frames = np.array(frames)
        return self._cache

    def _channels_of(self, reader: HeatmapReader, frames: np.ndarray, device: torch.device) -> Tensor:
        return torch.from_numpy(reader.read(frames)[:, self._channels]).to(device)


def _grid(reader: HeatmapReader, device: torch.device) -> Tensor:
    """Return a reader's map from image px to stored px as an affine (2, 3)."""
    grid = np.column_stack([np.diag(reader.scale), reader.offset])
    return torch.tensor(grid, dtype=torch.float32, device=device)


class BackboneHeatmaps:
    """Heatmaps of all joints, computed from images by a backbone.

    Args:
        network: Backbone, in evaluation mode or in training with a gradient.
        images: Images of the take.
        skeleton: Joints of the networks.
    """

    def __init__(self, network: nn.Module, images: ImageSource, skeleton: Skeleton) -> None:
        self.network, self.images = network, images
        self.joints = tuple(range(len(skeleton)))

    def warp(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Warp heatmaps; see `HeatmapSource.warp`."""
        return predict_heatmaps(self.network, self.images.warp(frames, affine, size_hw)).clamp(0, 1)
