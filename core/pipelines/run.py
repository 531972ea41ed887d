"""Verb `run`: all steps from the videos of a take to metrics and exported 3D poses.

Each step is a verb. Finished 2D poses and training runs with the same settings are reused, so that an interrupted run
resumes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.evaluation.choice import choose_result
from core.files import read_json
from core.jobs import Event, Job, JobSpec, Metric, Noted, Progressed, execute
from core.pipelines.params import (
    CalibratePeopleParams,
    CertifyParams,
    EvaluateParams,
    ExportParams,
    FitBodyParams,
    InferParams,
    Pose2DParams,
    RunParams,
    TrainParams,
    TriangulateParams,
)
from core.pipelines.verbs import verb
from core.pipelines.volume import training_volume
from core.pose2d.choice import poses2d_of_run
from core.progress import NullReporter, Reporter, StageReporter, check
from core.session import BASELINE, RunLayout, Session, Take
from core.training.config import TrainConfig
from core.types import CameraRig, VolumeSettings

_SHARES = {
    "pose2d": 0.07,
    "triangulate": 0.03,
    "train": 0.79,
    "infer": 0.05,
    "fit-body": 0.01,
    "evaluate": 0.03,
    "export": 0.02,
}
"""Fraction of the total time of each step, measured on the embedded sample without a GPU."""
_MOST_REPAIRS = 3  # synchronisation, repair of the rig, and one more with the better matches of people


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """Runner of the steps, with a share of the progress and a folder for each."""

    session: Session
    run: RunLayout
    reporter: Reporter

    def step(self, name: str, settings: Any, part: int = 0, parts: int = 1) -> dict[str, Any]:
        """Run a step, or one of several parts of it."""
        self._begin(name)
        return verb(name)(self.session, to_mapping(settings), self.run.step(name), self._stage(name, part, parts))

    def train(self, settings: TrainParams, take: Take) -> str:
        """Train in a separate run, and return its name."""
        self._begin("train")
        values, stage = to_mapping(settings), self._stage("train")
        model, done = self._model(values, settings.estimator, take)
        if done:
            self.reporter.note(f"Run {model.name} was trained with the same settings and is reused.")
            stage.progress(1, 1)
            return model.name
        JobSpec(verb="train", params=values, title=f"Train on {take.name}", parent=self.run.name).save(model.root)
        execute(
            model.root,
            "train",
            lambda reporter: verb("train")(self.session, values, model, reporter),
            stopped=stage.cancelled,
            listen=lambda event: _forward(event, stage),
        )
        return model.name

    def _begin(self, name: str) -> None:
        """Report the start of a step; raise CancelledError if the job is cancelled."""
        check(self.reporter)
        self.reporter.status({"step": name, "number": list(_SHARES).index(name) + 1, "steps": len(_SHARES)})

    def repair(self, action: str, triangulation: TriangulateParams, pose2d: Pose2DParams | None) -> list[str]:
        """Repair the rig or synchronise the take until the people fit, and repeat the triangulation.

        Args:
            action: Verb of the remedy.
            triangulation: Settings of the triangulation.
            pose2d: Settings of the 2D poses, to update the second look; None for imported ones.

        Returns:
            A sentence per change.
        """
        changes: list[str] = []
        stage = StageReporter(self.reporter, _SHARES["pose2d"] + _SHARES["triangulate"], 0.0)
        take, estimator = triangulation.take, triangulation.estimator
        while action and len(changes) < _MOST_REPAIRS:
            check(self.reporter)
            settings = (
                CertifyParams(take=take, estimator=estimator)
                if action == "certify"
                else CalibratePeopleParams(take=take, estimator=estimator, mode="repair")
            )
            try:
                done = verb(action)(self.session, to_mapping(settings), self.run.step(action), stage)
            except CoreError as error:
                self.reporter.note(f"{error.message} {error.hint}".strip(), "warning")
                break
            changes.append(done["change"])
            if pose2d is not None:
                verb("pose2d")(self.session, to_mapping(pose2d), self.run.step("pose2d"), stage)
            done = verb("triangulate")(self.session, to_mapping(triangulation), self.run.step("triangulate"), stage)
            action = done["rig_comparison"]["action"]
        return changes

    def _stage(self, name: str, part: int = 0, parts: int = 1) -> StageReporter:
        names = list(_SHARES)
        start = sum(_SHARES[n] for n in names[: names.index(name)])
        share = _SHARES[name] / parts
        return StageReporter(self.reporter, start + part * share, share, verb(name).summary)

    def _model(self, values: dict[str, Any], estimator: str, take: Take) -> tuple[RunLayout, bool]:
        """Return the run for the training, and whether it is finished.

        A run with the same settings, rig, capture volume and 2D poses is reused.
        """
        rig = self.session.rig_for(take)
        config = from_mapping(TrainConfig, values["training"])
        volume = training_volume(self.session, [take.name], config, NullReporter())
        inputs = (take.layout.poses2d_manifest(estimator), take.layout.manifest)  # with the time offsets
        estimated = max(path.stat().st_mtime for path in inputs)
        for run in reversed(self.session.runs()):
            job = Job(run.root)
            if _settings(job.spec) != values or not _same_rig(run, rig) or not _same_volume(run, volume):
                continue
            if run.config.stat().st_mtime > estimated:
                job.poll()
                if job.ended:
                    return run, job.state == "finished"
        return self.session.layout.run(f"{self.run.name}-train"), False


def run_pipeline(session: Session, params: RunParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Run all steps on one take.

    Returns:
        `repairs` (sentence per change of rig or time offsets), `report` (metrics of the evaluation), `report_file`,
        `model` (name of the training run), `poses3d` and `exports` (files).

    Raises:
        CoreError: A step failed.
        CancelledError: The job was stopped; running it again resumes it.
    """
    take = session.take(params.take)
    session.rig_for(take)
    pipeline = _Pipeline(session, run, reporter)
    estimator, pose2d = poses2d_of_run(take, params.estimator, params.pose2d.estimator), None
    if estimator:
        reporter.note(f"The imported 2D poses of {estimator} are used.")
    else:
        estimator = params.estimator or params.pose2d.estimator
        pose2d = Pose2DParams(take=take.name, pose2d=dataclasses.replace(params.pose2d, estimator=estimator))
        pipeline.step("pose2d", pose2d)
    triangulation = TriangulateParams(
        take=take.name, estimator=estimator, association=params.association, tracking=params.tracking
    )
    action = pipeline.step("triangulate", triangulation)["rig_comparison"]["action"]
    repairs: list[str] = []
    if action and params.repair_rig:
        repairs = pipeline.repair(action, triangulation, pose2d)
    elif action:
        reporter.note(f"'run --repair-rig' does this ({action}) before training.", "warning")
    settings = TrainParams(takes=(take.name,), estimator=estimator, preset=params.preset, training=params.training)
    model = pipeline.train(settings, take)
    pipeline.step("infer", InferParams(take=take.name, run=model, estimator=estimator, tracking=params.tracking))
    results = BASELINE, model
    for part, poses in enumerate(results):
        try:
            pipeline.step("fit-body", FitBodyParams(take=take.name, poses=poses), part, len(results))
        except CoreError as error:  # 3D poses are useful without bodies
            reporter.note(f"No bodies were fitted. {error.message} {error.hint}".strip(), "warning")
    pipeline.step("evaluate", EvaluateParams(take=take.name, run=model, estimator=estimator))
    exports: list[str] = []
    exported = dict.fromkeys((*results, choose_result(session, take).name))
    for part, poses in enumerate(exported):
        if not take.poses3d(poses).present.any():
            reporter.note(f"The 3D poses '{poses}' contain no person and are not exported.", "warning")
            continue
        settings_of_export = ExportParams(take=take.name, poses=poses, formats=params.formats)
        exports += pipeline.step("export", settings_of_export, part, len(exported))["files"]
    return {
        "repairs": repairs,
        "report": read_json(take.layout.report),
        "report_file": str(take.layout.report),
        "model": model,
        "poses3d": [str(take.layout.poses3d(poses)) for poses in exported],
        "exports": exports,
    }


def _forward(event: Event, reporter: Reporter) -> None:
    """Forward an event of a nested job to the reporter of the outer job."""
    match event:
        case Progressed():
            reporter.progress(event.done, event.total, event.text)
        case Metric():
            reporter.metric(event.name, event.value, event.step)
        case Noted():
            reporter.note(event.text, event.level)
        case _:
            pass


def _settings(spec: JobSpec) -> dict[str, Any] | None:
    """Return the settings of a training job with all defaults; None for other verbs or unknown settings."""
    try:
        return to_mapping(from_mapping(TrainParams, spec.params)) if spec.verb == "train" else None
    except CoreError:
        return None


def _same_rig(run: RunLayout, rig: CameraRig) -> bool:
    return run.rig.exists() and CameraRig.load(run.rig).digest == rig.digest


def _same_volume(run: RunLayout, volume: VolumeSettings) -> bool:
    try:
        return run.volume.exists() and VolumeSettings.load(run.volume) == volume
    except CoreError:
        return False  # damaged or written by a newer version
