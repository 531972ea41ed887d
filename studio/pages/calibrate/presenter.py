"""What the Calibrate page shows, without widgets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtGui import QImage

from core.board.pattern import Board
from core.calibration.board.config import CalibrateConfig
from core.errors import CoreError
from core.files import read_json
from core.geometry.accuracy import AccuracyMap
from core.geometry.capture_volume import capture_volume
from core.geometry.overlay import floor_grid_px, poles_px
from core.geometry.resize import at_size
from core.rig_io.exporters import EXPORTERS
from core.session import Session, Take
from core.session.ingest import VIDEO_SUFFIXES
from core.types import Camera, CameraRig
from core.types.arrays import F64
from studio.pages.calibrate.results import ENLARGED, BoardResults, Residuals
from studio.widgets.image_view import Lines, first_image

LEGEND = "Blue: floor grid, one line a metre. Yellow: upright poles of 1.8 m. Wrong axes or units show at once."
RESIDUAL_LEGEND = (
    f"Blue: corners as found. Yellow: how far they are from where the other cameras predict them, {ENLARGED:.0f} times."
)
ACCURACY_NOTE = "From the cameras' places alone, if every view is off by 1 px. Lines: where it is worst."
RIG_FILES = "Rig files (*.txt *.toml *.json *.yaml *.yml *.xml *.xcp *.qca);;All files (*)"
VIDEO_FILES = f"Videos ({' '.join('*' + s for s in VIDEO_SUFFIXES)});;All files (*)"
CAMERA_HEADERS = (
    "Camera",
    "Image",
    "Focal length",
    "Field of view",
    "x, y in m",
    "Height in m",
    "Error",
    "Left out",
    "Delay",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence of the rig's self-check.

    Attributes:
        level: "ok", "warning" or "error".
        sentence: What was found.
        remedy: What to do about it; may be empty.
    """

    level: str
    sentence: str
    remedy: str = ""


def camera_rows(rig: CameraRig, found: BoardResults | None = None) -> list[tuple[str, ...]]:
    """One row a camera, in the columns of `CAMERA_HEADERS`."""
    return [_camera_row(camera, found) for camera in rig]


def calibrate_config(board: Board) -> CalibrateConfig:
    """How the button calibrates: everything is found out."""
    return CalibrateConfig(board=board)


def export_filters() -> dict[str, str]:
    """Lines of the file dialogue to names of formats."""
    return {e.file_filter or f"{e.title}, a folder (*)": e.name for e in EXPORTERS.entries()}


def worst_frame(error_px: F64) -> int | None:
    """The frame to look at first: that with the largest error; None where none is known."""
    return int(np.nanargmax(error_px)) if np.isfinite(error_px).any() else None


def accuracy_sentence(found: AccuracyMap, level: int) -> str:
    """What a map says at one height, in a sentence."""
    error = found.error_mm[..., level]
    known = error[np.isfinite(error)]
    if not len(known):
        return "No two cameras see anything at this height."
    low, high = (float(np.percentile(known, q)) for q in (5, 95))
    height = float(found.z_mm[level]) / 1000
    return f"{height:.1f} m over the floor: {low:.1f} mm where it is best (green), {high:.1f} mm where worst (red)."


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
            Finding(level=str(f["level"]), sentence=str(f["message"]), remedy=str(f["remedy"]))
            for f in report["findings"]
        ]
    except (KeyError, TypeError) as error:
        raise CoreError(f"{path} is damaged: {error}.", "Import the calibration again.") from error
    return verdict, found


def overlay(rig: CameraRig, take: Take, camera: str) -> tuple[QImage, list[Lines]]:
    """A camera's image from the take's start, with the floor and the poles where the rig puts them.

    Raises:
        CoreError: The video cannot be read, or the rig has no such camera or was made for other images.
    """
    return first_image(take, camera), floor_lines(rig, camera, take.camera(camera).size_px)


def frame_image(shown: Residuals, frame: int, rig: CameraRig | None, camera: str) -> tuple[QImage, list[Lines]]:
    """A camera's image of a frame of the board with its residuals.

    Args:
        shown: The recording of the board.
        frame: Which frame.
        rig: Puts its floor and poles under the residuals; None leaves them out.
        camera: Which camera.

    Raises:
        CoreError: The video cannot be read, or the rig was made for other images.
    """
    image, lines = shown.image(frame, camera)
    if rig is None or camera not in rig.names:
        return image, lines
    return image, [*floor_lines(rig, camera, (image.width(), image.height())), *lines]


def floor_lines(rig: CameraRig, camera: str, size_px: tuple[int, int]) -> list[Lines]:
    """The floor's grid and upright poles where the rig puts them in an image; nothing for an unposed camera.

    Raises:
        CoreError: The rig has no such camera or was made for other images.
    """
    calibrated = at_size(rig[camera], size_px)
    if not calibrated.posed:
        return []
    volume = capture_volume(rig.subset([c.name for c in rig if c.posed]))
    floor = Lines(tuple(floor_grid_px(calibrated, volume)), "on_image", 1.0)
    poles = Lines(tuple(poles_px(calibrated, volume)), "on_image_strong", 2.4)
    return [floor, poles]


def _camera_row(camera: Camera, found: BoardResults | None) -> tuple[str, ...]:
    width, height = camera.size_px
    fx = float(camera.K[0, 0])
    view = "fisheye" if camera.distortion_model == "fisheye" else f"{2 * math.degrees(math.atan(width / 2 / fx)):.0f}°"
    if camera.posed:
        x, y, z = (np.asarray(camera.centre_mm) / 1000).tolist()
        where, high = f"{x:.2f}, {y:.2f}", f"{z:.2f}"
    else:
        where = high = "no pose"
    error = f"{camera.rmse_px:.2f} px" if camera.rmse_px is not None else "–"
    left_out = found.loco_px.get(camera.name) if found is not None else None
    predicted = f"{left_out:.2f} px" if left_out is not None else "–"
    late = found.time_offset.get(camera.name, "–") if found is not None else "–"
    if late == "–" and camera.time_offset_s:
        late = f"{camera.time_offset_s * 1000:+.0f} ms"
    return camera.name, f"{width} × {height}", f"{fx:,.0f} px", view, where, high, error, predicted, late
