"""Cross-validation: prediction of held-out time blocks, and of images from all other cameras (LOCO)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.calibration.board.adjustment.bundle import adjust_board, residuals
from core.calibration.board.adjustment.state import N_UNKNOWNS, BoardImages, Cameras
from core.calibration.board.adjustment.trajectory import Trajectory
from core.calibration.board.initial.extrinsics import BoardPoses
from core.calibration.board.initial.initialization import initial_trajectory
from core.errors import CoreError
from core.files import write_bytes
from core.optimize.robust import cauchy_loss
from core.types.arrays import F64, I64

BLOCKS = 10
"""Number of time blocks of a recording; even ones form one fold, odd ones the other."""
_GATED_FRAMES = 240  # frames for the comparison of models, in bursts at the start of each block
_SAME_TIME_S = 0.012  # time difference to an image of another camera up to which one neighbour suffices
_LONGEST_GAP = 1.2  # in frame periods, to the images of other cameras before and after a predicted image
_LEAST_POINTS = 6  # of the other cameras in an image, or all points of the board
_MAX_STEPS, _TOLERANCE = 8, 5e-4  # of trajectories for predictions
_LOSS_SCALE = 2.0  # Cauchy scale of held-out errors, in units of the nominal noise
_LEAST_BLOCKS = 3  # with held-out errors, for the standard error of the mean


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """Held-out points of the board: predictions by cameras that were not fitted to them.

    Attributes:
        view: (N,) camera of each point.
        frame: (N,) frame of each point.
        row: (N,) index into the observations.
        loco_px: (N, 2) leave-one-camera-out (LOCO) error: observed minus predicted from the other cameras; NaN where
            these do not see the board.
        loco_mm: (N,) LOCO error at the board, perpendicular to the ray.
        fitted_px: (N, 2) observed minus predicted from the trajectory by all cameras.
    """

    view: I64
    frame: I64
    row: I64
    loco_px: F64
    loco_mm: F64
    fitted_px: F64

    @property
    def error_px(self) -> F64:
        """Length of the LOCO errors, (N,)."""
        return np.asarray(np.linalg.norm(self.loco_px, axis=-1))

    def of(self, view: int | None = None) -> F64:
        """Return the known LOCO errors in px of one camera or of all."""
        chosen = np.isfinite(self.loco_px[:, 0])
        if view is not None:
            chosen &= self.view == view
        return self.error_px[chosen]


def time_blocks(images: BoardImages, frames: int) -> I64:
    """Return the block (T,) of each frame; the ten blocks contain equal numbers of frames with the board."""
    shown = np.unique(images.frame)
    block = np.zeros(frames, np.int64)
    for i, part in enumerate(np.array_split(shown, BLOCKS)):
        block[part] = i
    return block


def two_folds(images: BoardImages, block: I64) -> tuple[np.ndarray, np.ndarray]:
    """Return masks (P,) of the images in even and odd blocks, which are shortened to what model selection needs.

    Args:
        images: Observations.
        block: (T,) block of each frame.
    """
    shown = np.unique(images.frame)
    enough = np.zeros(len(block), bool)
    for number in np.unique(block[shown]):
        enough[shown[block[shown] == number][: _GATED_FRAMES // BLOCKS]] = True
    even = block[images.frame] % 2 == 0
    return even & enough[images.frame], ~even & enough[images.frame]


def predict(
    images: BoardImages,
    poses: BoardPoses,
    held_out: Sequence[tuple[np.ndarray, Cameras]],
    period_s: float,
    noise_px: float,
    motion: tuple[float, float],
    sigma_px: float,
    *,
    loco: bool = True,
) -> Prediction:
    """Predict observations from trajectories estimated with fixed cameras, by all cameras and by all but one.

    A left-out image is predicted if other cameras saw the board shortly before and after it, or at the same time.

    Args:
        images: Observations.
        poses: Poses of the board in single images.
        held_out: For each fold, the mask (P,) of held-out images, and cameras fitted to the others.
        period_s: Median time between frames.
        noise_px: Nominal noise (see `adjust_board`).
        motion: Motion prior.
        sigma_px: Standard deviation of inliers.
        loco: Compute LOCO errors; `fitted_px` alone takes a fraction of the time.
    """
    helpful = poses.known & (images.valid.sum(1) >= min(_LEAST_POINTS, images.valid.shape[1]))
    shape = (*images.valid.shape, 2)
    loco_px, fitted_px = np.full(shape, np.nan), np.full(shape, np.nan)
    focal_px = np.ones(len(images))
    for held, cameras in held_out:

        def trajectory(rows: np.ndarray, cameras: Cameras = cameras) -> Trajectory:
            return _trajectory(images.where(rows), poses.where(rows), cameras, period_s, noise_px, motion, sigma_px)

        focal_px[held] = cameras.intrinsics[images.view[held], 0]
        if not (held & poses.known).any():
            continue
        fitted_px[held] = residuals(images.where(held), cameras, trajectory(held))
        true_s = images.time_s - cameras.time_offset_s[images.view]
        for left_out in range(len(cameras) if loco else 0):
            others = held & helpful & (images.view != left_out)
            wanted = held & (images.view == left_out)
            wanted &= _between(true_s, np.sort(true_s[others]), _LONGEST_GAP * period_s)
            if wanted.any():
                loco_px[wanted] = residuals(images.where(wanted), cameras, trajectory(others))
    depth = np.where(poses.known, poses.t_mm[:, 0, 2], np.nan)
    depth = np.where(poses.known, depth, np.nanmedian(depth) if poses.known.any() else np.nan)
    valid = images.valid
    return Prediction(
        view=np.repeat(images.view[:, None], shape[1], 1)[valid],
        frame=np.repeat(images.frame[:, None], shape[1], 1)[valid],
        row=images.row[valid],
        loco_px=loco_px[valid],
        loco_mm=(np.linalg.norm(loco_px, axis=-1) * (depth / focal_px)[:, None])[valid],
        fitted_px=fitted_px[valid],
    )


def _trajectory(
    images: BoardImages,
    poses: BoardPoses,
    cameras: Cameras,
    period_s: float,
    noise_px: float,
    motion: tuple[float, float],
    sigma_px: float,
) -> Trajectory:
    """Estimate the trajectory with fixed cameras."""
    return adjust_board(
        images,
        cameras,
        initial_trajectory(period_s, images, poses, cameras),
        np.zeros((len(cameras), N_UNKNOWNS), bool),
        noise_px=noise_px,
        motion=motion,
        sigma_px=sigma_px,
        max_steps=_MAX_STEPS,
        tolerance=_TOLERANCE,
    ).trajectory


def _between(at_s: F64, others_s: F64, longest_s: float) -> np.ndarray:
    """Return the mask of times with others shortly before and after, or at the same time."""
    after = np.searchsorted(others_s, at_s)
    padded = np.concatenate([[-np.inf], others_s, [np.inf]])
    before_s, after_s = at_s - padded[after], padded[after + 1] - at_s
    both = (before_s < longest_s) & (after_s < longest_s)
    return np.asarray(both | (np.minimum(before_s, after_s) < _SAME_TIME_S))


def improvement(before: Prediction, after: Prediction, block: I64, noise_px: float, view: int | None = None) -> float:
    """Return the decrease of the held-out error between two models in standard errors.

    The error is that of the trajectory by all cameras, which is the least noisy; each time block counts once.

    Args:
        before: Predictions of the first model.
        after: Predictions of the second model for the same points.
        block: (T,) block of each frame.
        noise_px: Nominal noise.
        view: Camera; None for all.
    """
    chosen = np.isfinite(before.fitted_px[:, 0]) & np.isfinite(after.fitted_px[:, 0])
    if view is not None:
        chosen &= before.view == view
    if not chosen.any():
        return 0.0
    loss = [_loss(p.fitted_px[chosen], noise_px) for p in (before, after)]
    number = block[before.frame[chosen]]
    falls = np.array([(loss[0] - loss[1])[number == b].mean() for b in np.unique(number)])
    if len(falls) < _LEAST_BLOCKS:
        return 0.0
    return float(falls.mean() / max(falls.std(ddof=1) / np.sqrt(len(falls)), 1e-12))


def loco_improvement(before: Prediction, after: Prediction, noise_px: float) -> float:
    """Return the relative decrease of the LOCO error between two models."""
    known = np.isfinite(before.error_px) & np.isfinite(after.error_px)
    loss = [float(_loss(p.loco_px[known], noise_px).sum()) for p in (before, after)]
    return 1 - loss[1] / loss[0] if loss[0] > 0 else 0.0


def _loss(residual_px: F64, noise_px: float) -> F64:
    """Return the robust loss (N,) of errors (N, 2)."""
    return cauchy_loss((residual_px**2).sum(-1) / noise_px**2, _LOSS_SCALE)


def save_residuals(path: Path, prediction: Prediction, points: int) -> None:
    """Write the LOCO errors and residuals (N, 2) of all observed points in px."""
    arrays = {name: np.full((points, 2), np.nan, np.float32) for name in ("loco_px", "fitted_px")}
    for name, array in arrays.items():
        array[prediction.row] = getattr(prediction, name)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, loco_px=arrays["loco_px"], fitted_px=arrays["fitted_px"])
    write_bytes(path, buffer.getvalue())


def load_residuals(path: Path) -> dict[str, F64]:
    """Read a file of `save_residuals`.

    Raises:
        CoreError: The file is missing or damaged.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: np.asarray(file[name], np.float64) for name in ("loco_px", "fitted_px")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CoreError(f"{path} is missing or damaged: {error}.", "Calibrate again.") from error
