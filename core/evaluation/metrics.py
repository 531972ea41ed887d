"""3D errors against exact truth, by the protocol of CMU Panoptic as multi-person papers use it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64, I64
from core.types.pose3d import Pose3DSequence

AP_MM = (25, 50, 75, 100, 125, 150)
REACH_MM = 500.0
"""Within this mean error a prediction is of a person at all."""
_TINY = 1e-5  # The official evaluation divides by the number of people plus this.


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How a sequence compares with the truth.

    Attributes:
        mpjpe_mm: Mean joint error of the people who were found: their most confident prediction closer than 500 mm,
            over the joints that it has. NaN if none.
        covered: Mean share of the found people's visible joints that this prediction has; NaN if none. The published
            networks always predict all of them.
        ap: Average precision by threshold of the mean joint error, mm.
        recall: Share of true people with a prediction closer than 500 mm.
        predictions: Number of predicted people over all frames.
        people: Number of true people over all frames.
    """

    mpjpe_mm: float
    covered: float
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

    Every prediction is compared with the true person nearest to it, over the joints that both have; several may name
    the same one, of which the most confident counts (VoxelPose, ECCV 2020, section 4; the official Panoptic
    evaluation). The confidence of a person is the mean score of their joints.

    Raises:
        CoreError: Different joint sets or numbers of frames.
    """
    _comparable(predicted, truth)
    return _accuracy(predicted.xyz_mm, predicted.score, truth.xyz_mm)


def root_accuracy(predicted: Pose3DSequence, truth: Pose3DSequence) -> Accuracy:
    """As `accuracy`, of the root joint alone: whether people are where they are said to be.

    The confidence is still that of the whole person. A person whose root was not predicted is far from everybody.

    Raises:
        CoreError: As `accuracy`, or joints without a root.
    """
    _comparable(predicted, truth)
    root = truth.skeleton.root
    if root is None:
        raise CoreError(f"{truth.skeleton.name} has no root joint.", "Convert the joints to Panoptic-15 first.")
    one = slice(root, root + 1)
    return _accuracy(predicted.xyz_mm[:, :, one], predicted.score, truth.xyz_mm[:, :, one], predicted.present)


def _comparable(predicted: Pose3DSequence, truth: Pose3DSequence) -> None:
    if predicted.skeleton.name != truth.skeleton.name or len(predicted.time_s) != len(truth.time_s):
        raise CoreError(
            f"{predicted.skeleton.name} over {len(predicted.time_s)} frames cannot be compared with "
            f"{truth.skeleton.name} over {len(truth.time_s)}.",
            "Convert the joints first and use the same frames.",
        )


def _accuracy(predicted_mm: F64, joint_score: F64, truth_mm: F64, present: np.ndarray | None = None) -> Accuracy:
    """Of points (T, P, J, 3) and (T, Q, J, 3), NaN where missing; `joint_score` (T, P, any)."""
    real = np.asarray(np.isfinite(truth_mm).all(-1).any(-1))
    people = int(real.sum())
    there = np.asarray(np.isfinite(predicted_mm).all(-1).any(-1)) if present is None else present
    error, score, target, covered = _records(predicted_mm, joint_score, truth_mm, there)
    order = np.argsort(-score, kind="stable")
    error, target, covered = error[order], target[order], covered[order]
    found = error < REACH_MM
    first = np.zeros(len(error), bool)
    first[np.flatnonzero(found)[np.unique(target[found], return_index=True)[1]]] = True
    return Accuracy(
        mpjpe_mm=float(error[first].mean()) if first.any() else float("nan"),
        covered=float(covered[first].mean()) if first.any() else float("nan"),
        ap={t: _average_precision(error, target, t, people) for t in AP_MM},
        recall=float(first.sum() / people) if people else float("nan"),
        predictions=len(error),
        people=people,
    )


def _records(predicted_mm: F64, joint_score: F64, truth_mm: F64, there: np.ndarray) -> tuple[F64, F64, I64, F64]:
    """Of every prediction: its error against the nearest true person, its score, that person's number, joints shared.

    The last is the share of the true person's visible joints that the prediction has.
    """
    t, p = np.nonzero(there)
    n_true = truth_mm.shape[1]
    if not n_true:
        return np.full(len(t), np.inf), np.zeros(len(t)), np.full(len(t), -1, np.int64), np.zeros(len(t))
    apart = np.linalg.norm(predicted_mm[t, p][:, None] - truth_mm[t], axis=-1)  # (N, Q, J)
    known = np.isfinite(apart)
    mean = np.where(known, apart, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    mean = np.where(known.any(-1), mean, np.inf)
    nearest, n = mean.argmin(-1), np.arange(len(t))
    visible = np.isfinite(truth_mm[t, nearest]).all(-1).sum(-1)
    joints = joint_score[t, p]
    score = joints.sum(-1) / np.maximum((joints > 0).sum(-1), 1)
    return mean[n, nearest], score, t * n_true + nearest, known[n, nearest].sum(-1) / np.maximum(visible, 1)


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
    recall = found / (people + _TINY)
    return float((np.diff(recall, prepend=0.0) * envelope).sum())
