"""Synthetic recordings of a moving board by a known rig, for tests, benchmarks and the demo cameras."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.interpolate import CubicSpline

from core.board.observations import BoardObservations, merge_detections
from core.board.pattern import Board
from core.geometry import inside, project, undistort
from core.geometry.so3 import exp
from core.types.arrays import F64, I64
from core.types.camera import Camera, CameraRig

_MIN_FACING = 0.25  # smallest cosine between view direction and board normal for detection
_MIN_PX = 6.0  # smallest side of a square in the image for detection


def board_scene(
    rig: CameraRig,
    board: Board,
    *,
    seed: int = 0,
    seconds: float = 30.0,
    fps: float = 10.0,
    noise_px: float = 0.3,
    time_offset_s: Sequence[float] = (),
    clock_error_s: F64 | None = None,
    jitter_s: float = 0.0,
    missed: float = 0.05,
    speed_mm: float = 500.0,
    room_mm: float = 1200.0,
) -> BoardObservations:
    """Simulate observations of a board that is carried around and faces one camera after another.

    Args:
        rig: Posed cameras.
        board: Board; only its front is observed.
        seed: Random seed.
        seconds: Duration of the recording.
        fps: Frames per second.
        noise_px: Standard deviation of a corner's coordinate.
        time_offset_s: (V,) recorded minus true time of each camera's images; empty for none.
        clock_error_s: (V, T) additional error of each recorded time, such as drift and unnoticed drops.
        jitter_s: Standard deviation of a random error of each recorded time.
        missed: Share of visible corners that are not detected.
        speed_mm: Approximate speed of the board, mm/s.
        room_mm: Largest distance of the board from the viewed point, per axis.
    """
    rng = np.random.default_rng(seed)
    offset_s = np.asarray(time_offset_s, float) if len(time_offset_s) else np.zeros(len(rig))
    recorded = np.arange(int(seconds * fps)) / fps
    motion = board_motion(rig, rng, seconds, speed_mm, room_mm)
    points, centre = board.points_mm[: board.points_per_side], board.points_mm[: board.points_per_side].mean(0)
    found: dict[tuple[int, int], tuple[I64, F64]] = {}
    for v, camera in enumerate(rig):
        true_s = recorded - offset_s[v] - (rng.normal(0, jitter_s, len(recorded)) if jitter_s else 0.0)
        if clock_error_s is not None:
            true_s = true_s - clock_error_s[v]
        at, R = motion(true_s)
        world = at[:, None] + (points - centre) @ np.swapaxes(R, -1, -2)
        found |= _seen(camera, v, board, world, at, R, noise_px, missed, rng)
    shape = (len(recorded), len(rig))
    return merge_detections(
        board,
        rig.names,
        [c.size_px for c in rig],
        np.repeat(recorded[:, None], len(rig), 1),
        np.broadcast_to(np.arange(len(recorded))[:, None], shape),
        found,
        source="a synthetic recording",
    )


def board_motion(
    rig: CameraRig, rng: np.random.Generator, seconds: float, speed_mm: float = 500.0, room_mm: float = 1200.0
) -> Callable[[F64], tuple[F64, F64]]:
    """Return a function from times (T,) to the board's centre (T, 3) mm and rotation to world (T, 3, 3)."""
    place, towards = _path(rig, _middle(rig), seconds, speed_mm, room_mm, rng)
    roll = CubicSpline(*_knots(seconds, 2.0, rng.uniform(-0.7, 0.7, int(seconds / 2) + 4)))

    def at(time_s: F64) -> tuple[F64, F64]:
        return place(time_s), _facing(place(time_s), towards(time_s), roll(time_s))

    return at


