"""3D errors against exact truth, by the protocol of CMU Panoptic as multi-person papers use it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64, I64
from core.types.pose3d import Pose3DSequence

AP_MM = (25, 50, 75, 100, 125, 150)
_REACH_MM = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How a sequence compares with the truth.

    Attributes:
        mpjpe_mm: Mean joint error of the people who were found: one prediction each, closer than 500 mm. NaN if none.
        ap: Average precision by threshold of the mean joint error, mm.
        recall: Share of true people with a prediction closer than 500 mm.
        predictions: Number of predicted people over all frames.
        people: Number of true people over all frames.
    """

    mpjpe_mm: float
    ap: dict[int, float]
    recall: float
    predictions: int
    people: int

    @property
    def mean_ap(self) -> float:
        """Mean of `ap` over the thresholds."""
        return float(np.mean(list(self.ap.values())))


def accuracy(predicted: Pose3DSequence, truth: Pose3DSequence) -> Accuracy:
    """Compares frame by frame, without regard to identity.

    Every prediction is compared with the true person nearest to it; several may name the same one, of which the most
    confident counts (VoxelPose, ECCV 2020, section 4; the official Panoptic evaluation). The confidence of a person is
    the mean score of their joints.

    Raises:
        CoreError: Different joint sets or numbers of frames.
    """
    if predicted.skeleton.name != truth.skeleton.name or len(predicted.time_s) != len(truth.time_s):
        raise CoreError(
            f"{predicted.skeleton.name} over {len(predicted.time_s)} frames cannot be compared with "
            f"{truth.skeleton.name} over {len(truth.time_s)}.",
            "Convert the joints first and use the same frames.",
        )
    error, score, target = _records(predicted, truth)
    people = int(truth.present.sum())
    order = np.argsort(-score, kind="stable")
    error, target = error[order], target[order]
    found = error < _REACH_MM
    first = np.zeros(len(error), bool)
    first[np.flatnonzero(found)[np.unique(target[found], return_index=True)[1]]] = True
    return Accuracy(
        mpjpe_mm=float(error[first].mean()) if first.any() else float("nan"),
        ap={t: _average_precision(error, target, t, people) for t in AP_MM},
        recall=float(first.sum() / people) if people else float("nan"),
        predictions=len(error),
        people=people,
    )


def _records(predicted: Pose3DSequence, truth: Pose3DSequence) -> tuple[F64, F64, I64]:
    """Of every prediction: its error against the nearest true person, its score, and that person's number."""
    apart = np.linalg.norm(predicted.xyz_mm[:, :, None] - truth.xyz_mm[:, None], axis=-1)  # (T, P, Q, J)
    known = np.isfinite(apart)
    mean = np.where(known, apart, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    mean = np.where(known.any(-1), mean, np.inf)
    t, p = np.nonzero(predicted.present)
    n_true = truth.present.shape[1]
    if not n_true:
        return np.full(len(t), np.inf), np.zeros(len(t)), np.full(len(t), -1, np.int64)
    nearest = mean[t, p].argmin(-1)
    joints = predicted.score[t, p]
    score = joints.sum(-1) / np.maximum((joints > 0).sum(-1), 1)
    return mean[t, p, nearest], score, t * n_true + nearest


def _average_precision(error: F64, target: I64, threshold_mm: float, people: int) -> float:
    """Area under the precision envelope; records in falling order of confidence, each true person counts once."""
    hit = np.zeros(len(error), bool)
    close = np.flatnonzero(error < threshold_mm)
    hit[close[np.unique(target[close], return_index=True)[1]]] = True
    if not people or not len(error):
        return 0.0
    found = np.cumsum(hit)
    precision = found / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    recall = found / people
    return float((np.diff(recall, prepend=0.0) * envelope).sum())
