"""Verb `evaluate`: label-free metrics of a take for triangulation with and without smoothing, and trained networks."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.body.models.families import FREE
from core.body.models.registry import load_body_model
from core.body.people import fit_people
from core.config import from_mapping
from core.datasets.config import SplitConfig
from core.datasets.split import held_out
from core.errors import CoreError
from core.evaluation.fit import median_reprojection_px
from core.evaluation.loco import (
    FitWithout,
    Variant,
    ViewErrors,
    ViewObservations,
    collect_observations,
    loco_errors_of_variants,
)
from core.evaluation.report import BASELINE_KEY, BODY_KEYS, RTS_KEY, TRAINED_KEY, MethodResult, build_report
from core.evaluation.truth.read import read_truth
from core.evaluation.truth.report import truth_report
from core.files import read_yaml, write_json
from core.pipelines.infer import TrainedNetworks, choose_networks
from core.pipelines.params import EvaluateParams, TrainParams
from core.pose2d.choice import choose_poses2d
from core.progress import NullReporter, Reporter, StageReporter, check
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session, Take
from core.session.inputs import (
    evaluation_inputs,
    note_outdated_inputs,
    outdated_result,
    provenance_of,
    require_current,
)
from core.session.naming import body_result
from core.tracking.config import TrackingConfig
from core.tracking.smooth import smooth
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D, StoredPose2D
from core.types.pose3d import Pose3DSequence

if TYPE_CHECKING:
    from core.reconstruction.predictor import Predictor

_CONTEXT_S = 0.5  # Around the held-out frames, for tracking and smoothing.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _EvaluationData:
    """Inputs common to all methods.

    Methods use `poses2d` and are assessed by `observed`, without the second look, which depends on the 3D people.
    `held_out` are the observations for LOCO, `stored` the names of the evaluated 3D results.
    """

    take: Take
    rig: CameraRig
    estimator: str
    poses2d: Mapping[str, Pose2D | StoredPose2D]
    observed: Mapping[str, Pose2D | StoredPose2D]
    time_s: F64
    held_out: ViewObservations
    stored: Sequence[str]

    def loco(
        self, fit: FitWithout, variants: Sequence[Variant], reporter: Reporter, text: str
    ) -> Sequence[ViewErrors | None]:
        """Return the LOCO errors of each variant; None with fewer than three cameras."""
        if len(self.rig) < 3:
            return [None] * len(variants)
        return loco_errors_of_variants(self.rig, self.held_out, self.time_s, fit, variants, reporter, text)

    def reprojection_px(self, sequence: Pose3DSequence) -> float:
        """Return the median reprojection error over the whole take."""
        return median_reprojection_px(self.rig, self.observed, sequence)


def run_evaluate(session: Session, params: EvaluateParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Evaluate a take, and store the report in the take and in the trained run, if there is one.

    Returns:
        The report; see `core.evaluation.report.build_report`.

    Raises:
        CoreError: Take, run, baseline or 2D poses are missing, a result is out of date, or the truth cannot be read.
    """
    take = session.take(params.take)
    if not take.layout.poses3d(BASELINE).exists():
        raise CoreError(f"Take {take.name} has no baseline.", "Run triangulate on the take first.")
    files = [Path(name).expanduser() for name in params.truth]
    truth = read_truth(files, take.manifest.fps) if files else None
    model = choose_networks(session, params.run, params.model, take)
    names = [BASELINE, *([model.name] if model else [])]
    stored = [name for name in names if take.layout.poses3d(name).exists()]
    require_current(session, [take], stored)
    bodies = [name for name in map(body_result, names) if take.layout.poses3d(name).exists()]
    note_outdated_inputs(session, take, bodies, reporter)
    stored += [name for name in bodies if not outdated_result(session, take, name)]
    with tempfile.TemporaryDirectory() as folder:
        estimator = choose_poses2d([take], params.estimator, reporter)
        data = _load_data(session, take, estimator, model, stored, Path(folder), reporter)
        inputs = evaluation_inputs(take, data.estimator, data.rig, stored)
        methods = _triangulation(data, StageReporter(reporter, 0.0, 0.4 if model else 1.0))
        check(reporter)
        if model is not None:
            predictor = model.load(session, take.name, reporter)
            methods |= _trained(data, predictor, model, StageReporter(reporter, 0.4, 0.6))
        report = build_report(take.name, len(data.held_out.frames), methods)
        if truth is not None:
            found = truth_report(
                truth, methods, data.time_s, data.held_out.frames, params.truth_fit, params.truth_offset_s
            )
            report["truth"] = {"files": [str(file) for file in files], "alignment": params.truth_fit, **found}
            for note in [*found["notes"], *([found["verdict"]] if "verdict" in found else [])]:
                reporter.note(note)
    report["inputs"] = inputs
    write_json(take.layout.report, report)
    if model is not None and model.run is not None:
        write_json(model.run.report, report)
    reporter.note(report["verdict"])
    for of_bodies in report.get("bodies", {}).values():
        reporter.note(of_bodies["verdict"])
    return report


