"""Measured errors of a real 2D estimator on real images, for synthetic detections.

Errors of estimators are not white noise: they last for several frames, affect entire limbs, have heavy tails, and are
only partly reflected by scores. Therefore sequences of measured errors are replayed: the error of each joint relative
to the person's size in the image, with its score.

Legend: N sequence, F frame of a sequence, J joint.
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
"""Estimators with measured errors."""
VARIED_SIGMA = 0.3
"""Standard deviation of the log scale of varied errors."""
_LEVERAGE = 3 / 8
"""Mean leverage of a view of four in the triangulation that the errors were measured against.

Three unknowns follow eight coordinates, so residuals are smaller than errors by the root of one minus this share.
"""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorBank:
    """Measured error sequences of one estimator.

    Attributes:
        error: (N, F, 17, 2) errors of COCO joints relative to the person's size in the image, NaN where the joint was
            not detected.
        score: (N, F, 17) scores of the estimator, 0 where the joint was not detected.
        fps: Frames per second.
    """

    error: F64
    score: F64
    fps: float

    @classmethod
    @lru_cache(maxsize=4)
    def load(cls, name: str, split: str = "all") -> ErrorBank:
        """Load the errors of an estimator.

        Args:
            name: One of `MEASURED`.
            split: "train" and "test" are disjoint by camera, so that networks trained on one can be tested with the
                other; "all" are both.

        Raises:
            CoreError: There are no errors of that estimator.
        """
        path = resource("errors", f"{name}.npz") if name in MEASURED else Path()
        if not path.is_file():
            raise CoreError(f"There are no measured errors of estimator '{name}'.", f"Known: {', '.join(MEASURED)}.")
        with np.load(path, allow_pickle=False) as file:
            error, score = file["error"] / np.sqrt(1 - _LEVERAGE), file["score"].astype(float)
            chosen = {"all": slice(None), "train": file["camera"] % 2 == 0, "test": file["camera"] % 2 == 1}[split]
            return cls(error[chosen], score[chosen], float(file["fps"]))

    def draw(
        self, n_frames: int, fps: float, rng: np.random.Generator, shape: tuple[int, ...], *, varied: bool = False
    ) -> tuple[F64, F64]:
        """Draw errors (*shape, T, 17, 2) and scores (*shape, T, 17) as sequences with random starts.

        Sequences are continued backwards at their ends, and half of them are mirrored. Since networks can memorise the
        errors of few people, `varied` ones are rotated, scaled and resampled in time, and for half of the people each
        joint has its own sequence.
        """
        N, F, J = self.score.shape
        start, row = rng.uniform(0, F, (*shape, 1, 1)), rng.integers(N, size=(*shape, 1, 1))
        step = np.array(self.fps / fps)
        if varied:
            per_joint, joint_shape = rng.random((*shape, 1, 1)) < 0.5, (*shape, 1, J)
            start = np.where(per_joint, rng.uniform(0, F, joint_shape), start)
            row = np.where(per_joint, rng.integers(N, size=joint_shape), row)
            step = step * np.exp(rng.normal(0, 0.3, (*shape, 1, 1)))
        at = start + step * np.arange(n_frames)[:, None]
        folded = np.abs((at.astype(int) + F) % (2 * F) - F).clip(0, F - 1)
        error, score = self.error[row, folded, np.arange(J)], self.score[row, folded, np.arange(J)]
        mirrored = (rng.random(shape) < 0.5)[..., None, None]
        mirror = list(COCO17.mirror)
        flipped = error[..., mirror, :] * (-1.0, 1.0)
        error = np.where(mirrored[..., None], flipped, error)
        if varied:
            angle, size = (
                rng.uniform(-np.pi, np.pi, (*shape, 1, 1)),
                np.exp(rng.normal(0.0, VARIED_SIGMA, (*shape, 1, 1))),
            )
            c, s = size * np.cos(angle), size * np.sin(angle)
            x, y = error[..., 0], error[..., 1]
            error = np.stack([c * x - s * y, s * x + c * y], -1)
        return error, np.where(mirrored, score[..., mirror], score)
