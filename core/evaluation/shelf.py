"""Percentage of correct parts in 3D: the protocol of the Shelf and Campus data sets.

Legend: T frame, A actor, P predicted person, J the 14 joints of Shelf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64
from core.types.skeleton import COCO17, PANOPTIC15, Skeleton

LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (12, 13))
"""Shanks, thighs, forearms, upper arms, head, as pairs of the 14 joints."""
_HIPS, _NECK = (2, 3), 12
_REACH_MM = 500.0
Head = Literal["shelf", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScore:
    """How many parts are right.

    Attributes:
        actors: Share of correct parts of each actor, in 0..1; NaN for one who never appears.
        recall: Share of true people with a prediction closer than 500 mm.
        people: Number of true people over all frames.
    """

    actors: tuple[float, ...]
    recall: float
    people: int

    def mean(self, first: int = 3) -> float:
        """Mean over the first actors, as published: a fourth is left out."""
        return float(np.nanmean(self.actors[:first]))


def to_shelf14(xyz_mm: F64, skeleton: Skeleton, head: Head = "shelf") -> F64:
    """Joints (..., K, 3) of COCO-17 or Panoptic-15 as the 14 of Shelf (..., 14, 3), z up.

    Args:
        xyz_mm: World points.
        skeleton: Of the input.
        head: "shelf" is VoxelPose's estimate of the head's ends for Shelf, "plain" the one for Campus. Papers differ:
            report both on Campus.

    Raises:
        CoreError: Another skeleton.
    """
    if skeleton.name not in (COCO17.name, PANOPTIC15.name):
        raise CoreError(f"{skeleton.name} has no rule for the joints of Shelf.", "Use COCO-17 or Panoptic-15.")

    def at(name: str) -> F64:
        return np.asarray(xyz_mm[..., skeleton.index(name), :])

    order = ("ankle", "knee", "hip")
    body = [at(f"right_{j}") for j in order] + [at(f"left_{j}") for j in reversed(order)]
    order = ("wrist", "elbow", "shoulder")
    body += [at(f"right_{j}") for j in order] + [at(f"left_{j}") for j in reversed(order)]
    middle, nose = (at("left_shoulder") + at("right_shoulder")) / 2, at("nose")
    centre = (at("left_ear") + at("right_ear")) / 2 if skeleton.name == COCO17.name else nose
    bottom = (middle + centre) / 2
    top = 2 * centre - bottom
    if head == "shelf":
        bottom, top = (
            0.75 * (middle + 0.5 * (nose - middle)) + 0.25 * bottom,
            0.75 * (middle + (nose - middle) * np.array([0.75, 0.75, 1.5])) + 0.25 * top,
        )
    return np.stack([*body, bottom, top], axis=-2)


def part_score(predicted_mm: Sequence[F64], truth_mm: F64) -> PartScore:
    """PCP3D of predictions against actors.

    A true person takes the prediction whose 14 joints are nearest on average; several may take the same one. A part is
    right when its ends are off by no more than half its length on average. A frame in which nobody was predicted counts
    as wrong throughout.

    Args:
        predicted_mm: T frames of (P, 14, 3), P from 0 on.
        truth_mm: (T, A, 14, 3), NaN where an actor is absent.

    Raises:
        CoreError: Not as many frames in both.
    """
    if len(predicted_mm) != len(truth_mm):
        raise CoreError(
            f"There are {len(predicted_mm)} predicted and {len(truth_mm)} true frames.", "Compare the same frames."
        )
    present: np.ndarray = np.asarray(np.isfinite(truth_mm).all((-2, -1)))  # (T, A)
    right, parts = np.zeros(truth_mm.shape[1]), len(LIMBS) + 1
    reached = 0
    for t, people in enumerate(predicted_mm):  # frames hold different numbers of people
        for actor in np.flatnonzero(present[t]):
            exact = truth_mm[t, actor]
            apart = np.linalg.norm(people - exact, axis=-1).mean(-1) if len(people) else np.array([])
            if not len(apart) or not np.isfinite(apart).any():
                continue
            nearest = int(np.nanargmin(apart))
            reached += bool(apart[nearest] < _REACH_MM)
            right[actor] += _correct_parts(people[nearest], exact)
    total = parts * present.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = right / total
    people_count = int(present.sum())
    return PartScore(
        actors=tuple(float(s) for s in share),
        recall=reached / people_count if people_count else float("nan"),
        people=people_count,
    )


def _correct_parts(found: F64, exact: F64) -> int:
    """Number of the ten parts of (14, 3) joints that are right."""
    starts, ends = (np.array([limb[i] for limb in LIMBS]) for i in (0, 1))
    error = (np.linalg.norm(found - exact, axis=-1)[starts] + np.linalg.norm(found - exact, axis=-1)[ends]) / 2
    length = np.linalg.norm(exact[starts] - exact[ends], axis=-1)
    middle = list(_HIPS)
    torso_error = np.linalg.norm(found[middle].mean(0) - exact[middle].mean(0)) + np.linalg.norm(
        found[_NECK] - exact[_NECK]
    )
    torso = np.linalg.norm(exact[middle].mean(0) - exact[_NECK])
    return int((error <= length / 2).sum() + (torso_error / 2 <= torso / 2))
