"""Errors of methods against a user's truth, with people matched frame by frame.

Letters in shapes: F frame, P person, Q true person, J joint, B block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.evaluation.compare import PairedDifference, blocks_of_time, paired_means
from core.evaluation.metrics import MATCH_MM
from core.evaluation.truth.fit import match_true_people
from core.evaluation.verdict import Reason, decide
from core.types.arrays import F64

PCK_MM = (50, 100, 150)
_LIMBS = (
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("hip", "knee"),
    ("knee", "ankle"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TruthErrors:
    """Errors of one method.

    Attributes:
        error_mm: (F, Q, J) distances to the true joints of the matched people, NaN where there is no truth or no
            prediction.
        true: (F, Q, J) bool, joints with a truth that the joint set of the method has.
        matched: (F, Q) bool, true people with a prediction.
        predictions: (F,) number of predicted people in frames with a truth.
    """

    error_mm: F64
    true: np.ndarray
    matched: np.ndarray
    predictions: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthMetrics:
    """Agreement of a method with the truth. NaN where there is nothing to measure.

    Attributes:
        mpjpe_mm: Mean error of the predicted joints.
        median_mm: Median error of the predicted joints.
        mpjpe_all_mm: Mean error over all true joints, at most 500 mm for a joint, which a missing one has.
        pck: Fraction of all true joints within a distance, by millimetres.
        pcp: Fraction of all true limbs of which both ends are within half the limb's length (PCP strict).
        coverage: Fraction of the true joints that have a prediction.
        recall: Fraction of the true people with a prediction closer than 500 mm in the mean.
        precision: Fraction of the predictions that are matched with a true person.
        joints: Number of true joints.
    """

    mpjpe_mm: float
    median_mm: float
    mpjpe_all_mm: float
    pck: Mapping[int, float]
    pcp: float
    coverage: float
    recall: float
    precision: float
    joints: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthComparison:
    """Comparison of two methods against the truth; see `core.evaluation.verdict.MethodComparison`.

    Attributes:
        better: 0 if the first method is better, 1 if the second, None if neither.
        reason: What decided.
        common: Difference of the mean errors in mm on the joints that both predict.
        overall: Difference of the mean errors in mm over all true joints.
    """

    better: int | None
    reason: Reason
    common: PairedDifference | None
    overall: PairedDifference | None


def truth_errors(predicted: F64, true: F64, has: np.ndarray) -> TruthErrors:
    """Match people and compute the errors of a method.

    Args:
        predicted: (F, P, J, 3) people, NaN where missing.
        true: (F, Q, J, 3) true people in the same coordinates, NaN where missing.
        has: (J,) bool, joints that the joint set of the method has.
    """
    truth = np.isfinite(true).all(-1) & has
    person = np.stack(
        [match_true_people(p, t) for p, t in zip(predicted, np.where(has[:, None], true, np.nan), strict=True)]
    )
    if predicted.shape[1]:
        taken = np.take_along_axis(predicted, np.maximum(person, 0)[..., None, None], axis=1)
        error = np.where((person >= 0)[..., None] & truth, np.linalg.norm(taken - true, axis=-1), np.nan)
    else:
        error = np.full(truth.shape, np.nan)
    present = np.isfinite(predicted).all(-1).any(-1)
    return TruthErrors(
        error_mm=error,
        true=truth,
        matched=(person >= 0) & truth.any(-1),
        predictions=np.where(truth.any((1, 2)), present.sum(1), 0),
    )


def truth_metrics(errors: TruthErrors, joints: tuple[str, ...], true: F64, used: np.ndarray) -> TruthMetrics:
    """Summarise the errors of a method.

    Args:
        errors: Errors of the method.
        joints: J names.
        true: (F, Q, J, 3) true people, for the lengths of limbs.
        used: (F,) bool, frames that count.
    """
    truth, error = errors.true[used], errors.error_mm[used]
    values = error[truth]
    known = values[np.isfinite(values)]
    capped = np.minimum(np.where(np.isfinite(values), values, MATCH_MM), MATCH_MM)
    people = truth.any(-1).sum()
    predictions = errors.predictions[used].sum()
    return TruthMetrics(
        mpjpe_mm=_mean(known),
        median_mm=float(np.median(known)) if len(known) else np.nan,
        mpjpe_all_mm=_mean(capped),
        pck={mm: _mean(values <= mm) for mm in PCK_MM},
        pcp=_pcp(error, truth, true[used], joints),
        coverage=_mean(np.isfinite(values)),
        recall=float(errors.matched[used].sum() / people) if people else np.nan,
        precision=float(errors.matched[used].sum() / predictions) if predictions else np.nan,
        joints=len(values),
    )


def compare_with_truth(first: TruthErrors, second: TruthErrors, time_s: F64, used: np.ndarray) -> TruthComparison:
    """Compare two methods on the joints that both predict, on all true joints, and by their coverage.

    Args:
        first: Errors of a method.
        second: Errors of the other.
        time_s: (F,) times of the frames.
        used: (F,) bool, frames that count.
    """
    frames = np.flatnonzero(used)
    block = blocks_of_time(frames, time_s[frames])
    truth = first.true[used] & second.true[used]
    a, b = first.error_mm[used], second.error_mm[used]
    both = truth & np.isfinite(a) & np.isfinite(b)
    blocks = np.broadcast_to(block[:, None, None], truth.shape)
    capped = [np.minimum(np.where(np.isfinite(e), e, MATCH_MM), MATCH_MM) for e in (a, b)]
    common = paired_means((a - b)[both], blocks[both])
    overall = paired_means((capped[0] - capped[1])[truth], blocks[truth])
    coverage = [_mean(np.isfinite(e[truth])) for e in (a, b)]
    better, reason = decide(common, overall, coverage[0] - coverage[1])
    return TruthComparison(better=better, reason=reason, common=common, overall=overall)


def _pcp(error: F64, truth: np.ndarray, true: F64, joints: tuple[str, ...]) -> float:
    right = []
    for side in ("left", "right"):
        for ends in _LIMBS:
            names = [f"{side}_{end}" for end in ends]
            if not set(names) <= set(joints):
                continue
            a, b = (joints.index(name) for name in names)
            exists = truth[..., a] & truth[..., b]
            half = np.linalg.norm(true[..., a, :] - true[..., b, :], axis=-1) / 2
            right.append(((error[..., a] <= half) & (error[..., b] <= half))[exists])
    return _mean(np.concatenate(right)) if right else np.nan


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan
