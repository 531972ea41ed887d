"""What the Train page shows, without widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.errors import CoreError
from core.files import read_json
from core.pipelines.params import EvaluateParams, InferParams, Pose2DParams, RunParams, TrainParams, TriangulateParams
from core.pose2d.cards import ModelCard, model_card, model_cards
from core.pose2d.config import Pose2DConfig
from core.pose2d.download import DownloadPolicy, bytes_to_download
from core.session import Take
from core.training.presets import CARDS, PRESETS, PresetCard, preset
from studio.jobs.bridge import JobBridge
from studio.jobs.text import duration_text
from studio.jobs.tracked import TrackedJob
from studio.pages.train import PAGE
from studio.specs import StepView
from studio.state.system_info import has_accelerator
from studio.widgets.status_dot import StepState

TrainStep = Literal["pose2d", "triangulate", "train", "infer", "evaluate"]
TRAINING_VERBS = ("train", "run")
"""Verbs whose jobs have losses to show."""
_OPEN_END_MIN = 600
"""A limit of so many minutes is only a safety: it says nothing about how long a training takes."""
HEADERS = ("", "Baseline", "Trained")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the work.

    Attributes:
        name: As in the session's status.
        verb: What the button runs.
        title: Of the button.
        icon: File in `resources/icons`.
        what: One sentence.
    """

    name: TrainStep
    verb: str
    title: str
    icon: str
    what: str


