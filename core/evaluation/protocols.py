"""How 3D people are judged on each public data set: one function a protocol, the same figures as the papers.

A protocol gets predictions and truth of the same frames; a frame without predictions has a row of NaN and counts as
missed. It returns plain figures for a file, and rows for the table beside the published ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import CoreError
from core.evaluation.metrics import AP_MM, Accuracy, accuracy, root_accuracy
from core.evaluation.published import OURS, Row
from core.evaluation.shelf import Head, PartScore, part_score, to_shelf14
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17, PANOPTIC15, convert


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a protocol says.

    Attributes:
        figures: Plain JSON values, percent and mm.
        rows: For the table of the data set.
    """

    figures: Mapping[str, Any]
    rows: tuple[Row, ...]


Protocol = Callable[[Pose3DSequence, Pose3DSequence, str], Judgement]
"""Predictions, truth, and what to call the predictions."""


def panoptic(predicted: Pose3DSequence, truth: Pose3DSequence, name: str) -> Judgement:
    """Average precision, recall and joint error in Panoptic-15 joints, of whole people and of their roots.

    Raises:
        CoreError: Joints from which those of Panoptic cannot be derived, or other frames.
    """
    if predicted.skeleton.name not in (COCO17.name, PANOPTIC15.name):
        raise CoreError(
            f"{predicted.skeleton.name} cannot be turned into Panoptic-15.", "Predict Panoptic-15 or COCO-17 joints."
        )
    xyz, score = convert(predicted.xyz_mm, predicted.score, predicted.skeleton, PANOPTIC15)
    found = dataclasses.replace(predicted, skeleton=PANOPTIC15, xyz_mm=xyz, score=score, covariance_mm2=None)
    whole, root = accuracy(found, truth), root_accuracy(found, truth)
    shown = [100 * whole.ap[t] for t in (25, 50, 100, 150)] + [100 * whole.recall, whole.mpjpe_mm]
    figures = {**_accuracy(whole), "root": _accuracy(root), "joints_predicted": _percent(whole.covered)}
    return Judgement(figures=figures, rows=(Row(kind=OURS, method=name, values=tuple(map(_plain, shown))),))


def shelf(predicted: Pose3DSequence, truth: Pose3DSequence, name: str) -> Judgement:
    """Correct parts of each actor, the head's ends estimated as VoxelPose does for Shelf."""
    score = _part_score(predicted, truth, "shelf")
    return Judgement(figures=_parts(score), rows=(_row(score, name, ""),))


def campus(predicted: Pose3DSequence, truth: Pose3DSequence, name: str) -> Judgement:
    """Correct parts of each actor under both estimates of the head's ends: papers use either, and it matters."""
    plain, as_shelf = (_part_score(predicted, truth, head) for head in ("plain", "shelf"))
    rows = (_row(plain, name, "plain heads, as VoxelPose"), _row(as_shelf, name, "heads as for Shelf, as SelfPose3d"))
    return Judgement(figures={"plain_heads": _parts(plain), "shelf_heads": _parts(as_shelf)}, rows=rows)


PROTOCOLS: Mapping[str, Protocol] = {"panoptic": panoptic, "shelf": shelf, "campus": campus}


def in_a_row(sequences: Sequence[Pose3DSequence]) -> Pose3DSequence:
    """Several sequences as one, to be judged together; columns are no longer people, except in a single one."""
    if len(sequences) == 1:
        return sequences[0]
    names = {s.skeleton.name for s in sequences}
    if len(names) > 1:
        raise CoreError(f"Results in {', '.join(sorted(names))} cannot be judged together.", "Judge them one by one.")
    most = max(len(s.person_ids) for s in sequences)
    xyz = [_widened(s.xyz_mm, most, np.nan) for s in sequences]
    score = [_widened(s.score, most, 0.0) for s in sequences]
    length = sum(map(len, xyz))
    return Pose3DSequence(
        skeleton=sequences[0].skeleton,
        time_s=np.arange(length, dtype=float),
        xyz_mm=np.concatenate(xyz),
        score=np.concatenate(score),
        person_ids=tuple(range(1, most + 1)),
    )


def _widened(values: np.ndarray, people: int, fill: float) -> np.ndarray:
    """Values (T, P, ...) with as many columns as asked for."""
    width = [(0, 0), (0, people - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, width, constant_values=fill)


def _part_score(predicted: Pose3DSequence, truth: Pose3DSequence, head: Head) -> PartScore:
    return part_score(to_shelf14(predicted.xyz_mm, predicted.skeleton, head), truth.xyz_mm)


def _row(score: PartScore, name: str, note: str) -> Row:
    actors = [*score.actors[:3], *[math.nan] * (3 - len(score.actors[:3]))]
    return Row(kind=OURS, method=name, note=note, values=tuple(map(_percent, (*actors, score.mean()))))


def _accuracy(result: Accuracy) -> dict[str, Any]:
    return {
        **{f"ap{t}": _percent(result.ap[t]) for t in AP_MM},
        "map": _percent(result.mean_ap),
        "recall500": _percent(result.recall),
        "mpjpe_mm": _plain(result.mpjpe_mm),
        "predictions": result.predictions,
        "people": result.people,
    }


def _parts(score: PartScore) -> dict[str, Any]:
    return {
        "actors": [_percent(share) for share in score.actors],
        "average": _percent(score.mean()),
        "parts": {name: _percent(share) for name, share in score.parts.items()},
        "recall500": _percent(score.recall),
        "people": score.people,
    }


def _percent(share: float) -> float | None:
    return _plain(100 * share)


def _plain(value: float) -> float | None:
    """JSON knows no NaN."""
    return round(value, 4) if math.isfinite(value) else None
