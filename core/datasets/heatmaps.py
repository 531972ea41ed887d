"""The 2D estimator's own heatmaps as the networks' input: its channels by name, resampled into any version.

Legend: B frame of a batch, V view, J joint of the networks, C channel of the estimator, H W heatmap, h w stored one.
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
from core.types.skeleton import PANOPTIC15, Skeleton


class HeatmapReader(Protocol):
    """One camera's stored heatmaps of a take.

    Attributes:
        skeleton: What the channels are.
        scale: (2,) x, y; stored px = image px * scale + offset, pixel centres in both grids.
        offset: (2,) x, y.
    """

    skeleton: Skeleton
    scale: F64
    offset: F64

    def read(self, indices: np.ndarray) -> F32:
        """Heatmaps (N, C, h, w) in 0..1 of the frames (N,)."""


class HeatmapSource(Protocol):
    """Stored heatmaps of all views, read when a batch needs them.

    Attributes:
        joints: Those of the networks' joints that have a channel.
    """

    joints: tuple[int, ...]

    def warp(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Heatmaps (B, V, K, H, W) of the K `joints` at frames (B,), by affines (B, V, 2, 3) from image px."""


class StoredHeatmaps:
    """Stored heatmaps of one take. Holds the frames that were asked for last, and no more.

    Args:
        readers: V cameras in the rig's order; None where a camera did not film the take: its maps are empty.

    Raises:
        CoreError: There is no reader at all, or cameras have channels of different joints.
    """

    def __init__(self, readers: Sequence[HeatmapReader | None]) -> None:
        skeletons = {reader.skeleton.name: reader.skeleton for reader in readers if reader is not None}
        if len(skeletons) != 1:
            raise CoreError("The cameras' heatmaps are missing, or not of the same joints.", "Label the take again.")
        (skeleton,) = skeletons.values()
        self.joints = tuple(j for j, name in enumerate(PANOPTIC15.joints) if name in skeleton.joints)
        self._channels = [skeleton.index(PANOPTIC15.joints[j]) for j in self.joints]
        self._readers = tuple(readers)
        self._asked = np.empty(0, int)
        self._held: dict[int, Tensor] = {}

    def warp(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """See `HeatmapSource.version`."""
        held = self._read(frames, affine.device)
        views = [
            affine.new_zeros(len(frames), len(self.joints), *size_hw)
            if reader is None
            else resampled(held[v], _grid(reader, affine.device), affine[:, v], size_hw)
            for v, reader in enumerate(self._readers)
        ]
        return torch.stack(views, 1)

    def _read(self, frames: np.ndarray, device: torch.device) -> dict[int, Tensor]:
        """Maps (B, K, h, w) by view. Versions of a batch follow each other: the second one reads nothing."""
        if not self._held or not np.array_equal(frames, self._asked):
            self._held = {v: self._channels_of(r, frames, device) for v, r in enumerate(self._readers) if r is not None}
            self._asked = np.array(frames)
        return self._held

    def _channels_of(self, reader: HeatmapReader, frames: np.ndarray, device: torch.device) -> Tensor:
        return torch.from_numpy(reader.read(frames)[:, self._channels]).to(device)


def _grid(reader: HeatmapReader, device: torch.device) -> Tensor:
    """The reader's map from image px to stored px as an affine (2, 3)."""
    grid = np.column_stack([np.diag(reader.scale), reader.offset])
    return torch.tensor(grid, dtype=torch.float32, device=device)


class BackboneHeatmaps:
    """Heatmaps of all joints as a backbone finds them in images: one of the providers of `HeatmapSource`' protocol.

    Args:
        network: In evaluation mode, or in training with a gradient.
        images: Of the take.
    """

    joints = tuple(range(len(PANOPTIC15)))

    def __init__(self, network: nn.Module, images: ImageSource) -> None:
        self.network, self.images = network, images

    def warp(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """See `HeatmapSource.version`."""
        return predict_heatmaps(self.network, self.images.warp(frames, affine, size_hw)).clamp(0, 1)
