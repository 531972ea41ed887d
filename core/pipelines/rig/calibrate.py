"""Verbs `calibrate` and `check-rig`: calibration of a rig from a take of a board, and check of a rig on one."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import numpy as np

from core.board.pattern import Board
from core.calibration.board.adjustment.state import TIME_OFFSET
from core.calibration.board.board_check import CheckedBoard, WrongBoardError, check_board, mirrored_findings
from core.calibration.board.calibrate import BoardCalibration, calibrate_board
from core.calibration.board.cross_validation import save_residuals
from core.calibration.board.detect_take import detect_board, measure_marker
from core.calibration.board.guidance import next_to_show
from core.calibration.board.metrics import Quality, measure, measure_rig
from core.calibration.board.report import assess_board
from core.calibration.board.session_board import save_session_board, session_board
from core.calibration.checks import Finding
from core.calibration.session_check import check_session_rig
from core.calibration.world import align_rig, guess_world
from core.config import to_mapping
from core.errors import CoreError
from core.files import write_json
from core.geometry.accuracy import accuracy_map
from core.geometry.similarity import Similarity
from core.pipelines.params import CalibrateParams, CheckRigParams
from core.pipelines.rig.adopt import adopt_rig
from core.pipelines.rig.world import floor_from_take
from core.progress import Reporter
from core.session import RunLayout, Session, Take
from core.session.calibrations import free_calibration
from core.types.arrays import F64
from core.types.camera import CameraRig

_UNMOVED = 0.02  # relative change of distances between cameras up to which they count as not moved


def run_calibrate(session: Session, params: CalibrateParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Detect the board in a take, calibrate the cameras, set world coordinates, and assess the result.

    Returns:
        Cameras, missing cameras, level, verdict, findings, metrics, and paths of the stored files.

    Raises:
        CoreError: The take does not exist, shows no board or not the given one, or no two cameras can be connected.
        CancelledError: The reporter asked to stop.
    """
    take = session.take(params.take)
    checked = _checked(take, session_board(session, params.calibration.board), run, reporter)
    config, board = params.calibration, checked.board
    former = session.rig
    seen = detect_board(take, board, reporter, rate_hz=config.rate_hz, max_frames=config.max_frames)
    intrinsics_views = [
        detect_board(session.take(name), board, reporter, rate_hz=config.rate_hz, max_frames=config.max_frames)
        for name in params.intrinsics_takes
    ]
    known = {c.name: c.replace(R=None, t_mm=None) for c in former} if former is not None else {}
    solved = calibrate_board(seen, config, reporter, known=known, intrinsics_views=intrinsics_views)
    world, note = _world(session, params.floor_take, board, solved, former, reporter)
    rig = dataclasses.replace(
        world.rig(solved.rig),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=f"{solved.rig.source} {note}",
    )
    quality = measure(solved)
    findings = assess_board(
        quality,
        solved.rig,
        seen,
        calibration=solved,
        marker_mm=measure_marker(take, seen),
        distance_mm=config.distance_mm,
        between=config.between,
        before=former,
        known=known,
    )
    findings += mirrored_findings(checked)
    findings.append(_floor_finding(rig, note))
    for text in solved.notes:
        reporter.note(text)
    details = _details(rig, quality, board, solved)
    folder = free_calibration(session)
    seen.save(folder.observations)
    save_residuals(folder.residuals, quality.prediction, len(seen))
    rig.save(folder.rig)
    if params.adopt:
        details["folder"] = folder.name
        found, backup = adopt_rig(session, rig, run, reporter, more=findings, details=details, board=seen, kept=folder)
        save_session_board(session, board)
    else:
        found, backup = check_session_rig(session, rig, board=seen).with_findings(findings), ""
    report = {"digest": rig.digest, "source": rig.source, "created": rig.created} | found.to_mapping() | details
    write_json(folder.report, report)
    write_json(run.report, report)
    return {
        "cameras": list(rig.names),
        "missing": dict(solved.missing),
        "level": found.level,
        "verdict": found.verdict,
        "findings": [to_mapping(f) for f in found.findings],
        "loco_median_px": details["quality"]["loco_median_px"],
        "time_offset_ms": {c.name: round(c.time_offset_s * 1e3, 2) for c in rig},
        "calibration": folder.name,
        "backup": backup,
    }


