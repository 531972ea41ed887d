"""Contents of the Calibrate page, without widgets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtGui import QImage

from core.board.pattern import Board
from core.calibration.board.config import CalibrateConfig
from core.config import from_mapping
from core.errors import CoreError
from core.files import read_json
from core.geometry.accuracy import AccuracyMap
from core.geometry.capture_volume import capture_volume
from core.geometry.overlay import floor_grid_px, poles_px
from core.geometry.resize import at_size
from core.rig_io.exporters import EXPORTERS
from core.rig_io.importers import rig_suffixes
from core.session import RunLayout, Session, Take
from core.session.footage.sources import STREAM_SUFFIXES, VIDEO_SUFFIXES
from core.types import Camera, CameraRig
from core.types.arrays import F64
from studio.pages.calibrate.check.results import RESIDUAL_SCALE, BoardResults, Residuals
from studio.widgets.images.image_view import Lines, first_image

LEGEND = "Blue: 1 m floor grid. Yellow: 1.8 m poles. Wrong axes or units are visible at once."
RESIDUAL_LEGEND = (
    f"Blue: detected corners. Yellow: residuals against the other cameras' prediction, enlarged {RESIDUAL_SCALE:.0f}×."
)
ACCURACY_NOTE = "Computed from the camera layout for 1 px of noise per view. Lines: direction of the largest error."
VIDEO_FILES = f"Videos ({' '.join('*' + s for s in VIDEO_SUFFIXES + STREAM_SUFFIXES)});;All files (*)"
CAMERA_HEADERS = (
    "Camera",
    "Resolution",
    "Focal length",
    "Field of view",
    "x, y (m)",
    "Height (m)",
    "RMSE",
    "LOCO error",
    "Time offset",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """Row with the verdict or a finding of the rig check.

    Attributes:
        level: "ok", "warning" or "error".
        message: Sentence on the finding.
        remedy: Sentence on the remedy; may be empty.
    """

    level: str
    message: str
    remedy: str = ""


def camera_rows(rig: CameraRig, metrics: BoardResults | None = None) -> list[tuple[str, ...]]:
    """Return one row per camera with the columns of `CAMERA_HEADERS`."""
    return [_camera_row(camera, metrics) for camera in rig]


def calibrate_config(board: Board) -> CalibrateConfig:
    """Return the default settings with a given board."""
    return CalibrateConfig(board=board)


def board_shown(run: Path) -> Board | None:
    """Return the board that a take showed instead of the given one, from the run of the failed calibration."""
    path = RunLayout(run).report
    if not path.exists():
        return None
    try:
        return from_mapping(Board, read_json(path)["board"])
    except (CoreError, KeyError, TypeError):
        return None


def import_filter() -> str:
    """Return the filter of the file dialog for rig files of all formats."""
    return f"Rig files ({' '.join('*' + suffix for suffix in rig_suffixes())});;All files (*)"


def export_filters() -> dict[str, str]:
    """Map the filters of the file dialog to the names of the formats."""
    return {e.file_filter or f"{e.title}, a folder (*)": e.name for e in EXPORTERS.entries()}


def worst_frame(error_px: F64) -> int | None:
    """Return the frame with the largest error; None if no error is known."""
    return int(np.nanargmax(error_px)) if np.isfinite(error_px).any() else None


def accuracy_text(accuracy: AccuracyMap, level: int) -> str:
    """Describe the accuracy at one height of a map."""
    error = accuracy.error_mm[..., level]
    known = error[np.isfinite(error)]
    if not len(known):
        return "No two cameras see the same place at this height."
    low, high = (float(np.percentile(known, q)) for q in (5, 95))
    height = float(accuracy.z_mm[level]) / 1000
    return f"{height:.1f} m above the floor: {low:.1f} mm at best (green), {high:.1f} mm at worst (red)."


def rig_summary(rig: CameraRig) -> str:
    """Describe the origin of a rig in one line."""
    parts = [f"{len(rig)} camera{'s' if len(rig) != 1 else ''}"]
    if rig.source:
        parts.append(rig.source.rstrip("."))
    if rig.created:
        parts.append(rig.created[:10])
    return " · ".join(parts)


def load_verdict(session: Session) -> tuple[VerdictRow, list[VerdictRow]] | None:
    """Read the verdict on the session's rig and its findings; None if the rig was not checked.

    Raises:
        CoreError: The report is damaged.
    """
    path = session.layout.rig_report
    if not path.exists():
        return None
    report: Any = read_json(path)
    try:
        verdict = VerdictRow(level=str(report["level"]), message=str(report["verdict"]))
        findings = [
            VerdictRow(level=str(f["level"]), message=str(f["message"]), remedy=str(f["remedy"]))
            for f in report["findings"]
        ]
    except (KeyError, TypeError) as error:
        raise CoreError(f"{path} is damaged: {error}.", "Import the calibration again.") from error
    return verdict, findings


def banner(rig: CameraRig | None, verdict: tuple[VerdictRow, list[VerdictRow]] | None, problem: str) -> VerdictRow:
    """Return the permanent verdict of the page.

    Args:
        rig: Rig of the session.
        verdict: Verdict and findings of the checks; None if it was not checked.
        problem: Reason why rig or verdict cannot be read; empty if they can.
    """
    if problem:
        return VerdictRow(level="error", message=problem)
    if rig is None:
        return VerdictRow(
            level="info", message="No calibration yet. Film a board with all cameras, or import a calibration."
        )
    if verdict is None:
        return VerdictRow(level="warning", message="This rig was not checked. Import it again to check it.")
    return verdict[0]


def people_blocked(rig: CameraRig | None, take: Take | None) -> str:
    """Return why calibration from people is blocked; empty if it is not."""
    if rig is None:
        return "Needs the intrinsics of the cameras: calibrate from a board, or import a calibration first."
    if take is None:
        return "Record or import a take in which people walk first."
    return "" if take.estimators() else f"Run 2D poses of {take.name} on the Train page first."


def overlay(rig: CameraRig, take: Take, camera: str) -> tuple[QImage, list[Lines]]:
    """Return a camera's first image of a take with projected floor and poles.

    Raises:
        CoreError: The video cannot be read, or the rig lacks the camera or has another image size.
    """
    return first_image(take, camera), floor_lines(rig, camera, take.camera(camera).size_px)


def frame_image(shown: Residuals, frame: int, rig: CameraRig | None, camera: str) -> tuple[QImage, list[Lines]]:
    """Return a camera's image of a frame of the board take with residuals.

    Args:
        shown: Residuals of the calibration.
        frame: Frame of the board take.
        rig: Rig whose floor and poles are drawn under the residuals; None draws none.
        camera: Camera name.

    Raises:
        CoreError: The video cannot be read, or the rig has another image size.
    """
    image, lines = shown.image(frame, camera)
    if rig is None or camera not in rig.names:
        return image, lines
    return image, [*floor_lines(rig, camera, (image.width(), image.height())), *lines]


def floor_lines(rig: CameraRig, camera: str, size_px: tuple[int, int]) -> list[Lines]:
    """Return the floor grid and the poles projected into an image; empty for a camera without a pose.

    Raises:
        CoreError: The rig lacks the camera or has another image size.
    """
    calibrated = at_size(rig[camera], size_px)
    if not calibrated.posed:
        return []
    volume = capture_volume(rig.subset([c.name for c in rig if c.posed]))
    floor = Lines(tuple(floor_grid_px(calibrated, volume)), "on_image", 1.0)
    poles = Lines(tuple(poles_px(calibrated, volume)), "on_image_strong", 2.4)
    return [floor, poles]


def _camera_row(camera: Camera, metrics: BoardResults | None) -> tuple[str, ...]:
    width, height = camera.size_px
    fx = float(camera.K[0, 0])
    view = "fisheye" if camera.distortion_model == "fisheye" else f"{2 * math.degrees(math.atan(width / 2 / fx)):.0f}°"
    if camera.posed:
        x, y, z = (np.asarray(camera.centre_mm) / 1000).tolist()
        place, elevation = f"{x:.2f}, {y:.2f}", f"{z:.2f}"
    else:
        place = elevation = "no pose"
    rmse = f"{camera.rmse_px:.2f} px" if camera.rmse_px is not None else "–"
    loco_px = metrics.loco_px.get(camera.name) if metrics is not None else None
    loco = f"{loco_px:.2f} px" if loco_px is not None else "–"
    offset = metrics.time_offset.get(camera.name, "–") if metrics is not None else "–"
    if offset == "–" and camera.time_offset_s:
        offset = f"{camera.time_offset_s * 1000:+.0f} ms"
    return camera.name, f"{width} × {height}", f"{fx:,.0f} px", view, place, elevation, rmse, loco, offset
