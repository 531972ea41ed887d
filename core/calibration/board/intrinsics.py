"""Each camera's lens from the board alone: what its own images say, and what lenses are like."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.bundle import N_UNKNOWNS, NUMBERS, USUAL_PX, Cameras, Images, Prior, Solution, solve
from core.calibration.board.extrinsics import BoardPoses, board_poses
from core.calibration.board.initialization import initial_trajectory, numbers_of, period_of, with_numbers
from core.types.arrays import F64, I64
from core.types.camera import Camera, DistortionModel

LEAST_IMAGES = 5
LEAST_POINTS = 6  # of one image: fewer tell nothing about the lens
SOLVED = np.arange(8)  # f f c c k1 k2 p1 p2, or f f c c k1 k2 k3 k4 of a fisheye
_GUESSES = np.geomspace(0.4, 3.2, 9)  # focal lengths to begin with, in image lengths; a fisheye's are shorter
_GUESS_IMAGES = 12
# What lenses are like (standard deviations): how far the axis is from the middle of the image, in its lengths; how
# far the pixels are from square; and how strongly they bend.
_OFF_CENTRE, _OBLONG = 0.025, 0.005
_BEND: dict[DistortionModel, tuple[float, ...]] = {
    "pinhole": (0.3, 0.3, 0.003, 0.003),
    "fisheye": (0.1, 0.1, 0.05, 0.05),
}
# No lens bends a corner of the image by more than about these shares, by its first and its second term.
_CORNER = (0.35, 0.12)
# One camera sees depth so badly that a board far away seems to leap: held to smooth motion, it would be moved nearer.
_ANY_MOTION = (1e4, 1e7)
_GRID = 8  # cells along the longer side of the image, for coverage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntrinsicsFit:
    """A lens as fitted to one camera's images.

    Attributes:
        camera: Unposed camera.
        information: (12, 12) inverse covariance of its numbers as in `lens`.
        images: How many were used.
        rmse_px: Root mean square of the residuals, two coordinates a point.
    """

    camera: Camera
    information: F64
    images: int
    rmse_px: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """Which part of a camera's image the board has been in, and how it was held.

    Attributes:
        cells: (rows, columns) number of points seen in each cell of the image.
        share: Share of cells with at least one point.
        tilt_deg: (n,) angle in each image between the board and the image's plane.
        images: Images that show the board.
    """

    cells: I64
    share: float
    tilt_deg: F64
    images: int


def coverage(seen: BoardObservations, name: str, tilt_deg: F64 | None = None) -> Coverage:
    """What one camera has seen of the board."""
    v = seen.cameras.index(name)
    width, height = (int(s) for s in seen.sizes_px[v])
    cell = max(width, height) / _GRID
    shape = (max(1, round(height / cell)), max(1, round(width / cell)))
    xy = seen.xy_px[seen.view == v]
    cells = np.zeros(shape, np.int64)
    column = np.clip((xy[:, 0] / width * shape[1]).astype(int), 0, shape[1] - 1)
    row = np.clip((xy[:, 1] / height * shape[0]).astype(int), 0, shape[0] - 1)
    np.add.at(cells, (row, column), 1)
    images = len(np.unique(seen.frame[seen.view == v]))
    return Coverage(
        cells=cells,
        share=float((cells > 0).mean()),
        tilt_deg=np.zeros(0) if tilt_deg is None else tilt_deg,
        images=images,
    )


def intrinsics_prior(size_px: tuple[int, int], distortion_model: DistortionModel, focal: float) -> tuple[F64, F64]:
    """Numbers (12,) of a lens about which nothing is known but its focal length, and their inverse covariance."""
    width, height = size_px
    numbers = np.zeros(12)
    numbers[:4] = focal, focal, (width - 1) / 2, (height - 1) / 2
    sd = np.full(12, 1e-3)
    sd[2:4] = _OFF_CENTRE * max(size_px)
    sd[4:8] = _BEND[distortion_model]
    if distortion_model == "pinhole":
        radius2 = (width**2 + height**2) / 4 / focal**2
        sd[4:6] = np.minimum(sd[4:6], (_CORNER[0] / radius2, _CORNER[1] / radius2**2))
    information = np.diag(sd**-2)
    # The focal lengths are free, but one goes with the other.
    information[:2, :2] = np.array([[1, -1], [-1, 1]]) / (_OBLONG * focal) ** 2 + np.eye(2) / focal**2
    return numbers, information


def fit_intrinsics(
    seen: BoardObservations, names: Sequence[str], distortion_model: DistortionModel = "pinhole"
) -> dict[str, IntrinsicsFit]:
    """Lenses of cameras, each from its own images (Zhang 2000, with what lenses are like as a prior).

    Args:
        seen: Observations.
        names: Cameras to fit.
        distortion_model: Distortion model.

    Returns:
        By camera; those are missing that have too few images, or whose images fit no lens.
    """
    all_images = Images.of(seen)
    enough = all_images.valid.sum(1) >= LEAST_POINTS
    starts: dict[int, Camera] = {}
    for name in names:
        v = seen.cameras.index(name)
        mine = np.flatnonzero((all_images.view == v) & enough)
        if len(mine) >= LEAST_IMAGES:
            start = _guess(all_images.where(mine), name, seen, distortion_model)
            if start is not None:
                starts[v] = start
    if not starts:
        return {}
    views, cameras = list(starts), list(starts.values())
    # All cameras at once, each in a world of its own.
    parts = [np.flatnonzero((all_images.view == v) & enough) for v in views]
    renamed = dataclasses.replace(all_images, view=np.searchsorted(views, all_images.view))
    images, _ = renamed.apart(parts, np.zeros(len(views), np.int64))
    poses = board_poses(images, cameras)
    images, poses = images.where(poses.known), poses.where(poses.known)
    usual = [intrinsics_prior(c.size_px, distortion_model, float(c.K[0, 0])) for c in cameras]
    prior = Prior(numbers=np.stack([n for n, _ in usual]), information=np.stack([i for _, i in usual]))
    state = Cameras(
        distortion_model=(distortion_model,) * len(views),
        numbers=np.stack([numbers_of(c) for c in cameras]),
        R=np.tile(np.eye(3), (len(views), 1, 1)),
        t_mm=np.zeros((len(views), 3)),
        time_offset_s=np.zeros(len(views)),
    )
    free = np.zeros((len(views), N_UNKNOWNS), bool)
    free[:, NUMBERS.start + SOLVED] = True
    period = period_of(seen)
    scale = USUAL_PX * float(seen.sizes_px.max(1).mean())
    way = initial_trajectory(period, images, poses, state)
    solution = solve(images, state, way, free, prior, scale_px=scale, hand=_ANY_MOTION, tolerance=1e-4)
    return {
        seen.cameras[v]: fit
        for i, v in enumerate(views)
        if (fit := _fit(i, cameras[i], images, solution, prior)) is not None
    }


def _fit(i: int, start: Camera, images: Images, solution: Solution, prior: Prior) -> IntrinsicsFit | None:
    """One camera's part of the solution; None where it makes no sense."""
    numbers = solution.cameras.numbers[i]
    if not (np.isfinite(numbers).all() and 0.1 < numbers[0] / max(start.size_px) < 20):
        return None
    mine = images.view == i
    square = (solution.residual_px[mine] ** 2).sum(-1)
    rmse = float(np.sqrt(np.nanmean(square)))
    begin = i * N_UNKNOWNS + NUMBERS.start
    covariance = solution.covariance[begin : begin + 12, begin : begin + 12]
    solved = np.flatnonzero(np.diag(covariance) > 0)
    information = prior.information[i].copy()
    if len(solved) and np.isfinite(covariance).all():
        information[np.ix_(solved, solved)] = np.linalg.inv(covariance[np.ix_(solved, solved)])
    camera = with_numbers(start, numbers).replace(rmse_px=rmse)
    return IntrinsicsFit(camera=camera, information=information, images=int(mine.sum()), rmse_px=rmse)


