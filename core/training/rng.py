"""Random tensors of a step, drawn on the device where they are used."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class DeviceRng:
    """Draws that follow from a numpy generator's state alone, on one kind of device.

    Args:
        rng: Gives the seed.
        device: Of all that is drawn.
    """

    def __init__(self, rng: np.random.Generator, device: torch.device) -> None:
        self.device = device
        self._generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))

    def uniform(self, low: float | Tensor, high: float | Tensor, *shape: int) -> Tensor:
        """Values in low..high."""
        return low + (high - low) * torch.rand(shape, generator=self._generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal values."""
        return torch.randn(shape, generator=self._generator, device=self.device)

    def bernoulli(self, probability: float, *shape: int) -> Tensor:
        """True with a probability."""
        return torch.rand(shape, generator=self._generator, device=self.device) < probability

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers in low..high-1."""
        return torch.randint(low, high, shape, generator=self._generator, device=self.device)
