"""State of a session's steps, computed from the files on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.errors import CoreError
from core.files import read_json
from core.jobs import Cancelled, Ended, Event, Failed, Finished, JobSpec
from core.jobs.events import decode
from core.session.exports.manifest import export_manifest, exported_files
from core.session.incoming import interrupted_recordings
from core.session.inputs import (
    bodies_id,
    outdated_bodies,
    outdated_evaluation,
    outdated_result,
    outdated_second_look,
    outdated_training,
    provenance_of,
    result_id,
)
from core.session.layout import RunLayout
from core.session.naming import fitted_result
from core.session.store import BASELINE, Session, Take

Step = Literal["rig", "take", "pose2d", "triangulate", "train", "infer", "fit-body", "evaluate", "export"]
State = Literal["ready", "done", "blocked", "outdated"]
STEPS: tuple[Step, ...] = ("rig", "take", "pose2d", "triangulate", "train", "infer", "fit-body", "evaluate", "export")
_OPTIONAL: tuple[Step, ...] = ("fit-body",)
_TAIL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """State of one step.

    Attributes:
        step: Name of the step.
        state: "ready" to run, "done" (repeatable), "outdated" (done, but inputs have changed since) or "blocked".
        reason: Sentence on what was done, can be done, or must be done first.
    """

    step: Step
    state: State
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """State of all steps, in the order of the workflow.

    Attributes:
        steps: State by step.
    """

    steps: Mapping[Step, StepStatus]

    def __getitem__(self, step: Step) -> StepStatus:
        return self.steps[step]

    @property
    def next(self) -> StepStatus | None:
        """First step that is ready or outdated, or optional and outdated; None if there is none."""
        states = ((s, ("outdated",) if s.step in _OPTIONAL else ("ready", "outdated")) for s in self.steps.values())
        return next((s for s, due in states if s.state in due), None)


def session_status(session: Session) -> SessionStatus:
    """Return the state of a session; steps on takes are done once done for all motion takes."""
    rig = _rig(session)
    takes, unreadable = _motion_takes(session)
    steps: dict[Step, StepStatus] = {"rig": rig}
    names = [take.name for take in takes]
    interrupted = [
        f"Recording '{name}' was interrupted: resume run {run}."
        for name, run in interrupted_recordings(session).items()
    ]
    if takes:
        reason = " ".join([_count(names, "take") + " in the session.", *_unchecked(rig, takes), *interrupted])
        steps["take"] = StepStatus(step="take", state="done", reason=reason)
    else:
        reason = unreadable or " ".join(interrupted) or "Record a take, or import its videos."
        steps["take"] = StepStatus(step="take", state="ready", reason=reason)
    runs = trained_runs(session)
    each = [_take_steps(session, take, rig, runs) for take in takes]
    for step in STEPS[2:]:
        if not each:
            steps[step] = StepStatus(step=step, state="blocked", reason=unreadable or "Record or import a take first.")
        elif step == "train":
            steps[step] = _train(session, takes, rig, runs)
        else:
            steps[step] = _combined(step, [(t.name, s[step]) for t, s in zip(takes, each, strict=True)])
    return SessionStatus(steps=steps)


def take_status(session: Session, take: Take) -> SessionStatus:
    """Return the state of a take; `train` is done if a trained run includes it."""
    rig = _rig(session)
    steps: dict[Step, StepStatus] = {"rig": rig}
    reason = " ".join([f"{len(take.cameras)} cameras, {take.manifest.n_frames} frames.", *_unchecked(rig, [take])])
    steps["take"] = StepStatus(step="take", state="done", reason=reason)
    runs = trained_runs(session)
    own = _take_steps(session, take, rig, runs)
    own["train"] = _train(session, [take], rig, runs)
    return SessionStatus(steps=steps | {step: own[step] for step in STEPS[2:]})


def run_outcome(run: RunLayout) -> Ended | None:
    """Return the outcome of a job; None if it is running or died without a final event."""
    try:
        with run.events.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        event = _event(line)
        if event is not None:
            # A resumed job appends events after its earlier end.
            return event if isinstance(event, Finished | Failed | Cancelled) else None
    return None


def trained_runs(session: Session) -> list[RunLayout]:
    """Return the finished trainings with checkpoints, oldest first."""
    runs = []
    for run in session.runs():
        if not run.checkpoints.is_dir() or not any(run.checkpoints.iterdir()):
            continue
        try:
            verb = JobSpec.load(run.root).verb
        except CoreError:
            continue  # a damaged folder does not count
        if verb == "train" and isinstance(run_outcome(run), Finished):
            runs.append(run)
    return runs


def _event(line: str) -> Event | None:
    if not line.strip():
        return None
    try:
        return decode(line)
    except CoreError:
        return None  # truncated by a crash, or the first line of the tail


def _rig(session: Session) -> StepStatus:
    try:
        rig = session.rig
    except CoreError as error:
        return StepStatus(step="rig", state="ready", reason=f"The rig is damaged: {error.message} Import it again.")
    if rig is None:
        return StepStatus(step="rig", state="ready", reason="Calibrate the cameras, or import a calibration.")
    unposed = [c.name for c in rig if not c.posed]
    if unposed:
        return StepStatus(
            step="rig", state="ready", reason=f"{unposed[0]} has no pose: calibrate all cameras together."
        )
    return StepStatus(step="rig", state="done", reason=f"{len(rig)} calibrated cameras.{_misfit(session)}")


def _unchecked(rig: StepStatus, takes: list[Take]) -> list[str]:
    """Return a sentence on takes of calibrated cameras whose synchronisation was not checked; none if all were."""
    names = [take.name for take in takes if len(take.cameras) > 1 and not take.layout.sync.is_file()]
    if rig.state != "done" or not names:
        return []
    shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return [f"The synchronisation of {shown} was not checked: run 'certify'."]


def _misfit(session: Session) -> str:
    """Return a sentence on cameras that do not fit the people of the last triangulated take; empty if all fit."""
    path = session.layout.rig_report
    try:
        fit = read_json(path).get("people_fit", {}) if path.exists() else {}
        cameras, verb = ", ".join(fit.get("cameras", ())), fit.get("action", "")
    except (CoreError, AttributeError, TypeError):
        return ""  # reported by the Calibrate page
    if not cameras:
        return ""
    return f" The people in {fit.get('take')} do not fit {cameras}" + (f": run '{verb}'." if verb else ".")


def _motion_takes(session: Session) -> tuple[list[Take], str]:
    """Return the motion takes, and a message if one cannot be read."""
    takes, unreadable = [], ""
    for name in session.take_names():
        try:
            take = session.take(name)
        except CoreError as error:
            unreadable = f"Take {name} cannot be read: {error.message}"
            continue
        if take.manifest.kind == "motion":
            takes.append(take)
    return takes, unreadable


def _take_steps(session: Session, take: Take, rig: StepStatus, runs: list[RunLayout]) -> dict[Step, StepStatus]:
    """Return the state of the steps on a take."""
    estimators = take.estimators()
    results = take.poses3d_runs()
    trained = [run for run in results if run != BASELINE and not fitted_result(run)]
    bodies = take.bodies_runs()
    no_poses2d = "" if estimators else "Estimate 2D poses first."
    no_rig = _rig_problem(session, take, rig)

    def step(name: Step, done: str, blocked: str, ready: str, outdated: str = "") -> StepStatus:
        if done and outdated:
            return StepStatus(step=name, state="outdated", reason=f"Out of date. {outdated}")
        if done:
            return StepStatus(step=name, state="done", reason=done)
        if blocked:
            return StepStatus(step=name, state="blocked", reason=blocked)
        return StepStatus(step=name, state="ready", reason=ready)

    no_result = "" if results else "Triangulate or infer 3D poses first."
    outdated = {name: " ".join(outdated_result(session, take, name)) for name in results}
    newest = runs[-1].name if runs else next(reversed(trained), "")
    exported = _exported(session, take, results)
    return {
        "pose2d": step(
            "pose2d",
            f"2D poses of {', '.join(map(take.estimator_title, estimators))}." if estimators else "",
            "",
            "Estimate 2D poses.",
            next(filter(None, (outdated_second_look(session, take, name) for name in estimators)), ""),
        ),
        "triangulate": step(
            "triangulate",
            "3D poses are triangulated." if BASELINE in results else "",
            no_rig or no_poses2d,
            "Triangulate 3D poses.",
            outdated.get(BASELINE, ""),
        ),
        "infer": step(
            "infer",
            f"3D poses of {newest}." if newest in trained else "",
            no_rig or no_poses2d,
            f"Infer 3D poses with {newest}." if runs else "Infer 3D poses with shipped networks, or train first.",
            outdated.get(newest, ""),
        ),
        "fit-body": step(
            "fit-body",
            f"Bodies of {', '.join(bodies)}." if bodies else "",
            no_result,
            "Fit bodies to the 3D poses.",
            next(filter(None, (outdated_bodies(take, name) for name in bodies)), ""),
        ),
        "evaluate": step(
            "evaluate",
            "Metrics are up to date." if take.layout.report.is_file() else "",
            no_rig or no_result,
            "Evaluate the 3D poses.",
            outdated_evaluation(session, take),
        ),
        "export": step(
            "export",
            f"{exported} exported files." if exported else "",
            no_result,
            "Export the 3D poses.",
            _outdated_exports(session, take, outdated),
        ),
    }


def _rig_problem(session: Session, take: Take, rig: StepStatus) -> str:
    if rig.state != "done":
        return rig.reason
    try:
        session.rig_for(take)
    except CoreError as error:
        return str(error)
    return ""


def _outdated_exports(session: Session, take: Take, outdated: Mapping[str, str]) -> str:
    """Return why exported files of a take are out of date; empty if they are current."""
    for name, reason in outdated.items():
        manifest = export_manifest(session.layout.exports, take.name, name)
        if manifest is None:
            continue
        if reason:
            return reason
        rig = provenance_of(take, name).get("rig", manifest.rig)
        if manifest.rig != rig or manifest.result not in ("", result_id(take, name)):
            return f"The 3D poses '{name}' have changed since they were exported: export them again."
        if manifest.bodies not in ("", bodies_id(take, name)):
            return f"The bodies of '{name}' have changed since they were exported: export them again."
    return ""


def _exported(session: Session, take: Take, results: list[str]) -> int:
    """Return the number of exported files of a take's 3D poses."""
    return sum(len(exported_files(session.layout.exports, take.name, result)) for result in results)


