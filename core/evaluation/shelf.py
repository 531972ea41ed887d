"""Percentage of correct parts in 3D: the protocol of the Shelf and Campus data sets.

Legend: T frame, A actor, P predicted person, J the 14 joints of Shelf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.evaluation.metrics import REACH_MM
from core.types.arrays import F64
from core.types.skeleton import COCO17, PANOPTIC15, SHELF14, Skeleton

LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (12, 13))
"""Shanks, thighs, forearms, upper arms, head, as pairs of the 14 joints."""
_HIPS, _NECK = (2, 3), 12
PARTS = ("shanks", "thighs", "forearms", "upper arms", "head", "torso")
_PART_OF = (0, 1, 1, 0, 2, 3, 3, 2, 4, 5)
"""Index in PARTS of each limb, and of the torso."""
Head = Literal["shelf", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScore:
    """How many parts are right.

    Attributes:
        actors: Share of correct parts of each actor, in 0..1; NaN for one who never appears.
        parts: Kind of part to the share of correct ones over all actors; NaN where there is none.
        recall: Share of true people with a prediction closer than 500 mm.
        people: Number of true people over all frames.
    """

    actors: tuple[float, ...]
    parts: dict[str, float]
    recall: float
    people: int

    def mean(self, first: int = 3) -> float:
        """Mean over the first actors, as published: a fourth is left out. NaN if none of them appears."""
        some = [share for share in self.actors[:first] if np.isfinite(share)]
        return float(np.mean(some)) if some else float("nan")


def to_shelf14(xyz_mm: F64, skeleton: Skeleton, head: Head = "shelf") -> F64:
    """Joints (..., K, 3) of COCO-17 or Panoptic-15 as the 14 of Shelf (..., 14, 3), z up.

    Args:
        xyz_mm: World points.
        skeleton: Of the input.
        head: "shelf" is VoxelPose's estimate of the head's ends for Shelf, "plain" the one for Campus. Papers differ:
            report both on Campus. Where an ear is missing the nose stands for the middle of the ears, as it always
            does in Panoptic-15.

    Raises:
        CoreError: Another skeleton.
    """
    if skeleton.name == SHELF14.name:
        return xyz_mm
    if skeleton.name not in (COCO17.name, PANOPTIC15.name):
        raise CoreError(f"{skeleton.name} has no rule for the joints of Shelf.", "Use COCO-17 or Panoptic-15.")

    def at(name: str) -> F64:
        return np.asarray(xyz_mm[..., skeleton.index(name), :])

    order = ("ankle", "knee", "hip")
    body = [at(f"right_{j}") for j in order] + [at(f"left_{j}") for j in reversed(order)]
    order = ("wrist", "elbow", "shoulder")
    body += [at(f"right_{j}") for j in order] + [at(f"left_{j}") for j in reversed(order)]
    middle, nose = (at("left_shoulder") + at("right_shoulder")) / 2, at("nose")
    centre = nose
    if skeleton.name == COCO17.name:
        ears = (at("left_ear") + at("right_ear")) / 2
        centre = np.where(np.isfinite(ears), ears, nose)
    bottom = (middle + centre) / 2
    top = 2 * centre - bottom
    if head == "shelf":
        bottom, top = (
            0.75 * (middle + 0.5 * (nose - middle)) + 0.25 * bottom,
            0.75 * (middle + (nose - middle) * np.array([0.75, 0.75, 1.5])) + 0.25 * top,
        )
    return np.stack([*body, bottom, top], axis=-2)


def part_score(predicted_mm: F64, truth_mm: F64) -> PartScore:
    """PCP3D of predictions against actors.

    A true person takes the prediction whose 14 joints are nearest on average; several may take the same one. A part is
    right when its ends are off by no more than half its length on average. A frame in which nobody was predicted counts
    as wrong throughout. A joint that was not predicted makes its parts wrong, and is counted as 500 mm off where the
    nearest person is chosen.

    Args:
        predicted_mm: (T, P, 14, 3), NaN where missing.
        truth_mm: (T, A, 14, 3), NaN where an actor is absent. Parts without truth do not count.

    Raises:
        CoreError: Not as many frames in both.
    """
    if len(predicted_mm) != len(truth_mm):
        raise CoreError(
            f"There are {len(predicted_mm)} predicted and {len(truth_mm)} true frames.", "Compare the same frames."
        )
    real: np.ndarray = np.asarray(np.isfinite(truth_mm).all(-1))  # (T, A, J)
    present = real.any(-1)
    nearest, reached = _nearest(predicted_mm, truth_mm)
    right, counted = _parts(nearest, truth_mm)  # (T, A, 10)
    of = np.array(_PART_OF)
    people = int(present.sum())
    return PartScore(
        actors=tuple(_share(right[:, a], counted[:, a]) for a in range(truth_mm.shape[1])),
        parts={name: _share(right[..., of == kind], counted[..., of == kind]) for kind, name in enumerate(PARTS)},
        recall=float((reached & present).sum() / people) if people else float("nan"),
        people=people,
    )


def _nearest(predicted_mm: F64, truth_mm: F64) -> tuple[F64, np.ndarray]:
    """The prediction nearest to each actor (T, A, 14, 3), NaN without any, and whether it is in reach (T, A)."""
    if not predicted_mm.shape[1]:
        return np.full_like(truth_mm, np.nan), np.zeros(truth_mm.shape[:2], bool)
    apart = np.linalg.norm(predicted_mm[:, None] - truth_mm[:, :, None], axis=-1)  # (T, A, P, J)
    there = np.asarray(np.isfinite(predicted_mm).all(-1).any(-1))[:, None]  # (T, 1, P)
    asked = np.asarray(np.isfinite(truth_mm).all(-1))[:, :, None]
    far = np.where(asked, np.where(np.isfinite(apart), apart, REACH_MM), 0.0)
    mean = np.where(there, far.sum(-1) / np.maximum(asked.sum(-1), 1), np.inf)
    chosen = mean.argmin(-1)
    picked = predicted_mm[np.arange(len(chosen))[:, None], chosen]
    return picked, np.asarray(mean.min(-1) < REACH_MM)


def _parts(found: F64, exact: F64) -> tuple[np.ndarray, np.ndarray]:
    """Which of the ten parts of joints (..., 14, 3) are right, and which count, both (..., 10)."""
    start, end = ([limb[i] for limb in LIMBS] for i in (0, 1))
    hips = list(_HIPS)

    def ends(xyz: F64) -> F64:
        """(..., 10, 2, 3), the torso last."""
        torso = np.stack([xyz[..., hips, :].mean(-2), xyz[..., _NECK, :]], -2)
        limbs = np.stack([xyz[..., start, :], xyz[..., end, :]], -2)
        return np.concatenate([limbs, torso[..., None, :, :]], -3)

    ours, theirs = ends(found), ends(exact)
    length = np.linalg.norm(theirs[..., 0, :] - theirs[..., 1, :], axis=-1)
    error = np.linalg.norm(ours - theirs, axis=-1).mean(-1)
    return np.asarray(error <= length / 2), np.asarray(np.isfinite(length))


def _share(right: np.ndarray, counted: np.ndarray) -> float:
    return float(right[counted].sum() / counted.sum()) if counted.any() else float("nan")
