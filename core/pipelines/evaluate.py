"""Verb `evaluate`: label-free figures of a take, the baseline and a trained run side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.config import from_mapping
from core.datasets.config import SplitConfig
from core.datasets.split import held_out
from core.errors import CoreError
from core.evaluation.loco import Fit, LeftOut, Observations, observations, reprojection, view_left_out
from core.evaluation.report import BASELINE_KEY, TRAINED_KEY, MethodResult, build_report
from core.files import read_yaml, write_json
from core.pipelines.params import EvaluateParams, TrainParams
from core.progress import NullReporter, Reporter, StageReporter, check
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session, Take
from core.session.status import trained_runs
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Material:
    """What both methods are measured on."""

    take: Take
    rig: CameraRig
    estimator: str
    poses2d: Mapping[str, Pose2D]
    time_s: F64
    measured: Observations
    everything: Observations

    def left_out(self, fit: Fit, reporter: Reporter, text: str) -> LeftOut | None:
        """Errors in left-out cameras; None where there are too few cameras."""
        if len(self.rig) < 3:
            return None
        return view_left_out(self.rig, self.measured, self.time_s, fit, reporter, text)

    def reprojection(self, sequence: Pose3DSequence) -> LeftOut:
        """Errors in all cameras, over the whole take."""
        return reprojection(self.rig, self.everything, sequence, self.time_s)


def run_evaluate(session: Session, params: EvaluateParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Measures a take and stores the report with the take and, if there is one, with the trained run.

    Returns:
        The report; see `core.evaluation.report.build_report`.

    Raises:
        CoreError: No such take or run, no baseline, or no 2D poses of the estimator.
    """
    take = session.take(params.take)
    if not take.layout.poses3d(BASELINE).exists():
        raise CoreError(f"Take {take.name} has no baseline.", "Run Baseline (associate) on the take first.")
    model = _model(session, params.run)
    material = _material(session, take, params.estimator, model, reporter)
    methods = {BASELINE_KEY: _baseline(material, StageReporter(reporter, 0.0, 0.4 if model else 1.0))}
    check(reporter)
    if model is not None:
        methods[TRAINED_KEY] = _trained(material, model, StageReporter(reporter, 0.4, 0.6))
    report = build_report(take.name, len(material.measured.frames), methods)
    write_json(take.layout.report, report)
    if model is not None:
        write_json(model.report, report)
    reporter.note(report["verdict"])
    return report


def _model(session: Session, name: str) -> RunLayout | None:
    """The trained run of that name, or the newest finished one, or None."""
    if name:
        model = session.layout.run(name)
        if not model.checkpoints.is_dir():
            raise CoreError(f"Run '{name}' holds no trained networks.", "Choose a finished training run.")
        return model
    trained = trained_runs(session)
    return trained[-1] if trained else None


def _material(session: Session, take: Take, estimator: str, model: RunLayout | None, reporter: Reporter) -> _Material:
    rig = session.rig_for(take)
    poses2d = take.poses2d(estimator, rig)
    time_s = take.timeline().time_s
    frames = np.flatnonzero(held_out(len(time_s), _split(model)))
    if not len(frames):
        frames = np.arange(len(time_s))
        if model is not None:
            reporter.note("Training held nothing out: the figures are of frames that it saw.", "warning")
    return _Material(
        take=take,
        rig=rig,
        estimator=estimator,
        poses2d=poses2d,
        time_s=time_s,
        measured=observations(poses2d, rig.names, frames),
        everything=observations(poses2d, rig.names, np.arange(len(time_s))),
    )


def _split(model: RunLayout | None) -> SplitConfig:
    """The split that the run was trained with, or the usual one."""
    if model is None or not model.config.exists():
        return SplitConfig()
    return from_mapping(TrainParams, read_yaml(model.config)).training.split


def _baseline(material: _Material, reporter: Reporter) -> MethodResult:
    """The stored baseline, and its refit for every left-out camera with the settings that it was made with."""
    sequence = material.take.poses3d(BASELINE)
    frames = material.measured.frames
    poses2d = {name: _rows(pose, frames) for name, pose in material.poses2d.items()}
    triangulator = Triangulator.from_baseline(sequence)

    def fit(camera: str) -> Pose3DSequence:
        return triangulator.reconstruct(
            material.rig, poses2d, material.time_s[frames], NullReporter(), exclude_camera=camera
        )

    left_out = material.left_out(fit, reporter, "Triangulating without")
    return MethodResult(sequence=sequence, reprojection=material.reprojection(sequence), left_out=left_out)


def _trained(material: _Material, model: RunLayout, reporter: Reporter) -> MethodResult:
    """The trained run's people, predicted here if that was not done yet, and its predictions of left-out cameras."""
    from core.reconstruction.predictor import Predictor

    predictor = Predictor.load(model)
    take, rig, estimator = material.take, material.rig, material.estimator
    if take.layout.poses3d(model.name).exists():
        sequence = take.poses3d(model.name)
    else:
        sequence = predictor.reconstruct_take(take, rig, estimator, StageReporter(reporter, 0.0, 0.4))

    frames = predictor.with_context(material.measured.frames, len(material.time_s))

    def fit(camera: str) -> Pose3DSequence:
        return predictor.reconstruct_take(take, rig, estimator, NullReporter(), exclude_camera=camera, frames=frames)

    left_out = material.left_out(fit, StageReporter(reporter, 0.4, 0.6), "Predicting without")
    return MethodResult(
        sequence=sequence, reprojection=material.reprojection(sequence), left_out=left_out, run=model.name
    )


def _rows(pose: Pose2D, frames: np.ndarray) -> Pose2D:
    return dataclasses.replace(pose, xy_px=pose.xy_px[frames], score=pose.score[frames], box_px=pose.box_px[frames])