def _train(session: Session, takes: list[Take], rig: StepStatus, runs: list[RunLayout]) -> StepStatus:
    if runs:
        reason = f"{_count([run.name for run in runs], 'trained run')}, the newest is {runs[-1].name}."
        if messages := outdated_training(session, runs[-1]):
            return StepStatus(step="train", state="outdated", reason=f"Out of date. {messages[0]} Train again.")
        return StepStatus(step="train", state="done", reason=reason)
    no_poses2d = "Estimate 2D poses of a take first."
    problems = [_rig_problem(session, take, rig) or ("" if take.estimators() else no_poses2d) for take in takes]
    if all(problems):
        return StepStatus(step="train", state="blocked", reason=problems[0])
    return StepStatus(step="train", state="ready", reason="Train on the takes with 2D poses.")


def _combined(step: Step, each: list[tuple[str, StepStatus]]) -> StepStatus:
    """Return the combined state of several takes: outdated, ready, blocked or done, in this order of precedence."""
    for state in ("outdated", "ready", "blocked"):
        matching = [(name, status) for name, status in each if status.state == state]
        if matching:
            name, status = matching[0]
            reason = status.reason if len(each) == 1 else f"{name}: {status.reason}"
            return StepStatus(step=step, state=status.state, reason=reason)
    reason = each[0][1].reason if len(each) == 1 else f"Done for all {len(each)} takes."
    return StepStatus(step=step, state="done", reason=reason)


def _count(names: list[str], what: str) -> str:
    return f"{len(names)} {what}{'s' * (len(names) != 1)}"