def _guess(images: Images, name: str, seen: BoardObservations, distortion_model: DistortionModel) -> Camera | None:
    """The focal length, of a few, with which single images of the board fit best; no distortion yet."""
    v = seen.cameras.index(name)
    size = (int(seen.sizes_px[v, 0]), int(seen.sizes_px[v, 1]))
    # Images in which the board is large tell most.
    extent = np.ptp(np.where(images.valid[..., None], images.xy_px, images.xy_px[:, :1]), axis=1).prod(-1)
    few = images.where(np.sort(np.argsort(-extent)[:_GUESS_IMAGES]))
    few = dataclasses.replace(few, view=np.zeros(len(few), np.int64))
    best: tuple[float, Camera] | None = None
    for guess in _GUESSES * (0.6 if distortion_model == "fisheye" else 1.0):
        numbers, _ = intrinsics_prior(size, distortion_model, guess * max(size))
        K = np.array([[numbers[0], 0, numbers[2]], [0, numbers[1], numbers[3]], [0, 0, 1.0]])
        camera = Camera(
            name=name,
            size_px=size,
            K=K,
            distortion=np.zeros(4 if distortion_model == "fisheye" else 5),
            distortion_model=distortion_model,
        )
        poses: BoardPoses = board_poses(few, [camera])
        error = poses.error_px[poses.known, 0]
        if len(error) >= min(3, len(few)):
            error_px = float(np.sqrt(np.mean(np.minimum(error, 50.0) ** 2)))
            if best is None or error_px < best[0]:
                best = (error_px, camera)
    return None if best is None else best[1]
