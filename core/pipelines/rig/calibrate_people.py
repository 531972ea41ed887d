"""Verb `calibrate-people`: calibration, or repair of a rig, from walking people without a board."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import numpy as np

from core.calibration.checks import RigCheck
from core.calibration.people.calibrate import PeopleCalibration, calibrate_from_people, repair_from_people
from core.calibration.session_check import check_session_rig
from core.config import to_mapping
from core.errors import CoreError
from core.files import write_json
from core.geometry.resize import at_size
from core.pipelines.params import CalibratePeopleParams
from core.pipelines.rig.adopt import adopt_rig
from core.pose2d.choice import choose_poses2d
from core.progress import Reporter
from core.session import RunLayout, Session, Take
from core.session.align import image_times_s
from core.session.calibrations import free_calibration
from core.types.camera import Camera, CameraRig


def run_calibrate_people(
    session: Session, params: CalibratePeopleParams, run: RunLayout, reporter: Reporter
) -> dict[str, Any]:
    """Calibrate the cameras from the 2D poses of a take, or repair their rig with the smallest change.

    A result with errors in its checks is stored, but not adopted.

    Returns:
        `cameras`, `change` (sentence), `solved`, `missing`, `level`, `verdict`, `findings`, `loco_px` before and after
        by camera, `time_offset_ms`, and the names of the stored `calibration` and of the `backup` of the former rig;
        both are empty if nothing has changed.

    Raises:
        CoreError: Take, intrinsics or 2D poses are missing, there are too few observations of people, or the result
            must not be adopted.
        CancelledError: The reporter was cancelled.
    """
    take, former = session.take(params.take), session.rig
    filmed = _filmed(take, former)
    assert former is not None
    # The second look depends on the former rig, so only the first pass is unbiased.
    estimator = choose_poses2d([take], params.estimator, reporter)
    poses2d, time_s = take.poses2d(estimator, first_pass=True), image_times_s(take.timeline())
    repair = params.mode == "repair" or bool(params.moved)
    if repair := repair or (params.mode == "auto" and sum(c.posed for c in filmed) >= 2):
        unknown = [name for name in params.moved if name not in filmed.names]
        if unknown:
            raise CoreError(
                f"Camera '{unknown[0]}' did not film take {take.name}.",
                f"The cameras of the take are {', '.join(filmed.names)}.",
            )
        found = repair_from_people(filmed, poses2d, time_s, params.moved, params.people, reporter)
        rig = _merged(former, found, keep_others=True)
    else:
        found = calibrate_from_people(filmed, poses2d, time_s, params.people, reporter)
        rig = _merged(former, found, keep_others=False)
    details = _details(found)
    checked, backup, name = check_session_rig(session, rig).with_findings(list(found.findings)), "", ""
    report = {"digest": rig.digest, "source": rig.source, "created": rig.created} | checked.to_mapping() | details
    write_json(run.report, report)
    change = found.notes[0] if repair else "All cameras were recalibrated."
    reporter.note(change)
    if rig.digest != former.digest:
        folder = free_calibration(session)
        rig.save(folder.rig)
        write_json(folder.report, report)
        name = folder.name
        if params.adopt:
            _refuse_errors(checked, former, take)
            findings = list(found.findings)
            details |= {"folder": name}
            checked, backup = adopt_rig(session, rig, run, reporter, more=findings, details=details, kept=folder)
    return {
        "cameras": list(rig.names),
        "change": change,
        "solved": list(found.solved),
        "missing": dict(found.missing),
        "level": checked.level,
        "verdict": checked.verdict,
        "findings": [to_mapping(f) for f in checked.findings],
        "loco_px": details["loco_px"],
        "time_offset_ms": {c.name: round(c.time_offset_s * 1e3, 2) for c in rig},
        "calibration": name,
        "backup": backup,
    }


def _refuse_errors(checked: RigCheck, former: CameraRig, take: Take) -> None:
    """Refuse a rig with an error in its checks; cameras that had no pose, or did not film, may lack one.

    Raises:
        CoreError: The checks found an error.
    """
    may_lack = {c.name for c in former if not c.posed or c.name not in take.cameras}
    for finding in checked.findings:
        incomplete = finding.check in ("pose", "calibrated") and finding.camera in may_lack
        if finding.level == "error" and not incomplete:
            raise CoreError(
                f"The rig was not changed, because the result is implausible: {finding.message}", finding.remedy
            )


def _filmed(take: Take, rig: CameraRig | None) -> CameraRig:
    """Return the cameras of the take with intrinsics for the size of its images.

    Raises:
        CoreError: The intrinsics of a camera are unknown.
    """
    known = () if rig is None else rig.names
    missing = [name for name in take.cameras if name not in known]
    if rig is None or missing:
        raise CoreError(
            f"The intrinsics of camera '{missing[0]}' are unknown; people determine only the extrinsics.",
            "Calibrate the intrinsics from a board, or import a calibration with intrinsics.",
        )
    try:
        fitted = tuple(at_size(rig[camera.name], camera.size_px) for camera in take.manifest.cameras)
    except CoreError as error:
        raise CoreError(f"Take {take.name}: {error.message}", error.hint) from error
    return dataclasses.replace(rig, cameras=fitted)


def _merged(former: CameraRig, found: PeopleCalibration, *, keep_others: bool) -> CameraRig:
    """Return the session's rig with new poses; intrinsics and image sizes are kept.

    Cameras that did not film the take keep their pose in a repair, and lose it in a new rig.
    """

    def camera(old: Camera) -> Camera:
        if old.name in found.rig.names:
            new = found.rig[old.name]
            return old.replace(R=new.R, t_mm=new.t_mm, time_offset_s=new.time_offset_s, rmse_px=new.rmse_px)
        return old if keep_others else old.replace(R=None, t_mm=None, rmse_px=None)

    return dataclasses.replace(
        former if keep_others else found.rig,
        cameras=tuple(camera(c) for c in former),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=found.rig.source,
    )


def _details(found: PeopleCalibration) -> dict[str, Any]:
    """Return the metrics for the report as plain JSON values."""
    return {
        "method": "people",
        "solved": list(found.solved),
        "missing": dict(found.missing),
        "notes": list(found.notes),
        "loco_px": {
            name: [round(px, 2) if np.isfinite(px) else None for px in pair] for name, pair in found.loco_px.items()
        },
        "joint_noise_px": round(found.noise_px, 3),
        "frames": len(found.time_s),
        "statures_mm": [round(float(s)) for s in found.statures_mm if np.isfinite(s)],
        "inlier_share": {name: round(share, 4) for name, share in found.inlier_share.items()},
        "joint_share": {name: round(share, 4) for name, share in found.joint_share.items()},
        "rotation_error_deg": {name: round(sd, 4) for name, sd in found.rotation_sd_deg.items()},
        "position_error_mm": {name: round(sd, 2) for name, sd in found.position_sd_mm.items()},
        "time_offset_ms": {
            name: {"time_offset": round(found.rig[name].time_offset_s * 1e3, 2), "error": round(sd * 1e3, 2)}
            for name, sd in found.time_offset_sd_s.items()
        },
    }
