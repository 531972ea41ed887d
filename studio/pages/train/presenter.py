"""Contents of the Train page, without widgets."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.config import from_mapping
from core.errors import CoreError
from core.files import read_yaml
from core.pipelines.params import EvaluateParams, InferParams, Pose2DParams, RunParams, TrainParams, TriangulateParams
from core.pose2d.cards import ModelCard, model_card, model_cards
from core.pose2d.choice import imported_poses2d
from core.pose2d.config import DEFAULT_LONG_SIDE_PX, LARGE_LONG_SIDE_PX, SCALING_RUNNERS, InputChoice, Pose2DConfig
from core.pose2d.download import DownloadPolicy, bytes_to_download
from core.session import Session, Take
from core.training.presets import CARDS, PRESETS, SHIPPED_PRESETS, PresetCard, preset
from studio.jobs.bridge import JobBridge
from studio.jobs.tracked import TrackedJob
from studio.pages.train.training_text import training_time
from studio.specs import StepView
from studio.state.system_info import has_accelerator
from studio.widgets.status_dot import StepState

TrainStep = Literal["pose2d", "triangulate", "train", "infer", "evaluate"]
_UPDATED: tuple[TrainStep, ...] = ("pose2d", "triangulate", "infer", "evaluate")
"""Steps that `update` recomputes."""
TRAINING_VERBS = ("train", "run")
"""Verbs whose jobs report losses."""
INPUT_SIZES = {
    0: "Automatic",
    DEFAULT_LONG_SIDE_PX: f"{DEFAULT_LONG_SIDE_PX} px",
    LARGE_LONG_SIDE_PX: f"{LARGE_LONG_SIDE_PX} px, for small people",
}
"""Title by longer side of the 2D estimator's input."""

_DEFAULT_SHIPPED = "fast"
_IMPORTED = "These 2D poses were imported. Choose a 2D estimator to compute others."
NETWORKS = {
    "": f"Newest training, or else shipped {CARDS[_DEFAULT_SHIPPED].title}",
    **{name: f"Shipped {CARDS[name].title}, without training" for name in SHIPPED_PRESETS},
}
"""Title by name of networks for inference; the empty name stands for the newest training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Step of the page.

    Attributes:
        name: Name in the session's status.
        verb: Verb that the button runs.
        title: Text of the button.
        icon: File name in `resources/icons`.
        summary: Sentence on what the step does.
    """

    name: TrainStep
    verb: str
    title: str
    icon: str
    summary: str


