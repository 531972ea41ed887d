"""Adoption of a rig by a session, with its checks and the transformation of results."""

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
"""Board checks that compare lengths, which are invalid after a change of scale."""


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
    """Adopt a rig with its report, and keep the former one; see `replace_rig`.

    Args:
        session: Session that receives the rig.
        rig: The rig.
        run: Run that stores a copy.
        reporter: Receives problems as notes.
        up: Vertical axis, see `check_rig`.
        more: Additional findings, such as those of a board calibration.
        details: Additional values for the report.
        board: Observations of the board of the calibration.
        kept: Folder in which the rig is already kept.

    Returns:
        Result of the checks, and the path of the former rig within the session; empty if there was none.
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
    """Adopt a rig with a given report as in `adopt_rig`, and return the path of the former rig."""
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
        reporter.note("3D poses, capture volume and reports were transformed.")
        if replaced.bodies_outdated and any(session.take(name).bodies_runs() for name in session.take_names()):
            reporter.note("Bodies keep their size and are now out of date: 'update' fits them again.")
    elif count := sum(_outdated(session, name) for name in session.take_names()):
        results = f"{count} 3D results are" if count > 1 else "A 3D result is"
        reporter.note(f"{results} now out of date: 'update' recomputes results of the former calibration.")
    return replaced.former.rig.relative_to(session.root).as_posix()


def move_world(session: Session, change: Similarity, note: str) -> RigReplacement:
    """Change the world coordinates of a session: of the rig and of all results.

    Args:
        session: Session with a rig.
        change: Change of the world coordinates.
        note: Sentence on the change, appended to the rig's source.

    Raises:
        CoreError: There is no rig, or a file cannot be read or written; nothing has changed.
    """
    rig = session.rig
    if rig is None:
        raise CoreError("The session has no rig.", "Calibrate the cameras or import a calibration first.")
    moved = change.rig(rig, note)
    return replace_rig(session, moved, moved_report(session, moved, change.scale))


def moved_report(session: Session, rig: CameraRig, scale: float) -> dict[str, Any]:
    """Return the report of the session's rig in new world coordinates.

    Measurements with a board or people are kept; the checks of axes and floor are repeated.

    Args:
        session: Session with the former rig.
        rig: Rig in new coordinates.
        scale: Scale factor of lengths.
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
    report = {k: v for k, v in report.items() if k != "accuracy"}  # valid only in the former coordinates
    if scaled:
        report = {k: _times(v, scale) if k.endswith("_mm") else v for k, v in report.items()}
        if isinstance(report.get("quality"), dict):
            report["quality"] = report["quality"] | {"square_mm": None}
    return report | _origin(rig) | check.to_mapping()


def use_calibration(session: Session, name: str) -> RigReplacement:
    """Adopt a kept calibration with its report, unchanged.

    Raises:
        CoreError: There is no such calibration, it is damaged, or a file cannot be written; nothing has changed.
    """
    kept = session.layout.calibration(name)
    if not kept.rig.is_file():
        raise CoreError(f"The session has no calibration '{name}'.", "'selfpose calibrations SESSION' lists them.")
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
    """Return a number, or a list or mapping of numbers, multiplied by a factor."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return round(value * factor, 2)
    if isinstance(value, list):
        return [_times(v, factor) for v in value]
    return {k: _times(v, factor) for k, v in value.items()} if isinstance(value, dict) else value
