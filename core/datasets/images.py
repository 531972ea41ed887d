"""Images as backbone input: resized once to the input size, then warped for each augmented version.

Legend: B batch, V view, H W heatmap, h w image of the backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.models.geometry.affine import fit_affine
from core.models.geometry.resample import resampled
from core.types.arrays import F64, U8
from core.types.camera import CameraRig

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's RGB values in 0..1, which published weights expect."""


def reduced_size(size_px: tuple[int, int], input_hw: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a camera's reduced images: those of the backbone's input, never enlarged."""
    scale = min(1.0, float(fit_affine(size_px, input_hw)[0, 0]))
    return max(1, round(size_px[1] * scale)), max(1, round(size_px[0] * scale))


class ImageSource(Protocol):
    """Images of all views, read on demand for each batch."""

    def warp(
        self,
        frames: np.ndarray,
        affine: Tensor,
        size_hw: tuple[int, int],
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return normalised images (B, V, 3, h, w) for the backbone.

        Args:
            frames: (B,) frame indices.
            affine: (B, V, 2, 3) image px to heatmap px.
            size_hw: Height and width of the heatmaps; the images are larger by the factor of the backbone's stride.
            transform: Photometric transform of images (N, 3, h, w) in 0..255, before normalisation.
        """


class ImageSequence(Protocol):
    """Images of one camera by frame: a video, or an array (T, h, w, 3) in memory or memory-mapped."""

    def __getitem__(self, frame: int, /) -> U8:
        """Return the image (h, w, 3) uint8 RGB, of the same size for every frame."""


class StoredImages:
    """Reduced images of one take, read on demand for each batch.

    Args:
        images: V cameras in the rig's order; None for a camera that did not film the take, whose images are black. They
            should have `reduced_size`: larger ones are sampled without anti-aliasing.
        rig: Rig with the original image sizes, to which affines refer.
        stride: Image px of the backbone's input per heatmap px.
    """

    def __init__(self, images: Sequence[ImageSequence | None], rig: CameraRig, stride: int) -> None:
        self._images, self._stride = tuple(images), stride
        self._sizes: list[F64] = [np.array(camera.size_px, float) for camera in rig]

    def warp(
        self,
        frames: np.ndarray,
        affine: Tensor,
        size_hw: tuple[int, int],
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Warp images; see `ImageSource.warp`."""
        H, W = size_hw[0] * self._stride, size_hw[1] * self._stride
        views = []
        for v, images in enumerate(self._images):
            if images is None:
                views.append(affine.new_zeros(len(frames), 3, H, W))
                continue
            read = torch.from_numpy(np.stack([images[int(m)] for m in frames])).to(affine.device)
            grid = self._grid(read.shape[1:3], v, affine.device)
            views.append(resampled(read.movedim(-1, 1).float(), grid, affine[:, v] * self._stride, (H, W)))
        warped = torch.stack(views, 1)
        if transform is not None:
            warped = transform(warped.flatten(0, 1)).view_as(warped)
        return normalise(warped)

    def _grid(self, stored_hw: Sequence[int], view: int, device: torch.device) -> Tensor:
        """Return (2, 3) camera px to stored px; area averaging aligns pixel edges, not centres."""
        scale = np.array([stored_hw[1], stored_hw[0]]) / self._sizes[view]
        return torch.tensor(np.column_stack([np.diag(scale), (scale - 1) / 2]), dtype=torch.float32, device=device)


def normalise(images: Tensor) -> Tensor:
    """Normalise images (..., 3, h, w) in 0..255 by ImageNet's mean and standard deviation."""
    mean, std = (images.new_tensor(v)[:, None, None] for v in (_MEAN, _STD))
    return (images / 255 - mean) / std
