"""Rigs of synthetic training steps: the rig of the footage, or one of many synthetic rigs."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from core.errors import CoreError
from core.geometry.capture_volume import capture_volume
from core.models.config import ModelConfig
from core.models.scene import CaptureScene
from core.synthetic.rigs import random_rig
from core.training.config import RigsConfig
from core.types.volume import CaptureVolume

_STREAM = 7919
"""Constant that separates the random numbers of synthetic rigs from others with the same seed."""
_TRIES = 20
_SIDE_MM = (4000.0, 12_000.0)
"""Range of the sides of random capture volumes, in mm."""
_SEEN_MM = (4000.0, 28_000.0)
"""Range of the width in view at the position of the people, in mm: from rooms to sports fields."""


class SyntheticRigs:
    """Source of scenes for synthetic training steps.

    Networks trained in one rig fail in others. Synthetic rigs of 2 to 10 cameras, near or far from the volume and with
    several distortion models and image sizes, make them generalise.

    Args:
        own: Scene of the footage's rig.
        config: Number and kind of the synthetic rigs.
        model: Settings of the networks.
        seed: Seed of the run; a synthetic rig depends only on it and on the index of the rig.
    """

    def __init__(self, own: CaptureScene, config: RigsConfig, model: ModelConfig, seed: int) -> None:
        self.own, self.config, self.model, self.seed = own, config, model, seed
        self._cache: OrderedDict[int, CaptureScene] = OrderedDict()

    def draw(self, rng: np.random.Generator) -> CaptureScene:
        """Draw the scene of a step."""
        if not self.config.random or rng.random() < self.config.own_share:
            return self.own
        return self._scene(int(rng.integers(self.config.count)))

    def _scene(self, number: int) -> CaptureScene:
        """Return a synthetic rig with its capture volume; recent ones are cached."""
        if number not in self._cache:
            self._cache[number] = self._build(number)
            while len(self._cache) > self.config.cache_size:
                self._cache.popitem(last=False)
        self._cache.move_to_end(number)
        return self._cache[number]

    def _build(self, number: int) -> CaptureScene:
        rng = np.random.default_rng([_STREAM, self.seed, number])
        for _ in range(_TRIES):
            count = int(rng.integers(self.config.cameras[0], self.config.cameras[1] + 1))
            distance = float(np.exp(rng.uniform(*np.log(self.config.distance_mm))))
            rig = random_rig(rng, count, radius_mm=(0.7 * distance, 1.3 * distance), seen_mm=_SEEN_MM)
            try:
                volume = capture_volume(rig, spacing_mm=self.model.root.spacing_mm)
            except CoreError:
                continue  # cameras without a common field of view
            return CaptureScene(rig, self._cropped(volume, rng), self.model, self.own.device)
        raise CoreError(
            f"No usable rig of {self.config.cameras[0]} to {self.config.cameras[1]} cameras was found.",
            "Increase the number of cameras in rigs.cameras.",
        )

    def _cropped(self, volume: CaptureVolume, rng: np.random.Generator) -> CaptureVolume:
        """Return a random part of the floor, as the volume of real footage covers the people, not the whole view."""
        side = np.minimum(rng.uniform(*_SIDE_MM, 2), volume.size_mm[:2])
        slack = (volume.size_mm[:2] - side) / 2
        middle = volume.centre_mm[:2] + slack * rng.uniform(-0.5, 0.5, 2)
        low, high = volume.low_mm.copy(), volume.high_mm.copy()
        low[:2], high[:2] = middle - side / 2, middle + side / 2
        return CaptureVolume.between(low, high, self.model.root.spacing_mm)
