"""Photometric augmentation: colour operations and cut-out.

RandAugment as in the released code of SelfPose3d: one ordered pair of operations with magnitudes, each applied with
probability one half; then grey squares. Every image is augmented independently.

Legend: N image, h w its size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_MAGNITUDES = 9
_FACTOR = np.linspace(0, 0.9, 10)
_BITS = np.round(np.linspace(8, 4, 10)).astype(int)
_GREY = (125.0, 122.0, 113.0)
_LUMA = (0.299, 0.587, 0.114)
_CHANCE = 0.5
_PUBLISHED_PX = 960


def random_photometric(rng: np.random.Generator) -> Callable[[Tensor], Tensor]:
    """Return a transform of images (N, 3, h, w) in 0..255 that draws from a generator."""

    def transform(images: Tensor) -> Tensor:
        return cut_out(rand_augment(images, rng), rng)

    return transform


def rand_augment(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Apply up to two random operations to each image (N, 3, h, w) in 0..255, of any dtype; return floats."""
    out = []
    for image in images.float().clamp(0, 255):
        for name in rng.integers(len(OPERATIONS), size=2):
            magnitude, sign = int(rng.integers(1, _MAGNITUDES + 1)), float(rng.choice([-1.0, 1.0]))
            if rng.random() < _CHANCE:
                image = list(OPERATIONS.values())[name](image, magnitude, sign).clamp(0, 255)
        out.append(image)
    return torch.stack(out)


def cut_out(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Fill 2 to 15 squares of each image (N, 3, h, w) with grey, clipped at the border.

    Their sides are 20 to 39 px in images of 960 px, the size in the paper, and scale with the image.
    """
    N, _, h, w = images.shape
    most = 15
    count = rng.integers(2, most + 1, (N, 1))
    side = rng.integers(20, 40, (N, most))
    side = np.maximum(1, np.rint(side * max(h, w) / _PUBLISHED_PX).astype(int))
    centre = rng.integers(0, [w, h], (N, most, 2))
    low, high = centre - (side // 2)[..., None], centre + (side - side // 2)[..., None]
    used = np.arange(most) < count
    device = images.device
    x, y = torch.arange(w, device=device), torch.arange(h, device=device)
    a, b, keep = (torch.as_tensor(v, device=device) for v in (low, high, used))
    across = (x >= a[..., 0, None]) & (x < b[..., 0, None]) & keep[..., None]  # (N, squares, w)
    down = (y >= a[..., 1, None]) & (y < b[..., 1, None])
    hidden = (down.float().transpose(1, 2) @ across.float()) > 0  # (N, h, w)
    grey = images.new_tensor(_GREY)[:, None, None]
    return torch.where(hidden[:, None], grey, images)


def _mix(image: Tensor, other: Tensor, magnitude: int, sign: float) -> Tensor:
    """Blend with another image; factor 0 gives the other image, 1 this one, and more extrapolates."""
    factor = 1 + sign * float(_FACTOR[magnitude])
    return other + factor * (image - other)


def _luma(image: Tensor) -> Tensor:
    return (image * image.new_tensor(_LUMA)[:, None, None]).sum(0)


def sharpness(image: Tensor, magnitude: int, sign: float) -> Tensor:
    """Blend with the smoothed image."""
    kernel = image.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = functional.conv2d(image[:, None], kernel[None, None])[:, 0]
    blurred = image.clone()
    blurred[:, 1:-1, 1:-1] = smooth
    return _mix(image, blurred, magnitude, sign)


def contrast(image: Tensor, magnitude: int, sign: float) -> Tensor:
    """Blend with the mean grey."""
    return _mix(image, _luma(image).mean().round().expand_as(image), magnitude, sign)


def colour(image: Tensor, magnitude: int, sign: float) -> Tensor:
    """Blend with the grey-scale image."""
    return _mix(image, _luma(image).expand_as(image), magnitude, sign)


def brightness(image: Tensor, magnitude: int, sign: float) -> Tensor:
    """Blend with black."""
    return _mix(image, torch.zeros_like(image), magnitude, sign)


def posterize(image: Tensor, magnitude: int, sign: float) -> Tensor:
    """Reduce the number of bits per channel."""
    step = 2.0 ** (8 - int(_BITS[magnitude]))
    return torch.floor(image / step) * step


def autocontrast(image: Tensor, magnitude: int, sign: float) -> Tensor:
    """Stretch each channel to the full range."""
    low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
    flat = high <= low
    return torch.where(flat, image, (image - low) * (255 / torch.where(flat, 1.0, high - low)))


def equalize(image: Tensor, magnitude: int, sign: float) -> Tensor:
    """Equalise the histogram of each channel."""
    values = image.round().long()
    counts = _histogram(values)
    upto = counts.cumsum(1)
    first = (upto > 0).float().argmax(1, keepdim=True)
    least = upto.gather(1, first)
    total = upto[:, -1:]
    table = ((upto - least) * 255 / (total - least).clamp_min(1)).clamp(0, 255).round()
    even = table.gather(1, values.flatten(1)).view_as(image)
    return torch.where((total == least)[..., None], image, even)


def _histogram(values: Tensor) -> Tensor:
    """Return (C, 256) counts of integer values (C, h, w) in 0..255."""
    offset = 256 * torch.arange(len(values), device=values.device)[:, None]
    return torch.bincount((values.flatten(1) + offset).flatten(), minlength=256 * len(values)).view(-1, 256)


OPERATIONS: dict[str, Callable[[Tensor, int, float], Tensor]] = {
    "sharpness": sharpness,
    "autocontrast": autocontrast,
    "posterize": posterize,
    "equalize": equalize,
    "contrast": contrast,
    "colour": colour,
    "brightness": brightness,
}
"""Operations by name; each transforms one image (3, h, w), given a magnitude 1..9 and a sign."""
