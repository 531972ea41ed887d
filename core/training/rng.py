"""Random tensors of a step, drawn on the device where they are used."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class DeviceRng:
    """Random generator on one kind of device, seeded from the state of a numpy generator.

    Args:
        rng: Generator that provides the seed.
        device: Device of all draws.
    """

    def __init__(self, rng: np.random.Generator, device: torch.device) -> None:
        self.device = device
        self._generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))

    def uniform(self, low: float | Tensor, high: float | Tensor, *shape: int) -> Tensor:
        """Draw values in low..high."""
        return low + (high - low) * torch.rand(shape, generator=self._generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal values."""
        return torch.randn(shape, generator=self._generator, device=self.device)

    def bernoulli(self, probability: float, *shape: int) -> Tensor:
        """Draw booleans that are True with the given probability."""
        return torch.rand(shape, generator=self._generator, device=self.device) < probability

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Draw integers in low..high-1."""
        return torch.randint(low, high, shape, generator=self._generator, device=self.device)
