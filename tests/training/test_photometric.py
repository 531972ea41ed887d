"""Photometric changes: exact on simple pictures, the same for the same generator, joints untouched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.training.photometric import (
    OPERATIONS,
    autocontrast,
    brightness,
    colour,
    contrast,
    cut_out,
    equalize,
    photometric,
    posterize,
    rand_augment,
    sharpness,
)


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0)) * 255


def test_exact_values() -> None:
    ramp = torch.linspace(50, 150, 11).expand(3, 4, 11)
    torch.testing.assert_close(brightness(ramp, 9, -1.0), 0.1 * ramp)
    torch.testing.assert_close(autocontrast(ramp, 1, 1.0)[0, 0], torch.linspace(0, 255, 11))
    assert set(posterize(torch.arange(256.0).expand(3, 1, 256), 9, 1.0).unique().tolist()) == {
        16.0 * k for k in range(16)
    }
    flat = torch.full((3, 8, 8), 77.0)
    for operation in (sharpness, contrast, colour, autocontrast, equalize):
        torch.testing.assert_close(operation(flat, 5, 1.0), flat, atol=1e-3, rtol=0)


def test_equalize_spreads_a_histogram() -> None:
    dark = torch.arange(64.0).repeat(3, 4, 1)
    even = equalize(dark, 1, 1.0)
    assert float(even.min()) == 0 and float(even.max()) == 255 and (even[0, 0].diff() > 0).all()


def test_sharpness_leaves_the_border(picture: torch.Tensor) -> None:
    sharp = sharpness(picture, 9, 1.0)
    assert torch.equal(sharp[:, 0], picture[:, 0]) and not torch.equal(sharp[:, 1:-1, 1:-1], picture[:, 1:-1, 1:-1])


def test_cut_out_is_grey_squares() -> None:
    white = torch.full((20, 3, 200, 300), 255.0)
    cut = cut_out(white, np.random.default_rng(0))
    hidden = (cut != 255).any(1)
    assert torch.equal(cut[hidden[:, None].expand_as(cut)].view(-1).unique(), torch.tensor([113.0, 122.0, 125.0]))
    share = hidden.float().mean((1, 2))
    assert (share > 0).all() and float(share.max()) < 15 * 39**2 / (200 * 300)


def test_same_generator_same_pictures(picture: torch.Tensor) -> None:
    pictures = picture.expand(6, -1, -1, -1)
    one, other = (photometric(np.random.default_rng(3))(pictures) for _ in range(2))
    assert torch.equal(one, other) and one.shape == pictures.shape
    changed = rand_augment(pictures, np.random.default_rng(3))
    assert len({tuple(p.flatten()[:5].tolist()) for p in changed}) > 2
    assert float(changed.min()) >= 0 and float(changed.max()) <= 255
    assert len(OPERATIONS) == 7
