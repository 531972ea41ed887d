"""Initial trajectory of the board, from the poses in single images and initial camera poses."""

from __future__ import annotations

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.state import BoardImages, Cameras
from core.calibration.board.adjustment.trajectory import Trajectory, place_knots
from core.calibration.board.initial.extrinsics import BoardPoses
from core.geometry.intrinsics import project_with_jacobian
from core.geometry.so3 import angle_rad
from core.types.arrays import F64, I64

_DISTINCT_RAD = np.radians(
    8
)  # rotation from which candidate poses count as different, far below that between the two of a flat board
_ERROR_SD_PX, _LARGEST_ERROR_PX = 1.5, 30.0  # of a candidate over the images of its frame, for the Viterbi cost
_LARGEST_MISS_PX = 100.0  # limit of the influence of a camera with a wrong pose
_ROTATION_SD_RAD_S, _ROTATION_FLOOR_RAD = 1.0, 0.03  # of a hand-held board, for the Viterbi cost


def frame_period_s(seen: BoardObservations) -> float:
    """Return the median time between frames."""
    times = np.nanmedian(seen.time_s, axis=1)
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def initial_trajectory(period_s: float, images: BoardImages, poses: BoardPoses, cameras: Cameras) -> Trajectory:
    """Return the trajectory through the best board pose of each frame among the candidates of its images.

    Args:
        period_s: Median time between frames.
        images: Observations.
        poses: Candidate poses of the board in each image.
        cameras: Initial cameras.
    """
    candidates = np.flatnonzero(poses.known)
    view = images.view[candidates]
    to_world = np.swapaxes(cameras.R[view], -1, -2)[:, None]
    R = to_world @ poses.R[candidates]  # (C, 2, 3, 3) board to world
    t = (to_world @ (poses.t_mm[candidates] - cameras.t_mm[view][:, None])[..., None])[..., 0]
    frames, slot = np.unique(images.frame[candidates], return_inverse=True)
    # Each candidate is scored in all images of its frame: pairs (candidate, image).
    scored = np.flatnonzero(np.isin(images.frame, frames))
    scored = scored[np.argsort(images.frame[scored], kind="stable")]
    slot_of_image = np.searchsorted(frames, images.frame[scored])
    begin, end = np.searchsorted(slot_of_image, slot), np.searchsorted(slot_of_image, slot, side="right")
    count = end - begin
    candidate = np.repeat(np.arange(len(candidates)), count)
    row = scored[np.arange(len(candidate)) - np.repeat(np.cumsum(count) - count, count) + begin[candidate]]
    error = np.stack([_mean_error_px(images, cameras, R[:, i], t[:, i], candidate, row) for i in (0, 1)], 1)
    error[~np.isfinite(poses.error_px[candidates])] = np.inf
    mean_s = np.bincount(slot_of_image, images.time_s[scored]) / np.bincount(slot_of_image)
    chosen = _most_likely(np.repeat(slot, 2), error.ravel(), R.reshape(-1, 3, 3), mean_s)
    frame_R, frame_t = R.reshape(-1, 3, 3)[chosen], t.reshape(-1, 3)[chosen]
    time_s, segment = place_knots(mean_s, period_s)
    after = np.clip(np.searchsorted(mean_s, time_s), 1, max(len(mean_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(mean_s) - 1)
    nearest = np.where(time_s - mean_s[before] <= mean_s[after] - time_s, before, after)
    return Trajectory(time_s=time_s, segment=segment, R=frame_R[nearest], t_mm=frame_t[nearest])


def _mean_error_px(images: BoardImages, cameras: Cameras, R: F64, t: F64, candidate: I64, row: I64) -> F64:
    """Return the mean reprojection error (C,) of board poses (C, ...) over pairs of candidates and images."""
    total, amount = np.zeros(len(R)), np.zeros(len(R))
    world = images.board_mm[row] @ np.swapaxes(R[candidate], -1, -2) + t[candidate][:, None]
    for v in range(len(cameras)):
        of_view = images.view[row] == v
        local = world[of_view] @ cameras.R[v].T + cameras.t_mm[v]
        in_front = local[..., 2] > 1
        px, _, _ = project_with_jacobian(
            cameras.distortion_model[v],
            cameras.intrinsics[v],
            np.where(in_front[..., None], local, 1e3).reshape(-1, 3),
            intrinsics_jacobian=False,
        )
        miss = np.linalg.norm(px.reshape(*in_front.shape, 2) - images.xy_px[row[of_view]], axis=-1)
        miss = np.where(in_front, np.minimum(miss, _LARGEST_MISS_PX), _LARGEST_MISS_PX) * images.valid[row[of_view]]
        np.add.at(total, candidate[of_view], miss.sum(-1))
        np.add.at(amount, candidate[of_view], images.valid[row[of_view]].sum(-1))
    return np.asarray(total / np.maximum(amount, 1))


def _most_likely(slot: I64, error: F64, R: F64, time_s: F64) -> I64:
    """Choose one candidate per frame by the Viterbi algorithm, with costs of errors and of rotations between frames.

    The pose of a distant flat board in a single image is ambiguous; only one candidate is plausible over time.

    Args:
        slot: (N,) frame of a candidate.
        error: (N,) mean error in px; infinite for impossible candidates.
        R: (N, 3, 3) rotations from board to world.
        time_s: (M,) times of the frames.

    Returns:
        (M,) index of the chosen candidate.
    """
    order = np.lexsort((error, slot))
    first = order[np.unique(slot[order], return_index=True)[1]]
    # The best candidate, and the best one with another rotation.
    alike = angle_rad(np.swapaxes(R, -1, -2) @ R[first][slot]) < _DISTINCT_RAD
    other = error + np.where(alike, np.inf, 0.0)
    order = np.lexsort((other, slot))
    second = order[np.unique(slot[order], return_index=True)[1]]
    pair = np.stack([first, np.where(np.isfinite(other[second]), second, first)], 1)
    unary = np.minimum(error[pair], _LARGEST_ERROR_PX) ** 2 / _ERROR_SD_PX**2
    total, back = unary[0].copy(), np.zeros(pair.shape, np.int64)
    for m in range(1, len(pair)):
        step_s = time_s[m] - time_s[m - 1]
        rotation = angle_rad(np.swapaxes(R[pair[m - 1]], -1, -2)[:, None] @ R[pair[m]])
        pairwise = (rotation / (_ROTATION_SD_RAD_S * min(step_s, 1.0) + _ROTATION_FLOOR_RAD)) ** 2
        paths = total[:, None] + pairwise
        back[m] = paths.argmin(0)
        total = paths.min(0) + unary[m]
    state = int(total.argmin())
    chosen = np.zeros(len(pair), np.int64)
    for m in range(len(pair) - 1, -1, -1):
        chosen[m] = pair[m, state]
        state = int(back[m, state])
    return chosen
