"""State of steps and pages."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import CoreError
from core.session import Session
from core.session.inputs import outdated_bodies, outdated_result
from core.session.naming import fitted_result
from core.session.status import SessionStatus, session_status, take_status
from studio.specs import PageSpec, StepView
from studio.state.app_state import AppState
from studio.state.results import with_titles


def session_steps(state: AppState) -> dict[str, StepView]:
    """Read the state of every step of the session from disk; empty without a session.

    Raises:
        CoreError: The session can no longer be read.
    """
    return _views(session_status(state.session)) if state.session is not None else {}


def take_steps(state: AppState) -> dict[str, StepView]:
    """Read the state of every step of the selected take, or of the session without a take.

    Raises:
        CoreError: The take cannot be read.
    """
    take = state.take
    if state.session is None or take is None:
        return session_steps(state)
    return _views(take_status(state.session, take))


def read_steps(session: Session) -> dict[str, StepView] | CoreError:
    """Read the state of every step of a session, in any thread; return the error if it cannot be read."""
    try:
        return _views(session_status(session))
    except CoreError as error:
        return error


def page_states(
    state: AppState, pages: Iterable[PageSpec], steps: dict[str, StepView] | CoreError | None = None
) -> dict[str, StepView]:
    """Return the state of every page from the result of `read_steps` or, without it, from disk.

    A page is running while one of its verbs runs, done if all its steps are done, out of date if any of them is, and
    blocked if all are.
    """
    active = {verb for job in state.jobs.active for verb in job.verbs}
    if steps is None:
        steps = read_steps(state.session) if state.session is not None else {}
    damage = StepView("blocked", steps.message) if isinstance(steps, CoreError) else None
    known = {} if isinstance(steps, CoreError) else steps
    states: dict[str, StepView] = {}
    for page in pages:
        if damage is not None:
            states[page.name] = damage
        elif active.intersection(page.verbs):
            states[page.name] = StepView("running", "A job is running.")
        elif page.status is not None:
            states[page.name] = page.status(state)
        else:
            states[page.name] = _combined([known[name] for name in page.steps if name in known])
    return states


def results_state(state: AppState) -> StepView:
    """Return the state of a page that shows 3D results of the selected take."""
    try:
        take = state.take
        results = take.poses3d_runs() if take is not None else []
    except CoreError as error:
        return StepView("blocked", error.message)
    if results and take is not None and state.session is not None:
        shown = state.poses_name or results[0]
        messages = [*outdated_result(state.session, take, shown), outdated_bodies(take, fitted_result(shown) or shown)]
        if text := " ".join(message for message in dict.fromkeys(messages) if message):
            return StepView("outdated", text)
        return StepView("done", f"{len(results)} 3D result{'s' if len(results) > 1 else ''} to inspect.")
    if state.take_name:
        return StepView("ready", "Videos only: no 3D result yet.")
    return StepView("blocked", "Import videos first.")


def _views(status: SessionStatus) -> dict[str, StepView]:
    return {name: StepView(step.state, with_titles(step.reason)) for name, step in status.steps.items()}


def _combined(steps: list[StepView]) -> StepView:
    outdated = next((step for step in steps if step.state == "outdated"), None)
    if outdated is not None:
        return outdated
    if steps and all(step.state == "done" for step in steps):
        return StepView("done", steps[-1].reason)
    ready = next((step for step in steps if step.state == "ready"), None)
    return ready or next((step for step in steps if step.state == "blocked"), StepView("blocked"))
