"""Adoption of a rig by a session: checked, kept in the list of calibrations, and followed by all that it moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.board.observations import BoardObservations
from core.calibration.board.report import BOARD_CHECKS
from core.calibration.checks import PEOPLE_FIT, Finding, RigCheck, finding_from
from core.calibration.session_check import check_session_rig
from core.errors import CoreError
from core.files import read_json
from core.geometry.similarity import Similarity
from core.progress import Reporter
from core.rig_io.import_findings import FILE_CHECKS
from core.session import RunLayout, Session
from core.session.inputs import outdated_result
from core.session.layout import CalibrationLayout
from core.session.moving import RigReplacement, replace_rig
from core.types.axes import Axis
from core.types.camera import CameraRig

_LENGTH_CHECKS = frozenset(("length", "scale"))
"""Board checks that compare lengths, which say nothing about a rig of another scale."""


def adopt_rig(
    session: Session,
    rig: CameraRig,
    run: RunLayout,
    reporter: Reporter,
    up: Axis = "z",
    more: Sequence[Finding] = (),
    details: Mapping[str, Any] | None = None,
    board: BoardObservations | None = None,
    kept: CalibrationLayout | None = None,
) -> tuple[RigCheck, str]:
    """Make a rig the session's, write its report, and keep the previous one; see `replace_rig`.

    Args:
        session: Session that receives the rig.
        rig: The rig.
        run: Run that keeps a copy.
        reporter: Receives the problems as notes.
        up: Vertical axis, see `check_rig`.
        more: Further findings, such as those of a board calibration.
        details: Further values for the report.
        board: Board that the rig was calibrated from.
        kept: Folder in which the rig is kept already.

    Returns:
        The check, and the path of the previous rig within the session; empty if there was none.
    """
    check = check_session_rig(session, rig, up=up, board=board).with_findings(more)
    report = _origin(rig) | check.to_mapping() | dict(details or {})
    return check, adopt_report(session, rig, report, run, reporter, kept)


def adopt_report(
    session: Session,
    rig: CameraRig,
    report: dict[str, Any],
    run: RunLayout,
    reporter: Reporter,
    kept: CalibrationLayout | None = None,
) -> str:
    """Make a rig with its report the session's, as `adopt_rig`; return the path of the previous rig."""
    replaced = replace_rig(session, rig, report, kept)
    rig.save(run.rig)
    reporter.note(rig.source)
    for finding in map(finding_from, report["findings"]):
        if finding.level != "ok":
            reporter.note(f"{finding.message} {finding.remedy}", "warning")
    for text in replaced.notes:
        reporter.note(text, "warning")
    if replaced.former is None:
        return ""
    if replaced.former.root != replaced.kept.root:
        reporter.note(
            f"The former calibration is kept as {replaced.former.name}: 'selfpose calibrations {session.root} "
            f"--use {replaced.former.name}' goes back to it."
        )
    if replaced.change is not None:
        reporter.note("3D poses, capture volume and reports have moved along.")
        if replaced.bodies_outdated and any(session.take(name).bodies_runs() for name in session.take_names()):
            reporter.note("Bodies keep their size and are out of date now: 'update' fits them again.")
    elif count := sum(_outdated(session, name) for name in session.take_names()):
        results = f"{count} 3D results are" if count > 1 else "A 3D result is"
        reporter.note(f"{results} out of date now: 'update' makes what was made with the former calibration again.")
    return replaced.former.rig.relative_to(session.root).as_posix()


def move_world(session: Session, change: Similarity, note: str) -> RigReplacement:
    """Change the world coordinates of a session: the rig, and everything that is in these coordinates.

    Args:
        session: Session with a rig.
        change: Change of the world coordinates.
        note: The change as a sentence, appended to the rig's source.

    Raises:
        CoreError: There is no rig, or a file cannot be read or written; nothing has changed.
    """
    rig = session.rig
    if rig is None:
        raise CoreError("The session has no rig.", "Calibrate the cameras or import a calibration first.")
    moved = change.rig(rig, note)
    return replace_rig(session, moved, moved_report(session, moved, change.scale))


def moved_report(session: Session, rig: CameraRig, scale: float) -> dict[str, Any]:
    """Return the report of the session's rig for the same rig in other world coordinates.

    What was measured with a board or people stays, and the checks of the axes and the floor are made again.

    Args:
        session: The session, still with its former rig.
        rig: The rig in new coordinates.
        scale: Factor of all lengths.
    """
    path = session.layout.rig_report
    report = read_json(path) if path.exists() else {}
    report = report if isinstance(report, dict) else {}
    scaled = abs(scale - 1) > 1e-9
    gone = _LENGTH_CHECKS if scaled else frozenset[str]()
    findings = report.get("findings", [])
    known = [finding_from(f) for f in findings if isinstance(f, dict)] if isinstance(findings, list) else []
    kept = [f for f in known if f.check in (BOARD_CHECKS - gone) | FILE_CHECKS or f.check == PEOPLE_FIT]
    check = check_session_rig(session, rig).with_findings(kept)
    report = {k: v for k, v in report.items() if k != "accuracy"}  # a map of the floor in the former coordinates
    if scaled:
        report = {k: _times(v, scale) if k.endswith("_mm") else v for k, v in report.items()}
        if isinstance(report.get("quality"), dict):
            report["quality"] = report["quality"] | {"square_mm": None}
    return report | _origin(rig) | check.to_mapping()


def use_calibration(session: Session, name: str) -> RigReplacement:
    """Make a kept calibration the session's rig again, as it was, with its report.

    Raises:
        CoreError: There is no such calibration, it is damaged, or a file cannot be written; nothing has changed.
    """
    kept = session.layout.calibration(name)
    if not kept.rig.is_file():
        raise CoreError(f"The session keeps no calibration '{name}'.", "'selfpose calibrations SESSION' lists them.")
    rig = CameraRig.load(kept.rig)
    report = read_json(kept.report) if kept.report.exists() else {}
    if not isinstance(report, dict) or report.get("digest") != rig.digest:
        report = _origin(rig) | check_session_rig(session, rig).to_mapping()
    return replace_rig(session, rig, report, kept)


def _outdated(session: Session, take_name: str) -> int:
    """Return the number of outdated 3D results of a take; 0 for a damaged one."""
    try:
        take = session.take(take_name)
    except CoreError:
        return 0
    return sum(bool(outdated_result(session, take, result)) for result in take.poses3d_runs())


def _origin(rig: CameraRig) -> dict[str, Any]:
    return {"digest": rig.digest, "source": rig.source, "created": rig.created}


def _times(value: Any, factor: float) -> Any:
    """Return a length, or the lengths of a list or a mapping, in another scale."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return round(value * factor, 2)
    if isinstance(value, list):
        return [_times(v, factor) for v in value]
    return {k: _times(v, factor) for k, v in value.items()} if isinstance(value, dict) else value
