"""Digests of the inputs of results and models, and their comparison with the current files."""

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
"""Remedy for outdated results."""
FIT_BODIES_AGAIN = "Run 'fit-body' on it again."
"""Remedy for outdated bodies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDigests:
    """Inputs of a 3D result.

    Attributes:
        estimator: Name of the 2D poses.
        poses2d: Digest of the 2D poses and clock errors of all cameras.
        rig: Digest of the rig.
        clock_errors: Clock errors in the take by camera name.
    """

    estimator: str
    poses2d: str
    rig: str
    clock_errors: Mapping[str, float | list[float]]

    def to_provenance(self) -> dict[str, Any]:
        """Return provenance entries for a new result, including the time, which distinguishes repetitions."""
        made = datetime.now(UTC).isoformat()
        return {
            "rig": self.rig,
            "estimator": self.estimator,
            "poses2d": self.poses2d,
            "time_offset_s": dict(self.clock_errors),
            "made": made,
        }


def input_digests(take: Take, estimator: str, rig: CameraRig) -> InputDigests:
    """Return the digests of the inputs for a new result.

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
        return {}  # reported when the poses are read


def outdated_inputs(session: Session, take: Take, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Compare the inputs of a stored result with the current ones.

    Args:
        session: Session of the take.
        take: Take of the result.
        provenance: Provenance of the result; inputs missing from it are not compared.

    Returns:
        A sentence per changed or missing input; empty if the result is up to date.
    """
    messages = []
    rig, poses2d, estimator = (provenance.get(key, "") for key in ("rig", "poses2d", "estimator"))
    if rig and session.layout.rig.exists() and _rig_digest(session, take) != rig:
        messages.append("The calibration has changed since these 3D poses were made.")
    if poses2d and estimator:
        try:
            changed = _poses2d_digest(take, estimator) != poses2d
        except CoreError:
            messages.append(f"The 2D poses of {estimator}, from which these 3D poses were made, no longer exist.")
        else:
            if changed:
                shifted = provenance.get("time_offset_s", {}) != take.clock_errors
                which = "time offsets of the cameras" if shifted else f"2D poses of {estimator}"
                messages.append(f"The {which} have changed since these 3D poses were made.")
    if message := _outdated_source(take, provenance):
        messages.append(message)
    return tuple(messages)


def has_present_rig(session: Session, take: Take, result: str) -> bool:
    """Return whether a stored 3D result was made with the current calibration; True if unknown."""
    made_with = provenance_of(take, result).get("rig", "")
    return not made_with or made_with == _rig_digest(session, take)


def outdated_result(session: Session, take: Take, result: str) -> tuple[str, ...]:
    """Return a sentence per changed input of a stored 3D result; empty if it is up to date."""
    return outdated_inputs(session, take, provenance_of(take, result))


def require_current(session: Session, takes: Iterable[Take], results: Sequence[str]) -> None:
    """Refuse outdated 3D results.

    Raises:
        CoreError: A result is out of date.
    """
    for take in takes:
        for result in results:
            if messages := outdated_result(session, take, result):
                raise CoreError(f"{result} of take {take.name} is out of date. {' '.join(messages)}", UPDATE)


def note_outdated_inputs(session: Session, take: Take, results: Iterable[str], reporter: Reporter) -> None:
    """Note changed inputs of stored results as warnings, with the remedy."""
    for name in results:
        for message in outdated_result(session, take, name):
            reporter.note(f"{name}: {message} {UPDATE}", "warning")


def outdated_second_look(session: Session, take: Take, estimator: str) -> str:
    """Return a sentence if calibration or time offsets have changed since the second look; empty if not."""
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
    """Store the inputs of a training: the rig, and digests of rig and 2D poses.

    Raises:
        CoreError: 2D poses are missing.
    """
    poses2d = {take.name: _poses2d_digest(take, estimator) for take in takes}
    inputs = {"rig": rig.digest, "estimator": estimator, "poses2d": poses2d}
    rig.save(run.rig)
    write_yaml(run.inputs, inputs)


def world_of_training(session: Session, run: RunLayout) -> Similarity | None:
    """Return the change from the session's world coordinates to those of a training.

    None if they are equal, or if the cameras have been recalibrated since.
    """
    rigs = _training_rigs(session, run)
    return None if rigs is None or rigs[0].digest == rigs[1].digest else similarity_between(*rigs)


def outdated_training(session: Session, run: RunLayout) -> tuple[str, ...]:
    """Return a sentence per changed input of a training; empty if its networks are up to date."""
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
        pass  # unknown inputs
    return tuple(messages)


def _training_rigs(session: Session, run: RunLayout) -> tuple[CameraRig, CameraRig] | None:
    """Return the current and the former rig of a training's cameras; None if the cameras differ."""
    try:
        rig, trained = session.require_rig(), CameraRig.load(run.rig)
        present = tuple(at_size(rig[c.name], c.size_px) for c in trained)
    except CoreError:
        return None
    return dataclasses.replace(rig, cameras=present), trained


def result_id(take: Take, result: str) -> str:
    """Return a unique identifier of a 3D result, which a change of world coordinates preserves."""
    known = {key: value for key, value in provenance_of(take, result).items() if key != "rig"}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def bodies_provenance(take: Take, result: str) -> dict[str, Any]:
    """Return provenance entries for bodies fitted to a 3D result."""
    return {"poses": result, "result": result_id(take, result), "made": datetime.now(UTC).isoformat()}


def outdated_bodies(take: Take, result: str) -> str:
    """Return why the bodies of a 3D result are out of date; empty if they are current or absent."""
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
        return {}  # reported when the bodies are read


def _outdated_source(take: Take, provenance: Mapping[str, Any]) -> str:
    """Return why the 3D poses under fitted bodies are not the current ones; empty if they are, or if unknown."""
    source, fitted_to = provenance.get("poses", ""), provenance.get("result", "")
    if not source or not fitted_to:
        return ""
    if not take.layout.poses3d(source).is_file():
        return f"The 3D poses '{source}' of take {take.name}, to which bodies were fitted, no longer exist."
    if fitted_to != result_id(take, source):
        return f"The 3D poses '{source}' of take {take.name} have changed since bodies were fitted to them."
    return ""


def bodies_id(take: Take, result: str) -> str:
    """Return a unique identifier of the bodies of a 3D result; empty if there are none."""
    known = {key: value for key, value in stored_bodies_provenance(take, result).items() if key != "rig"}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16] if known else ""