def _load_data(
    session: Session,
    take: Take,
    estimator: str,
    model: TrainedNetworks | None,
    stored: Sequence[str],
    folder: Path,
    reporter: Reporter,
) -> _EvaluationData:
    """Load the common inputs; large ones are stored in `folder`."""
    rig = session.rig_for(take)
    observed = poses2d = take.stored_poses2d(estimator, rig, folder)
    if take.poses2d_manifest(estimator).get("second_look"):
        (folder / "first").mkdir()
        observed = take.stored_poses2d(estimator, rig, folder / "first", first_pass=True)
    time_s = take.timeline().time_s
    frames = np.flatnonzero(held_out(len(time_s), _split(model)))
    if not len(frames):
        frames = np.arange(len(time_s))
        if model is not None and model.run is not None:
            reporter.note("The training held out no frames: the metrics are over training frames.", "warning")
    return _EvaluationData(
        take=take,
        rig=rig,
        estimator=estimator,
        poses2d=poses2d,
        time_s=time_s,
        observed=observed,
        held_out=collect_observations(observed, rig.names, frames),
        stored=stored,
    )


def _split(model: TrainedNetworks | None) -> SplitConfig:
    """Return the split of the networks' training, or the default one."""
    if model is None or model.run is None or not model.run.config.exists():
        return SplitConfig()
    return from_mapping(TrainParams, read_yaml(model.run.config)).training.split


def _triangulation(data: _EvaluationData, reporter: Reporter) -> dict[str, MethodResult]:
    """Evaluate the stored baseline and, unless already smoothed, the baseline with a Rauch-Tung-Striebel smoother.

    Both are refitted for every left-out camera with the settings of the baseline, from the held-out frames and some
    context.
    """
    own = Triangulator.from_baseline(Pose3DSequence.load_provenance(data.take.layout.poses3d(BASELINE)))
    raw = dataclasses.replace(own, tracking=dataclasses.replace(own.tracking, smoothing="none"))
    methods = {BASELINE_KEY: own.tracking}
    if own.tracking.smoothing != "rts":
        methods[RTS_KEY] = dataclasses.replace(own.tracking, smoothing="rts")

    def whole(tracking: TrackingConfig) -> Pose3DSequence:
        if tracking is not own.tracking and own.tracking.smoothing == "one_euro":
            return smooth(raw.reconstruct(data.rig, data.poses2d, data.time_s, NullReporter()), tracking)
        stored = data.take.poses3d(BASELINE)
        return stored if tracking is own.tracking else smooth(stored, tracking)

    # Complete takes first, while little memory is in use.
    results = {
        key: MethodResult.of(functools.partial(whole, tracking), data.reprojection_px, smoothing=tracking.smoothing)
        for key, tracking in methods.items()
    }
    variants: list[Variant] = [functools.partial(smooth, config=tracking) for tracking in methods.values()]
    _add_bodies(data, BASELINE_KEY, BASELINE, results, variants, reporter)
    loco = data.loco(_fit_without(data, raw), variants, reporter, "Triangulating without")
    return {
        key: dataclasses.replace(result, loco=of_method)
        for (key, result), of_method in zip(results.items(), loco, strict=True)
    }


