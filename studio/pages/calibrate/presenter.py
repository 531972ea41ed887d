"""What the Calibrate page shows, without widgets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtGui import QImage

from core.calibration.overlay import floor_grid_px, poles_px
from core.calibration.space import capture_space
from core.errors import CoreError
from core.files import read_json
from core.geometry.resize import at_size
from core.session import Session, Take
from core.types import Camera, CameraRig
from studio.widgets.picture import Lines, first_picture

LEGEND = "Blue: floor grid, one line a metre. Yellow: upright poles of 1.8 m. Wrong axes or units show at once."
RIG_FILES = "Rig files (*.txt *.toml *.json *.yaml *.yml *.xml);;All files (*)"
CAMERA_HEADERS = ("Camera", "Picture", "Focal length", "Field of view", "x, y in m", "Height in m", "Error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence of the rig's self-check.

    Attributes:
        level: "ok", "odd" or "wrong".
        sentence: What was found.
        remedy: What to do about it; may be empty.
    """

    level: str
    sentence: str
    remedy: str = ""


def camera_rows(rig: CameraRig) -> list[tuple[str, ...]]:
    """One row a camera, in the columns of `CAMERA_HEADERS`."""
    return [_camera_row(camera) for camera in rig]


def rig_sentence(rig: CameraRig) -> str:
    """Where the rig came from, in one line."""
    parts = [f"{len(rig)} camera{'s' if len(rig) != 1 else ''}"]
    if rig.source:
        parts.append(f"from {rig.source}")
    if rig.created:
        parts.append(rig.created[:10])
    return " · ".join(parts)


def rig_check(session: Session) -> tuple[Finding, list[Finding]] | None:
    """The verdict of the self-check made when the rig was imported and its findings, or None if there was none.

    Raises:
        CoreError: The report is damaged.
    """
    path = session.layout.rig_report
    if not path.exists():
        return None
    report: Any = read_json(path)
    try:
        verdict = Finding(level=str(report["level"]), sentence=str(report["verdict"]))
        found = [
            Finding(level=str(f["level"]), sentence=str(f["sentence"]), remedy=str(f["remedy"]))
            for f in report["findings"]
        ]
    except (KeyError, TypeError) as error:
        raise CoreError(f"{path} is damaged: {error}.", "Import the calibration again.") from error
    return verdict, found


def overlay(rig: CameraRig, take: Take, camera: str) -> tuple[QImage, list[Lines]]:
    """A camera's picture from the take's start, with the floor and the poles where the rig puts them.

    Raises:
        CoreError: The video cannot be read, or the rig has no such camera or was made for other pictures.
    """
    picture = first_picture(take, camera)
    calibrated = at_size(rig[camera], take.camera(camera).size_px)
    if not calibrated.posed:
        return picture, []
    space = capture_space(rig.subset([c.name for c in rig if c.posed]))
    floor = Lines(tuple(floor_grid_px(calibrated, space)), "on_picture", 1.0)
    poles = Lines(tuple(poles_px(calibrated, space)), "on_picture_strong", 2.4)
    return picture, [floor, poles]


def _camera_row(camera: Camera) -> tuple[str, ...]:
    width, height = camera.size_px
    fx = float(camera.K[0, 0])
    view = "fisheye" if camera.lens == "fisheye" else f"{2 * math.degrees(math.atan(width / 2 / fx)):.0f}°"
    if camera.posed:
        x, y, z = (np.asarray(camera.centre_mm) / 1000).tolist()
        where, high = f"{x:.2f}, {y:.2f}", f"{z:.2f}"
    else:
        where = high = "no pose"
    error = f"{camera.rmse_px:.2f} px" if camera.rmse_px is not None else "–"
    return camera.name, f"{width} × {height}", f"{fx:,.0f} px", view, where, high, error
