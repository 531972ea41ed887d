"""Verbs `set-world`, which changes the world coordinates, and `board-sheet`, which draws a board for printing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.board.pattern import Board
from core.board.sheet import save_sheet
from core.calibration.board.board_check import check_board
from core.calibration.board.detect_take import detect_board
from core.calibration.board.session_board import board_to_print, save_session_board, session_board
from core.calibration.board.static_board import static_board_pose
from core.calibration.floor_points import world_from_floor
from core.calibration.world import (
    move_origin,
    rotate_quarters,
    scale_to_distance,
    turn_upside_down,
    world_from_board_pose,
    world_from_floor_points,
)
from core.config import to_mapping
from core.errors import CoreError
from core.geometry.similarity import Similarity
from core.pipelines.params import BoardSheetParams, SetWorldParams
from core.pipelines.rig.adopt import adopt_report, moved_report
from core.progress import Reporter
from core.session import RunLayout, Session
from core.session.inputs import require_current
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence

_STANDING_SHARE = 0.25  # fraction of slowest ankle positions that count as standing feet
_ANKLE_MM = 85.0  # height of the ankle of a standing foot


def run_set_world(session: Session, params: SetWorldParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Change the world coordinates of the session, of the rig and of all results.

    Returns:
        `done` (sentence per change), `level`, `verdict` and `findings` of the checks, and the `backup` of the former
        rig.

    Raises:
        CoreError: There is no rig, no change is given, or a change is impossible.
        CancelledError: The reporter was cancelled.
    """
    rig = session.rig
    if rig is None:
        raise CoreError("The session has no rig.", "Calibrate the cameras or import a calibration first.")
    rigs, done, scale = [rig], [], 1.0
    for change, note in _changes(session, params, reporter, lambda: rigs[-1]):
        rigs.append(change.rig(rigs[-1], note))
        done.append(note)
        scale *= change.scale
    if not done:
        raise CoreError("No change was given.", "Give a floor take, three points, a rotation, an origin or a distance.")
    report = moved_report(session, rigs[-1], scale)
    backup = adopt_report(session, rigs[-1], report, run, reporter)
    return {
        "done": done,
        "level": report["level"],
        "verdict": report["verdict"],
        "findings": report["findings"],
        "backup": backup,
    }


def run_board_sheet(session: Session, params: BoardSheetParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Write the sheet of a board, and make it the board of the session.

    Raises:
        CoreError: The path ends in neither .pdf nor .png, or the board is larger than the paper.
    """
    board = board_to_print(session, params.board)
    files = save_sheet(board, Path(params.path).expanduser(), params.paper)
    save_session_board(session, board)
    reporter.note(f"Print at 100 % without fitting to the page, and measure the ruler: {board.title}.")
    return {"files": [str(f) for f in files], "board": to_mapping(board)}


def _changes(
    session: Session, params: SetWorldParams, reporter: Reporter, rig: Callable[[], CameraRig]
) -> Iterator[tuple[Similarity, str]]:
    """Yield each change with its description; `rig` returns the rig after the previous changes."""
    if params.floor_take:
        yield floor_from_take(session, params.floor_take, session_board(session, params.board), rig(), reporter)
    if params.feet_take:
        take = session.take(params.feet_take)
        poses = take.poses3d(params.poses)
        require_current(session, [take], [params.poses])
        yield (
            world_from_floor_points(standing_feet_mm(poses), rig()),
            f"The floor is that of the feet in {params.feet_take}.",
        )
    if params.floor_points_mm:
        if len(params.floor_points_mm) != 9:
            raise CoreError(
                f"`floor_points_mm` has {len(params.floor_points_mm)} numbers, expected 9.",
                "Give x, y and z of the origin, of a point on the x axis, and of a third point of the floor.",
            )
        yield (
            world_from_floor(np.reshape(params.floor_points_mm, (3, 3)), rig()),
            "The floor was set from three points.",
        )
    if params.quarter_turns % 4:
        quarters = params.quarter_turns % 4
        yield (
            rotate_quarters(params.rotation_axis, quarters),
            f"Rotated by {90 * quarters} degrees about {params.rotation_axis}.",
        )
    if params.upside_down:
        yield turn_upside_down(), "Turned upside down."
    if params.origin_mm:
        if len(params.origin_mm) != 3:
            raise CoreError(
                f"`origin_mm` has {len(params.origin_mm)} numbers, expected 3.",
                "Give x, y and z of the new origin in mm.",
            )
        yield move_origin(np.asarray(params.origin_mm)), "The origin was moved."
    if params.distance_mm:
        if len(params.between) != 2:
            raise CoreError(
                f"`between` names {len(params.between)} cameras, expected 2.",
                "Name the two cameras that the measured distance refers to.",
            )
        first, second = params.between
        change = scale_to_distance(rig(), first, second, params.distance_mm)
        yield change, f"Rescaled: {first} and {second} are {params.distance_mm:g} mm apart."


def floor_from_take(
    session: Session, take: str, board: Board, rig: CameraRig, reporter: Reporter
) -> tuple[Similarity, str]:
    """Return the transformation to the world coordinates of a board on the floor, and a description."""
    if board.kind == "auto":
        board = check_board(session.take(take), board, reporter).board
    seen = detect_board(session.take(take), board, reporter, rate_hz=2.0)
    if not len(seen):
        raise CoreError(f"The board was not found in take {take}.", "Check the board's settings against the print.")
    return world_from_board_pose(*static_board_pose(rig, seen), rig), f"The floor is that of take {take}."


def standing_feet_mm(poses: Pose3DSequence) -> F64:
    """Return floor points (N, 3) under standing feet: slow ankles minus the height of an ankle.

    Raises:
        CoreError: The skeleton has no ankles.
    """
    names = [j for j in poses.skeleton.joints if j.endswith("ankle")]
    if not names:
        raise CoreError(
            f"Skeleton {poses.skeleton.name} has no ankles.", "Use poses of another skeleton, such as coco17."
        )
    xyz = poses.xyz_mm[:, :, [poses.skeleton.index(n) for n in names]]
    speed = np.full(xyz.shape[:-1], np.nan)
    step_s = np.diff(poses.time_s)[:, None, None]
    speed[1:] = np.linalg.norm(np.diff(xyz, axis=0), axis=-1) / step_s
    ankles, slow = xyz.reshape(-1, 3), speed.ravel()
    known = np.isfinite(ankles).all(1) & np.isfinite(slow)
    ankles, slow = ankles[known], slow[known]
    if not len(ankles):
        return np.asarray(ankles)
    standing = slow <= np.quantile(slow, _STANDING_SHARE)
    return np.asarray(ankles[standing] - (0, 0, _ANKLE_MM))
