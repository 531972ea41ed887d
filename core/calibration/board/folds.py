"""Whether fits to two halves of a recording say the same, and which of two fits is the better one.

The cost has valleys: with late cameras and a weak link between two groups of them, a fit can end with a wrong time offset and
poses that make up for it. Halves that contradict each other by many standard errors give that away.
"""

from __future__ import annotations

import numpy as np

from core.calibration.board.bundle import LOST, POSE, TIME_OFFSET, Cameras, Images, Solution, robust_loss
from core.geometry.so3 import log
from core.types.arrays import F64

CONTRADICT = 10.0
"""Standard errors by which halves may differ: they are fitted roughly, and real errors are not white."""


def disagreement(one: Solution, other: Solution, first: int, second: int, views: int) -> F64:
    """(V,) by how many standard errors two fits differ in a camera's pose or time offset; 0 where one of them is silent.

    Args:
        one: Fits to one or more copies of the world.
        other: The same; may be `one` itself.
        first: Which copy of the first.
        second: Which copy of the second.
        views: Cameras of a copy.
    """
    rows = [np.arange(views) + copy * views for copy in (first, second)]
    cameras = [fit.cameras for fit in (one, other)]
    R, t, late = (
        [getattr(c, name)[r] for c, r in zip(cameras, rows, strict=True)] for name in ("R", "t_mm", "time_offset_s")
    )
    change = np.concatenate([log(R[0] @ np.swapaxes(R[1], -1, -2)), t[0] - t[1], (late[0] - late[1])[:, None]], axis=-1)
    sds = [fit.sd(slice(POSE.start, TIME_OFFSET.stop))[r] for fit, r in zip((one, other), rows, strict=True)]
    sd = np.hypot(*sds)
    free = (sds[0] > 0) & (sds[1] > 0) & np.isfinite(sd)
    return np.asarray(np.where(free, np.abs(change) / np.where(free, sd, 1.0), 0.0).max(-1))


def losses(solution: Solution, images: Images, scale_px: float, views: int) -> F64:
    """(F,) robust loss of each copy of the world, of the images as they were solved."""
    each = robust_loss(solution.residual_px, scale_px)
    each = np.where(images.valid, np.where(np.isnan(each), LOST, each), 0.0).sum(1)
    count = len(solution.cameras.distortion_model) // views
    return np.asarray(np.bincount(images.view // views, weights=each, minlength=count), np.float64)


def copies(cameras: Cameras, which: tuple[int, ...], views: int) -> Cameras:
    """Some copies of the world, in this order."""
    rows = np.concatenate([np.arange(views) + copy * views for copy in which])
    return Cameras(
        distortion_model=tuple(cameras.distortion_model[r] for r in rows),
        numbers=cameras.numbers[rows],
        R=cameras.R[rows],
        t_mm=cameras.t_mm[rows],
        time_offset_s=cameras.time_offset_s[rows],
    )


def joined(one: Cameras, other: Cameras) -> Cameras:
    """All copies of both."""
    return Cameras(
        distortion_model=one.distortion_model + other.distortion_model,
        numbers=np.concatenate([one.numbers, other.numbers]),
        R=np.concatenate([one.R, other.R]),
        t_mm=np.concatenate([one.t_mm, other.t_mm]),
        time_offset_s=np.concatenate([one.time_offset_s, other.time_offset_s]),
    )
