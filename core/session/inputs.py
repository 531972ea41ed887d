"""Digests of the inputs that a result was made from, and their comparison with the session's present files."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import CoreError
from core.files import sha256
from core.progress import Reporter
from core.session.store import BASELINE, Session, Take
from core.types.camera import CameraRig


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDigests:
    """Inputs of a 3D result.

    Attributes:
        estimator: Name of the 2D poses.
        poses2d: Digest of the 2D poses of all cameras.
        rig: Digest of the rig, as stored by the methods themselves.
    """

    estimator: str
    poses2d: str
    rig: str

    def to_provenance(self) -> dict[str, str]:
        """Return the entries of a result's provenance."""
        return {"rig": self.rig, "estimator": self.estimator, "poses2d": self.poses2d}


def input_digests(session: Session, take: Take, estimator: str) -> InputDigests:
    """Return the digests of the present inputs of a take.

    Raises:
        CoreError: The rig or the 2D poses are missing.
    """
    return InputDigests(estimator=estimator, poses2d=_poses2d_digest(take, estimator), rig=session.rig_for(take).digest)


def outdated_inputs(session: Session, take: Take, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Compare the inputs of a stored result with the present ones.

    Args:
        session: Session of the take.
        take: Take of the result.
        provenance: Provenance of the result; inputs that it does not name are not compared.

    Returns:
        A sentence per input that has changed or is gone; empty if the result is up to date.
    """
    return _outdated_inputs(session, take, provenance, lambda estimator: _poses2d_digest(take, estimator))


def _outdated_inputs(
    session: Session, take: Take, provenance: Mapping[str, Any], digest: Callable[[str], str]
) -> tuple[str, ...]:
    messages = []
    rig, poses2d, estimator = (provenance.get(key, "") for key in ("rig", "poses2d", "estimator"))
    if rig and session.rig is not None and _rig_digest(session, take) != rig:
        messages.append("The calibration has changed since these 3D poses were made.")
    if poses2d and estimator:
        try:
            changed = digest(estimator) != poses2d
        except CoreError:
            messages.append(f"The 2D poses of {estimator}, from which these 3D poses were made, are gone.")
        else:
            if changed:
                messages.append(f"The 2D poses of {estimator} have changed since these 3D poses were made.")
    return tuple(messages)


def note_outdated_inputs(
    session: Session, take: Take, results: Mapping[str, Mapping[str, Any]], reporter: Reporter
) -> None:
    """Warn of each input of stored results that has changed, and name the verb that brings them up to date.

    Args:
        session: Session of the take.
        take: Take of the results.
        results: Provenance by name of the result.
        reporter: Receives the warnings.
    """
    digest = functools.cache(functools.partial(_poses2d_digest, take))
    for name, provenance in results.items():
        verb = "triangulate" if name == BASELINE else "infer"
        for message in _outdated_inputs(session, take, provenance, digest):
            reporter.note(f"{name}: {message} Run '{verb}' on the take again.", "warning")


def note_outdated_second_look(take: Take, estimator: str, rig: CameraRig, reporter: Reporter) -> None:
    """Warn if the second look at 2D poses was guided by another calibration than the present one."""
    second_look = take.poses2d_manifest(estimator).get("second_look")
    if second_look and second_look["request"]["rig"] != rig.digest:
        reporter.note(
            f"The calibration has changed since the second look at the 2D poses of {estimator}. Run 'pose2d' on the "
            "take again.",
            "warning",
        )


def _rig_digest(session: Session, take: Take) -> str:
    """Return the digest of the present rig of a take; empty if the rig does not fit the take."""
    try:
        return session.rig_for(take).digest
    except CoreError:
        return ""


def _poses2d_digest(take: Take, estimator: str) -> str:
    files = take.poses2d_files(estimator).values()
    try:
        return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:16]
    except OSError as error:
        raise CoreError(f"2D poses of {estimator} cannot be read: {error}.", "Estimate 2D poses again.") from error
