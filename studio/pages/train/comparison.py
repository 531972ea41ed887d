"""Evaluation of a take for the Train page: table with a column per method, verdict and curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import CoreError
from core.files import read_json
from core.session import Take
from studio.state.results import METHODS, method_heading

_ROWS: tuple[tuple[str, str, str, Literal["low", "high", "none"]], ...] = (
    ("Observed joints found", "covered", "{:.1%}", "high"),
    ("… within 10 % of height", "within_10_percent", "{:.1%}", "high"),
    ("People found", "people_found", "{:.1%}", "high"),
    ("Error over all joints", "loco_percent_height_all", "{:.2f}%", "low"),
    ("Error on common joints", "loco_px_median", "{:.1f} px", "low"),
    ("… in % of height", "loco_percent_height", "{:.2f}%", "low"),
    ("… mean", "loco_px_mean", "{:.1f} px", "low"),
    ("Common joints", "observations", "{:,}", "none"),
    ("Reprojection error", "reprojection_px_median", "{:.1f} px", "none"),
    ("Frames with 2+ people", "frames_with_two_or_more", "{:,}", "high"),
    ("Identity switches", "identity_switches", "{:,}", "low"),
)


_TRUTH_ROWS: tuple[tuple[str, str, str, Literal["low", "high", "none"]], ...] = (
    ("Error to truth, mean", "mpjpe_mm", "{:.1f} mm", "low"),
    ("… median", "median_mm", "{:.1f} mm", "low"),
    ("… missing joints included", "mpjpe_all_mm", "{:.1f} mm", "low"),
    ("True joints within 50 mm", "pck_50_mm", "{:.1%}", "high"),
    ("… within 100 mm", "pck_100_mm", "{:.1%}", "high"),
    ("… within 150 mm", "pck_150_mm", "{:.1%}", "high"),
    ("Limbs right (PCP)", "pcp", "{:.1%}", "high"),
    ("True joints found", "covered", "{:.1%}", "high"),
    ("True people found", "recall", "{:.1%}", "high"),
    ("Found people are true", "precision", "{:.1%}", "high"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCurves:
    """Fraction of observed joints within a distance, by method.

    Attributes:
        percent_height: Distances in percent of the person's height.
        found: Fractions by heading of the method.
    """

    percent_height: tuple[float, ...]
    found: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Metrics of an evaluation as a table.

    Attributes:
        verdict: Conclusion; that against the user's ground truth first.
        bodies: Conclusion on joints of bodies, one line per method; empty without bodies.
        details: Alignment of the truth, and confidence intervals.
        context: Take, number of held-out frames, and the meaning of the errors.
        headers: Column titles: empty, then one per method.
        rows: Rows of the table.
        tones: Colour token of the best metric, by (row, column).
        curves: Fractions of joints found; None in reports of earlier versions.
    """

    verdict: str
    bodies: str
    details: str
    context: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: dict[tuple[int, int], str]
    curves: FoundCurves | None


def load_comparison(take: Take) -> Comparison | None:
    """Read the newest evaluation of a take; None if there is none.

    Raises:
        CoreError: The report is damaged.
    """
    path = take.layout.report
    if not path.exists():
        return None
    report = read_json(path)
    try:
        return _comparison(report)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CoreError(f"{path} is damaged: {error!r}.", "Run Evaluate again.") from error


def _comparison(report: Mapping[str, Any]) -> Comparison:
    methods = report["methods"]
    rows: list[tuple[str, ...]] = []
    tones: dict[tuple[int, int], str] = {}
    truth = report.get("truth") or {}
    scored = [truth.get("methods", {}).get(key, {}) for key in methods]
    table = [(row, scored) for row in _TRUTH_ROWS] + [(row, list(methods.values())) for row in _ROWS]
    for (title, key, template, better), sources in table:
        values = [source.get(key) for source in sources]
        if all(value is None for value in values):
            continue
        for column in _best(values, better):
            tones[len(rows), column + 1] = "good"
        rows.append((title, *(_format(template, value) for value in values)))
    rows += _people_rows([method.get("people_per_frame") or {} for method in methods.values()])
    held_out = report.get("held_out_frames")
    n_held_out = len(held_out) if isinstance(held_out, list) else held_out
    of_bodies = list((report.get("bodies") or {}).values())
    verdicts = [str(source.get("verdict", "")) for source in (truth, report)]
    details = [str(source.get("details", "")) for source in (truth, report, *of_bodies)]
    return Comparison(
        verdict="\n".join(filter(None, verdicts)),
        bodies="\n".join(str(source["verdict"]) for source in of_bodies),
        details="\n".join(filter(None, [" ".join(truth.get("notes", ())), *details])),
        context=(
            f"Take {report.get('take', '')}: {n_held_out} of {report['frames']} frames held out from training, each "
            "camera predicted from the others. Errors are medians, those over all joints are means."
        ),
        headers=("", *map(method_heading, methods)),
        rows=tuple(rows),
        tones=tones,
        curves=_curves(report.get("found_curves")),
    )


def _best(values: list[float | None], better: Literal["low", "high", "none"]) -> list[int]:
    """Return the indices of the best values; empty if all are equal or there is no order."""
    known = [value for value in values if value is not None]
    if better == "none" or len(set(known)) < 2:
        return []
    best = min(known) if better == "low" else max(known)
    return [i for i, value in enumerate(values) if value == best]


def _curves(curves: Mapping[str, Any] | None) -> FoundCurves | None:
    if not curves:
        return None
    found = {METHODS.get(key, key): tuple(map(float, values)) for key, values in curves["found"].items()}
    return FoundCurves(percent_height=tuple(map(float, curves["percent_height"])), found=found)


def _format(template: str, value: float | None) -> str:
    return "–" if value is None else template.format(value).replace("%", " %")


def _people_rows(counts: list[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the number of frames by method, one row per number of people."""
    numbers = sorted({int(people) for of_method in counts for people in of_method})
    return [
        (f"Frames with {n} {'person' if n == 1 else 'people'}", *(f"{of.get(str(n), 0):,}" for of in counts))
        for n in numbers
    ]
