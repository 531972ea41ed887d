"""Choice of the default 3D result of a take, for display and export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.session import BASELINE, Session, Take
from core.session.inputs import evaluation_report, is_measured, outdated_result
from core.session.naming import body_result, fitted_result

Measured = Literal["better", "not better", "not judged", "no"]
"""Outcome of a comparison with triangulation; "no" if this version of the result was not evaluated."""
_TRAINED = "trained"  # key of networks in the report of an evaluation
_REASONS: dict[Measured, str] = {
    "not better": "was not found better than triangulation",
    "not judged": "could not be compared with triangulation",
    "no": "has not been evaluated on this take",
}


_BODY_REASONS: dict[Measured, str] = {
    "not better": "was not found better than what the bodies were fitted to",
    "not judged": "could not be compared with what the bodies were fitted to",
    "no": "has not been evaluated on this take",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultChoice:
    """Chosen 3D result.

    Attributes:
        name: Name of the result; empty if the take has none.
        notes: Reasons for the choice, if the take has several results or the chosen one was not measured.
    """

    name: str
    notes: tuple[str, ...] = ()


def choose_result(session: Session, take: Take) -> ResultChoice:
    """Return the result that was evaluated as better than triangulation, or the baseline if there is none.

    The joints of bodies replace the result that the bodies were fitted to if they were evaluated as better.
    """
    choice = _choose_method(session, take)
    body = body_result(choice.name)
    if body not in take.poses3d_runs():
        return choice
    outcome = measured(session, take, body)
    if outcome == "better":
        note = f"The joints of the bodies, '{body}', are used: the evaluation found them better."
        return ResultChoice(name=body, notes=(*choice.notes, note))
    return ResultChoice(name=choice.name, notes=(*choice.notes, f"'{body}' {_BODY_REASONS[outcome]}."))


def _choose_method(session: Session, take: Take) -> ResultChoice:
    names = take.poses3d_runs()
    if not names:
        return ResultChoice(name="")
    found = {name: measured(session, take, name) for name in names if name != BASELINE and not fitted_result(name)}
    better = [name for name, outcome in found.items() if outcome == "better"]
    if better:
        chosen = min(better, key=lambda name: (_error(session, take, name), name))
        note = f"The 3D poses '{chosen}' are used: the evaluation found them better than triangulation."
        return ResultChoice(name=chosen, notes=(note,))
    notes = [f"'{name}' {_REASONS[outcome]}." for name, outcome in found.items()]
    if BASELINE in names:
        if notes:
            notes.insert(0, "The baseline is used, since no other result is known to be better.")
        return ResultChoice(name=BASELINE, notes=tuple(notes))
    names = list(found) or names
    made = {name: take.layout.poses3d(name).stat().st_mtime_ns for name in names}
    chosen = max(names, key=lambda name: (not outdated_result(session, take, name), made[name]))
    reasons = (f"'{chosen}' {_REASONS[found[chosen]]}.",) if chosen in found else ()
    return ResultChoice(name=chosen, notes=reasons)


def measured(session: Session, take: Take, result: str) -> Measured:
    """Return the outcome of the latest up-to-date evaluation of a network result or of the joints of bodies."""
    report, source = _report(session, take, result), fitted_result(result)
    if not report or outdated_result(session, take, result):
        return "no"
    key, comparison = _TRAINED, report.get("comparison")
    if source:
        method = BASELINE if source == BASELINE else _TRAINED
        bodies = report.get("bodies")
        key, comparison = f"{method}_body", bodies.get(method) if isinstance(bodies, Mapping) else None
    if not isinstance(comparison, Mapping) or key not in (comparison.get("first"), comparison.get("second")):
        return "not judged"
    return "better" if comparison.get("better") == key else "not better"


def _report(session: Session, take: Take, result: str) -> dict[str, Any]:
    """Return the report on this version of a result; empty if there is none."""
    source = fitted_result(result) or result
    for path in (take.layout.report, session.layout.run(source).report):
        report = evaluation_report(path)
        methods = report.get("methods")
        method = methods.get(_TRAINED) if isinstance(methods, Mapping) else None
        about = source == BASELINE or (isinstance(method, Mapping) and method.get("run") == source)
        used = {BASELINE, source, result}
        if about and report.get("take") == take.name and is_measured(session, take, report, used):
            return report
    return {}


def _error(session: Session, take: Take, result: str) -> float:
    """Return the error of a measured result over all observed joints."""
    error = _report(session, take, result)["methods"][_TRAINED].get("loco_percent_height_all")
    return float(error) if isinstance(error, int | float) else float("inf")
