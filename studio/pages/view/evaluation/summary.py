"""Texts on the metrics of the evaluation of a take, without widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from core.files import read_json
from core.session import BASELINE, Session, Take
from core.session.inputs import outdated_evaluation
from studio.state.results import method_heading


class EvaluationFinding(NamedTuple):
    """Finding of an evaluation in one line.

    Attributes:
        icon: File name in `resources/icons`.
        token: Colour token of `Theme`.
        text: Text of the finding.
    """

    icon: str
    token: str
    text: str


_BETTER, _NO_BETTER, _OUTDATED = ("check-circle", "good"), ("info", "muted"), ("warning", "warn")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSummary:
    """Texts on the metrics of the evaluation of a take.

    Attributes:
        methods: Column headings.
        rows: Name of a metric, followed by one cell per method.
        verdict: Verdict, and one on bodies if there are any.
        findings: One short line per comparison.
    """

    methods: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    verdict: str
    findings: tuple[EvaluationFinding, ...] = ()


_METHODS = {
    BASELINE: "triangulation",
    "rts": "smoothed triangulation",
    "trained": "training",
    "baseline_body": "bodies",
    "trained_body": "bodies",
}
"""Names of methods within a sentence."""
_TRUTH_ROWS = (
    ("Error to truth, mean", "mpjpe_mm", "{:.1f} mm"),
    ("… missing joints included", "mpjpe_all_mm", "{:.1f} mm"),
)
_TRUTH_KEYS = {key for _, key, _ in _TRUTH_ROWS}
_ROWS = (
    ("Observed joints found", "covered", "{:.0%}"),
    ("Error over all joints, mean", "loco_percent_height_all", "{:.1f}%"),
    ("Leave-one-camera-out, median", "loco_px_median", "{:.1f} px"),
    ("… relative to height", "loco_percent_height", "{:.2f}%"),
    ("Reprojection, median", "reprojection_px_median", "{:.1f} px"),
    ("Frames with two or more people", "frames_with_two_or_more", "{:.0f}"),
    ("Identity switches", "identity_switches", "{:.0f}"),
)


def evaluation_summary(report: Mapping[str, Any]) -> EvaluationSummary | None:
    """Return the summary of `report.json`; None without metrics. Rows without values are omitted."""
    methods = report.get("methods")
    if not isinstance(methods, Mapping) or not all(isinstance(m, Mapping) for m in methods.values()) or not methods:
        return None
    rows = []
    truth = report.get("truth")
    truth = truth if isinstance(truth, Mapping) else {}
    scored = [truth.get("methods", {}).get(name, {}) for name in methods]
    for title, key, form in (*_TRUTH_ROWS, *_ROWS):
        values = [method.get(key) for method in (scored if key in _TRUTH_KEYS else methods.values())]
        if any(_is_number(value) for value in values):
            texts = (form.format(value).replace("%", " %") if _is_number(value) else "–" for value in values)
            rows.append((title, *texts))
    bodies = report.get("bodies")
    of_bodies = bodies.values() if isinstance(bodies, Mapping) else ()
    verdicts = [source.get("verdict") for source in (truth, report, *of_bodies) if isinstance(source, Mapping)]
    verdict = " ".join(verdict for verdict in verdicts if isinstance(verdict, str))
    compared = [_finding(comparison, methods) for comparison in (report.get("comparison"), *of_bodies)]
    findings = [finding for finding in compared if finding is not None]
    if isinstance(truth.get("verdict"), str):
        findings.insert(0, EvaluationFinding(*_NO_BETTER, truth["verdict"]))
    return EvaluationSummary(
        methods=tuple(method_heading(str(name)) for name in methods),
        rows=tuple(rows),
        verdict=verdict,
        findings=tuple(findings) or (EvaluationFinding(*_NO_BETTER, verdict),),
    )


def read_evaluation(session: Session, take: Take) -> EvaluationSummary | None:
    """Return the summary of the newest evaluation of a take, with a note if it is out of date; None without one.

    Raises:
        CoreError: The report is damaged.
    """
    if not take.layout.report.is_file():
        return None
    report = read_json(take.layout.report)
    summary = evaluation_summary(report) if isinstance(report, Mapping) else None
    outdated = outdated_evaluation(session, take) if summary is not None else ""
    if summary is None or not outdated:
        return summary
    finding = EvaluationFinding(*_OUTDATED, f"Out of date: {outdated}")
    return replace(summary, verdict=f"Out of date: {outdated} {summary.verdict}", findings=(finding, *summary.findings))


def _finding(comparison: object, methods: Mapping[str, Any]) -> EvaluationFinding | None:
    """Return the finding of a comparison of two methods; None without one."""
    if not isinstance(comparison, Mapping):
        return None
    first, second, better = (str(comparison.get(key)) for key in ("first", "second", "better"))
    if first not in _METHODS or second not in _METHODS:
        return None
    without = first.endswith("_body") and second == first.removesuffix("_body")
    relation = {first: "better than", second: "worse than"}.get(better, "no better than")
    text = f"{_METHODS[first].capitalize()} {relation} {'none' if without else _METHODS[second]}"
    errors = [methods.get(name, {}).get("loco_percent_height_all") for name in (first, second)]
    if all(_is_number(error) for error in errors):
        text = f"{text}: error {errors[0]:.1f} % of height, not {errors[1]:.1f} %"
    return EvaluationFinding(*(_BETTER if better == first else _NO_BETTER), text)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
