"""Verb `triangulate`: the 3D people of a take by matching and triangulation alone, without training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from core import __version__
from core.association.config import AssociationConfig
from core.association.match import associate_take
from core.calibration.people.check import check_people
from core.config import from_mapping, to_mapping
from core.evaluation.compare import covered, figures
from core.evaluation.loco import observations, reprojection
from core.evaluation.people import continuity, people_frames
from core.pipelines.params import TriangulateParams
from core.progress import Reporter
from core.session import BASELINE, RunLayout, Session
from core.tracking.config import TrackingConfig
from core.tracking.plausible import wild_joints
from core.tracking.smooth import smooth
from core.tracking.track import follow, track_people
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence


def run_triangulate(session: Session, params: TriangulateParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Triangulates the people of a take and stores them as its baseline.

    Returns:
        take, people_per_frame (number of people to number of frames), person_ids, identity_switches,
        reprojection_px_median (None if nobody was found).

    Raises:
        CoreError: No such take, no rig, or no 2D poses of the estimator.
    """
    take = session.take(params.take)
    rig = session.rig_for(take)
    poses2d = take.poses2d(params.estimator, rig)
    time_s = take.timeline().time_s
    sequence = fit_baseline(rig, poses2d, time_s, params.association, params.tracking, reporter)
    provenance = {
        **sequence.provenance,
        "config": {"association": to_mapping(params.association), "tracking": to_mapping(params.tracking)},
        "estimator": params.estimator,
        "code_version": __version__,
    }
    sequence = dataclasses.replace(sequence, provenance=provenance)
    sequence.save(take.layout.poses3d(BASELINE))
    everything = observations(poses2d, rig.names, np.arange(len(time_s)))
    fitted = reprojection(rig, everything, sequence, time_s)
    median = figures(fitted, covered(fitted)).median_px
    _warn(rig, sequence, reporter)
    return {
        "take": take.name,
        "people_per_frame": people_frames(sequence),
        "person_ids": list(sequence.person_ids),
        "identity_switches": continuity(sequence).identity_switches,
        "reprojection_px_median": round(median, 3) if np.isfinite(median) else None,
    }


def _warn(rig: CameraRig, sequence: Pose3DSequence, reporter: Reporter) -> None:
    """Tells of what the people give away about the rig: a wrong axis or unit shows in them and not in reprojection."""
    if not sequence.present.any():
        reporter.note(
            "Nobody was found in two views that agree. Check the rig on the Calibrate page and the 2D poses.", "warning"
        )
        return
    for finding in check_people(rig, sequence):
        if finding.level != "ok":
            reporter.note(f"{finding.message} {finding.remedy}".strip(), "warning")


def refit_without(
    camera: str,
    baseline: Pose3DSequence,
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: F64,
    reporter: Reporter,
) -> Pose3DSequence:
    """A stored baseline again, of the other cameras alone, with the settings that it was made with.

    The frames may be fewer than the baseline's: those of `poses2d` and `time_s` count.
    """
    settings = baseline.provenance.get("config", {})
    association = from_mapping(AssociationConfig, settings.get("association", {}))
    tracking = from_mapping(TrackingConfig, settings.get("tracking", {}))
    rest = rig.subset([name for name in rig.names if name != camera])
    return fit_baseline(rest, poses2d, time_s, association, tracking, reporter)


def fit_baseline(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: F64,
    association: AssociationConfig,
    tracking: TrackingConfig,
    reporter: Reporter,
) -> Pose3DSequence:
    """Matched, triangulated, tracked people without wild joints, smoothed if asked for."""
    found = associate_take(rig, poses2d, time_s, association, reporter)
    xyz, score, ids, source = track_people(time_s, found.xyz_mm, found.score, found.skeleton, tracking)
    covariance = None if found.covariance_mm2 is None else follow(found.covariance_mm2, source)
    wild = wild_joints(time_s, xyz, found.skeleton, tracking)
    tracked = dataclasses.replace(
        found,
        xyz_mm=np.where(wild[..., None], np.nan, xyz),
        score=np.where(wild, 0.0, score),
        person_ids=tuple(ids.tolist()),
        covariance_mm2=covariance,
    )
    return smooth(tracked, tracking)
