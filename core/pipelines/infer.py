"""Verb `infer`: 3D poses of a take with trained networks, stored with their provenance."""

from __future__ import annotations

import dataclasses
from typing import Any

from core import __version__
from core.config import to_mapping
from core.errors import CoreError
from core.evaluation.identity import people_per_frame
from core.models.device import process_count
from core.models.distributed import Group, process_group
from core.pipelines.params import InferParams
from core.progress import Reporter
from core.reconstruction.predictor import Predictor
from core.session import RunLayout, Session
from core.session.inputs import input_digests
from core.session.status import trained_runs
from core.tracking.smooth import smooth
from core.tracking.track import note_discarded


def run_infer(session: Session, params: InferParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Predict and track the people of a take, smooth them if configured, and store them under the name of the run.

    Returns:
        model, file, people, people_per_frame (number of frames by number of people), device.

    Raises:
        CoreError: There is no trained run, or the take has no 2D poses.
        CancelledError: The job was cancelled.
    """
    with process_group(process_count(params.processes), run.root) as group:
        return _infer(session, params, group, reporter)


def _infer(session: Session, params: InferParams, group: Group, reporter: Reporter) -> dict[str, Any]:
    take = session.take(params.take)
    rig = session.rig_for(take)
    model = session.layout.run(params.run) if params.run else _newest(session)
    predictor = Predictor.load(model, precision=params.precision, temporal=params.temporal)
    sequence = predictor.reconstruct_take(take, rig, params.estimator, reporter, tracking=params.tracking, group=group)
    if not group.is_main:
        return {}
    provenance = {
        **sequence.provenance,
        **input_digests(session, take, params.estimator).to_provenance(),
        "take": take.name,
        "tracking": to_mapping(params.tracking),
        "code_version": __version__,
    }
    sequence = smooth(dataclasses.replace(sequence, provenance=provenance), params.tracking)
    file = take.layout.poses3d(model.name)
    sequence.save(file)
    note_discarded(sequence, params.tracking, reporter)
    return {
        "model": model.name,
        "file": str(file),
        "people": len(sequence.person_ids),
        "people_per_frame": people_per_frame(sequence),
        "device": predictor.runs_on,
    }


def _newest(session: Session) -> RunLayout:
    runs = trained_runs(session)
    if not runs:
        raise CoreError("The session has no trained run.", "Train the networks first.")
    return runs[-1]
