"""Evaluation protocols of public data sets with the metrics of the papers, one function each.

A protocol takes predictions and ground truth of the same frames, in any skeleton with the necessary joints. Frames
without predictions are NaN and count as missed. The result consists of plain values for a file, and rows for the table
of published results.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import CoreError
from core.evaluation.loco import derivable_joints
from core.evaluation.metrics import AP_MM, PoseMetrics, pose_metrics, root_metrics
from core.evaluation.published import OURS, ResultRow
from core.evaluation.shelf import Head, PcpScore, pcp3d, to_shelf14
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import PANOPTIC15, convert


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolResult:
    """Result of a protocol.

    Attributes:
        metrics: Plain JSON values, in percent and mm.
        rows: Rows for the result table of the data set.
    """

    metrics: Mapping[str, Any]
    rows: tuple[ResultRow, ...]


Protocol = Callable[[Pose3DSequence, Pose3DSequence, str], ProtocolResult]
"""Function of predictions, ground truth, and the name of the predictions."""


def panoptic(predicted: Pose3DSequence, truth: Pose3DSequence, name: str) -> ProtocolResult:
    """Compute AP, recall and MPJPE over Panoptic-15 joints, and over root joints only (VoxelPose, ECCV 2020).

    Raises:
        CoreError: Panoptic-15 cannot be derived from the predicted joints, or the numbers of frames differ.
    """
    source = predicted.skeleton
    missing = [PANOPTIC15.joints[j] for j in np.flatnonzero(~derivable_joints(source, PANOPTIC15))]
    if missing:
        raise CoreError(
            f"{source.name} cannot be converted to Panoptic-15: it has no {missing[0].replace('_', ' ')}.",
            "Predict Panoptic-15 or COCO-17 joints.",
        )
    xyz, score = convert(predicted.xyz_mm, predicted.score, predicted.skeleton, PANOPTIC15)
    converted = dataclasses.replace(predicted, skeleton=PANOPTIC15, xyz_mm=xyz, score=score, covariance_mm2=None)
    whole, root = pose_metrics(converted, truth), root_metrics(converted, truth)
    values = [100 * whole.ap[t] for t in (25, 50, 100, 150)] + [100 * whole.recall, whole.mpjpe_mm]
    metrics = {**_metrics(whole), "root": _metrics(root), "joints_predicted": _percent(whole.joint_coverage)}
    return ProtocolResult(metrics=metrics, rows=(ResultRow(kind=OURS, method=name, values=tuple(map(_plain, values))),))


def shelf(predicted: Pose3DSequence, truth: Pose3DSequence, name: str) -> ProtocolResult:
    """Compute PCP3D of each actor (Belagiannis et al., CVPR 2014), with the head as VoxelPose derives it for Shelf."""
    score = _pcp3d(predicted, truth, "shelf")
    return ProtocolResult(metrics=_pcp_metrics(score), rows=(_row(score, name, ""),))


def campus(predicted: Pose3DSequence, truth: Pose3DSequence, name: str) -> ProtocolResult:
    """Compute PCP3D of each actor with both derivations of the head, because papers use either."""
    plain, as_shelf = (_pcp3d(predicted, truth, head) for head in ("plain", "shelf"))
    rows = (_row(plain, name, "plain heads, as VoxelPose"), _row(as_shelf, name, "heads as for Shelf, as SelfPose3d"))
    return ProtocolResult(
        metrics={"plain_heads": _pcp_metrics(plain), "shelf_heads": _pcp_metrics(as_shelf)}, rows=rows
    )


PROTOCOLS: Mapping[str, Protocol] = {"panoptic": panoptic, "shelf": shelf, "campus": campus}


def concatenate_sequences(sequences: Sequence[Pose3DSequence]) -> Pose3DSequence:
    """Concatenate sequences for a joint evaluation; the columns of several sequences are not identities."""
    if len(sequences) == 1:
        return sequences[0]
    names = {s.skeleton.name for s in sequences}
    if len(names) > 1:
        raise CoreError(
            f"Results in {', '.join(sorted(names))} cannot be evaluated together.", "Evaluate them one by one."
        )
    n_columns = max(len(s.person_ids) for s in sequences)
    xyz = [_pad_people(s.xyz_mm, n_columns, np.nan) for s in sequences]
    score = [_pad_people(s.score, n_columns, 0.0) for s in sequences]
    length = sum(map(len, xyz))
    return Pose3DSequence(
        skeleton=sequences[0].skeleton,
        time_s=np.arange(length, dtype=float),
        xyz_mm=np.concatenate(xyz),
        score=np.concatenate(score),
        person_ids=tuple(range(1, n_columns + 1)),
    )


def _pad_people(values: np.ndarray, n_columns: int, fill: float) -> np.ndarray:
    """Pad values (T, P, ...) to a number of columns."""
    width = [(0, 0), (0, n_columns - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, width, constant_values=fill)


def _pcp3d(predicted: Pose3DSequence, truth: Pose3DSequence, head: Head) -> PcpScore:
    return pcp3d(to_shelf14(predicted.xyz_mm, predicted.skeleton, head), truth.xyz_mm)


def _row(score: PcpScore, name: str, note: str) -> ResultRow:
    actors = [*score.actors[:3], *[math.nan] * (3 - len(score.actors[:3]))]
    return ResultRow(kind=OURS, method=name, note=note, values=tuple(map(_percent, (*actors, score.mean()))))


def _metrics(result: PoseMetrics) -> dict[str, Any]:
    return {
        **{f"ap{t}": _percent(result.ap[t]) for t in AP_MM},
        "map": _percent(result.mean_ap),
        "recall500": _percent(result.recall),
        "mpjpe_mm": _plain(result.mpjpe_mm),
        "predictions": result.predictions,
        "people": result.people,
    }


def _pcp_metrics(score: PcpScore) -> dict[str, Any]:
    return {
        "actors": [_percent(fraction) for fraction in score.actors],
        "average": _percent(score.mean()),
        "parts": {name: _percent(fraction) for name, fraction in score.parts.items()},
        "recall500": _percent(score.recall),
        "people": score.people,
    }


def _percent(fraction: float) -> float | None:
    return _plain(100 * fraction)


def _plain(value: float) -> float | None:
    """Return a rounded number for JSON, None for NaN."""
    return round(value, 4) if math.isfinite(value) else None
