"""Verb `update`: recomputation of outdated results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.body.models.families import FREE
from core.config import from_mapping
from core.errors import CoreError
from core.pipelines.evaluate import run_evaluate
from core.pipelines.infer import run_infer
from core.pipelines.params import EvaluateParams, FitBodyParams, InferParams, TriangulateParams, UpdateParams
from core.pipelines.results.fit_body import run_fit_body
from core.pipelines.second_look import update_second_look
from core.pipelines.triangulate import run_triangulate
from core.pose2d.cards import model_card
from core.pose2d.config import Pose2DConfig
from core.progress import Reporter, StageReporter, check
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session, Take
from core.session.inputs import (
    evaluation_report,
    is_measured,
    outdated_bodies,
    outdated_result,
    outdated_second_look,
    provenance_of,
    stored_bodies_provenance,
)
from core.session.naming import body_result, fitted_result
from core.tracking.config import TrackingConfig
from core.training.presets import SHIPPED_PRESETS


def run_update(session: Session, params: UpdateParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Recompute outdated second looks, 3D poses, bodies and evaluations with their original settings.

    Networks are not trained again; outdated ones are noted.

    Returns:
        `updated` (names of recomputed results by take) and `left` (sentences on results that stay out of date).

    Raises:
        CoreError: A take or its rig is missing.
        CancelledError: The job was stopped; what is finished is kept.
    """
    updated: dict[str, list[str]] = {}
    left: list[str] = []
    for number, name in enumerate(params.takes):
        check(reporter)
        share = 1 / len(params.takes)
        take = session.take(name)
        done = _update(session, take, run, StageReporter(reporter, number * share, share, name), left)
        if done:
            updated[name] = done
    for message in left:
        reporter.note(message, "warning")
    if not updated:
        reporter.note("All results are up to date." if not left else "Nothing was updated.")
    return {"updated": updated, "left": left}


def _update(session: Session, take: Take, run: RunLayout, reporter: Reporter, left: list[str]) -> list[str]:
    """Recompute the outdated results of a take, and return their names."""
    done = []
    first, second, third = (StageReporter(reporter, start, 1 / 3) for start in (0.0, 1 / 3, 2 / 3))
    for estimator in take.estimators():
        if outdated_second_look(session, take, estimator):
            request = take.poses2d_manifest(estimator)["request"]
            values = {**request["config"], "second_look": "on"}
            update_second_look(session, take, model_card(estimator), from_mapping(Pose2DConfig, values), first)
            done.append(f"second look at {estimator}")
    networks = [name for name in take.poses3d_runs() if not fitted_result(name)]
    results = [name for name in networks if outdated_result(session, take, name)]
    for name in list(results):
        estimator = provenance_of(take, name).get("estimator", "")
        if estimator and estimator not in take.estimators():
            left.append(f"{take.name}: the 2D poses of {estimator} no longer exist; {name} stays out of date.")
            results.remove(name)
    if BASELINE in results:
        settings = Triangulator.from_baseline(provenance_of(take, BASELINE))
        estimator = str(provenance_of(take, BASELINE).get("estimator", ""))
        again = TriangulateParams(
            take=take.name, estimator=estimator, association=settings.association, tracking=settings.tracking
        )
        run_triangulate(session, again, run, second)
        done.append(BASELINE)
    for name in results:
        if name != BASELINE:
            _infer_again(session, take, name, run, second, done, left)
    _fit_again(session, take, run, third, done, left)
    _evaluate_again(session, take, run, third, done, left)
    return done


def _fit_again(
    session: Session, take: Take, run: RunLayout, reporter: Reporter, done: list[str], left: list[str]
) -> None:
    """Refit bodies whose 3D poses have changed."""
    for name in take.bodies_runs():
        if not (outdated_bodies(take, name) or outdated_result(session, take, body_result(name))):
            continue
        if outdated_result(session, take, name) or name not in take.poses3d_runs():
            left.append(f"{take.name}: the 3D poses {name} are missing or out of date; their bodies stay out of date.")
            continue
        settings = stored_bodies_provenance(take, name).get("body", {})
        again = FitBodyParams(
            take=take.name,
            poses=name,
            body_model=str(settings.get("model", FREE)),
            people=tuple(settings.get("people", ())),
        )
        run_fit_body(session, again, run, reporter)
        done.append(body_result(name))


def _infer_again(
    session: Session, take: Take, name: str, run: RunLayout, reporter: Reporter, done: list[str], left: list[str]
) -> None:
    """Repeat the inference of 3D poses with the same networks, if they still exist."""
    known = provenance_of(take, name)
    shipped = known.get("networks") == "shipped" or name in SHIPPED_PRESETS
    if not shipped and not session.layout.run(name).checkpoints.is_dir():
        left.append(f"{take.name}: the networks of {name} no longer exist; its 3D poses stay out of date.")
        return
    try:
        tracking = from_mapping(TrackingConfig, known.get("tracking", {}))
    except CoreError:
        tracking = TrackingConfig()  # settings of another version
    again = InferParams(
        take=take.name,
        run="" if shipped else name,
        model=name if shipped else "",
        estimator=str(known.get("estimator", "")),
        temporal=bool(known.get("temporal", True)),
        tracking=tracking,
        processes=1,
    )
    run_infer(session, again, run, reporter)
    done.append(name)


def _evaluate_again(
    session: Session, take: Take, run: RunLayout, reporter: Reporter, done: list[str], left: list[str]
) -> None:
    """Repeat the last evaluation if its inputs have changed."""
    report = evaluation_report(take.layout.report)
    methods, results = report.get("methods"), take.poses3d_runs()
    if not isinstance(methods, dict) or BASELINE not in results:
        return
    method = str(methods.get("trained", {}).get("run", ""))
    names = [BASELINE, *([method] if method in results else [])]
    names += [body_result(name) for name in names if body_result(name) in results]
    if is_measured(session, take, report, names) or any(outdated_result(session, take, name) for name in names):
        return
    shipped = method in SHIPPED_PRESETS
    if method and not shipped and not session.layout.run(method).checkpoints.is_dir():
        left.append(f"{take.name}: the networks of {method}, which were evaluated last, no longer exist.")
        method = ""
    truth = report.get("truth", {})
    files = [str(file) for file in truth.get("files", []) if Path(file).exists()]
    again = EvaluateParams(
        take=take.name,
        run="" if shipped else method,
        model=method if shipped else "",
        estimator=str(report.get("inputs", {}).get("estimator", "")),
        truth=tuple(files),
        truth_fit=truth.get("alignment", "rigid"),
    )
    run_evaluate(session, again, run, reporter)
    done.append("evaluation")