def closeups(
    rig: CameraRig,
    board: Board,
    *,
    seed: int = 0,
    images: int = 40,
    noise_px: float = 0.3,
    missed: float = 0.05,
    interval_s: float = 1.0,
) -> BoardObservations:
    """Simulate a tilted board in front of each single camera, all over its image, for intrinsics.

    Args:
        rig: Cameras; their poses do not matter.
        board: Board; only its front is observed.
        seed: Random seed.
        images: Number of images per camera.
        noise_px: Standard deviation of a corner's coordinate.
        missed: Share of visible corners that are not detected.
        interval_s: Time between two images.
    """
    rng = np.random.default_rng(seed)
    points, centre = board.points_mm[: board.points_per_side], board.points_mm[: board.points_per_side].mean(0)
    found: dict[tuple[int, int], tuple[I64, F64]] = {}
    total = images * len(rig)
    for v, camera in enumerate(rig):
        R_camera, t = camera.pose
        size = np.array(camera.size_px)
        aim = undistort(camera, rng.uniform(0.12, 0.88, (images, 2)) * size)
        # The board fills a third to nine tenths of the image width.
        depth = board.width_mm * camera.K[0, 0] / (size[0] * rng.uniform(0.3, 0.9, images))
        local = np.concatenate([aim, np.ones((images, 1))], 1) * depth[:, None]
        tilt = exp(rng.uniform(-0.6, 0.6, (images, 3)) * (1, 1, 0.5))
        world = (local[:, None] + (points - centre) @ np.swapaxes(tilt, -1, -2) - t) @ R_camera
        seen = _seen(camera, v, board, world, (local - t) @ R_camera, R_camera.T @ tilt, noise_px, missed, rng)
        found |= {(v, v * images + m): what for (v, m), what in seen.items()}
    own = np.repeat(np.eye(len(rig), dtype=bool), images, axis=0)
    time_s = np.where(own, np.arange(total)[:, None] * interval_s, np.nan)
    frame = np.where(own, np.arange(total)[:, None] % images, -1)
    return merge_detections(
        board, rig.names, [c.size_px for c in rig], time_s, frame, found, source="a synthetic recording"
    )


def _seen(
    camera: Camera,
    v: int,
    board: Board,
    world: F64,
    at: F64,
    R: F64,
    noise_px: float,
    missed: float,
    rng: np.random.Generator,
) -> dict[tuple[int, int], tuple[I64, F64]]:
    """Return the detected points in each image of a camera, if seen from the front, not too steep and not too small."""
    xy = project(camera, world)
    view = camera.centre_mm - at
    distance = np.linalg.norm(view, axis=-1)
    facing = -(view * R[..., 2]).sum(-1) / distance  # the board's z axis points away from its viewer
    size = board.square_mm * camera.K[0, 0] / distance
    seen = inside(camera, xy) & ((facing > _MIN_FACING) & (size * facing > _MIN_PX))[:, None]
    seen &= rng.random(seen.shape) >= missed
    found = {}
    for m in np.flatnonzero(seen.sum(1) >= 4):
        chosen = np.flatnonzero(seen[m])
        found[v, int(m)] = (chosen, xy[m, chosen] + rng.normal(0, noise_px, (len(chosen), 2)))
    return found


def _middle(rig: CameraRig) -> F64:
    """Return the point closest to all optical axes."""
    normal, right = np.zeros((3, 3)), np.zeros(3)
    for camera in rig:
        axis = camera.pose[0][2]
        across = np.eye(3) - np.outer(axis, axis)
        normal += across
        right += across @ camera.centre_mm
    return np.asarray(np.linalg.solve(normal, right), np.float64)


def _knots(seconds: float, step: float, values: F64) -> tuple[F64, F64]:
    return np.asarray((np.arange(len(values)) - 1) * step, np.float64), values


def _path(
    rig: CameraRig, middle: F64, seconds: float, speed_mm: float, room_mm: float, rng: np.random.Generator
) -> tuple[CubicSpline, CubicSpline]:
    """Return the positions of the board's centre and of the point that it faces, as functions of time."""
    step = 1.5
    count = int(seconds / step) + 4
    steps = rng.normal(0, speed_mm * step / np.sqrt(3), (count, 3)) * (1, 1, 0.6)
    at = np.zeros((count, 3))
    for i in range(1, count):  # a random walk within walls
        at[i] = np.clip(at[i - 1] + steps[i], -room_mm * np.array([1, 1, 0.5]), room_mm * np.array([1, 1, 0.5]))
    # Facing two neighbouring cameras at a time, one pair after the other.
    centres = np.stack([c.centre_mm for c in rig])
    angle = np.argsort(np.arctan2(*(centres - middle)[:, 1::-1].T))
    pair = np.arange(count) * 0.4
    first, share = angle[pair.astype(int) % len(rig)], (pair % 1)[:, None]
    second = angle[(pair.astype(int) + 1) % len(rig)]
    towards = centres[first] * (1 - share) + centres[second] * share + rng.normal(0, 400, (count, 3))
    times, _ = _knots(seconds, step, at)
    return CubicSpline(times, middle + at), CubicSpline(times, towards)


def _facing(at: F64, towards: F64, roll: F64) -> F64:
    """Return (T, 3, 3) rotations from board to world with the front facing a point, upright except for a roll."""
    z = at - towards  # into the board
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    x = np.cross((0.0, 0.0, -1.0), z)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    R = np.stack([x, np.cross(z, x), z], -1)
    return np.asarray(R @ exp(roll[:, None] * np.array([0, 0, 1.0])))
