"""The figures of a take as plain values, and one sentence that says what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from core.evaluation.compare import Difference, Figures, both, covered, difference, figures, share_covered
from core.evaluation.loco import LeftOut
from core.evaluation.people import continuity, people_frames
from core.types.pose3d import Pose3DSequence

BASELINE_KEY, TRAINED_KEY = "baseline", "trained"
_LABELS = {BASELINE_KEY: "Triangulation, no training", TRAINED_KEY: "Trained networks"}
_COVERAGE_MATTERS = 0.03


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodResult:
    """What was measured of one method.

    Attributes:
        sequence: Its 3D people of the whole take.
        reprojection: Their errors in the cameras that they were made of.
        left_out: Errors in cameras that were left out; None where the rig has too few cameras.
        run: Name of the trained run, empty for the baseline.
    """

    sequence: Pose3DSequence
    reprojection: LeftOut
    left_out: LeftOut | None
    run: str = ""


def build_report(take: str, held_out_frames: int, methods: dict[str, MethodResult]) -> dict[str, Any]:
    """The report of a take.

    Args:
        take: Name.
        held_out_frames: Number of frames measured on, none of which training saw.
        methods: `BASELINE_KEY`, and `TRAINED_KEY` where there is a trained run.

    Returns:
        Plain JSON values. Left-out figures are those on the observations that all methods cover; `covered` says how
        many of all observations each one covers.
    """
    baseline = methods[BASELINE_KEY]
    trained = methods.get(TRAINED_KEY)
    gap = None
    if trained and trained.left_out and baseline.left_out:
        gap = difference(trained.left_out, baseline.left_out)
    report: dict[str, Any] = {
        "take": take,
        "frames": len(baseline.sequence.time_s),
        "held_out_frames": held_out_frames,
        "people_per_frame": people_frames((trained or baseline).sequence),
        "methods": {key: _method(key, result, baseline, trained) for key, result in methods.items()},
        "verdict": verdict(baseline, trained, gap),
    }
    if gap is not None:
        report["difference"] = {
            "trained_minus_baseline_px": gap.px,
            "low_px": gap.low_px,
            "high_px": gap.high_px,
            "observations": gap.observations,
        }
    return report


def _method(key: str, result: MethodResult, baseline: MethodResult, trained: MethodResult | None) -> dict[str, Any]:
    counts = people_frames(result.sequence)
    paths = continuity(result.sequence)
    left_out, share = _left_out(result, baseline, trained)
    fitted = figures(result.reprojection, covered(result.reprojection))
    return {
        "label": _LABELS[key],
        "run": result.run,
        "loco_px_median": _plain(left_out.median_px),
        "loco_px_mean": _plain(left_out.mean_px),
        "loco_percent_height": _plain(left_out.percent_height),
        "observations": left_out.observations,
        "covered": _plain(share),
        "reprojection_px_median": _plain(fitted.median_px),
        "people_per_frame": counts,
        "frames_with_two_or_more": sum(n for people, n in counts.items() if int(people) >= 2),
        "identity_switches": paths.identity_switches,
        "fragmentations": paths.fragmentations,
    }


def _left_out(result: MethodResult, baseline: MethodResult, trained: MethodResult | None) -> tuple[Figures, float]:
    if result.left_out is None:
        return Figures(median_px=math.nan, mean_px=math.nan, percent_height=math.nan, observations=0), math.nan
    chosen = covered(result.left_out)
    if trained and trained.left_out and baseline.left_out:
        chosen = both(baseline.left_out, trained.left_out)
    return figures(result.left_out, chosen), share_covered(result.left_out)


def verdict(baseline: MethodResult, trained: MethodResult | None, gap: Difference | None) -> str:
    """One sentence for people: which is better, by how much, and whether that is sure."""
    if baseline.left_out is None:
        return "With fewer than three cameras no view can be left out, so accuracy cannot be measured without labels."
    ours = figures(baseline.left_out, covered(baseline.left_out))
    if not ours.observations:
        return "No confident 2D joint of the left-out views could be matched, so nothing can be said about accuracy."
    if trained is None or trained.left_out is None:
        return (
            f"Triangulation without training predicts a camera that it did not see to {ours.median_px:.1f} px "
            f"({ours.percent_height:.1f} % of a person's height); no trained run was compared."
        )
    if gap is None:
        return "The two methods cover too little in common to say which is better: use a longer take."
    common = both(baseline.left_out, trained.left_out)
    px = [figures(method, common).median_px for method in (trained.left_out, baseline.left_out)]
    values = f"{px[0]:.1f} against {px[1]:.1f} px"
    span = f"95 % interval {gap.low_px:+.1f} to {gap.high_px:+.1f} px"
    if not gap.certain:
        said = f"Neither is better within the uncertainty: trained {values} in views that were left out ({span})"
    elif gap.px < 0:
        said = f"The trained networks are better: {values} in views that were left out ({span})"
    else:
        said = (
            f"Triangulation without training is better: the trained networks reach {values} in left-out views ({span})"
        )
    return said + _coverage(baseline.left_out, trained.left_out) + "."


def _coverage(baseline: LeftOut, trained: LeftOut) -> str:
    """What to add if one method leaves out much that the other dares to predict."""
    ours, theirs = share_covered(baseline), share_covered(trained)
    if abs(ours - theirs) < _COVERAGE_MATTERS:
        return ""
    return f"; the trained networks predict {theirs:.0%} of the seen joints, triangulation {ours:.0%}"


def _plain(value: float) -> float | None:
    """JSON knows no NaN."""
    return round(value, 4) if math.isfinite(value) else None