STEPS = (
    Step(
        name="pose2d",
        verb="pose2d",
        title="2D poses",
        icon="tag",
        summary="Detects people and their joints in all camera images.",
    ),
    Step(
        name="triangulate",
        verb="triangulate",
        title="Triangulate",
        icon="triangulate",
        summary="Matches and triangulates people, which gives the 3D baseline without training.",
    ),
    Step(
        name="train",
        verb="train",
        title="Train",
        icon="train",
        summary="Trains the networks on your footage and rig, without annotations.",
    ),
    Step(
        name="infer",
        verb="infer",
        title="Infer",
        icon="spark",
        summary="Predicts 3D poses of the take with trained or shipped networks.",
    ),
    Step(
        name="evaluate",
        verb="evaluate",
        title="Evaluate",
        icon="measure",
        summary="Measures leave-one-camera-out errors on frames held out from training.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """Current state of a step.

    Attributes:
        step: The step.
        state: Its state.
        reason: Reason why the step is blocked, or a summary of existing results; empty if it is ready.
        blocked: Reason why its button is disabled, including another running job; empty if it is enabled.
    """

    step: Step
    state: StepState
    reason: str
    blocked: str


def step_rows(
    steps: Mapping[str, StepView], jobs: JobBridge, take: Take | None = None, estimator: str = ""
) -> list[StepRow]:
    """Return the state of every step.

    Args:
        steps: States from the session on disk.
        jobs: Jobs of the session, of which only one may change results at a time.
        take: The selected take.
        estimator: The selected 2D estimator; 2D poses of another one do not count.
    """
    busy = take_problem(take) or jobs.why_not()
    has_poses2d = take is None or not estimator or estimator in take.estimators()
    rows = []
    for step in STEPS:
        view = steps.get(step.name, StepView("blocked", "Open a session first."))
        if not has_poses2d and view.state != "blocked":
            view = _without_poses2d(step)
        running = any(step.verb in j.verbs for j in jobs.active)
        stale = _stale(step, steps)
        imported = step.name == "pose2d" and bool(estimator) and estimator not in model_cards()
        rows.append(
            StepRow(
                step=step,
                state="running" if running else view.state,
                reason="" if view.state == "ready" else view.reason,
                blocked=view.reason if view.state == "blocked" else _IMPORTED if imported else busy or stale,
            )
        )
    return rows


def is_outdated(steps: Mapping[str, StepView]) -> bool:
    """Return whether the take has outdated results that can be recomputed."""
    return any(steps[name].state == "outdated" for name in _UPDATED if name in steps)


def _stale(step: Step, steps: Mapping[str, StepView]) -> str:
    """Return why a step is blocked by outdated 3D poses; empty if it is not."""
    needed = {"train": ("triangulate",), "evaluate": ("triangulate", "infer")}.get(step.name, ())
    outdated = any(steps[name].state == "outdated" for name in needed if name in steps)
    return "The 3D poses are out of date: bring them up to date first." if outdated else ""


def _without_poses2d(step: Step) -> StepView:
    """Return the state of a step without 2D poses of the selected estimator."""
    if step.name == "pose2d":
        return StepView("ready")
    return StepView("blocked", "Run 2D poses with the selected 2D estimator first.")


def missing_model(estimator: str) -> tuple[ModelCard, int | None] | None:
    """Return the card of an estimator with missing files, and their size if known; None if nothing is missing.

    Imported 2D poses have no estimator, so nothing can be missing.
    """
    if estimator not in model_cards():
        return None
    model = model_card(estimator)
    missing = bytes_to_download(model, DownloadPolicy())
    return None if missing == 0 else (model, missing)


def take_problem(take: Take | None) -> str:
    """Return why a take is not a take of people; empty if it is."""
    if take is None or take.manifest.kind == "motion":
        return ""
    return f"Take {take.name} shows the calibration board. Select a take of people."


def takes_of_people(session: Session) -> list[str]:
    """Return the readable takes of people, on which networks can be trained."""
    names = []
    for name in session.take_names():
        with contextlib.suppress(CoreError):  # the Record page reports damaged takes
            if session.take(name).manifest.kind == "motion":
                names.append(name)
    return names


def step_params(
    step: TrainStep,
    take: str,
    takes: tuple[str, ...],
    estimator: str,
    preset: str,
    *,
    long_side_px: int = 0,
    allow_download: bool = False,
    model_file: str = "",
    networks: str = "",
    trained: bool = True,
) -> Any:
    """Return the settings of a step's job.

    Args:
        step: The step.
        take: The selected take.
        takes: Takes for training.
        estimator: The selected 2D estimator.
        preset: The selected preset.
        long_side_px: Longer side of the 2D estimator's input; 0 for an automatic choice.
        allow_download: Allow the download of the 2D estimator's model.
        model_file: Local file of the 2D estimator's model.
        networks: One of `NETWORKS`.
        trained: True if the session has a trained run.
    """
    match step:
        case "pose2d":
            return Pose2DParams(
                take=take,
                pose2d=Pose2DConfig(estimator=estimator, long_side_px=long_side_px),
                allow_download=allow_download,
                model_file=model_file,
            )
        case "triangulate":
            return TriangulateParams(take=take, estimator=estimator)
        case "train":
            return TrainParams(takes=takes, estimator=estimator, preset=preset)
        case "infer":
            model = networks or ("" if trained else _DEFAULT_SHIPPED)
            return InferParams(take=take, estimator=estimator, model=model)
        case "evaluate":
            return EvaluateParams(take=take, estimator=estimator, model=networks)


def run_params(take: str, estimator: str, preset: str, long_side_px: int = 0, *, repair_rig: bool = False) -> RunParams:
    """Return the settings of a job that runs all steps."""
    return RunParams(
        take=take,
        estimator=estimator,
        pose2d=Pose2DConfig(long_side_px=long_side_px),
        preset=preset,
        repair_rig=repair_rig,
    )


def input_is_free(estimator: str) -> bool:
    """Return whether the input size of an estimator can be chosen."""
    return estimator in model_cards() and model_card(estimator).runner in SCALING_RUNNERS


def input_text(take: Take | None, estimator: str) -> str:
    """Return a text on input size and second look of a take's stored 2D poses; empty without any.

    Raises:
        CoreError: The manifest of the 2D poses cannot be read.
    """
    if take is None or estimator not in take.estimators() or not input_is_free(estimator):
        return ""
    manifest = read_yaml(take.layout.poses2d_manifest(estimator))
    if not isinstance(manifest, dict):
        return ""
    if manifest.get("input"):
        text = from_mapping(InputChoice, manifest["input"]).message
    else:
        size = manifest.get("request", {}).get("config", {}).get("long_side_px")
        text = f"These 2D poses were made with images scaled to {size} px." if size else ""
    second_look = manifest.get("second_look")
    if second_look:
        text += f" A second look refined {second_look['moved']:,} joints and added {second_look['added']:,}."
    return text.strip()


def presets() -> dict[str, PresetCard]:
    """Return the cards of the training presets by name."""
    return {name: CARDS[name] for name in PRESETS}


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetText:
    """Description of a training preset.

    Attributes:
        what: Trained networks.
        time: Training time on this computer, if known.
        needs: Hardware requirements; empty without any.
        unmet: True if this computer does not seem to meet them.
    """

    what: str
    time: str
    needs: str
    unmet: bool


def describe_preset(name: str, jobs: JobBridge) -> PresetText:
    """Return the description of a preset, with the duration of the last training, its limit or an estimate."""
    preset_card = CARDS[name]
    needs = f"Requires: {preset_card.needs}" if preset_card.needs else ""
    unmet = "GPU" in preset_card.needs and not has_accelerator()
    if unmet:
        needs += " No GPU was found."
    return PresetText(what=preset_card.what, time=training_time(name, jobs), needs=needs, unmet=unmet)


def spacing_mm(name: str) -> float:
    """Return the voxel spacing of a preset."""
    return preset(name).model.root.spacing_mm


def estimators() -> list[ModelCard]:
    """Return the 2D estimators, those shipped with the program first."""
    return list(model_cards().values())


def imported_choices(take: Take | None) -> list[str]:
    """Return the names of imported 2D poses of a take."""
    return imported_poses2d(take) if take is not None else []


def watched_job(jobs: JobBridge) -> TrackedJob | None:
    """Return the job whose losses are shown: the running one, or else the newest one with metrics."""
    candidates = [j for j in jobs.jobs if j.verb in TRAINING_VERBS]
    running = [j for j in candidates if j.active]
    measured = [j for j in candidates if j.metrics]
    return max(running or measured or candidates, key=lambda j: j.name, default=None)
