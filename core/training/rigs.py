"""Which rig a synthetic step plays in: the user's own, or one of many made-up ones."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from core.errors import CoreError
from core.geometry.capture_volume import capture_volume
from core.models.config import ModelConfig
from core.models.scene import CaptureScene
from core.synthetic.rigs import random_rig
from core.training.config import RigsConfig

_STREAM = 7919
"""Sets the made-up rigs apart from everything else that is drawn with the same seed."""
_TRIES = 20


class SyntheticRigs:
    """Scenes for synthetic steps.

    Networks that only ever saw one rig fail in another one. With made-up rigs they learn what holds in all of them:
    2 to 10 cameras anywhere around the room, several lenses and image sizes.

    Args:
        own: The footage's rig.
        config: Whether there are others, and how many.
        model: Of the networks.
        seed: Of the run: a rig depends on it and on its number alone.
    """

    def __init__(self, own: CaptureScene, config: RigsConfig, model: ModelConfig, seed: int) -> None:
        self.own, self.config, self.model, self.seed = own, config, model, seed
        self._held: OrderedDict[int, CaptureScene] = OrderedDict()

    def draw(self, rng: np.random.Generator) -> CaptureScene:
        """The scene of one step."""
        if not self.config.random or rng.random() < self.config.own_share:
            return self.own
        return self._scene(int(rng.integers(self.config.count)))

    def _scene(self, number: int) -> CaptureScene:
        """A made-up rig with the space that it looks into; the last few stay in memory."""
        if number not in self._held:
            self._held[number] = self._make(number)
            while len(self._held) > self.config.cache_size:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]

    def _make(self, number: int) -> CaptureScene:
        rng = np.random.default_rng([_STREAM, self.seed, number])
        for _ in range(_TRIES):
            rig = random_rig(rng, int(rng.integers(self.config.cameras[0], self.config.cameras[1] + 1)))
            try:
                volume = capture_volume(rig, spacing_mm=self.model.root.spacing_mm)
            except CoreError:
                continue  # a rig whose cameras share no floor is no use to anybody
            return CaptureScene(rig, volume, self.model, self.own.device)
        raise CoreError(
            f"No usable rig of {self.config.cameras[0]} to {self.config.cameras[1]} cameras was found.",
            "Allow more cameras in `rigs.cameras`.",
        )
