"""Digests of the inputs that results and models were made from, and their comparison with the present files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import CoreError
from core.files import read_json, read_once, read_yaml, sha256, write_yaml
from core.geometry.resize import at_size
from core.geometry.similarity import Similarity, similarity_between
from core.progress import Reporter
from core.session.layout import RunLayout
from core.session.naming import fitted_result
from core.session.store import BASELINE, Session, Take
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence

UPDATE = "Run 'update' on the take to make its results again."
"""Remedy for results whose inputs have changed."""
FIT_BODIES_AGAIN = "Run 'fit-body' on it again."
"""Remedy for bodies that were fitted to other 3D poses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDigests:
    """Inputs of a 3D result.

    Attributes:
        estimator: Name of the 2D poses.
        poses2d: Digest of the 2D poses of all cameras, and of the errors of their clocks in the take.
        rig: Digest of the rig, as stored by the methods themselves.
        clock_errors: Errors of the clocks in the take, by name of the camera.
    """

    estimator: str
    poses2d: str
    rig: str
    clock_errors: Mapping[str, float | list[float]]

    def to_provenance(self) -> dict[str, Any]:
        """Return the entries of a new result's provenance; the time tells it from an earlier one of the same inputs."""
        made = datetime.now(UTC).isoformat()
        return {
            "rig": self.rig,
            "estimator": self.estimator,
            "poses2d": self.poses2d,
            "time_offset_s": dict(self.clock_errors),
            "made": made,
        }


def input_digests(take: Take, estimator: str, rig: CameraRig) -> InputDigests:
    """Return the digests of the inputs that a result is about to be made from.

    Args:
        take: The take.
        estimator: Name of its 2D poses.
        rig: Cameras of the take.

    Raises:
        CoreError: The 2D poses are missing.
    """
    return InputDigests(
        estimator=estimator,
        poses2d=_poses2d_digest(take, estimator),
        rig=rig.digest,
        clock_errors=take.clock_errors,
    )


def provenance_of(take: Take, result: str) -> dict[str, Any]:
    """Return the provenance of a 3D result; empty if the file is missing or damaged."""
    try:
        return read_once(take.layout.poses3d(result), Pose3DSequence.load_provenance)
    except CoreError:
        return {}  # whoever reads the poses reports the damage