def _add_bodies(
    data: _EvaluationData,
    key: str,
    name: str,
    results: dict[str, MethodResult],
    variants: list[Variant],
    reporter: Reporter,
) -> None:
    """Add the joints of bodies fitted to a stored result, and a variant with the same body fit.

    Args:
        data: Inputs common to all methods.
        key: Key of the method.
        name: Name of its stored result.
        results: Results by key, without errors.
        variants: Variants of the method; the first one belongs to `key`.
        reporter: Receives a note if the body model is missing.
    """
    body = body_result(name)
    if body not in data.stored:
        return
    made_with = provenance_of(data.take, body).get("body", {})
    try:
        model = load_body_model(str(made_with.get("model", FREE)))
    except CoreError as error:
        reporter.note(f"'{body}' is not evaluated. {error.message}", "warning")
        return
    load, method, variant = functools.partial(data.take.poses3d, body), results[key], variants[0]
    named = {"run": method.run, "shipped": method.shipped, "smoothing": method.smoothing}
    results[BODY_KEYS[key]] = MethodResult.of(load, data.reprojection_px, bodies=True, **named)
    variants.append(lambda sequence: fit_people(model, variant(sequence)).poses)


def _fit_without(data: _EvaluationData, triangulator: Triangulator) -> FitWithout:
    """Return a function that triangulates held-out frames and their context from all cameras but one."""
    frames = _with_context(data.held_out.frames, data.time_s)
    poses2d = {name: pose.select(frames) for name, pose in data.poses2d.items()}

    def fit(camera: str) -> Pose3DSequence:
        return triangulator.reconstruct(data.rig, poses2d, data.time_s[frames], NullReporter(), exclude_camera=camera)

    return fit


def _trained(
    data: _EvaluationData, predictor: Predictor, model: TrainedNetworks, reporter: Reporter
) -> dict[str, MethodResult]:
    """Evaluate networks by their stored 3D poses (or new ones), and by predictions for left-out cameras."""
    take, rig, estimator = data.take, data.rig, data.estimator
    made = None
    if model.name not in data.stored:
        made = predictor.reconstruct_take(take, rig, estimator, StageReporter(reporter, 0.0, 0.4))

    def whole() -> Pose3DSequence:
        return take.poses3d(predictor.name) if made is None else made

    frames = np.union1d(
        predictor.with_context(data.held_out.frames, len(data.time_s)), _with_context(data.held_out.frames, data.time_s)
    )
    tracking = _tracking(whole())

    def fit(camera: str) -> Pose3DSequence:
        return predictor.reconstruct_take(
            take, rig, estimator, NullReporter(), exclude_camera=camera, frames=frames, tracking=tracking
        )

    named = {"run": predictor.name, "shipped": model.run is None}
    results = {TRAINED_KEY: MethodResult.of(whole, data.reprojection_px, **named)}
    variants: list[Variant] = [functools.partial(smooth, config=tracking)]
    _add_bodies(data, TRAINED_KEY, predictor.name, results, variants, reporter)
    loco = data.loco(fit, variants, StageReporter(reporter, 0.4, 0.6), "Predicting without")
    return {
        key: dataclasses.replace(result, loco=of_method)
        for (key, result), of_method in zip(results.items(), loco, strict=True)
    }


def _tracking(stored: Pose3DSequence) -> TrackingConfig:
    """Return the tracking settings of inferred 3D poses; the default ones if they are of another version."""
    try:
        return from_mapping(TrackingConfig, stored.provenance.get("tracking", {}))
    except CoreError:
        return TrackingConfig()


def _with_context(frames: np.ndarray, time_s: F64) -> np.ndarray:
    """Add the frames within `_CONTEXT_S` of the given ones."""
    wanted = time_s[frames]
    after = np.clip(np.searchsorted(wanted, time_s), 0, len(wanted) - 1)
    gap = np.minimum(np.abs(time_s - wanted[after]), np.abs(time_s - wanted[np.maximum(after - 1, 0)]))
    return np.flatnonzero(gap <= _CONTEXT_S)
