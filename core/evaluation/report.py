"""Evaluation report of a take: metrics as plain values, and a verdict in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from core.evaluation.compare import (
    ErrorMetrics,
    PairedDifference,
    common_masks,
    coverage_fraction,
    coverage_masks,
    error_metrics,
    paired_bootstrap,
)
from core.evaluation.identity import identity_metrics, people_per_frame
from core.evaluation.loco import ViewErrors
from core.types.pose3d import Pose3DSequence

BASELINE_KEY, TRAINED_KEY = "baseline", "trained"
_LABELS = {BASELINE_KEY: "Triangulation, no training", TRAINED_KEY: "Trained networks"}
_COVERAGE_DIFFERENCE = 0.03  # Differences of coverage above this are mentioned.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodResult:
    """Results of one method.

    Attributes:
        sequence: 3D people of the whole take.
        reprojection: Errors in the cameras that the people were made from.
        loco: Leave-one-camera-out errors; None where the rig has fewer than three cameras.
        run: Name of the trained run, empty for the baseline.
    """

    sequence: Pose3DSequence
    reprojection: ViewErrors
    loco: ViewErrors | None
    run: str = ""


def build_report(take: str, held_out_frames: int, methods: dict[str, MethodResult]) -> dict[str, Any]:
    """Build the report of a take.

    Args:
        take: Name of the take.
        held_out_frames: Number of measured frames, none of which was used in training.
        methods: Results under `BASELINE_KEY`, and under `TRAINED_KEY` where there is a trained run.

    Returns:
        Plain JSON values. LOCO metrics are over the observations that all methods cover; `covered` is the fraction of
        all observations that each method covers. `difference` is trained minus baseline with its 95 % interval, see
        `paired_bootstrap`. `verdict` is a sentence.
    """
    baseline = methods[BASELINE_KEY]
    trained = methods.get(TRAINED_KEY)
    difference = None
    if trained and trained.loco and baseline.loco:
        difference = paired_bootstrap(trained.loco, baseline.loco)
    report: dict[str, Any] = {
        "take": take,
        "frames": len(baseline.sequence.time_s),
        "held_out_frames": held_out_frames,
        "people_per_frame": people_per_frame((trained or baseline).sequence),
        "methods": {key: _method(key, result, baseline, trained) for key, result in methods.items()},
        "verdict": verdict_sentence(baseline, trained, difference),
    }
    if difference is not None:
        report["difference"] = {
            "trained_minus_baseline_px": difference.px,
            "low_px": difference.low_px,
            "high_px": difference.high_px,
            "observations": difference.observations,
        }
    return report


def _method(key: str, result: MethodResult, baseline: MethodResult, trained: MethodResult | None) -> dict[str, Any]:
    counts = people_per_frame(result.sequence)
    identity = identity_metrics(result.sequence)
    loco, covered = _loco_metrics(result, baseline, trained)
    reprojection = error_metrics(result.reprojection, coverage_masks(result.reprojection))
    return {
        "label": _LABELS[key],
        "run": result.run,
        "loco_px_median": _plain(loco.median_px),
        "loco_px_mean": _plain(loco.mean_px),
        "loco_percent_height": _plain(loco.percent_height),
        "observations": loco.observations,
        "covered": _plain(covered),
        "reprojection_px_median": _plain(reprojection.median_px),
        "people_per_frame": counts,
        "frames_with_two_or_more": sum(n for people, n in counts.items() if int(people) >= 2),
        "identity_switches": identity.identity_switches,
        "fragmentations": identity.fragmentations,
    }


def _loco_metrics(
    result: MethodResult, baseline: MethodResult, trained: MethodResult | None
) -> tuple[ErrorMetrics, float]:
    """Return the LOCO metrics on the common observations, and the coverage of all observations."""
    if result.loco is None:
        return ErrorMetrics(median_px=math.nan, mean_px=math.nan, percent_height=math.nan, observations=0), math.nan
    masks = coverage_masks(result.loco)
    if trained and trained.loco and baseline.loco:
        masks = common_masks(baseline.loco, trained.loco)
    return error_metrics(result.loco, masks), coverage_fraction(result.loco)


def verdict_sentence(baseline: MethodResult, trained: MethodResult | None, difference: PairedDifference | None) -> str:
    """State in one sentence which method is better, by how much, and whether the difference is significant."""
    if baseline.loco is None:
        return "Leave-one-camera-out needs three cameras, so accuracy cannot be measured without labels."
    alone = error_metrics(baseline.loco, coverage_masks(baseline.loco))
    if not alone.observations:
        return "No confident 2D joint of the left-out cameras could be matched, so the accuracy is unknown."
    if trained is None or trained.loco is None:
        return (
            f"Triangulation without training has a median leave-one-camera-out error of {alone.median_px:.1f} px "
            f"({alone.percent_height:.1f} % of a person's height); no trained run was compared."
        )
    if difference is None:
        return "The two methods have too few observations in common to say which is better: use a longer take."
    common = common_masks(baseline.loco, trained.loco)
    px = [error_metrics(errors, common).median_px for errors in (trained.loco, baseline.loco)]
    values = f"median leave-one-camera-out error {px[0]:.1f} px with and {px[1]:.1f} px without training"
    interval = f"95 % interval of the difference {difference.low_px:+.1f} to {difference.high_px:+.1f} px"
    if not difference.significant:
        text = f"No significant difference between trained networks and triangulation: {values} ({interval})"
    elif difference.px < 0:
        text = f"The trained networks are better than triangulation: {values} ({interval})"
    else:
        text = f"Triangulation without training is better than the trained networks: {values} ({interval})"
    return text + _coverage_clause(baseline.loco, trained.loco) + "."


def _coverage_clause(baseline: ViewErrors, trained: ViewErrors) -> str:
    """Mention the coverage of both methods if it differs much."""
    first, second = coverage_fraction(baseline), coverage_fraction(trained)
    if abs(first - second) < _COVERAGE_DIFFERENCE:
        return ""
    return f"; the trained networks predict {second:.0%} of the observed joints, triangulation {first:.0%}"


def _plain(value: float) -> float | None:
    """Return a rounded number for JSON, None for NaN."""
    return round(value, 4) if math.isfinite(value) else None
