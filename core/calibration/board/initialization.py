"""Where the bundle adjustment starts: the board's way, from the images and first poses of the cameras."""

from __future__ import annotations

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.bundle import Cameras, Images
from core.calibration.board.extrinsics import BoardPoses
from core.calibration.board.trajectory import Trajectory, knots
from core.geometry.intrinsics import N_NUMBERS, image
from core.geometry.so3 import angle_rad
from core.types.arrays import F64, I64
from core.types.camera import Camera

_OTHERWISE_RAD = np.radians(8)
_USUAL_PX, _MOST_PX = 1.5, 30.0
_USUAL_TURN = 1.0  # rad/s


def numbers_of(camera: Camera) -> F64:
    """(12,) a camera's lens as the solver counts it. Thin prisms and tilted sensors are not among them."""
    out = np.zeros(N_NUMBERS)
    out[:4] = camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2]
    bend = camera.distortion[:8]
    out[4 : 4 + len(bend)] = bend
    return out


def with_numbers(camera: Camera, numbers: F64) -> Camera:
    """The camera with the solver's lens; as many distortion terms as it had, at least five."""
    fx, fy, cx, cy = numbers[:4]
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    bend = numbers[4:]
    if camera.distortion_model == "fisheye":
        bend = bend[:4]
    else:
        bend = bend[:8] if bend[5:].any() else bend[:5]
    return camera.replace(K=K, distortion=bend)


def period_of(seen: BoardObservations) -> float:
    """Usual seconds from one frame to the next."""
    times = np.nanmedian(seen.time_s, axis=1)
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def initial_trajectory(period_s: float, images: Images, poses: BoardPoses, cameras: Cameras) -> Trajectory:
    """The board's way from the pose, among all candidates of a frame, that fits all its images best.

    Args:
        period_s: Usual time between two frames.
        images: What was seen.
        poses: The board in single images.
        cameras: First poses of the cameras.
    """
    candidates = np.flatnonzero(poses.known)
    view = images.view[candidates]
    back = np.swapaxes(cameras.R[view], -1, -2)[:, None]
    R = back @ poses.R[candidates]  # (C, 2, 3, 3) board to world
    t = (back @ (poses.t_mm[candidates] - cameras.t_mm[view][:, None])[..., None])[..., 0]
    frames = np.unique(images.frame[candidates])
    slot = np.searchsorted(frames, images.frame[candidates])
    error = np.full((len(candidates), 2), np.inf)
    # Every candidate is scored in all images of its frame: pairs (candidate, image).
    mine = np.flatnonzero(np.isin(images.frame, frames))
    mine = mine[np.argsort(images.frame[mine], kind="stable")]
    by_slot = np.searchsorted(frames, images.frame[mine])
    begin, end = np.searchsorted(by_slot, slot), np.searchsorted(by_slot, slot, side="right")
    which = np.repeat(np.arange(len(candidates)), end - begin)
    rows = mine[np.arange(len(which)) - np.repeat(np.cumsum(end - begin) - (end - begin), end - begin) + begin[which]]
    for side in (0, 1):
        total, amount = np.zeros(len(candidates)), np.zeros(len(candidates))
        world = images.board_mm[rows] @ np.swapaxes(R[which, side], -1, -2) + t[which, side][:, None]
        for v in range(len(cameras.distortion_model)):
            at = images.view[rows] == v
            local = world[at] @ cameras.R[v].T + cameras.t_mm[v]
            ahead = local[..., 2] > 1
            px, _, _ = image(
                cameras.distortion_model[v], cameras.numbers[v], np.where(ahead[..., None], local, 1e3).reshape(-1, 3)
            )
            miss = np.linalg.norm(px.reshape(*ahead.shape, 2) - images.xy_px[rows[at]], axis=-1)
            # A wrong candidate must not win by one image that it happens to miss by very much.
            miss = np.where(ahead, np.minimum(miss, 100.0), 100.0) * images.valid[rows[at]]
            np.add.at(total, which[at], miss.sum(-1))
            np.add.at(amount, which[at], images.valid[rows[at]].sum(-1))
        error[:, side] = np.where(np.isfinite(poses.error_px[candidates, side]), total / np.maximum(amount, 1), np.inf)
    mean_s = np.bincount(by_slot, images.time_s[mine]) / np.bincount(by_slot)
    chosen = _likeliest(np.repeat(slot, 2), error.ravel(), R.reshape(-1, 3, 3), mean_s)
    best_R, best_t = R.reshape(-1, 3, 3)[chosen], t.reshape(-1, 3)[chosen]
    time_s, piece = knots(mean_s, period_s)
    after = np.clip(np.searchsorted(mean_s, time_s), 1, max(len(mean_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(mean_s) - 1)
    nearest = np.where(time_s - mean_s[before] <= mean_s[after] - time_s, before, after)
    return Trajectory(time_s=time_s, piece=piece, R=best_R[nearest], t_mm=best_t[nearest])


def _likeliest(slot: I64, error: F64, R: F64, time_s: F64) -> I64:
    """One candidate for each frame: those that fit their images and follow each other without leaps.

    In a single image a flat board far away looks nearly the same in two poses; over time only one of them stays.

    Args:
        slot: (N,) frame of a candidate.
        error: (N,) mean error in px; infinite where it is none.
        R: (N, 3, 3) board to world.
        time_s: (M,) of the frames.

    Returns:
        (M,) row of the chosen candidate.
    """
    order = np.lexsort((error, slot))
    first = order[np.unique(slot[order], return_index=True)[1]]
    # The best one that is turned otherwise.
    other = error + np.where(angle_rad(np.swapaxes(R, -1, -2) @ R[first][slot]) < _OTHERWISE_RAD, np.inf, 0.0)
    order = np.lexsort((other, slot))
    second = order[np.unique(slot[order], return_index=True)[1]]
    pair = np.stack([first, np.where(np.isfinite(other[second]), second, first)], 1)
    unlikely = np.minimum(error[pair], _MOST_PX) ** 2 / _USUAL_PX**2
    total, back = unlikely[0].copy(), np.zeros(pair.shape, np.int64)
    # Viterbi: each frame needs the one before.
    for m in range(1, len(pair)):
        step_s = time_s[m] - time_s[m - 1]
        turn = angle_rad(np.swapaxes(R[pair[m - 1]], -1, -2)[:, None] @ R[pair[m]])
        leap = (turn / (_USUAL_TURN * min(step_s, 1.0) + 0.03)) ** 2
        ways = total[:, None] + leap
        back[m] = ways.argmin(0)
        total = ways.min(0) + unlikely[m]
    state = int(total.argmin())
    chosen = np.zeros(len(pair), np.int64)
    for m in range(len(pair) - 1, -1, -1):
        chosen[m] = pair[m, state]
        state = int(back[m, state])
    return chosen
