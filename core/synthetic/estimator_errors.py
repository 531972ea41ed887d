"""What a real 2D estimator gets wrong, measured on real images, to be put on synthetic people.

White noise is what estimators do not make: their errors last for several frames, move whole limbs at once, have heavy
tails, and scores that tell of them only in part. So whole stretches of measured errors are used as they were: error of
each joint as a share of the person's size in the image, and the score that came with it.

Legend: N stretch, F frame of a stretch, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.errors import CoreError
from core.files import resource
from core.types.arrays import F64
from core.types.skeleton import COCO17

MEASURED = ("movenet",)
"""Estimators whose errors come with the program."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorBank:
    """Measured stretches.

    Attributes:
        error: (N, F, 17, 2) error of COCO joints as a share of the person's size in the image, NaN where the joint
            was not found.
        score: (N, F, 17) the estimator's, 0 where it was not found.
        fps: Frames a second.
    """

    error: F64
    score: F64
    fps: float

    @classmethod
    @lru_cache(maxsize=4)
    def load(cls, name: str, part: str = "all") -> ErrorBank:
        """The errors of an estimator.

        Args:
            name: One of `MEASURED`.
            part: "train" and "test" are halves by camera, so that networks which learned from the one can be tested
                with the other; "all" are both.

        Raises:
            CoreError: There are none of that name.
        """
        path = resource("errors", f"{name}.npz") if name in MEASURED else Path()
        if not path.is_file():
            raise CoreError(f"There are no measured errors of '{name}'.", f"Known: {', '.join(MEASURED)}.")
        with np.load(path, allow_pickle=False) as file:
            error, score = file["error"].astype(float), file["score"].astype(float)
            chosen = {"all": slice(None), "train": file["camera"] % 2 == 0, "test": file["camera"] % 2 == 1}[part]
            return cls(error[chosen], score[chosen], float(file["fps"]))

    def draw(
        self, n_frames: int, fps: float, rng: np.random.Generator, shape: tuple[int, ...], *, varied: bool = False
    ) -> tuple[F64, F64]:
        """Errors (*shape, T, 17, 2) and scores (*shape, T, 17): a stretch each, from a random place on.

        Where a stretch ends it is gone through backwards, and half of them have their sides exchanged. A few people's
        errors can be learnt by heart: `varied` ones are turned, larger or smaller, faster or slower, and for half of
        the people every joint has a stretch of its own.
        """
        N, F, J = self.score.shape
        start, row = rng.uniform(0, F, (*shape, 1, 1)), rng.integers(N, size=(*shape, 1, 1))
        step = np.array(self.fps / fps)
        if varied:
            own, each = rng.random((*shape, 1, 1)) < 0.5, (*shape, 1, J)
            start = np.where(own, rng.uniform(0, F, each), start)
            row = np.where(own, rng.integers(N, size=each), row)
            step = step * np.exp(rng.normal(0, 0.3, (*shape, 1, 1)))
        at = start + step * np.arange(n_frames)[:, None]
        folded = np.abs((at.astype(int) + F) % (2 * F) - F).clip(0, F - 1)
        error, score = self.error[row, folded, np.arange(J)], self.score[row, folded, np.arange(J)]
        mirrored = (rng.random(shape) < 0.5)[..., None, None]
        mirror = list(COCO17.mirror)
        flipped = error[..., mirror, :] * (-1.0, 1.0)
        error = np.where(mirrored[..., None], flipped, error)
        if varied:
            angle, size = rng.uniform(-np.pi, np.pi, (*shape, 1, 1)), np.exp(rng.normal(0.1, 0.3, (*shape, 1, 1)))
            c, s = size * np.cos(angle), size * np.sin(angle)
            x, y = error[..., 0], error[..., 1]
            error = np.stack([c * x - s * y, s * x + c * y], -1)
        return error, np.where(mirrored, score[..., mirror], score)