def outdated_inputs(session: Session, take: Take, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Compare the inputs of a stored result with the present ones.

    Args:
        session: Session of the take.
        take: Take of the result.
        provenance: Provenance of the result; inputs that it does not name are not compared.

    Returns:
        A sentence per input that has changed or is gone; empty if the result is up to date.
    """
    messages = []
    rig, poses2d, estimator = (provenance.get(key, "") for key in ("rig", "poses2d", "estimator"))
    if rig and session.layout.rig.exists() and _rig_digest(session, take) != rig:
        messages.append("The calibration has changed since these 3D poses were made.")
    if poses2d and estimator:
        try:
            changed = _poses2d_digest(take, estimator) != poses2d
        except CoreError:
            messages.append(f"The 2D poses of {estimator}, from which these 3D poses were made, are gone.")
        else:
            if changed:
                shifted = provenance.get("time_offset_s", {}) != take.clock_errors
                which = "time offsets of the cameras" if shifted else f"2D poses of {estimator}"
                messages.append(f"The {which} have changed since these 3D poses were made.")
    if message := _outdated_source(take, provenance):
        messages.append(message)
    return tuple(messages)


def has_present_rig(session: Session, take: Take, result: str) -> bool:
    """Return whether a stored 3D result was made with the present calibration, as far as it is known."""
    made_with = provenance_of(take, result).get("rig", "")
    return not made_with or made_with == _rig_digest(session, take)


def outdated_result(session: Session, take: Take, result: str) -> tuple[str, ...]:
    """Return a sentence per input of a stored 3D result that has changed; empty if it is up to date."""
    return outdated_inputs(session, take, provenance_of(take, result))


def require_current(session: Session, takes: Iterable[Take], results: Sequence[str]) -> None:
    """Refuse to work on 3D results of takes whose inputs have changed since they were made.

    Raises:
        CoreError: The first result that is out of date, with the remedy.
    """
    for take in takes:
        for result in results:
            if messages := outdated_result(session, take, result):
                raise CoreError(f"{result} of take {take.name} is out of date. {' '.join(messages)}", UPDATE)


def note_outdated_inputs(session: Session, take: Take, results: Iterable[str], reporter: Reporter) -> None:
    """Warn of each input of stored results that has changed, and name the remedy."""
    for name in results:
        for message in outdated_result(session, take, name):
            reporter.note(f"{name}: {message} {UPDATE}", "warning")


def outdated_second_look(session: Session, take: Take, estimator: str) -> str:
    """Return a sentence if another calibration, or other time offsets, guided the second look at 2D poses."""
    second_look = take.poses2d_manifest(estimator).get("second_look")
    if not second_look or not session.layout.rig.exists():
        return ""
    request = second_look.get("request", {})
    if request.get("rig") != _rig_digest(session, take):
        return f"The calibration has changed since the second look at the 2D poses of {estimator}."
    if request.get("time_offset_s", {}) != take.clock_errors:
        return f"The time offsets of the cameras have changed since the second look at the 2D poses of {estimator}."
    return ""


def save_training_inputs(run: RunLayout, takes: Sequence[Take], estimator: str, rig: CameraRig) -> None:
    """Store what a training works on: the rig, and the digests of rig and 2D poses.

    Raises:
        CoreError: 2D poses are missing.
    """
    poses2d = {take.name: _poses2d_digest(take, estimator) for take in takes}
    inputs = {"rig": rig.digest, "estimator": estimator, "poses2d": poses2d}
    rig.save(run.rig)
    write_yaml(run.inputs, inputs)


def world_of_training(session: Session, run: RunLayout) -> Similarity | None:
    """Return the change from the session's world coordinates to those that networks were trained in.

    None if they are the same, or if the calibration has changed otherwise since.
    """
    rigs = _training_rigs(session, run)
    return None if rigs is None or rigs[0].digest == rigs[1].digest else similarity_between(*rigs)


def outdated_training(session: Session, run: RunLayout) -> tuple[str, ...]:
    """Return a sentence per input of a training that has changed since; empty if its networks are up to date."""
    messages = []
    if run.rig.exists() and session.layout.rig.exists():
        rigs = _training_rigs(session, run)
        if rigs is None or (rigs[0].digest != rigs[1].digest and similarity_between(*rigs) is None):
            messages.append("The calibration has changed since these networks were trained.")
    try:
        inputs = read_yaml(run.inputs) if run.inputs.exists() else {}
        estimator, digests = inputs.get("estimator", ""), inputs.get("poses2d", {})
        for name in set(digests) & set(session.take_names()):
            take = session.take(name)
            if estimator in take.estimators() and _poses2d_digest(take, estimator) != digests[name]:
                messages.append(f"The 2D poses of {estimator} of take {name} have changed since.")
    except (CoreError, AttributeError, TypeError):
        pass  # a damaged file names no inputs
    return tuple(messages)


def _training_rigs(session: Session, run: RunLayout) -> tuple[CameraRig, CameraRig] | None:
    """Return the present rig of the cameras of a training, and the rig of the training; None if they do not fit."""
    try:
        rig, trained = session.require_rig(), CameraRig.load(run.rig)
        present = tuple(at_size(rig[c.name], c.size_px) for c in trained)
    except CoreError:
        return None
    return dataclasses.replace(rig, cameras=present), trained


def result_id(take: Take, result: str) -> str:
    """Return an identifier of a 3D result that no other result has, and that a change of world coordinates keeps."""
    known = {key: value for key, value in provenance_of(take, result).items() if key != "rig"}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def bodies_provenance(take: Take, result: str) -> dict[str, Any]:
    """Return the entries of the provenance of bodies that are about to be fitted to a 3D result."""
    return {"poses": result, "result": result_id(take, result), "made": datetime.now(UTC).isoformat()}


def outdated_bodies(take: Take, result: str) -> str:
    """Return why the bodies of a 3D result are out of date; empty if they are as its present 3D poses, or absent."""
    known = stored_bodies_provenance(take, result)
    if message := _outdated_source(take, known):
        return message
    rig = provenance_of(take, result).get("rig")
    if known.get("rig", rig) != rig:
        return f"The scale of take {take.name} has changed since bodies were fitted to the 3D poses '{result}'."
    return ""


def stored_bodies_provenance(take: Take, result: str) -> dict[str, Any]:
    """Return the provenance of the bodies of a 3D result; empty if there are none, or the file is damaged."""
    try:
        return read_once(take.layout.bodies(result), Pose3DSequence.load_provenance)
    except CoreError:
        return {}  # whoever reads the bodies reports the damage


def _outdated_source(take: Take, provenance: Mapping[str, Any]) -> str:
    """Return why the 3D poses that bodies were fitted to are not the present ones; empty if they are, or unknown."""
    source, fitted_to = provenance.get("poses", ""), provenance.get("result", "")
    if not source or not fitted_to:
        return ""
    if not take.layout.poses3d(source).is_file():
        return f"The 3D poses '{source}' of take {take.name}, to which bodies were fitted, are gone."
    if fitted_to != result_id(take, source):
        return f"The 3D poses '{source}' of take {take.name} have changed since bodies were fitted to them."
    return ""


def bodies_id(take: Take, result: str) -> str:
    """Return an identifier of the bodies of a 3D result that no other bodies have; empty if there are none."""
    known = {key: value for key, value in stored_bodies_provenance(take, result).items() if key != "rig"}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16] if known else ""


def evaluation_inputs(take: Take, estimator: str, rig: CameraRig, results: Iterable[str]) -> dict[str, Any]:
    """Return what an evaluation depends on, for its report.

    Raises:
        CoreError: The 2D poses are missing.
    """
    digests = input_digests(take, estimator, rig)
    return {
        "rig": digests.rig,
        "estimator": estimator,
        "poses2d": digests.poses2d,
        "results": {name: result_id(take, name) for name in results},
    }


def is_measured(session: Session, take: Take, report: Mapping[str, Any], results: Iterable[str]) -> bool:
    """Return whether a report of an evaluation is about these results of a take, with the present calibration."""
    inputs = report.get("inputs")
    if not isinstance(inputs, Mapping) or not isinstance(inputs.get("results"), Mapping):
        return False
    if inputs.get("rig") != _rig_digest(session, take):
        return False
    return all(inputs["results"].get(name) == result_id(take, name) for name in results)


def outdated_evaluation(session: Session, take: Take) -> str:
    """Return why the metrics of a take are out of date; empty if they are about its present 3D poses, or absent."""
    if not take.layout.report.is_file():
        return ""
    report, results = evaluation_report(take.layout.report), take.poses3d_runs()
    methods = report.get("methods")
    trained = methods.get("trained") if isinstance(methods, dict) else None
    method = str(trained.get("run", "")) if isinstance(trained, dict) else ""
    inputs = report.get("inputs")
    evaluated = inputs.get("results") if isinstance(inputs, Mapping) else None
    bodies = [name for name in results if fitted_result(name) and name in (evaluated or ())]
    names = [name for name in (BASELINE, method, *bodies) if name in results]
    for name in names:
        if messages := outdated_result(session, take, name):
            return " ".join(messages)
    made = take.layout.report.stat().st_mtime
    # Bodies fitted since then do not change what the metrics are about.
    counted = [name for name in results if name in names or not fitted_result(name)]
    if any(take.layout.poses3d(name).stat().st_mtime > made for name in counted):
        return "3D poses were made since the last evaluation."
    if "inputs" in report and not is_measured(session, take, report, names):
        return "The 3D poses or the calibration have changed since the last evaluation."
    return ""


def evaluation_report(path: Path) -> dict[str, Any]:
    """Read the report of an evaluation; empty if there is none or it is damaged."""
    try:
        report = read_json(path) if path.is_file() else {}
    except CoreError:
        return {}  # the pages that show it report the damage
    return report if isinstance(report, dict) else {}


def _rig_digest(session: Session, take: Take) -> str:
    """Return the digest of the present rig of a take; empty if the rig is damaged or does not fit the take."""
    try:
        return session.rig_for(take).digest
    except CoreError:
        return ""


def _poses2d_digest(take: Take, estimator: str) -> str:
    files = take.poses2d_files(estimator).values()
    try:
        offsets = "".join(f"{name}{s}" for name, s in take.clock_errors.items())
        return hashlib.sha256(("".join(read_once(file, sha256) for file in files) + offsets).encode()).hexdigest()[:16]
    except OSError as error:
        raise CoreError(f"2D poses of {estimator} cannot be read: {error}.", "Estimate 2D poses again.") from error
