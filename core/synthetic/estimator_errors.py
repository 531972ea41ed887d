"""What a real 2D estimator gets wrong, measured on real pictures, to be put on synthetic people.

White noise is what estimators do not make: their errors last for several frames, move whole limbs at once, have heavy
tails, and scores that tell of them only in part. So whole stretches of measured errors are used as they were: error of
each joint as a share of the person's size in the picture, and the score that came with it.

Legend: N stretch, F frame of a stretch, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass
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
        error: (N, F, 17, 2) error of COCO joints as a share of the person's size in the picture, NaN where the joint
            was not found.
        score: (N, F, 17) the estimator's, 0 where it was not found.
        fps: Frames a second.
    """

    error: F64
    score: F64
    fps: float

    @classmethod
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

    def draw(self, n_frames: int, fps: float, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[F64, F64]:
        """Errors (*shape, T, 17, 2) and scores (*shape, T, 17): a stretch each, from a random place on.

        Where a stretch ends it is gone through backwards, and half of them have their sides exchanged.
        """
        N, F = self.score.shape[:2]
        step = self.fps / fps
        at = rng.uniform(0, F, shape)[..., None] + step * np.arange(n_frames)
        folded = np.abs((at.astype(int) + F) % (2 * F) - F).clip(0, F - 1)
        row = rng.integers(N, size=shape)[..., None]
        error, score = self.error[row, folded], self.score[row, folded]
        mirrored = (rng.random(shape) < 0.5)[..., None, None]
        mirror = list(COCO17.mirror)
        flipped = error[..., mirror, :] * (-1.0, 1.0)
        return np.where(mirrored[..., None], flipped, error), np.where(mirrored, score[..., mirror], score)
