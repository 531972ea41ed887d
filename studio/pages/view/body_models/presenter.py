"""State of the bodies of a 3D result, without widgets."""

from __future__ import annotations

from dataclasses import dataclass

from core.body.models.families import FREE
from core.body.models.registry import body_models
from core.errors import CoreError
from core.files import read_once
from core.pipelines.params import FitBodyParams
from core.session import Take
from core.session.inputs import outdated_bodies
from core.session.naming import fitted_result
from core.types import Pose3DSequence
from studio.state.app_state import AppState
from studio.widgets.status_dot import StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class BodiesState:
    """Content of the card of the bodies.

    Attributes:
        state: State of the step.
        text: Description of the state.
        models: Available body models as (title, name).
        model: Name of the chosen model.
        blocked: Reason why bodies cannot be fitted; empty if they can be.
    """

    state: StepState
    text: str
    models: tuple[tuple[str, str], ...]
    model: str
    blocked: str


def bodies_state(state: AppState, chosen: str) -> BodiesState:
    """Return the state of the bodies of the selected result.

    Args:
        state: State of the window.
        chosen: Name of the user's choice of the body model; empty for that of the existing bodies.
    """
    cards = {card.name: card for card in body_models() if not card.problem}
    models = tuple((card.title, name) for name, card in cards.items())
    take, source = state.take, fitted_source(state)
    present, made_with, damage = "", "", ""
    if take is not None and source:
        try:
            present, made_with = _fitted_with(take, source)
        except CoreError as error:
            damage = f"{error.message} {error.hint}"
    model = next((name for name in (chosen, present) if name in cards), FREE)
    blocked = "" if source else "Triangulate or infer 3D poses first."
    step: StepState
    if any("fit-body" in job.verbs for job in state.jobs.active):
        step, text = "running", "Fitting…"
    elif take is None or not source:
        step, text = "blocked", "No 3D poses yet."
    elif damage:
        step, text = "outdated", damage
    elif not present:
        step, text = "ready", "Not fitted yet."
    elif present not in cards:
        step, text = "outdated", f"Fitted with “{present}”, which is not on this computer: add it, or fit again."
    elif made_with != cards[present].sha256:
        step, text = "outdated", f"Fitted with another file of {cards[present].title}: fit again."
    elif reason := outdated_bodies(take, source):
        step, text = "outdated", reason
    else:
        step, text = "done", f"Fitted with {cards[present].title}."
    return BodiesState(state=step, text=text, models=models, model=model, blocked=blocked or state.jobs.why_not())


def fitted_source(state: AppState) -> str:
    """Return the selected 3D result or, for joints of bodies, the result to which these were fitted; empty for none."""
    return fitted_result(state.poses_name) or state.poses_name


def fit_params(state: AppState, model: str) -> FitBodyParams:
    """Return the settings to fit bodies to the selected result."""
    return FitBodyParams(take=state.take_name, poses=fitted_source(state), body_model=model)


def _fitted_with(take: Take, source: str) -> tuple[str, str]:
    """Return name and SHA-256 of the body model of the bodies of a result; empty if there are none."""
    path = take.layout.bodies(source)
    if not path.is_file():
        return "", ""
    body = read_once(path, Pose3DSequence.load_provenance).get("body", {})
    return str(body.get("model", FREE)), str(body.get("sha256", ""))
