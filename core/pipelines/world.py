"""The verbs that set the world frame of a rig, and that make the sheet of a board."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.board.pattern import Board
from core.board.sheet import save_sheet
from core.calibration.board.detect_take import detect_board
from core.calibration.board.session_board import save_session_board, session_board
from core.calibration.board.static_board import static_board_pose
from core.calibration.floor_points import world_from_floor
from core.calibration.world import (
    Similarity,
    move_origin,
    rotate_quarters,
    scale_to_distance,
    world_from_board_pose,
    world_from_floor_points,
)
from core.calibration.world import turn_upside_down as flipped
from core.config import to_mapping
from core.errors import CoreError
from core.pipelines.ingest import adopt_rig
from core.pipelines.params import BoardSheetParams, SetWorldParams
from core.progress import Reporter
from core.session import RunLayout, Session
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence

_STANDING = 0.25  # share of a foot's lowest frames in which it stands
_ANKLE_MM = 85.0  # over the floor


def run_set_world(session: Session, params: SetWorldParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Changes the world frame of the session's rig; the rig before is kept.

    Returns:
        level, verdict and findings of the rig's self-check, what was done, and where the rig before lies.

    Raises:
        CoreError: No rig, nothing to do, or something that cannot be done.
        CancelledError: The reporter asked to stop.
    """
    rig = session.rig
    if rig is None:
        raise CoreError("The session has no rig.", "Import or make a calibration first.")
    now, done = [rig], []
    for change, words in _changes(session, params, reporter, lambda: now[-1]):
        now.append(change.rig(now[-1], words))
        done.append(words)
    if not done:
        raise CoreError("Nothing was asked for.", "Set a floor take, three points, a turn, a shift or a distance.")
    found, backup = adopt_rig(session, now[-1], run, reporter)
    return {
        "done": done,
        "level": found.level,
        "verdict": found.verdict,
        "findings": [to_mapping(f) for f in found.findings],
        "backup": backup,
    }


def run_board_sheet(session: Session, params: BoardSheetParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Writes the sheet of a board, which becomes the session's board.

    Raises:
        CoreError: Neither .pdf nor .png, or the board is larger than the paper.
    """
    board = session_board(session, params.board)
    files = save_sheet(board, Path(params.path).expanduser(), params.paper)
    save_session_board(session, board)
    reporter.note(f"Print at 100 % without fitting to the page, and measure the ruler: {board.title}.")
    return {"files": [str(f) for f in files], "board": to_mapping(board)}


def _changes(
    session: Session, params: SetWorldParams, reporter: Reporter, rig: Callable[[], CameraRig]
) -> Iterator[tuple[Similarity, str]]:
    """Each change in turn, with a sentence on it; `rig` gives the rig as it is by then."""
    if params.floor_take:
        yield floor_from_take(session, params.floor_take, session_board(session, params.board), rig(), reporter)
    if params.feet_take:
        poses = session.take(params.feet_take).poses3d(params.poses)
        yield (
            world_from_floor_points(standing_feet_mm(poses), rig()),
            f"The floor is that of the feet in {params.feet_take}.",
        )
    if params.floor_points_mm:
        if len(params.floor_points_mm) != 9:
            raise CoreError(
                f"Three points have nine numbers, {len(params.floor_points_mm)} were given.",
                "Give x, y and z of the origin, of a point on the x axis, and of a third point of the floor.",
            )
        yield world_from_floor(np.reshape(params.floor_points_mm, (3, 3)), rig()), "The floor is set from three points."
    if params.quarter_turns % 4:
        quarters = params.quarter_turns % 4
        yield rotate_quarters(params.rotation_axis, quarters), f"Turned by {90 * quarters} degrees about {params.rotation_axis}."
    if params.upside_down:
        yield flipped(), "Turned upside down."
    if params.origin_mm:
        if len(params.origin_mm) != 3:
            raise CoreError("A shift has three numbers.", "Give x, y and z of the new origin in mm.")
        yield move_origin(np.asarray(params.origin_mm)), "The origin is moved."
    if params.distance_mm:
        if len(params.between) != 2:
            raise CoreError("A distance is between two cameras.", "Name the two cameras in `between`.")
        first, second = params.between
        change = scale_to_distance(rig(), first, second, params.distance_mm)
        yield change, f"Re-scaled: {first} and {second} are {params.distance_mm:g} mm apart."


def floor_from_take(
    session: Session, take: str, board: Board, rig: CameraRig, reporter: Reporter
) -> tuple[Similarity, str]:
    """The frame of a board that lies on the floor, and a sentence on it."""
    seen = detect_board(session.take(take), board, reporter, rate_hz=2.0)
    if not len(seen):
        raise CoreError(f"The board was not found in take {take}.", "Check the board's settings against the print.")
    return world_from_board_pose(*static_board_pose(rig, seen), rig), f"The floor is that of take {take}."


def standing_feet_mm(poses: Pose3DSequence) -> F64:
    """(N, 3) places of the floor under feet that stand: ankles when they are low and slow, less their height.

    Raises:
        CoreError: The skeleton has no ankles.
    """
    names = [j for j in poses.skeleton.joints if j.endswith("ankle")]
    if not names:
        raise CoreError(f"{poses.skeleton.name} has no ankles.", "Use poses of another skeleton.")
    xyz = poses.xyz_mm[:, :, [poses.skeleton.index(n) for n in names]]
    speed = np.full(xyz.shape[:-1], np.nan)
    step_s = np.diff(poses.time_s)[:, None, None]
    speed[1:] = np.linalg.norm(np.diff(xyz, axis=0), axis=-1) / step_s
    ankles, slow = xyz.reshape(-1, 3), speed.ravel()
    known = np.isfinite(ankles).all(1) & np.isfinite(slow)
    ankles, slow = ankles[known], slow[known]
    if not len(ankles):
        return np.asarray(ankles)
    standing = slow <= np.quantile(slow, _STANDING)
    return np.asarray(ankles[standing] - (0, 0, _ANKLE_MM))
