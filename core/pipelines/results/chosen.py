"""Choice of the 3D result for a verb."""

from __future__ import annotations

from core.errors import CoreError
from core.evaluation.choice import choose_result
from core.progress import Reporter
from core.session import BASELINE, Session, Take
from core.session.inputs import UPDATE, note_outdated_inputs, outdated_result
from core.session.naming import fitted_result


def chosen_result(
    session: Session, take: Take, named: str, reporter: Reporter, *, of_bodies: bool = True, use: str = "use it"
) -> str:
    """Return the named 3D result of a take, or else the better one by the evaluation.

    Args:
        session: The session.
        take: Take of the session.
        named: Name of the result; empty to choose.
        reporter: Receives the reason of a choice, and warnings about changed inputs.
        of_bodies: Allow joints of bodies; if not, the result to which bodies were fitted is chosen.
        use: Verb phrase for messages.

    Raises:
        CoreError: There is no such result, or it is out of date and not named explicitly.
    """
    name = named
    if not name:
        choice = choose_result(session, take)
        name = choice.name or BASELINE
        if not of_bodies:
            name = fitted_result(name) or name
        for note in choice.notes:
            reporter.note(note)
    if name not in take.poses3d_runs():
        known = ", ".join(run for run in take.poses3d_runs() if of_bodies or not fitted_result(run))
        hint = f"Available: {known}." if known else "Run 'triangulate' or 'infer' on it first."
        raise CoreError(f"Take {take.name} has no 3D poses '{name}'.", hint)
    if not named and (messages := outdated_result(session, take, name)):
        raise CoreError(
            f"{name} of take {take.name} is out of date. {' '.join(messages)}",
            f"{UPDATE} Or {use} as it is, with --poses {name}.",
        )
    note_outdated_inputs(session, take, [name], reporter)
    return name
