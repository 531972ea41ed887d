"""Plausibility checks of a rig, with what the session's takes show of people and boards as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.checks import PEOPLE_FIT, Finding, RigCheck, check_rig, finding_from, fold_share
from core.config import to_mapping
from core.errors import CoreError
from core.files import read_json, write_json
from core.session import Session
from core.types.arrays import F64
from core.types.axes import Axis
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D

_MIN_SCORE = 0.3  # of a joint that proves that somebody was there


def check_session_rig(
    session: Session, rig: CameraRig, *, up: Axis = "z", board: BoardObservations | None = None
) -> RigCheck:
    """Check a rig; a fold of the distortion counts where the session's takes show people or a board.

    Args:
        session: Session whose takes with 2D poses are evidence.
        rig: Rig to be checked.
        up: Vertical axis, see `check_rig`.
        board: Board that the rig was calibrated from.
    """
    seen: dict[str, list[F64]] = {c.name: [] for c in rig if fold_share(c) < 1}
    if seen and board is not None:
        for v, name in enumerate(board.cameras):
            if name in seen:
                scale = np.array(rig[name].size_px) / board.sizes_px[v]
                seen[name].append(board.xy_px[board.view == v] * scale)
    for take in (session.take(name) for name in session.take_names() if seen):
        for estimator in take.estimators():
            files = take.poses2d_files(estimator)
            for name in seen.keys() & files.keys():
                try:
                    poses = Pose2D.load(files[name])
                except CoreError:
                    continue  # a damaged file is no evidence; whoever uses it reports it
                scale = np.array(rig[name].size_px) / take.camera(name).size_px
                seen[name].append(poses.xy_px[poses.score > _MIN_SCORE] * scale)
    return check_rig(rig, up=up, seen_px={name: np.concatenate(parts) for name, parts in seen.items() if parts})


def report_people_fit(session: Session, finding: Finding | None, details: Mapping[str, Any]) -> None:
    """Store in the report of the session's rig which cameras the people do not fit.

    Args:
        session: Session of the rig; a rig without a report is left as it is.
        finding: Cameras and remedy; None if the people fit all cameras.
        details: The comparison as plain values.
    """
    path, rig = session.layout.rig_report, session.rig
    if rig is None or not path.exists():
        return
    report = read_json(path)
    if report.get("digest") != rig.digest:
        return
    known = [finding_from(f) for f in report.get("findings", [])]
    kept = [f for f in known if f.check != PEOPLE_FIT]
    if len(kept) == len(known) and finding is None:
        return
    added = [finding] if finding is not None else []
    checked = RigCheck(cameras=rig.names, findings=(), shared=np.zeros((0, 0)), middle_mm=np.zeros(3))
    checked = checked.with_findings([*added, *kept])
    changed = {
        "level": checked.level,
        "verdict": checked.verdict,
        "findings": [to_mapping(f) for f in checked.findings],
        PEOPLE_FIT: dict(details),
    }
    write_json(path, report | changed)
