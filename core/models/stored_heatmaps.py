"""The 2D estimator's own heatmaps as the networks' input: its channels by name, resampled into any version.

Legend: B frame of a batch, V view, J joint of the networks, C channel of the estimator, H W heatmap, h w stored one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.errors import CoreError
from core.types.arrays import F32, F64
from core.types.skeleton import PANOPTIC15, Skeleton


class Reader(Protocol):
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


class StoredMaps(Protocol):
    """Stored heatmaps of all views, read when a batch needs them.

    Attributes:
        joints: Those of the networks' joints that have a channel.
    """

    joints: tuple[int, ...]

    def version(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Heatmaps (B, V, K, H, W) of the K `joints` at frames (B,), by affines (B, V, 2, 3) from image px."""


class Images(Protocol):
    """Images of all views, read when a batch needs them."""

    def version(
        self,
        frames: np.ndarray,
        affine: Tensor,
        size_hw: tuple[int, int],
        change: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Images (B, V, 3, h, w) for the backbone of frames (B,), normalised.

        Args:
            frames: (B,).
            affine: (B, V, 2, 3) image px to heatmap px.
            size_hw: Of the heatmaps; the images are larger by the backbone's stride.
            change: Photometric change of images (N, 3, h, w) in 0..255, before they are normalised.
        """


class TakeMaps:
    """Stored heatmaps of one take. Holds the frames that were asked for last, and no more.

    Args:
        readers: V cameras in the rig's order; None where a camera did not film the take: its maps are empty.

    Raises:
        CoreError: There is no reader at all, or cameras have channels of different joints.
    """

    def __init__(self, readers: Sequence[Reader | None]) -> None:
        skeletons = {reader.skeleton.name: reader.skeleton for reader in readers if reader is not None}
        if len(skeletons) != 1:
            raise CoreError("The cameras' heatmaps are missing, or not of the same joints.", "Label the take again.")
        (skeleton,) = skeletons.values()
        self.joints = tuple(j for j, name in enumerate(PANOPTIC15.joints) if name in skeleton.joints)
        self._channels = [skeleton.index(PANOPTIC15.joints[j]) for j in self.joints]
        self._readers = tuple(readers)
        self._asked = np.empty(0, int)
        self._held: dict[int, Tensor] = {}

    def version(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """See `StoredMaps.version`."""
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

    def _channels_of(self, reader: Reader, frames: np.ndarray, device: torch.device) -> Tensor:
        return torch.from_numpy(reader.read(frames)[:, self._channels]).to(device)


def resampled(maps: Tensor, grid: Tensor, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Stored maps as a version shows them: each of its pixels is looked up where it lies in the stored map.

    Args:
        maps: (B, K, h, w).
        grid: (2, 3) image px to stored px.
        affine: (B, 2, 3) image px to heatmap px of the version.
        size_hw: Height and width of the version.

    Returns:
        (B, K, H, W), bilinear; 0 where the stored map does not reach.
    """
    H, W = size_hw
    h, w = maps.shape[-2:]
    # heatmap px -> image px -> stored px -> grid_sample's -1 .. 1 from the first to the last pixel's centre.
    linear = grid[:, :2] @ torch.linalg.inv(affine[..., :2])
    shift = grid[:, 2] - (linear @ affine[..., 2:])[..., 0]
    edge = maps.new_tensor([w - 1, h - 1]).clamp_min(1)
    linear, shift = linear * (2 / edge)[:, None], shift * (2 / edge) - 1
    y, x = torch.meshgrid(torch.arange(H, device=maps.device), torch.arange(W, device=maps.device), indexing="ij")
    pixels = torch.stack([x, y], -1).to(maps.dtype)
    places = torch.einsum("bij,hwj->bhwi", linear, pixels) + shift[:, None, None]
    return functional.grid_sample(maps, places, mode="bilinear", padding_mode="zeros", align_corners=True)


def _grid(reader: Reader, device: torch.device) -> Tensor:
    """The reader's map from image px to stored px as an affine (2, 3)."""
    grid = np.column_stack([np.diag(reader.scale), reader.offset])
    return torch.tensor(grid, dtype=torch.float32, device=device)
