"""Results of a calibration from a board, without widgets."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtGui import QImage

from core.board.observations import BoardObservations
from core.calibration.board.cross_validation import load_residuals
from core.errors import CoreError
from core.files import read_json
from core.geometry.accuracy import AccuracyMap, accuracy_map
from core.session import Session, Take
from core.session.video import VideoReader
from core.types import CameraRig
from core.types.arrays import F64, I64
from studio.widgets.images.image_view import Lines, to_image

ENOUGH_FRAMES = 8
RESIDUAL_SCALE = 15.0
"""Magnification of residuals in the images."""
_CROSS_PX = 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardResults:
    """Metrics of the newest calibration from a board.

    Attributes:
        folder: Name of the calibration's folder.
        cameras: (V,) camera names.
        cells: Number of corners in each cell of the image, per camera.
        captions: Text on the coverage per camera.
        shared: (V, V) number of frames in which both cameras see the board.
        advice: What to record next.
        summary: Summary of the metrics.
        loco_px: Leave-one-camera-out error by camera.
        time_offset: Time offset with its standard error as text, by camera.
        frame_px: (T,) error of each frame; NaN where unknown.
    """

    folder: str
    cameras: tuple[str, ...]
    cells: tuple[I64, ...]
    captions: tuple[str, ...]
    shared: I64
    advice: str
    summary: str
    loco_px: dict[str, float | None]
    time_offset: dict[str, str]
    frame_px: F64


def board_takes(session: Session) -> list[str]:
    """Return the names of takes of the board; the kind of a take can be changed on the Record page."""
    kinds = {}
    for name in session.take_names():
        try:
            kinds[name] = session.take(name).manifest.kind
        except CoreError:
            continue  # the Record page reports damaged takes
    return sorted((name for name in kinds if kinds[name] != "motion"), key=lambda n: (kinds[n] != "board", n))


def load_board_results(session: Session) -> BoardResults | None:
    """Read the metrics from the rig report; None if the rig was not calibrated from a board.

    Raises:
        CoreError: The report is damaged.
    """
    path = session.layout.rig_report
    if not path.exists():
        return None
    report: Any = read_json(path)
    if not isinstance(report, dict) or "quality" not in report:
        return None
    try:
        quality, names = report["quality"], tuple(str(n) for n in report["quality"]["loco_px"])
        coverage = [quality["coverage"][n] for n in names]
        median = quality["loco_median_px"]
        offsets = report.get("time_offset_ms", {})
        return BoardResults(
            folder=str(report.get("folder", "")),
            cameras=names,
            cells=tuple(np.asarray(c["cells"], np.int64) for c in coverage),
            captions=tuple(f"{100 * c['share']:.0f} %, {c['images']} images" for c in coverage),
            shared=np.asarray(quality["shared_frames"], np.int64),
            advice=str(report.get("advice", "")),
            summary=_summary(quality, median),
            loco_px={n: quality["loco_px"][n] for n in names},
            time_offset={n: f"{v['time_offset']:+.0f} ± {v['error']:.0f} ms" for n, v in offsets.items()},
            frame_px=np.array([np.nan if e is None else float(e) for e in quality["frame_px"]]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(f"{path} is damaged: {error}.", "Calibrate again.") from error


def _summary(quality: Any, median: float | None) -> str:
    parts = [] if median is None else [f"Leave-one-camera-out error {median:.2f} px"]
    if quality.get("square_mm") is not None:
        parts.append(f"squares measure {quality['square_mm']:.2f} mm")
    return " · ".join(parts)


class Residuals:
    """Board take of a calibration: images, corners, and leave-one-camera-out residuals.

    Args:
        session: Session of the calibration.
        folder: Name of the calibration's folder.

    Attributes:
        observations: Board observations.
        loco_px: (N, 2) residual of each observation against the prediction from the other cameras; NaN where unknown.
        take: The take; None if it was deleted.

    Raises:
        CoreError: Files are missing or damaged.
    """

    def __init__(self, session: Session, folder: str) -> None:
        layout = session.layout.calibration(folder)
        self.observations = BoardObservations.load(layout.observations)
        self.loco_px = load_residuals(layout.residuals)["loco_px"]
        name = self.observations.source.removeprefix("take ")
        self.take: Take | None = session.take(name) if name in session.take_names() else None

    @property
    def time_s(self) -> F64:
        """(T,) time of each frame, from 0."""
        times = np.array([np.nan if np.isnan(row).all() else np.nanmean(row) for row in self.observations.time_s])
        return np.asarray(times - np.nanmin(times))

    def image(self, frame: int, camera: str) -> tuple[QImage, list[Lines]]:
        """Return a camera's image of a frame, with a cross on each corner and its enlarged residual.

        Raises:
            CoreError: The take was deleted, or its video cannot be read.
        """
        if self.take is None:
            raise CoreError("The board take was deleted.", "Calibrate again from an existing take.")
        v = self.observations.cameras.index(camera)
        index = int(self.observations.image_index[frame, v])
        if index < 0:
            raise CoreError(f"{camera} has no image of this frame.", "Select another frame.")
        with VideoReader(self.take.video_path(camera), self.take.camera(camera).rotation_deg) as video:
            image = to_image(video.read(index))
        here = (self.observations.view == v) & (self.observations.frame == frame)
        corners, residuals = self.observations.xy_px[here], self.loco_px[here]
        crosses = []
        for arm in ((_CROSS_PX, 0.0), (0.0, _CROSS_PX)):
            crosses += [np.stack([p - arm, p + arm]) for p in corners]
        vectors = [
            np.stack([p, p + RESIDUAL_SCALE * d])
            for p, d in zip(corners, residuals, strict=True)
            if np.isfinite(d).all()
        ]
        return image, [Lines(tuple(crosses), "on_image", 1.4), Lines(tuple(vectors), "on_image_strong", 2.2)]


@functools.lru_cache(maxsize=4)
def rig_accuracy(rig: CameraRig) -> AccuracyMap | None:
    """Return the accuracy map of a rig, or None if its cameras share no volume."""
    posed = [c.name for c in rig if c.posed]
    try:
        return accuracy_map(rig.subset(posed)) if len(posed) >= 2 else None
    except CoreError:
        return None
