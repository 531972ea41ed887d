"""Photometric augmentation and cut-out: known values, invariants, and repeatable random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from core.datasets import photometric as module
from core.datasets.photometric import OPERATIONS, cut_out, rand_augment, random_photometric

GREY = (125.0, 122.0, 113.0)


def colour_image(red: float, green: float, blue: float, size: int = 4) -> Tensor:
    return torch.tensor([float(red), float(green), float(blue)])[:, None, None].expand(3, size, size).clone()


def random_images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).float()


class TestOperations:
    def test_are_the_seven_published_ones(self) -> None:
        assert set(OPERATIONS) == {
            "sharpness",
            "autocontrast",
            "posterize",
            "equalize",
            "contrast",
            "colour",
            "brightness",
        }

    def test_factors_range_from_a_tenth_to_nine_tenths(self) -> None:
        one = colour_image(100, 100, 100)
        for magnitude, factor in [(1, 0.1), (5, 0.5), (9, 0.9)]:
            brighter, darker = (OPERATIONS["brightness"](one, magnitude, sign) for sign in (1.0, -1.0))
            assert float(brighter[0, 0, 0]) == pytest.approx(100 * (1 + factor))
            assert float(darker[0, 0, 0]) == pytest.approx(100 * (1 - factor))

    def test_colour_moves_to_and_from_the_weighted_grey(self) -> None:
        grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
        less = OPERATIONS["colour"](colour_image(200, 100, 50), 5, -1.0)[:, 0, 0]
        assert less.tolist() == pytest.approx([(v + grey) / 2 for v in (200, 100, 50)], rel=1e-5)

    def test_contrast_moves_to_and_from_the_mean_grey(self) -> None:
        image = torch.zeros(3, 2, 2)
        image[:, 0] = 100.0
        more = OPERATIONS["contrast"](image, 5, 1.0)[0]
        assert more.tolist() == [[125, 125], [-25, -25]]  # about a mean of 50; clamped by the caller

    def test_posterize_keeps_the_published_number_of_bits(self) -> None:
        ramp = torch.arange(256.0).view(1, 16, 16).expand(3, -1, -1)
        bits = [len(OPERATIONS["posterize"](ramp, m, 1.0)[0].unique()) for m in range(1, 10)]
        assert bits == [2**b for b in (8, 7, 7, 6, 6, 5, 5, 4, 4)]
        assert float(OPERATIONS["posterize"](ramp, 9, 1.0)[0, 1, 15]) == 16  # 31 in 4 bits

    def test_sharpness_keeps_flat_parts_and_the_border(self) -> None:
        image = torch.zeros(3, 5, 5)
        image[:, 2, 2] = 130.0
        softer = OPERATIONS["sharpness"](image, 9, -1.0)[0]
        # 0.9 of the smoothed image (5/13 and 1/13 of the spot) and 0.1 of the original.
        assert float(softer[2, 2]) == pytest.approx(0.9 * 50 + 0.1 * 130)
        assert float(softer[1, 3]) == pytest.approx(0.9 * 10)
        assert float(softer[0].abs().max()) == 0

    def test_autocontrast_stretches_each_channel_that_has_contrast(self) -> None:
        image = torch.stack([torch.tensor([[50.0, 100.0, 150.0]]), torch.full((1, 3), 7.0), torch.zeros(1, 3)])
        assert OPERATIONS["autocontrast"](image, 1, 1.0)[:, 0].tolist() == [[0, 127.5, 255], [7, 7, 7], [0, 0, 0]]

    def test_equalize_spreads_values_by_rank(self) -> None:
        image = torch.tensor([[10.0, 11.0, 12.0, 13.0, 200.0]]).expand(3, 1, 5)
        even = OPERATIONS["equalize"](image, 1, 1.0)
        assert even[0, 0].tolist() == [0, 64, 128, 191, 255]
        flat = colour_image(9, 9, 9)
        assert torch.equal(OPERATIONS["equalize"](flat, 1, 1.0), flat)


class TestRandAugment:
    def test_is_repeatable_and_differs_between_images(self) -> None:
        images = random_images(1, 3, 24, 24).expand(6, -1, -1, -1)
        one, again = (random_photometric(np.random.default_rng(3))(images) for _ in range(2))
        assert torch.equal(one, again)
        assert not torch.equal(one, random_photometric(np.random.default_rng(4))(images))
        assert len({tuple(p.flatten()[:200].tolist()) for p in rand_augment(images, np.random.default_rng(3))}) > 2

    def test_stays_in_range_and_keeps_its_input(self) -> None:
        images = random_images(24, 3, 16, 16)
        before = images.clone()
        after = random_photometric(np.random.default_rng(0))(images)
        assert torch.equal(images, before)
        assert float(after.min()) >= 0 and float(after.max()) <= 255

    def test_uint8_and_float_give_the_same(self) -> None:
        images = random_images(12, 3, 16, 16)
        one, other = (random_photometric(np.random.default_rng(5))(p) for p in (images, images.to(torch.uint8)))
        assert torch.equal(one, other)

    def test_each_of_two_operations_is_applied_with_probability_one_half(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[tuple[str, int, float]] = []

        def spy(name: str):  # type: ignore[no-untyped-def]
            def operation(image: Tensor, magnitude: int, sign: float) -> Tensor:
                calls.append((name, magnitude, sign))
                return image

            return operation

        monkeypatch.setattr(module, "OPERATIONS", {name: spy(name) for name in OPERATIONS})
        count = 2000
        images = torch.zeros(count, 3, 1, 1)
        rand_augment(images, np.random.default_rng(0))
        # Binomial: 4000 draws at one half have a standard deviation of 32.
        assert abs(len(calls) - count) < 130
        names, magnitudes, signs = zip(*calls, strict=True)
        assert set(names) == set(OPERATIONS) and set(magnitudes) == set(range(1, 10)) and set(signs) == {-1.0, 1.0}
        assert max(names.count(n) for n in OPERATIONS) < 1.3 * min(names.count(n) for n in OPERATIONS)


class TestCutOut:
    @pytest.mark.slow
    @pytest.mark.parametrize(("size_hw", "least", "most"), [((512, 960), 20, 39), ((96, 240), 5, 10)])
    def test_squares_are_grey_and_scale_with_the_image(
        self, size_hw: tuple[int, int], least: int, most: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = torch.zeros(40, 3, *size_hw)
        after = cut_out(images, np.random.default_rng(1))
        hidden = (after == torch.tensor(GREY)[:, None, None]).all(1)
        assert torch.equal(hidden, (after != 0).any(1))
        # A run of hidden pixels is shorter than the smallest square only at the border.
        widths = hidden.sum(-1)
        assert least - 1 <= int(widths[widths > 0].float().quantile(0.1)) <= most
        shares = hidden.float().mean((1, 2)) * size_hw[0] * size_hw[1]
        assert float(shares.min()) > 0 and float(shares.max()) <= 15 * most**2
        mean = (2 + 15) / 2 * ((least + most) / 2) ** 2
        assert 0.6 * mean < float(shares.mean()) < 1.1 * mean

    def test_numbers_and_sides_are_the_published_ones(self) -> None:
        class Recording:
            """Records the requested ranges, and returns squares that touch neither each other nor the border."""

            requested: list[tuple[object, object]]

            def __init__(self) -> None:
                self.requested = []

            def integers(self, low: object, high: object, size: tuple[int, ...]) -> np.ndarray:
                self.requested.append((low, high))
                if size[-1] == 2:
                    return np.stack([np.arange(15) * 50 + 60, np.full(15, 100)], -1)[None]
                return np.full(size, 3 if len(self.requested) == 1 else 21)

        rng = Recording()
        after = cut_out(torch.zeros(1, 3, 512, 960), rng)  # type: ignore[arg-type]
        assert rng.requested == [(2, 16), (20, 40), (0, [960, 512])]
        hidden = (after[0, 0] == GREY[0]).nonzero()
        assert len(hidden) == 3 * 21 * 21
        assert hidden.amin(0).tolist() == [90, 50] and hidden.amax(0).tolist() == [110, 170]
