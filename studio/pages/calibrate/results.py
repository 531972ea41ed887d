"""What a board said about the session's rig, as the page shows it. No widgets."""

from __future__ import annotations

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
from studio.widgets.image_view import Lines, to_image

ENOUGH_FRAMES = 8
ENLARGED = 15.0
"""Residuals are drawn this many times as long as they are."""
_CROSS_PX = 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardResults:
    """Figures of the newest calibration from a board.

    Attributes:
        folder: Name of its folder.
        cameras: (V,) names.
        cells: Of each camera, points seen in each part of the image.
        words: Of each camera, a line on its coverage.
        shared: (V, V) frames.
        advice: What to show next.
        summary: One line of figures.
        loco_px: By camera.
        time offset: By camera, time offset and its error, in words.
        frame_px: (T,) error of each frame, NaN where unknown.
    """

    folder: str
    cameras: tuple[str, ...]
    cells: tuple[I64, ...]
    words: tuple[str, ...]
    shared: I64
    advice: str
    summary: str
    loco_px: dict[str, float | None]
    time_offset: dict[str, str]
    frame_px: F64


def board_takes(session: Session) -> list[str]:
    """Takes that may show the board, those that were brought in as such first."""
    kinds = {}
    for name in session.take_names():
        try:
            kinds[name] = session.take(name).manifest.kind
        except CoreError:
            continue  # the Record page tells of damaged takes
    return sorted(kinds, key=lambda n: (kinds[n] == "motion", n))


def results(session: Session) -> BoardResults | None:
    """Figures from the report; None if the rig was not made from a board here.

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
        covered = [quality["coverage"][n] for n in names]
        median = quality["loco_median_px"]
        late = report.get("time_offset_ms", {})
        return BoardResults(
            folder=str(report.get("folder", "")),
            cameras=names,
            cells=tuple(np.asarray(c["cells"], np.int64) for c in covered),
            words=tuple(f"{c['share']:.0%}, {c['images']} images" for c in covered),
            shared=np.asarray(quality["shared_frames"], np.int64),
            advice=str(report.get("advice", "")),
            summary=_summary(quality, median),
            loco_px={n: quality["loco_px"][n] for n in names},
            time_offset={n: f"{v['time_offset']:+.0f} ± {v['error']:.0f} ms" for n, v in late.items()},
            frame_px=np.array([np.nan if e is None else float(e) for e in quality["frame_px"]]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(f"{path} is damaged: {error}.", "Calibrate again.") from error


def _summary(quality: Any, median: float | None) -> str:
    parts = [] if median is None else [f"left-out cameras predicted to {median:.2f} px"]
    if quality.get("square_mm") is not None:
        parts.append(f"squares measured to {quality['square_mm']:.2f} mm")
    return " · ".join(parts)


class Residuals:
    """The recording behind a calibration: images, points and how far they are from where they were predicted.

    Args:
        session: Where it lies.
        folder: Name of the calibration.

    Raises:
        CoreError: Its files are missing or damaged.
    """

    def __init__(self, session: Session, folder: str) -> None:
        layout = session.layout.calibration(folder)
        self.seen = BoardObservations.load(layout.observations)
        self.loco_px = load_residuals(layout.residuals)["loco_px"]
        name = self.seen.source.removeprefix("take ")
        self.take: Take | None = session.take(name) if name in session.take_names() else None

    @property
    def time_s(self) -> F64:
        """(T,) times of the frames from the first on."""
        times = np.array([np.nan if np.isnan(row).all() else np.nanmean(row) for row in self.seen.time_s])
        return np.asarray(times - np.nanmin(times))

    def image(self, frame: int, camera: str) -> tuple[QImage, list[Lines]]:
        """A camera's image of a frame, with a cross on each corner and its residual, enlarged.

        Raises:
            CoreError: The take is gone, or its video cannot be read.
        """
        if self.take is None:
            raise CoreError("The take of the board is gone.", "Calibrate again from a take that is there.")
        v = self.seen.cameras.index(camera)
        index = int(self.seen.image_index[frame, v])
        if index < 0:
            raise CoreError(f"{camera} has no image of this frame.", "Choose another frame.")
        with VideoReader(self.take.video_path(camera), self.take.camera(camera).rotation_deg) as video:
            shown = to_image(video.read(index))
        mine = (self.seen.view == v) & (self.seen.frame == frame)
        at, off = self.seen.xy_px[mine], self.loco_px[mine]
        crosses = []
        for step in ((_CROSS_PX, 0.0), (0.0, _CROSS_PX)):
            crosses += [np.stack([p - step, p + step]) for p in at]
        vectors = [np.stack([p, p + ENLARGED * d]) for p, d in zip(at, off, strict=True) if np.isfinite(d).all()]
        return shown, [Lines(tuple(crosses), "on_image", 1.4), Lines(tuple(vectors), "on_image_strong", 2.2)]


def accuracy(rig: CameraRig) -> AccuracyMap | None:
    """The accuracy map of a rig, None where its cameras share no room."""
    posed = [c.name for c in rig if c.posed]
    try:
        return accuracy_map(rig.subset(posed)) if len(posed) >= 2 else None
    except CoreError:
        return None
