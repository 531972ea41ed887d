"""Percentage of correct parts in 3D (PCP3D): the protocol of the Shelf and Campus data sets.

Belagiannis et al., 3D Pictorial Structures for Multiple Human Pose Estimation, CVPR 2014. Details follow the evaluation
that VoxelPose (ECCV 2020) published.

Letters in shapes: T time, A actor, P predicted person, J the 14 joints of Shelf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.evaluation.metrics import MATCH_MM
from core.types.arrays import F64
from core.types.skeleton import SHELF14, Skeleton

LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (12, 13))
"""Shanks, thighs, forearms, upper arms and head, as pairs of the 14 joints."""
_HIPS, _NECK = (2, 3), 12
PARTS = ("shanks", "thighs", "forearms", "upper arms", "head", "torso")
_PART_OF = (0, 1, 1, 0, 2, 3, 3, 2, 4, 5)
"""Index in PARTS of each limb, and of the torso."""
_LIMB_JOINTS = ("ankle", "knee", "hip"), ("wrist", "elbow", "shoulder")
Head = Literal["shelf", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PcpScore:
    """Fractions of correct parts.

    Attributes:
        actors: Fraction of correct parts per actor, in 0..1; NaN for actors who never appear.
        parts: Fraction of correct parts over all actors, by kind of part; NaN where there is none.
        recall: Fraction of true people with a prediction closer than 500 mm.
        people: Number of true people over all frames.
    """

    actors: tuple[float, ...]
    parts: dict[str, float]
    recall: float
    people: int

    def mean(self, first: int = 3) -> float:
        """Return the mean over the first actors, as published without the fourth; NaN if none of them appears."""
        present = [fraction for fraction in self.actors[:first] if np.isfinite(fraction)]
        return float(np.mean(present)) if present else float("nan")


def to_shelf14(xyz_mm: F64, skeleton: Skeleton, head: Head = "shelf") -> F64:
    """Convert joints to the 14 of Shelf.

    Args:
        xyz_mm: (..., J, 3) world points, z up.
        skeleton: Skeleton of the input, with limbs and nose, such as COCO-17 or Panoptic-15.
        head: "shelf" derives the ends of the head as VoxelPose does for Shelf, "plain" as it does for Campus. Papers
            differ, so report both on Campus. If an ear is missing, the nose replaces the centre of the ears.

    Returns:
        (..., 14, 3) joints in mm.

    Raises:
        CoreError: The skeleton lacks a joint.
    """
    if skeleton.name == SHELF14.name:
        return xyz_mm
    body_joints = [
        f"{side}_{joint}"
        for limb in _LIMB_JOINTS
        for side, joints in (("right", limb), ("left", limb[::-1]))
        for joint in joints
    ]
    missing = [name for name in (*body_joints, "nose") if not skeleton.has(name)]
    if missing:
        raise CoreError(
            f"{skeleton.name} cannot be converted to the joints of Shelf: it has no {missing[0].replace('_', ' ')}.",
            "Use COCO-17 or Panoptic-15.",
        )

    def at(name: str) -> F64:
        return np.asarray(xyz_mm[..., skeleton.index(name), :])

    body = [at(name) for name in body_joints]
    middle, nose = (at("left_shoulder") + at("right_shoulder")) / 2, at("nose")
    centre = nose
    if skeleton.has("left_ear", "right_ear"):
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


def pcp3d(predicted_mm: F64, truth_mm: F64) -> PcpScore:
    """Compute PCP3D of predictions against actors.

    Each actor is compared with the prediction of the smallest mean error over the 14 joints; several actors may share
    one. A part is correct if the mean error of its two ends is at most half its length. Frames without predictions
    count as missed. A missing joint makes its parts incorrect, and has an error of 500 mm in the choice of the
    nearest prediction.

    Args:
        predicted_mm: (T, P, 14, 3) predictions, NaN where missing.
        truth_mm: (T, A, 14, 3) ground truth, NaN where an actor is absent. Parts without ground truth are ignored.

    Raises:
        CoreError: The numbers of frames differ.
    """
    if len(predicted_mm) != len(truth_mm):
        raise CoreError(
            f"There are {len(predicted_mm)} predicted and {len(truth_mm)} true frames.", "Compare the same frames."
        )
    present = np.asarray(np.isfinite(truth_mm).all(-1).any(-1))  # (T, A)
    nearest, matched = _nearest(predicted_mm, truth_mm)
    correct, counted = _correct_parts(nearest, truth_mm)  # (T, A, 10)
    kind_of = np.array(_PART_OF)
    people = int(present.sum())
    return PcpScore(
        actors=tuple(_fraction(correct[:, a], counted[:, a]) for a in range(truth_mm.shape[1])),
        parts={
            name: _fraction(correct[..., kind_of == kind], counted[..., kind_of == kind])
            for kind, name in enumerate(PARTS)
        },
        recall=float((matched & present).sum() / people) if people else float("nan"),
        people=people,
    )


def _nearest(predicted_mm: F64, truth_mm: F64) -> tuple[F64, np.ndarray]:
    """Return the nearest prediction to each actor (T, A, 14, 3), NaN without any, and matches within 500 mm (T, A)."""
    if not predicted_mm.shape[1]:
        return np.full_like(truth_mm, np.nan), np.zeros(truth_mm.shape[:2], bool)
    distance = np.linalg.norm(predicted_mm[:, None] - truth_mm[:, :, None], axis=-1)  # (T, A, P, J)
    predicted = np.asarray(np.isfinite(predicted_mm).all(-1).any(-1))[:, None]  # (T, 1, P)
    annotated = np.asarray(np.isfinite(truth_mm).all(-1))[:, :, None]
    distance = np.where(annotated, np.where(np.isfinite(distance), distance, MATCH_MM), 0.0)
    mean = np.where(predicted, distance.sum(-1) / np.maximum(annotated.sum(-1), 1), np.inf)
    chosen = mean.argmin(-1)
    picked = predicted_mm[np.arange(len(chosen))[:, None], chosen]
    return picked, np.asarray(mean.min(-1) < MATCH_MM)


def _correct_parts(predicted: F64, truth: F64) -> tuple[np.ndarray, np.ndarray]:
    """Return masks (..., 10) of the correct parts, and of the parts with ground truth, of joints (..., 14, 3)."""
    start, end = ([limb[i] for limb in LIMBS] for i in (0, 1))
    hips = list(_HIPS)

    def ends(xyz: F64) -> F64:
        """Return the ends of the parts (..., 10, 2, 3), the torso last."""
        torso = np.stack([xyz[..., hips, :].mean(-2), xyz[..., _NECK, :]], -2)
        limbs = np.stack([xyz[..., start, :], xyz[..., end, :]], -2)
        return np.concatenate([limbs, torso[..., None, :, :]], -3)

    predicted_ends, true_ends = ends(predicted), ends(truth)
    length = np.linalg.norm(true_ends[..., 0, :] - true_ends[..., 1, :], axis=-1)
    error = np.linalg.norm(predicted_ends - true_ends, axis=-1).mean(-1)
    return np.asarray(error <= length / 2), np.asarray(np.isfinite(length))


def _fraction(correct: np.ndarray, counted: np.ndarray) -> float:
    return float(correct[counted].sum() / counted.sum()) if counted.any() else float("nan")
