"""How well cameras predict what they were not fitted to: other stretches of time, and each camera from the others."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.calibration.board.bundle import N_UNKNOWNS, Cameras, Images, residuals, solve
from core.calibration.board.extrinsics import BoardPoses
from core.calibration.board.initialization import initial_trajectory
from core.calibration.board.trajectory import Trajectory
from core.errors import CoreError
from core.files import write_bytes
from core.types.arrays import F64, I64

BLOCKS = 10
_NEAR_S = 0.012  # an image this near in time needs none on its other side
_STEPS, _TOLERANCE = 8, 5e-4
_LEAST_POINTS = 6  # of the other cameras, at a frame, or all that the board has


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """Points of the board as predicted from cameras that did not see them, on stretches that were not fitted.

    Attributes:
        view: (N,) camera.
        frame: (N,) frame.
        row: (N,) row of the observations.
        loco_px: (N, 2) seen minus predicted from the other cameras; NaN where they say nothing.
        loco_mm: (N,) the same across the line of sight, at the board.
        fitted_px: (N, 2) seen minus the board's pose from all cameras.
    """

    view: I64
    frame: I64
    row: I64
    loco_px: F64
    loco_mm: F64
    fitted_px: F64

    @property
    def error_px(self) -> F64:
        """(N,) length of `loco_px`."""
        return np.asarray(np.linalg.norm(self.loco_px, axis=-1))

    def of(self, view: int | None = None) -> F64:
        """Known errors in px of one camera or of all."""
        chosen = np.isfinite(self.loco_px[:, 0])
        if view is not None:
            chosen &= self.view == view
        return self.error_px[chosen]


def blocks(images: Images, frames: int) -> I64:
    """(frames,) which of ten stretches a frame belongs to, each with as many frames that show the board."""
    shown = np.unique(images.frame)
    number = np.zeros(frames, np.int64)
    for i, part in enumerate(np.array_split(shown, BLOCKS)):
        number[part] = i
    return number


def predict(
    images: Images,
    poses: BoardPoses,
    folds: list[np.ndarray],
    cameras: Cameras,
    period_s: float,
    scale_px: float,
    usual: tuple[float, float],
    spread_px: float,
    *,
    left_out_too: bool = True,
) -> Prediction:
    """Leaves out each camera in turn, finds the board's way from the others, and predicts what the camera saw.

    An image counts where the others saw the board just before and after it, or at its time.

    Args:
        images: All images.
        poses: The board in them.
        folds: (P,) masks of the images that are held out of each fit.
        cameras: The cameras of each fit, one after the other; they stay as they are.
        period_s: Usual time between frames.
        scale_px: See `solve`.
        usual: Accelerations that are nothing unusual.
        spread_px: How far ordinary points are off.
        left_out_too: Whether cameras are left out at all; else only `fitted_px` is told, in a fraction of the time.
    """
    views = len(cameras.distortion_model) // len(folds)
    helpful = poses.known & (images.valid.sum(1) >= min(_LEAST_POINTS, images.valid.shape[1]))
    # A copy of the world for each fold with all its cameras, then with each of them left out.
    chosen, targets = [], []
    for f, held in enumerate(folds):
        late = cameras.time_offset_s[f * views : (f + 1) * views]
        true_s = images.time_s - late[images.view]
        for left in range(-1, views if left_out_too else 0):
            others = held & (images.view != left) & (helpful | (left < 0))
            mine = held & (images.view == left) & _between(true_s, np.sort(true_s[others]), 1.2 * period_s)
            chosen.append(np.flatnonzero(others))
            targets.append(np.flatnonzero(mine))
    shape = (*images.valid.shape, 2)
    left_out, fitted = np.full(shape, np.nan), np.full(shape, np.nan)

    each = len(chosen) // len(folds)
    first = np.arange(len(chosen)) // each * views
    known, rows = images.apart(chosen, first)
    if len(known):
        start = initial_trajectory(period_s, known, poses.where(rows), cameras)
        nothing = np.zeros((len(cameras.distortion_model), N_UNKNOWNS), bool)
        way = _solved(known, cameras, start, nothing, scale_px, usual, spread_px)
        own, rows = images.apart([c if i % each == 0 else c[:0] for i, c in enumerate(chosen)], first)
        fitted[rows], _ = residuals(own, cameras, way)
        missed, rows = images.apart(targets, first)
        left_out[rows], _ = residuals(missed, cameras, way)
    depth = np.where(poses.known, poses.t_mm[:, 0, 2], np.nan)
    depth = np.where(poses.known, depth, np.nanmedian(depth) if poses.known.any() else np.nan)
    valid = images.valid
    return Prediction(
        view=np.repeat(images.view[:, None], shape[1], 1)[valid],
        frame=np.repeat(images.frame[:, None], shape[1], 1)[valid],
        row=images.row[valid],
        loco_px=left_out[valid],
        loco_mm=(np.linalg.norm(left_out, axis=-1) * (depth / cameras.numbers[images.view, 0])[:, None])[valid],
        fitted_px=fitted[valid],
    )


def _solved(
    images: Images,
    cameras: Cameras,
    way: Trajectory,
    free: np.ndarray,
    scale_px: float,
    usual: tuple[float, float],
    spread_px: float,
) -> Trajectory:
    return solve(
        images,
        cameras,
        way,
        free,
        scale_px=scale_px,
        hand=usual,
        spread_px=spread_px,
        steps=_STEPS,
        tolerance=_TOLERANCE,
    ).way


def _between(at_s: F64, others_s: F64, most_s: float) -> np.ndarray:
    """Whether each time has others close before and after it, or one at the very same time."""
    after = np.searchsorted(others_s, at_s)
    padded = np.concatenate([[-np.inf], others_s, [np.inf]])
    before_s, after_s = at_s - padded[after], padded[after + 1] - at_s
    return np.asarray(((before_s < most_s) & (after_s < most_s)) | (np.minimum(before_s, after_s) < _NEAR_S))


def save_residuals(path: Path, prediction: Prediction, points: int) -> None:
    """Writes what was seen minus predicted for each of the observed points: left out, and fitted, (N, 2) px each."""
    arrays = {"loco_px": np.full((points, 2), np.nan), "fitted_px": np.full((points, 2), np.nan)}
    arrays["loco_px"][prediction.row] = prediction.loco_px
    arrays["fitted_px"][prediction.row] = prediction.fitted_px
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        loco_px=arrays["loco_px"].astype(np.float32),
        fitted_px=arrays["fitted_px"].astype(np.float32),
    )
    write_bytes(path, buffer.getvalue())


def load_residuals(path: Path) -> dict[str, F64]:
    """Reads what `save_residuals` wrote.

    Raises:
        CoreError: Missing or damaged.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: np.asarray(file[name], np.float64) for name in ("loco_px", "fitted_px")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CoreError(f"{path} is missing or damaged: {error}.", "Calibrate again.") from error


