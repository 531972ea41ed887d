"""Kept calibrations: every rig that a session has had, with its report."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.files import read_json, read_once, write_bytes
from core.session.layout import CalibrationLayout
from core.session.store import Session, Take, rig_of_take
from core.types.camera import CameraRig


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCalibration:
    """Entry in the list of calibrations.

    Attributes:
        name: Name of its folder: the time at which it was adopted or replaced.
        made: Date and time of the calibration, ISO 8601; empty if unknown.
        source: Description of the rig's origin and changes.
        error: Error as text, such as "0.42 px from left-out cameras"; empty if unknown.
        level: Result of its checks: "ok", "warning" or "error"; empty if it was not checked.
        in_use: True if it is the current rig of the session.
        problem: Reason why it cannot be used; empty if it can.
    """

    name: str
    made: str = ""
    source: str = ""
    error: str = ""
    level: str = ""
    in_use: bool = False
    problem: str = ""


def kept_calibrations(session: Session) -> list[KeptCalibration]:
    """Return the calibrations of a session, the newest first, including damaged ones with the reason."""
    try:
        rig = session.rig
    except CoreError:
        rig = None
    used = "" if rig is None else rig.digest
    found = [_kept(folder, used) for folder in _folders(session)]
    # Several folders may contain the same cameras, such as a trial calibration and its adoption.
    in_use = next((c.name for c in found if c.in_use), "")
    return [replace(c, in_use=c.name == in_use) for c in found]


def free_calibration(session: Session) -> CalibrationLayout:
    """Return a new folder, named after the current time."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    return next(folder for folder in map(session.layout.calibration, names) if not folder.root.exists())


def calibration_of(session: Session, digest: str) -> CalibrationLayout | None:
    """Return the newest kept calibration whose rig has this digest, or None."""
    return next((folder for folder in _folders(session) if _digest(folder) == digest), None)


def keep_calibration(session: Session) -> CalibrationLayout | None:
    """Keep the current rig, even a damaged one, with its report and capture volume; None if the session has no rig.

    The report of a rig that is already kept is updated.
    """
    layout = session.layout
    if not layout.rig.exists():
        return None
    try:
        rig = session.rig
        assert rig is not None
        digest = rig.digest
        folder = calibration_of(session, digest)
    except CoreError:
        digest, folder = "", None
    if folder is None:
        folder = free_calibration(session)
        write_bytes(folder.rig, layout.rig.read_bytes())
    if layout.rig_report.exists() and _report(layout.rig_report).get("digest") == digest:
        write_bytes(folder.report, layout.rig_report.read_bytes())
    if layout.volume.exists():
        write_bytes(folder.volume, layout.volume.read_bytes())
    else:
        folder.volume.unlink(missing_ok=True)
    return folder


def former_rig(session: Session, take: Take, digest: str) -> CameraRig | None:
    """Return a take's cameras from the kept calibration in which they have this digest; None if there is none."""
    for folder in _folders(session):
        rig = _load(folder)
        try:
            fitted = rig_of_take(rig, take) if isinstance(rig, CameraRig) else None
        except CoreError:
            continue  # other cameras
        if fitted is not None and fitted.digest == digest:
            return fitted
    return None


def error_text(report: Any, rig: CameraRig) -> str:
    """Return the error of a calibration as text, from its report or its rig; empty if unknown."""
    if isinstance(report, dict):
        quality, loco = report.get("quality"), report.get("loco_px")
        if isinstance(quality, dict) and _is_number(quality.get("loco_median_px")):
            return f"{quality['loco_median_px']:.2f} px from left-out cameras"
        if isinstance(loco, dict):
            after = [pair[1] for pair in loco.values() if isinstance(pair, list) and len(pair) == 2]
            if known := [px for px in after if _is_number(px)]:
                return f"{np.median(known):.1f} px from people"
    known = [c.rmse_px for c in rig if c.rmse_px is not None]
    return f"{np.median(known):.2f} px reprojection" if known else ""


def _kept(folder: CalibrationLayout, used: str) -> KeptCalibration:
    rig = _load(folder)
    if not isinstance(rig, CameraRig):
        return KeptCalibration(name=folder.name, problem=str(rig))
    report, digest = _report(folder.report), _digest(folder)
    return KeptCalibration(
        name=folder.name,
        made=rig.created,
        source=rig.source,
        error=error_text(report, rig),
        level=str(report.get("level", "")) if report.get("digest", digest) == digest else "",
        in_use=digest == used,
    )


def _folders(session: Session) -> list[CalibrationLayout]:
    """Return the folders of kept rigs, the newest first."""
    paths = session.layout.calibrations.glob("*/rig.toml")
    return [CalibrationLayout(path.parent) for path in sorted(paths, key=lambda p: _order(p.parent.name), reverse=True)]


def _order(name: str) -> tuple[str, int]:
    """Return a sort key that puts the tenth folder of a second after the ninth."""
    day, _, rest = name.partition("-")
    time, _, number = rest.partition("-")
    return f"{day}-{time}", int(number) if number.isdigit() else 1


def _digest(folder: CalibrationLayout) -> str:
    """Return the digest of a kept rig; empty if it is damaged."""
    try:
        return read_once(folder.rig, _digest_of)
    except CoreError:
        return ""


def _digest_of(path: Path) -> str:
    return CameraRig.load(path).digest


def _load(folder: CalibrationLayout) -> CameraRig | CoreError:
    try:
        return read_once(folder.rig, CameraRig.load)
    except CoreError as error:
        return error


def _report(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        report = read_once(path, read_json)
    except CoreError:
        return {}  # the list shows the rig without error; the Calibrate page reports the damage
    return report if isinstance(report, dict) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def replaced_text(session: Session, *, moved: bool = False) -> str:
    """Describe the calibration to be replaced and its dependents; empty if there is no readable calibration.

    Args:
        session: Session with the calibration.
        moved: True if only the world coordinates change, so that results are transformed.
    """
    try:
        rig = session.rig
    except CoreError:
        return ""  # a damaged one is no loss, and is kept anyway
    if rig is None:
        return ""
    path = session.layout.rig_report
    report = read_once(path, read_json) if path.exists() else {}
    error = error_text(report if isinstance(report, dict) else {}, rig)
    made = f" of {rig.created[:10]}" if rig.created else ""
    text = (
        f"The session has a calibration{made}{f' with {error}' if error else ''}. It stays in the list of calibrations."
    )
    count = sum(len(list(session.layout.take(name).poses3d_root.glob("*.nc"))) for name in session.take_names())
    results = f"{count} 3D result{'s' if count > 1 else ''} made with it"
    if count:
        text += f" {results} will be transformed." if moved else f" {results} will be out of date."
    return text
