"""The 3D result that a verb works on."""

from __future__ import annotations

from core.errors import CoreError
from core.evaluation.choice import choose_result
from core.progress import Reporter
from core.session import BASELINE, Session, Take
from core.session.inputs import UPDATE, note_outdated_inputs, outdated_result


def chosen_result(session: Session, take: Take, named: str, reporter: Reporter) -> str:
    """Return the named 3D result of a take, or the one that the evaluation found better.

    Raises:
        CoreError: There is no such result, or it is out of date and was not named.
    """
    name = named
    if not name:
        choice = choose_result(session, take)
        name = choice.name or BASELINE
        for note in choice.notes:
            reporter.note(note)
    if name not in take.poses3d_runs():
        known = ", ".join(take.poses3d_runs())
        hint = f"Available: {known}." if known else "Run 'triangulate' or 'infer' on it first."
        raise CoreError(f"Take {take.name} has no 3D poses '{name}'.", hint)
    if not named and (messages := outdated_result(session, take, name)):
        raise CoreError(
            f"{name} of take {take.name} is out of date. {' '.join(messages)}",
            f"{UPDATE} Or use it as it is, with --poses {name}.",
        )
    note_outdated_inputs(session, take, [name], reporter)
    return name
