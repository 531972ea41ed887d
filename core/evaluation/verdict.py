"""Verdict on two methods: one sentence on which is better in accuracy and coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.evaluation.compare import (
    PairedDifference,
    common_masks,
    coverage_fraction,
    error_metrics,
    overall_metrics,
    paired_bootstrap,
    paired_overall,
    shared_joints,
)
from core.evaluation.loco import ViewErrors

Reason = Literal["accuracy", "coverage", "mixed", "none", "short"]
"""Reason for a verdict: errors, coverage, a conflict of the two, no significant difference, or too few frames."""
_COVERAGE_DIFFERENCE = 0.03  # Largest deficit in coverage of the better method.
_FAR_FEWER = 0.10  # Smallest difference at which coverage decides.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedErrors:
    """Errors of a method, with its name within a sentence.

    Attributes:
        name: Name within a sentence, such as "the trained networks".
        errors: Leave-one-camera-out errors.
        plural: True if the name is a plural.
    """

    name: str
    errors: ViewErrors
    plural: bool = False

    def says(self, singular: str, plural: str) -> str:
        """Return the name followed by the verb form that agrees with it."""
        return f"{self.name} {plural if self.plural else singular}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodComparison:
    """Comparison of two methods on the joints that both joint sets contain.

    Attributes:
        better: 0 if the first method is better, 1 if the second, None if neither.
        reason: Reason for the verdict.
        common: Difference of the median errors in px on the joints that both predict; None in a short take.
        overall: Difference of the mean errors over all observed joints in percent of the person's size, with the error
            of a missing joint at the gate; None in a short take.
        coverage: Fraction of the observed joints that each method predicts.
    """

    better: Literal[0, 1] | None
    reason: Reason
    common: PairedDifference | None
    overall: PairedDifference | None
    coverage: tuple[float, float]


def compare_methods(first: ViewErrors, second: ViewErrors) -> MethodComparison:
    """Compare two methods on joints that both predict, on all observed joints, and by their coverage.

    A method is better if one of the two errors is significantly smaller, the other is not significantly larger, and its
    coverage is not more than 3 points smaller. If coverage differs by 10 points or more, the method of larger coverage
    is better if its error over all observed joints is significantly smaller: its additional joints are correct.
    """
    joints = shared_joints(first, second)
    coverage = (coverage_fraction(first, joints), coverage_fraction(second, joints))
    common, overall = paired_bootstrap(first, second), paired_overall(first, second)
    better, reason = decide(common, overall, coverage[0] - coverage[1])
    return MethodComparison(better=better, reason=reason, common=common, overall=overall, coverage=coverage)


def comparison_sentence(first: NamedErrors, second: NamedErrors, found: MethodComparison) -> str:
    """State which method is better, and why."""
    pair = (first, second)
    both = f"{first.name} {{}} {second.says('is', 'are')} better"
    far_fewer = abs(found.coverage[0] - found.coverage[1]) >= _FAR_FEWER
    if found.reason == "coverage":
        assert found.better is not None
        return f"{_capital(pair[found.better].says('is', 'are'))} better: {_coverage_clause(pair, found)}."
    if found.better is not None:
        good, bad = pair[found.better], pair[1 - found.better]
        text = f"{_capital(good.says('is', 'are'))} better than {bad.name}: {_figures(good, bad)}"
    elif found.reason == "short":
        text = f"The take is too short to say whether {both.format('or')}: {_figures(first, second)}"
    elif found.reason == "mixed":
        text = f"Neither {both.format('nor')} in every respect: {_figures(first, second)}"
    else:
        text = f"No significant difference between {first.name} and {second.name}: {_figures(first, second)}"
    return f"{text}. {_capital(_coverage_clause(pair, found))}." if far_fewer else f"{text}."


def comparison_details(first: NamedErrors, second: NamedErrors, found: MethodComparison) -> str:
    """State the differences with their intervals, the coverage and the error of a missing joint."""
    cap = 100 * first.errors.observations.gate
    return (
        f"{_capital(first.name)} minus {second.name}: {_interval(found.common, 'px')} on the joints that both predict; "
        f"{_interval(found.overall, 'points')} over all observed joints, of which a missing one counts as {cap:.0f} % "
        f"of the person's height. Predicted: {100 * found.coverage[0]:.0f} % and {100 * found.coverage[1]:.0f} % of "
        "the observed joints."
    )


def alone_sentence(method: NamedErrors) -> str:
    """State the errors of a method without a comparison."""
    errors = method.errors
    alone = error_metrics(errors, common_masks(errors))
    if not alone.observations:
        return "No confident 2D joint of the left-out cameras could be matched, so the accuracy is unknown."
    overall = overall_metrics(errors)
    return (
        f"{_capital(method.says('predicts', 'predict'))} {100 * overall.coverage:.0f} % of the observed joints, "
        f"with a median leave-one-camera-out error of {alone.median_px:.1f} px "
        f"({alone.percent_height:.1f} % of a person's height)"
    )


def decide(
    common: PairedDifference | None, overall: PairedDifference | None, gap: float
) -> tuple[Literal[0, 1] | None, Reason]:
    """Return the index of the better of two methods, and the reason; see `compare_methods`.

    Args:
        common: First minus second on the joints that both predict.
        overall: First minus second on all observed joints.
        gap: Coverage of the first minus that of the second.
    """
    if overall is None or (common is None and abs(gap) < _FAR_FEWER):
        return None, "short"
    signs = [np.sign(d.value) for d in (common, overall) if d is not None and d.significant]
    wins: tuple[bool, bool] = (-1.0 in signs and 1.0 not in signs, 1.0 in signs and -1.0 not in signs)
    if abs(gap) >= _FAR_FEWER:
        fuller: Literal[0, 1] = 0 if gap > 0 else 1
        smaller = overall.significant and (overall.value < 0) == (fuller == 0)
        return (fuller, "coverage") if smaller else (None, "mixed")
    if wins[0] and gap >= -_COVERAGE_DIFFERENCE:
        return 0, "accuracy"
    if wins[1] and gap <= _COVERAGE_DIFFERENCE:
        return 1, "accuracy"
    return None, "mixed" if signs else "none"


def _figures(a: NamedErrors, b: NamedErrors) -> str:
    """Return the errors of both methods on the joints that both predict, and over all observed ones."""
    masks, joints = common_masks(a.errors, b.errors), shared_joints(a.errors, b.errors)
    common = [error_metrics(m.errors, masks).median_px for m in (a, b)]
    overall = [overall_metrics(m.errors, joints).percent_height for m in (a, b)]
    text = f"{overall[0]:.1f} against {overall[1]:.1f} % of a person's height over all observed joints"
    if np.isnan(common).any():
        return f"mean error {text}"
    return f"median error {common[0]:.1f} against {common[1]:.1f} px on the joints that both predict, mean {text}"


def _coverage_clause(pair: tuple[NamedErrors, NamedErrors], found: MethodComparison) -> str:
    few, many = (pair[int(i)] for i in np.argsort(found.coverage, kind="stable"))
    less, more = sorted(found.coverage)
    predicts = few.says("predicts", "predict")
    return f"{predicts} only {100 * less:.0f} % of the observed joints, {many.name} {100 * more:.0f} %"


def _interval(difference: PairedDifference | None, unit: str) -> str:
    if difference is None:
        return "too few frames for an interval"
    return f"{difference.value:+.2f} {unit} (95 % interval {difference.low:+.2f} to {difference.high:+.2f})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