def gain(before: Prediction, after: Prediction, block: I64, scale_px: float, view: int | None = None) -> float:
    """By how many of its standard errors the held-out error falls from one variant to another.

    The error is that of the board's pose from all cameras, which noise disturbs least; each stretch counts once.

    Args:
        before: Predictions of the one variant.
        after: Of the other, for the same points.
        block: (T,) stretch that a frame belongs to.
        scale_px: Larger errors count with their logarithm.
        view: One camera, or all.
    """
    chosen = np.isfinite(before.fitted_px[:, 0]) & np.isfinite(after.fitted_px[:, 0])
    if view is not None:
        chosen &= before.view == view
    if not chosen.any():
        return 0.0
    loss = [_loss(p.fitted_px[chosen], scale_px) for p in (before, after)]
    number = block[before.frame[chosen]]
    falls = np.array([(loss[0] - loss[1])[number == b].mean() for b in np.unique(number)])
    if len(falls) < 3:
        return 0.0
    return float(falls.mean() / max(falls.std(ddof=1) / np.sqrt(len(falls)), 1e-12))


def left_out_gain(before: Prediction, after: Prediction, scale_px: float) -> float:
    """By how much the error of left-out cameras falls from one variant to another, as a share of it."""
    known = np.isfinite(before.error_px) & np.isfinite(after.error_px)
    loss = [float(_loss(p.loco_px[known], scale_px).sum()) for p in (before, after)]
    return 1 - loss[1] / loss[0] if loss[0] > 0 else 0.0


def _loss(residual_px: F64, scale_px: float) -> F64:
    """(N,) of residuals (N, 2): large ones count with their logarithm."""
    return np.asarray(np.log1p((residual_px**2).sum(-1) / (2 * scale_px) ** 2))
