"""File with a held-out frame and the networks' predictions for it, which the window shows during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.files import read_json, write_json
from core.types.arrays import F64
from core.types.skeleton import skeleton


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOutFrame:
    """One image of a held-out frame and the people in it.

    Attributes:
        take: Name of the take.
        camera: Name of the camera.
        image: Index of the image in the camera's video.
        skeleton: Name of the joint set.
        triangulated: People (J, 2) px of the baseline, NaN where missing.
        predicted: People (J, 2) px of the networks, NaN where missing; None before the first validation.
        step: Number of training steps before the prediction.
    """

    take: str
    camera: str
    image: int
    skeleton: str
    triangulated: tuple[F64, ...]
    predicted: tuple[F64, ...] | None = None
    step: int = 0

    def save(self, path: Path) -> None:
        """Write the file."""
        write_json(
            path,
            {
                "take": self.take,
                "camera": self.camera,
                "image": self.image,
                "skeleton": self.skeleton,
                "triangulated": [_plain(person) for person in self.triangulated],
                "predicted": None if self.predicted is None else [_plain(person) for person in self.predicted],
                "step": self.step,
            },
        )

    @classmethod
    def load(cls, path: Path) -> HeldOutFrame:
        """Read the file.

        Raises:
            CoreError: The file is missing or damaged.
        """
        values = read_json(path)
        try:
            n_joints, predicted = len(skeleton(values["skeleton"])), values["predicted"]
            return cls(
                take=str(values["take"]),
                camera=str(values["camera"]),
                image=int(values["image"]),
                skeleton=values["skeleton"],
                triangulated=_people(values["triangulated"], n_joints),
                predicted=None if predicted is None else _people(predicted, n_joints),
                step=int(values["step"]),
            )
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise CoreError(f"{path}: not a held-out frame of a training.", "The next validation writes it.") from error


def _plain(person: F64) -> list[list[float] | None]:
    return [[round(float(x), 1), round(float(y), 1)] if np.isfinite((x, y)).all() else None for x, y in person]


def _people(people: Sequence[Sequence[Any]], n_joints: int) -> tuple[F64, ...]:
    return tuple(
        np.array([[np.nan] * 2 if joint is None else joint for joint in person], float).reshape(n_joints, 2)
        for person in people
    )