STEPS = (
    Step(
        name="pose2d",
        verb="pose2d",
        title="Label",
        icon="tag",
        what="Finds people and their joints in every image of every camera.",
    ),
    Step(
        name="triangulate",
        verb="triangulate",
        title="Baseline",
        icon="triangulate",
        what="Matches people across the cameras and triangulates them. No training: 3D within a minute.",
    ),
    Step(
        name="train",
        verb="train",
        title="Train",
        icon="train",
        what="Trains the networks on your own footage and this rig. No annotation is used.",
    ),
    Step(
        name="infer",
        verb="infer",
        title="Infer",
        icon="spark",
        what="3D of the whole take with the trained networks, each frame with those around it.",
    ),
    Step(
        name="evaluate",
        verb="evaluate",
        title="Evaluate",
        icon="measure",
        what="Predicts each camera from the others, on frames that were never trained on.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Figures of a training that share axes.

    Attributes:
        title: Above the curves.
        unit: Of the vertical axis.
        stage: First part of the figures' names.
        only: Second parts to show; empty for all of the stage.
        logarithmic: Whether the vertical axis is.
        words: Second part to what the legend calls it, where that is another word.
    """

    title: str
    unit: str
    stage: str
    only: tuple[str, ...] = ()
    logarithmic: bool = False
    words: Mapping[str, str] = field(default_factory=dict)

    def shows(self, metric: str) -> bool:
        """Whether a figure of that name belongs here."""
        stage, _, name = metric.partition("/")
        return stage == self.stage and (name in self.only if self.only else True)


_POSE = ("loss", "heatmap", "joint", "anchor", "consistency", "attention", "planes", "backbone")
PLOTS = (
    Plot(
        title="2D error on held-out frames",
        unit="px",
        stage="held_out",
        words={"px": "all cameras", "camera_px": "a camera that is left out"},
    ),
    Plot(title="Pose network, this footage", unit="loss", stage="pose", only=_POSE, logarithmic=True),
    Plot(title="Fine-tuning on confident labels", unit="loss", stage="finetune", only=_POSE, logarithmic=True),
    Plot(
        title="Smoother, synthetic motion",
        unit="mm",
        stage="temporal",
        only=("mm", "start_mm"),
        words={"mm": "smoothed", "start_mm": "before"},
    ),
    Plot(
        title="Correction, synthetic people",
        unit="mm",
        stage="ray_refiner",
        only=("mm", "start_mm"),
        words={"mm": "corrected", "start_mm": "before"},
    ),
    Plot(title="Pose network, synthetic people", unit="mm", stage="pose_synthetic", only=("mm",)),
    Plot(
        title="Root network, this rig",
        unit="loss",
        stage="root",
        only=("loss", "synthetic", "consistency"),
        logarithmic=True,
    ),
    Plot(title="Synthetic people that are found", unit="share", stage="root", only=("synthetic_recall",)),
    Plot(title="Backbone, your images", unit="loss", stage="backbone", only=("loss",), logarithmic=True),
    Plot(title="Joints that the backbone sees", unit="share", stage="backbone", only=("peaks_near",)),
)
"""The last stage first, because it is what one waits for. Plots without a figure are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step as it stands now.

    Attributes:
        step: Which.
        state: How far it is.
        reason: Why the step itself is blocked, or what is there; empty while it is ready.
        blocked: Why its button cannot be pressed now, be it for another job that runs; empty if it can.
    """

    step: Step
    state: StepState
    reason: str
    blocked: str


def step_rows(
    steps: Mapping[str, StepView], jobs: JobBridge, take: Take | None = None, estimator: str = ""
) -> list[StepRow]:
    """Every step with its state and why it is blocked.

    Args:
        steps: From the session on disk.
        jobs: Only one job may work on the results at a time.
        take: The selected take.
        estimator: The chosen 2D estimator: labels of another one do not help.
    """
    busy = busy_reason(jobs)
    labelled = take is None or not estimator or estimator in take.estimators()
    rows = []
    for step in STEPS:
        view = steps.get(step.name, StepView("blocked", "Open a session first."))
        if not labelled and view.state != "blocked":
            view = _without_labels(step)
        running = any(j.verb == step.verb for j in jobs.active)
        rows.append(
            StepRow(
                step=step,
                state="running" if running else view.state,
                reason="" if view.state == "ready" else view.reason,
                blocked=view.reason if view.state == "blocked" else busy,
            )
        )
    return rows


def _without_labels(step: Step) -> StepView:
    """How a step stands while the chosen estimator has not labelled the take."""
    if step.name == "pose2d":
        return StepView("ready")
    return StepView("blocked", "Label the take with the chosen 2D estimator first.")


def missing_model(estimator: str) -> tuple[ModelCard, int | None] | None:
    """The card of an estimator whose files are not on this machine, and their size if known; None if all are."""
    found = model_card(estimator)
    missing = bytes_to_download(found, DownloadPolicy())
    return None if missing == 0 else (found, missing)


def busy_reason(jobs: JobBridge) -> str:
    """Why nothing else may be started just now; empty if it may. Two jobs would write the same results."""
    running = next((j for j in jobs.active if j.verb in PAGE.verbs), None)
    return f"“{running.title}” is running." if running else ""


def params_of(
    step: TrainStep,
    take: str,
    takes: tuple[str, ...],
    estimator: str,
    preset: str,
    *,
    allow_download: bool = False,
    model_file: str = "",
) -> Any:
    """Settings of a step's job."""
    match step:
        case "pose2d":
            return Pose2DParams(
                take=take,
                pose2d=Pose2DConfig(estimator=estimator),
                allow_download=allow_download,
                model_file=model_file,
            )
        case "triangulate":
            return TriangulateParams(take=take, estimator=estimator)
        case "train":
            return TrainParams(takes=takes, estimator=estimator, preset=preset)
        case "infer":
            return InferParams(take=take, estimator=estimator)
        case "evaluate":
            return EvaluateParams(take=take, estimator=estimator)


def path_params(take: str, estimator: str, preset: str) -> RunParams:
    """Settings of the whole path."""
    return RunParams(take=take, pose2d=Pose2DConfig(estimator=estimator), preset=preset)


def presets() -> dict[str, PresetCard]:
    """The training presets: name to words."""
    return {name: CARDS[name] for name in PRESETS}


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetWords:
    """What there is to know about a training preset before it is started.

    Attributes:
        what: What it trains.
        time: How long it takes here, as far as anybody can know.
        needs: What it cannot do without; empty for nothing.
        lacking: Whether this machine seems to lack it.
    """

    what: str
    time: str
    needs: str
    lacking: bool


def preset_words(name: str, jobs: JobBridge) -> PresetWords:
    """A preset in words; the time is what it took the last time, else its own limit, else not known."""
    described, accelerated = CARDS[name], has_accelerator()
    needs = f"Needs: {described.needs}" if described.needs else ""
    lacking = "GPU" in described.needs and not accelerated
    if lacking:
        needs += " No GPU was found here."
    return PresetWords(what=described.what, time=_time_words(name, jobs), needs=needs, lacking=lacking)


def spacing_mm(name: str) -> float:
    """How far apart a preset wants the voxels of the capture volume."""
    return preset(name).model.root.spacing_mm


def _time_words(name: str, jobs: JobBridge) -> str:
    trained = [j for j in jobs.jobs if j.verb == "train" and j.state == "finished" and "minutes" in j.result]
    same = [j for j in trained if j.job.spec.params.get("preset") == name]
    if same:
        last = max(same, key=lambda j: j.name).result
        return (
            f"The last one took {duration_text(60 * float(last['minutes']))} on {last.get('device', 'this machine')}."
        )
    limit_min = preset(name).max_minutes
    if limit_min < _OPEN_END_MIN:
        return f"At most {duration_text(60 * limit_min)}: what is not done by then is cut short."
    return "How long it takes here can be said after its first steps."


def estimators() -> list[ModelCard]:
    """Choices of 2D estimator, those that ship with the program first."""
    return list(model_cards().values())


def watched_job(jobs: JobBridge) -> TrackedJob | None:
    """The job whose losses are shown: the running one, else the newest that had any."""
    candidates = [j for j in jobs.jobs if j.verb in TRAINING_VERBS]
    running = [j for j in candidates if j.active]
    measured = [j for j in candidates if j.metrics]
    return max(running or measured or candidates, key=lambda j: j.name, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The figures of an evaluation, ready for a table.

    Attributes:
        verdict: The sentence that can be trusted.
        context: What was measured on.
        rows: In the columns of `HEADERS`.
        tones: Colour token by (row, column): the better figure.
    """

    verdict: str
    context: str
    rows: tuple[tuple[str, str, str], ...]
    tones: dict[tuple[int, int], str]


def results(take: Take) -> Results | None:
    """The newest evaluation of a take, or None before there was one.

    Raises:
        CoreError: The report is damaged.
    """
    path = take.layout.report
    if not path.exists():
        return None
    report = read_json(path)
    try:
        return _results(report)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CoreError(f"{path} is damaged: {error!r}.", "Run Evaluate again.") from error


def _results(report: Mapping[str, Any]) -> Results:
    methods = report["methods"]
    pair = (methods.get("baseline") or {}, methods.get("trained") or {})
    rows: list[tuple[str, str, str]] = []
    tones: dict[tuple[int, int], str] = {}

    def row(title: str, key: str, words: str, *, better: Literal["low", "high", "none"] = "none") -> None:
        first, second = (method.get(key) for method in pair)
        rows.append((title, _figure(words, first), _figure(words, second)))
        if better != "none" and first is not None and second is not None and first != second:
            tones[(len(rows) - 1, 1 if (first < second) == (better == "low") else 2)] = "good"

    row("LOCO error, median", "loco_px_median", "{:.1f} px", better="low")
    row("… in % of person height", "loco_percent_height", "{:.2f} %", better="low")
    row("LOCO error, mean", "loco_px_mean", "{:.1f} px", better="low")
    row("Reprojection, median", "reprojection_px_median", "{:.1f} px")
    row("Frames with two or more people", "frames_with_two_or_more", "{:,}", better="high")
    row("Identity switches", "identity_switches", "{:,}", better="low")
    row("Joints that could be predicted", "covered", "{:.0%}", better="high")
    row("Joints compared", "observations", "{:,}")
    people = [_people(method.get("people_per_frame") or {}) for method in pair]
    rows.append(("Frames by number of people", people[0], people[1]))
    held_out = report.get("held_out_frames")
    n_held_out = len(held_out) if isinstance(held_out, list) else held_out
    context = (
        f"Take {report.get('take', '')}: {n_held_out} frames that were kept out of training, of {report['frames']}."
    )
    return Results(verdict=str(report.get("verdict", "")), context=context, rows=tuple(rows), tones=tones)


def _figure(words: str, value: float | None) -> str:
    return "–" if value is None else words.format(value)


def _people(counts: Mapping[str, Any]) -> str:
    parts = [f"{frames} with {people}" for people, frames in sorted(counts.items(), key=lambda kv: int(kv[0]))]
    return ", ".join(parts) or "–"