def evaluation_inputs(take: Take, estimator: str, rig: CameraRig, results: Iterable[str]) -> dict[str, Any]:
    """Return the inputs of an evaluation for its report.

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
    """Return whether an evaluation report describes the current version of results and calibration."""
    inputs = report.get("inputs")
    if not isinstance(inputs, Mapping) or not isinstance(inputs.get("results"), Mapping):
        return False
    if inputs.get("rig") != _rig_digest(session, take):
        return False
    return all(inputs["results"].get(name) == result_id(take, name) for name in results)


def outdated_evaluation(session: Session, take: Take) -> str:
    """Return why the metrics of a take are out of date; empty if they are current or absent."""
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
    # Bodies fitted since then do not change the metrics.
    counted = [name for name in results if name in names or not fitted_result(name)]
    if any(take.layout.poses3d(name).stat().st_mtime > made for name in counted):
        return "3D poses were made since the last evaluation."
    if "inputs" in report and not is_measured(session, take, report, names):
        return "The 3D poses or the calibration have changed since the last evaluation."
    return ""


def evaluation_report(path: Path) -> dict[str, Any]:
    """Read the report of an evaluation; empty if it is missing or damaged."""
    try:
        report = read_json(path) if path.is_file() else {}
    except CoreError:
        return {}  # reported by the pages that show it
    return report if isinstance(report, dict) else {}


def _rig_digest(session: Session, take: Take) -> str:
    """Return the digest of a take's current rig; empty if the rig is damaged or does not fit the take."""
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