def run_check_rig(session: Session, params: CheckRigParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Check the session's rig on a take of a board, without changing the rig.

    Raises:
        CoreError: The session has no rig, or the take does not exist or shows no board.
        CancelledError: The reporter asked to stop.
    """
    rig, take = session.rig, session.take(params.take)
    if rig is None:
        raise CoreError("The session has no rig.", "Calibrate, or import a rig, first.")
    board = _checked(take, session_board(session, params.board), run, reporter).board
    seen = detect_board(take, board, reporter, rate_hz=params.rate_hz)
    if not len(seen):
        raise CoreError(f"The board was not found in {take.name}.", "Compare the board's settings with the print.")
    quality = measure_rig(rig, seen)
    findings = assess_board(quality, rig, seen, marker_mm=measure_marker(take, seen))
    found = check_session_rig(session, rig, board=seen).with_findings(findings)
    report = {"digest": rig.digest, "source": rig.source, "created": rig.created} | found.to_mapping()
    report |= {"quality": quality.to_mapping(), "board": to_mapping(board)}
    write_json(run.report, report)
    for finding in found.problems:
        reporter.note(f"{finding.message} {finding.remedy}", "warning")
    return {
        "level": found.level,
        "verdict": found.verdict,
        "findings": [to_mapping(f) for f in found.findings],
        "loco_median_px": report["quality"]["loco_median_px"],
    }


def _checked(take: Take, given: Board, run: RunLayout, reporter: Reporter) -> CheckedBoard:
    """Return the board to detect; if the take shows another one, the run's report contains it for the window."""
    try:
        return check_board(take, given, reporter)
    except WrongBoardError as error:
        write_json(run.report, {"board": to_mapping(error.board)})
        raise


def _details(rig: CameraRig, quality: Quality, board: Board, solved: BoardCalibration) -> dict[str, Any]:
    sd = solved.solution.sd(TIME_OFFSET)[:, 0]
    posed = CameraRig(cameras=tuple(c for c in rig if c.posed))
    return {
        "quality": quality.to_mapping(),
        "board": to_mapping(board),
        "refined": list(solved.refined),
        "notes": list(solved.notes),
        "missing": dict(solved.missing),
        "corner_noise_px": round(solved.solution.sigma_px, 3),
        "time_offset_ms": {
            name: {"time_offset": round(rig[name].time_offset_s * 1e3, 2), "error": round(float(sd[v]) * 1e3, 2)}
            for v, name in enumerate(solved.seen.cameras)
            if rig[name].posed
        },
        "accuracy": _accuracy(posed),
        "advice": next_to_show(quality.cameras, quality.coverage, quality.shared),
    }


def _accuracy(rig: CameraRig) -> dict[str, Any] | None:
    try:
        return accuracy_map(rig).to_mapping()
    except CoreError:
        return None  # no common volume, which is a finding


def _world(
    session: Session,
    floor_take: str,
    board: Board,
    solved: BoardCalibration,
    former: CameraRig | None,
    reporter: Reporter,
) -> tuple[Similarity, str]:
    """Return the transformation to world coordinates, and a note on its source."""
    if floor_take:
        return floor_from_take(session, floor_take, board, solved.rig, reporter)
    if former is not None and _unmoved(solved.rig, former):
        return align_rig(solved.rig, former), "The floor is that of the former rig: the cameras were not moved."
    return guess_world(solved.rig, _board_points(solved))


def _unmoved(rig: CameraRig, former: CameraRig) -> bool:
    """Return whether the distances between cameras equal those of the former rig."""
    names = [c.name for c in rig if c.posed and c.name in former.names and former[c.name].posed]
    if len(names) < 3:
        return False
    now, then = (_distances(r, names) for r in (rig, former))
    return bool((np.abs(now / np.maximum(then, 1.0) - 1) < _UNMOVED).all())


def _distances(rig: CameraRig, names: list[str]) -> F64:
    centres = np.stack([rig[n].centre_mm for n in names])
    return np.asarray(np.linalg.norm(centres[:, None] - centres, axis=-1)[np.triu_indices(len(names), 1)])


def _board_points(solved: BoardCalibration) -> F64:
    """Return the corners (N, 3) of the board along its trajectory in the coordinates of the solution."""
    path = solved.solution.trajectory
    points = solved.seen.board.points_mm
    return (points @ np.swapaxes(path.R, -1, -2) + path.t_mm[:, None]).reshape(-1, 3)


def _floor_finding(rig: CameraRig, note: str) -> Finding:
    return Finding(
        check="world",
        level="ok",
        message=note,
        remedy="Film the board lying on the floor, or set the floor from three points or from people's feet."
        if rig.floor_guessed
        else "",
    )
