"""How far the session is, page by page, as the navigation and the pages show it."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import CoreError
from core.session.status import SessionStatus, session_status, take_status
from studio.state.app_state import AppState
from studio.widgets.status_dot import StepState

_PAGE_STEPS: dict[str, tuple[str, ...]] = {
    "calibrate": ("rig",),
    "record": ("take",),
    "train": ("pose2d", "triangulate", "train", "infer", "evaluate"),
    "export": ("export",),
}


@dataclass(frozen=True, slots=True)
class StepView:
    """A step or a page: how far it is, and why in words."""

    state: StepState
    reason: str = ""


def session_steps(state: AppState) -> dict[str, StepView]:
    """Every step of the session as a whole, from what is on disk; empty without a session.

    Raises:
        CoreError: The session cannot be read any more.
    """
    return _views(session_status(state.session)) if state.session is not None else {}


def take_steps(state: AppState) -> dict[str, StepView]:
    """Every step of the selected take; those of the session where there is no take.

    Raises:
        CoreError: The take cannot be read.
    """
    take = state.take
    if state.session is None or take is None:
        return session_steps(state)
    return _views(take_status(state.session, take))


def page_steps(state: AppState) -> dict[str, StepView]:
    """Every page: done if all its steps are, running if a job of it runs, blocked if none of its steps can be done."""
    try:
        steps = session_steps(state)
    except CoreError as error:
        return {page: StepView("blocked", error.message) for page in (*_PAGE_STEPS, "view")}
    pages = {page: _page([steps[name] for name in names if name in steps]) for page, names in _PAGE_STEPS.items()}
    pages["view"] = _view(state)
    active = {job.verb for job in state.jobs.active}
    for page, verbs in _PAGE_VERBS.items():
        if active & verbs:
            pages[page] = StepView("running", "A job is running.")
    return pages


_PAGE_VERBS: dict[str, set[str]] = {
    "calibrate": {"import-rig"},
    "record": {"import-take"},
    "train": {"pose2d", "triangulate", "train", "infer", "evaluate", "run"},
    "export": {"export"},
}


def _views(status: SessionStatus) -> dict[str, StepView]:
    return {name: StepView(step.state, step.reason) for name, step in status.steps.items()}


def _page(steps: list[StepView]) -> StepView:
    if steps and all(step.state == "done" for step in steps):
        return StepView("done", steps[-1].reason)
    ready = next((step for step in steps if step.state == "ready"), None)
    return ready or next((step for step in steps if step.state == "blocked"), StepView("blocked"))


def _view(state: AppState) -> StepView:
    try:
        take = state.take
        results = take.poses3d_runs() if take is not None else []
    except CoreError as error:
        return StepView("blocked", error.message)
    if results:
        return StepView("done", f"{len(results)} 3D result{'s' if len(results) > 1 else ''} to look at.")
    if state.take_name:
        return StepView("ready", "The videos can be looked at; there is no 3D yet.")
    return StepView("blocked", "Import videos first.")
