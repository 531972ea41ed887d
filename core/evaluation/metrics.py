"""3D pose metrics against ground truth, by the multi-person protocol of CMU Panoptic (VoxelPose, ECCV 2020).

Letters in shapes: T time, P predicted person, Q true person, J joint, N prediction of all frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64, I64
from core.types.pose3d import Pose3DSequence

AP_MM = (25, 50, 75, 100, 125, 150)
MATCH_MM = 500.0
"""Mean joint error below which a prediction is matched to a true person."""
_TINY = 1e-5  # The official evaluation divides by the number of people plus this.


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseMetrics:
    """Agreement of a sequence with ground truth.

    Attributes:
        mpjpe_mm: Mean per-joint position error in mm of the matched predictions, over their joints; NaN without
            matches. The match of a person is the most confident prediction closer than 500 mm.
        joint_coverage: Mean fraction of the visible joints of matched people that the prediction contains; NaN without
            matches. Published networks always predict all joints.
        ap: Average precision by threshold of the mean joint error in mm.
        recall: Fraction of true people with a prediction closer than 500 mm.
        predictions: Number of predicted people over all frames.
        people: Number of true people over all frames.
    """

    mpjpe_mm: float
    joint_coverage: float
    ap: dict[int, float]
    recall: float
    predictions: int
    people: int

    @property
    def mean_ap(self) -> float:
        """Mean of `ap` over the thresholds."""
        return float(np.mean(list(self.ap.values())))


def pose_metrics(predicted: Pose3DSequence, truth: Pose3DSequence) -> PoseMetrics:
    """Compare people frame by frame, regardless of identity.

    Each prediction is compared with the nearest true person, over the joints that both have. Of several predictions for
    one person, the most confident counts (Tu, Wang and Zeng, VoxelPose, ECCV 2020, section 4, and their published
    evaluation). The confidence of a person is the mean score of the joints present.

    Raises:
        CoreError: Skeletons or numbers of frames differ.
    """
    _check_comparable(predicted, truth)
    return _pose_metrics(predicted.xyz_mm, predicted.score, truth.xyz_mm)


def root_metrics(predicted: Pose3DSequence, truth: Pose3DSequence) -> PoseMetrics:
    """Compare the root joints only, for the accuracy of localisation.

    The confidence is that of all joints of the person. A prediction without a root matches no one.

    Raises:
        CoreError: Skeletons or numbers of frames differ, or the skeleton has no root.
    """
    _check_comparable(predicted, truth)
    root = truth.skeleton.root
    if root is None:
        raise CoreError(f"{truth.skeleton.name} has no root joint.", "Convert the joints to Panoptic-15 first.")
    only = slice(root, root + 1)
    return _pose_metrics(predicted.xyz_mm[:, :, only], predicted.score, truth.xyz_mm[:, :, only], predicted.present)


def _check_comparable(predicted: Pose3DSequence, truth: Pose3DSequence) -> None:
    if predicted.skeleton.name != truth.skeleton.name or len(predicted.time_s) != len(truth.time_s):
        raise CoreError(
            f"{predicted.skeleton.name} over {len(predicted.time_s)} frames cannot be compared with "
            f"{truth.skeleton.name} over {len(truth.time_s)}.",
            "Convert the joints first and use the same frames.",
        )


def _pose_metrics(predicted_mm: F64, joint_score: F64, truth_mm: F64, present: np.ndarray | None = None) -> PoseMetrics:
    """Compare points (T, P, J, 3) and (T, Q, J, 3), NaN where missing; `joint_score` is (T, P, any)."""
    true_present = np.asarray(np.isfinite(truth_mm).all(-1).any(-1))
    people = int(true_present.sum())
    present = np.asarray(np.isfinite(predicted_mm).all(-1).any(-1)) if present is None else present
    error, score, target, joint_coverage = _nearest_truth(predicted_mm, joint_score, truth_mm, present)
    order = np.argsort(-score, kind="stable")
    error, target, joint_coverage = error[order], target[order], joint_coverage[order]
    matched = _first_hits(error, target, MATCH_MM)
    return PoseMetrics(
        mpjpe_mm=float(error[matched].mean()) if matched.any() else float("nan"),
        joint_coverage=float(joint_coverage[matched].mean()) if matched.any() else float("nan"),
        ap={t: _average_precision(error, target, t, people) for t in AP_MM},
        recall=float(matched.sum() / people) if people else float("nan"),
        predictions=len(error),
        people=people,
    )


def _nearest_truth(
    predicted_mm: F64, joint_score: F64, truth_mm: F64, present: np.ndarray
) -> tuple[F64, F64, I64, F64]:
    """Match every prediction with the nearest true person.

    Returns:
        Errors (N,) mm, scores (N,), indices of the true people over all frames (N,), and the fraction (N,) of the true
        person's visible joints that the prediction has.
    """
    t, p = np.nonzero(present)
    n_true = truth_mm.shape[1]
    if not n_true:
        return np.full(len(t), np.inf), np.zeros(len(t)), np.full(len(t), -1, np.int64), np.zeros(len(t))
    distance = np.linalg.norm(predicted_mm[t, p][:, None] - truth_mm[t], axis=-1)  # (N, Q, J)
    known = np.isfinite(distance)
    mean = np.where(known, distance, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    mean = np.where(known.any(-1), mean, np.inf)
    nearest, n = mean.argmin(-1), np.arange(len(t))
    visible = np.isfinite(truth_mm[t, nearest]).all(-1).sum(-1)
    joints = joint_score[t, p]
    score = joints.sum(-1) / np.maximum((joints > 0).sum(-1), 1)
    return mean[n, nearest], score, t * n_true + nearest, known[n, nearest].sum(-1) / np.maximum(visible, 1)


def _first_hits(error: F64, target: I64, threshold_mm: float) -> np.ndarray:
    """Return the mask (N,) of predictions below the threshold that are the first for their true person."""
    hits = np.zeros(len(error), bool)
    close = np.flatnonzero(error < threshold_mm)
    hits[close[np.unique(target[close], return_index=True)[1]]] = True
    return hits


def _average_precision(error: F64, target: I64, threshold_mm: float, people: int) -> float:
    """Return the area under the precision envelope of predictions in descending order of confidence."""
    if not people or not len(error):
        return 0.0
    true_positives = np.cumsum(_first_hits(error, target, threshold_mm))
    precision = true_positives / np.arange(1, len(error) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    recall = true_positives / (people + _TINY)
    return float((np.diff(recall, prepend=0.0) * envelope).sum())
