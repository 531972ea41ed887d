"""Verb `fit-body`: bodies of the people of a take, with their joints."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from core import __version__
from core.body.models.registry import load_body_model
from core.body.people import FittedPeople, fit_people
from core.disk import replacing
from core.errors import CoreError
from core.pipelines.params import FitBodyParams
from core.pipelines.results.chosen import chosen_result
from core.progress import Reporter, check
from core.session import RunLayout, Session, Take
from core.session.inputs import bodies_provenance
from core.session.naming import body_result, fitted_result
from core.types.pose3d import Pose3DSequence


def run_fit_body(session: Session, params: FitBodyParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Fit bodies to a 3D result of a take, and store them, with their joints as a separate result.

    Returns:
        `take`, `poses` (fitted result), `result` (name of the joints of the bodies), `model`, `person_ids`, `left_out`
        (reason by person number) and `moved_mm_median` (distance of the bodies' joints from those of the result).

    Raises:
        CoreError: Take, result, body model or person is unknown, or no person has enough joints.
        CancelledError: The user cancelled; nothing was changed.
    """
    take = session.take(params.take)
    name = _source(session, take, params.poses, reporter)
    model = load_body_model(params.body_model)
    poses = take.poses3d(name)
    fitted_to = bodies_provenance(take, name)
    fitted = fit_people(model, poses, people=params.people, reporter=reporter)
    present = [poses.person_ids[p] for p in np.flatnonzero(fitted.bodies.present.any(0))]
    if not present:
        reasons = " ".join(f"Person {number}: {reason}" for number, reason in fitted.left_out.items())
        raise CoreError(
            f"No body could be fitted to '{name}' of take {take.name}. {reasons}".strip(),
            "Bodies need shoulders, elbows, wrists, hips, knees and ankles: check the 3D poses.",
        )
    check(reporter)
    provenance = {
        **poses.provenance,
        **fitted_to,
        "method": "bodies",
        "body": {"model": model.name, "sha256": model.source_sha256, "people": list(params.people)},
        "code_version": __version__,
    }
    joints = take.layout.poses3d(body_result(name))
    # Both are written before either is renamed, so that an interruption leaves no bodies without joints.
    with replacing(take.layout.bodies(name)) as new_bodies, replacing(joints) as new_joints:
        dataclasses.replace(fitted.bodies, provenance=provenance).save(new_bodies)
        dataclasses.replace(fitted.poses, provenance=provenance).save(new_joints)
    _note(fitted, reporter)
    return {
        "take": take.name,
        "poses": name,
        "result": body_result(name),
        "model": model.name,
        "person_ids": present,
        "left_out": {str(number): reason for number, reason in fitted.left_out.items()},
        "moved_mm_median": _moved_mm(poses, fitted.poses),
    }


def _source(session: Session, take: Take, wanted: str, reporter: Reporter) -> str:
    """Return the result to fit bodies to."""
    if source := fitted_result(wanted):
        raise CoreError(f"'{wanted}' already are the joints of bodies.", f"Fit bodies to '{source}'.")
    return chosen_result(session, take, wanted, reporter, of_bodies=False, use="fit bodies to it")


def _note(fitted: FittedPeople, reporter: Reporter) -> None:
    for number, reason in fitted.left_out.items():
        reporter.note(f"No body was fitted to person {number}. {reason}", "warning")
    gaps = [
        f"person {number} {abs(gap):.0f} mm {'above' if gap > 0 else 'below'}"
        for number, gap in fitted.off_floor_mm.items()
    ]
    if gaps:
        reporter.note(
            f"Resting feet are off the floor: {', '.join(gaps)}. These bodies were not set on the floor. If all are "
            "off by a similar distance, measure the floor again (set-world)."
        )
    if fitted.missing:
        names = ", ".join(name.replace("_", " ") for name in fitted.missing)
        reporter.note(f"The body model lacks these joints, which are missing from the result: {names}.", "warning")


def _moved_mm(poses: Pose3DSequence, bodies: Pose3DSequence) -> float | None:
    gaps = np.linalg.norm(poses.xyz_mm - bodies.xyz_mm, axis=-1)
    return round(float(np.nanmedian(gaps)), 1) if np.isfinite(gaps).any() else None
