"""Verb `triangulate`: 3D poses of a take by association and triangulation, without training."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from core import __version__
from core.association.bias import RIG_WARNING
from core.calibration.people.check import check_people
from core.calibration.session_check import report_people_fit
from core.evaluation.fit import median_reprojection_px
from core.evaluation.identity import identity_metrics, people_per_frame
from core.pipelines.params import TriangulateParams
from core.pipelines.rig.certify import compare_take
from core.pose2d.choice import choose_poses2d
from core.progress import Reporter, StageReporter
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session
from core.session.inputs import input_digests, outdated_second_look
from core.tracking.track import DISCARDED, note_discarded
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence


def run_triangulate(session: Session, params: TriangulateParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Triangulate the people of a take and store them as its baseline.

    Returns:
        `take`, `people_per_frame` (number of frames by number of people), `person_ids`, `identity_switches` (None if
        frames are too far apart), `reprojection_px_median` (None without people) and `rig_comparison` (fit of the
        cameras to the people, and the verb for a repair).

    Raises:
        CoreError: The take, its rig or the 2D poses of the estimator are missing.
    """
    take = session.take(params.take)
    rig = session.rig_for(take)
    estimator = choose_poses2d([take], params.estimator, reporter)
    inputs = input_digests(take, estimator, rig)
    time_s = take.timeline().time_s
    triangulator = Triangulator(association=params.association, tracking=params.tracking)
    with tempfile.TemporaryDirectory() as folder:
        poses2d = take.stored_poses2d(estimator, rig, Path(folder))
        sequence = triangulator.reconstruct(rig, poses2d, time_s, StageReporter(reporter, 0.0, 0.5))
        median = median_reprojection_px(rig, poses2d, sequence)
    del poses2d
    biased, comparing = str(sequence.provenance.get(RIG_WARNING, "")), StageReporter(reporter, 0.5, 0.5)
    comparison = compare_take(take, estimator, rig, biased, comparing)
    if message := outdated_second_look(session, take, estimator):
        reporter.note(f"{message} Run 'pose2d' on the take again.", "warning")
    provenance = {
        **sequence.provenance,
        **inputs.to_provenance(),
        "code_version": __version__,
        RIG_WARNING: comparison.warning,
    }
    sequence = dataclasses.replace(sequence, provenance=provenance)
    sequence.save(take.layout.poses3d(BASELINE))
    note_discarded(sequence, params.tracking, reporter)
    _warn(rig, sequence, reporter)
    if comparison.message:
        reporter.note(comparison.warning, "warning")
    seen_in = {"take": take.name, "estimator": estimator}
    report_people_fit(session, comparison.finding(take.name), comparison.to_mapping() | seen_in)
    return {
        "take": take.name,
        "people_per_frame": people_per_frame(sequence),
        "person_ids": list(sequence.person_ids),
        "identity_switches": identity_metrics(sequence).identity_switches,
        "reprojection_px_median": round(median, 3) if np.isfinite(median) else None,
        "rig_comparison": comparison.to_mapping(),
    }


def _warn(rig: CameraRig, sequence: Pose3DSequence, reporter: Reporter) -> None:
    """Warn about an implausible rig: people reveal a wrong axis or unit, the reprojection error does not."""
    if not sequence.present.any():
        if sequence.provenance.get(DISCARDED):
            return
        reporter.note(
            "No person was found in two views that agree. Check the rig on the Calibrate page, and the 2D poses.",
            "warning",
        )
        return
    for finding in check_people(rig, sequence):
        if finding.level != "ok":
            reporter.note(f"{finding.message} {finding.remedy}".strip(), "warning")
