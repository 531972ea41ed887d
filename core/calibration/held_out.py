"""How well cameras predict what they were not fitted to: other stretches of time, and each camera from the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.calibration.bundle import N_UNKNOWNS, Cameras, Pictures, hand, residuals, solve
from core.calibration.extrinsics import BoardPoses
from core.calibration.start import first_way
from core.types.arrays import F64, I64

BLOCKS = 10
_NEAR_S = 0.012  # a picture this near in time needs none on its other side
_STEPS = 12
_LEAST_POINTS = 6  # of the other cameras, at a moment


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """Points of the board as predicted from cameras that did not see them, on stretches that were not fitted.

    Attributes:
        view: (N,) camera.
        moment: (N,) moment.
        row: (N,) row of the observations.
        left_out_px: (N, 2) seen minus predicted from the other cameras; NaN where they say nothing.
        left_out_mm: (N,) the same across the line of sight, at the board.
        fitted_px: (N, 2) seen minus the board's pose from all cameras.
    """

    view: I64
    moment: I64
    row: I64
    left_out_px: F64
    left_out_mm: F64
    fitted_px: F64

    @property
    def error_px(self) -> F64:
        """(N,) length of `left_out_px`."""
        return np.asarray(np.linalg.norm(self.left_out_px, axis=-1))

    def of(self, view: int | None = None) -> F64:
        """Known errors in px of one camera or of all."""
        chosen = np.isfinite(self.left_out_px[:, 0])
        if view is not None:
            chosen &= self.view == view
        return self.error_px[chosen]


def blocks(pictures: Pictures, moments: int) -> I64:
    """(moments,) which of ten stretches a moment belongs to, each with as many moments that show the board."""
    shown = np.unique(pictures.moment)
    number = np.zeros(moments, np.int64)
    for i, part in enumerate(np.array_split(shown, BLOCKS)):
        number[part] = i
    return number


def predict(
    pictures: Pictures, poses: BoardPoses, cameras: Cameras, time_s: F64, period_s: float, scale_px: float
) -> Prediction:
    """Leaves out each camera in turn, finds the board's way from the others, and predicts what the camera saw.

    A picture counts where the others saw the board just before and after it, or at its time.

    Args:
        pictures: Held-out pictures.
        poses: The board in them.
        cameras: Solved cameras, which stay as they are.
        time_s: (T, V) recorded times.
        period_s: Usual time between moments.
        scale_px: See `solve`.
    """
    views = len(cameras.lens)
    nothing = np.zeros((views, N_UNKNOWNS), bool)
    usual = hand(period_s)

    def way_of(chosen: np.ndarray):  # type: ignore[no-untyped-def]
        start = first_way(time_s, period_s, pictures, poses, cameras, chosen)
        return solve(pictures.where(chosen), cameras, start, nothing, scale_px=scale_px, hand=usual, steps=_STEPS).way

    shape = pictures.valid.shape
    left_out, fitted = np.full((*shape, 2), np.nan), np.full((*shape, 2), np.nan)
    left_out_mm = np.full(shape, np.nan)
    if len(pictures):
        fitted, _ = residuals(pictures, cameras, way_of(np.ones(len(pictures), bool)))
    true_s = pictures.time_s - cameras.latency_s[pictures.view]
    for v in range(views):
        mine, others = pictures.view == v, pictures.view != v
        others &= poses.known & (pictures.valid.sum(1) >= _LEAST_POINTS)
        if not mine.any() or not others.any():
            continue
        supported = mine & _between(true_s, np.sort(true_s[others]), 1.2 * period_s)
        if not supported.any():
            continue
        way = way_of(others)
        chosen = pictures.where(supported)
        left_out[supported], _ = residuals(chosen, cameras, way)
        depth = _depth(chosen, cameras, poses, supported)
        left_out_mm[supported] = np.linalg.norm(left_out[supported], axis=-1) * depth[:, None] / cameras.numbers[v, 0]
    valid = pictures.valid
    view = np.repeat(pictures.view[:, None], shape[1], 1)
    moment = np.repeat(pictures.moment[:, None], shape[1], 1)
    return Prediction(
        view=view[valid],
        moment=moment[valid],
        row=pictures.row[valid],
        left_out_px=left_out[valid],
        left_out_mm=left_out_mm[valid],
        fitted_px=fitted[valid],
    )


def _between(at_s: F64, others_s: F64, most_s: float) -> np.ndarray:
    """Whether each time has others close before and after it, or one at the very same time."""
    after = np.searchsorted(others_s, at_s)
    padded = np.concatenate([[-np.inf], others_s, [np.inf]])
    before_s, after_s = at_s - padded[after], padded[after + 1] - at_s
    return ((before_s < most_s) & (after_s < most_s)) | (np.minimum(before_s, after_s) < _NEAR_S)


def _depth(chosen: Pictures, cameras: Cameras, poses: BoardPoses, supported: np.ndarray) -> F64:
    """(P,) distance of the board, mm; the usual one where the picture alone does not tell."""
    own = np.where(poses.known[supported], poses.t_mm[supported, 0, 2], np.nan)
    usual = np.nanmedian(own) if np.isfinite(own).any() else 2000.0
    return np.where(np.isfinite(own), own, usual)


def score(errors_px: F64, scale_px: float) -> float:
    """One figure to compare variants by: outliers count, but no more than they should."""
    return float(np.log1p((errors_px / (2 * scale_px)) ** 2).mean()) if len(errors_px) else np.inf
