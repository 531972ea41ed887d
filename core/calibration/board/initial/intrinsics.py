"""Intrinsics of each camera from its images of the board, with a prior of real lenses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.bundle import BoardSolution, adjust_board
from core.calibration.board.adjustment.state import (
    INTRINSICS,
    N_UNKNOWNS,
    BoardImages,
    CameraPrior,
    Cameras,
    nominal_noise_px,
)
from core.calibration.board.initial.extrinsics import board_poses
from core.calibration.board.initial.initialization import frame_period_s, initial_trajectory
from core.geometry.intrinsics import N_INTRINSICS, intrinsics_of, with_intrinsics
from core.types.arrays import F64, I64
from core.types.camera import Camera, DistortionModel

LEAST_IMAGES = 5
"""Number of images of the board for the intrinsics of a camera."""
LEAST_POINTS = 6
"""Number of points per image to determine more than the pose of the board (8 or more unknowns)."""
SOLVED = np.arange(8)
"""Indices of the estimated parameters: fx fy cx cy k1 k2 p1 p2, or fx fy cx cy k1 k2 k3 k4 of a fisheye."""

_FOCAL_GUESSES = np.geomspace(0.4, 3.2, 9)  # initial focal lengths relative to the longer side of the image
_FISHEYE_FOCAL = 0.6  # factor on the guesses for the shorter focal lengths of fisheyes
_GUESS_IMAGES, _LEAST_GUESS_IMAGES = 12, 3  # images with the largest views of the board, to compare guesses
_GUESS_LARGEST_PX = 50.0  # limit of the error of an image
# Standard deviations of real lenses: principal point (relative to the longer side), aspect ratio, distortion.
_OFF_CENTRE_SD, _ASPECT_SD = 0.025, 0.005
_DISTORTION_SD: dict[DistortionModel, tuple[float, ...]] = {
    "pinhole": (0.3, 0.3, 0.003, 0.003),  # k1 k2 p1 p2
    "fisheye": (0.1, 0.1, 0.05, 0.05),  # k1 k2 k3 k4
}
_FIXED_SD = 1e-3  # of parameters that are not estimated
_CORNER_SHIFT_SD = (0.35, 0.12)  # relative displacement of the image corner by k1 and k2
# No motion prior: monocular depth of a distant board is so noisy that it would pull the board closer.
_NO_MOTION_PRIOR = (1e4, 1e7)
_TOLERANCE = 1e-4
_FOCAL_RANGE = (0.1, 20.0)  # plausible focal lengths relative to the longer side of the image
_GRID = 8  # cells along the longer side of the image, for coverage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntrinsicsFit:
    """Intrinsics fitted to one camera's images.

    Attributes:
        camera: Unposed camera.
        information: (12, 12) inverse covariance of the intrinsic parameters.
        images: Number of images used.
        rmse_px: Root mean square reprojection error, over points.
    """

    camera: Camera
    information: F64
    images: int
    rmse_px: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """Coverage of a camera's image by the board.

    Attributes:
        cells: (rows, columns) number of points in each cell of the image.
        share: Fraction of cells with at least one point.
        tilt_deg: (n,) angle between the board and the image plane in each image.
        images: Number of images with the board.
    """

    cells: I64
    share: float
    tilt_deg: F64
    images: int


def coverage(seen: BoardObservations, name: str, tilt_deg: F64 | None = None) -> Coverage:
    """Return the coverage of one camera's image.

    Args:
        seen: Observations.
        name: Camera.
        tilt_deg: (n,) tilts of the board, if known.
    """
    v = seen.cameras.index(name)
    width, height = (int(s) for s in seen.sizes_px[v])
    cell = max(width, height) / _GRID
    shape = (max(1, round(height / cell)), max(1, round(width / cell)))
    xy = seen.xy_px[seen.view == v]
    cells = np.zeros(shape, np.int64)
    column = np.clip((xy[:, 0] / width * shape[1]).astype(int), 0, shape[1] - 1)
    row = np.clip((xy[:, 1] / height * shape[0]).astype(int), 0, shape[0] - 1)
    np.add.at(cells, (row, column), 1)
    return Coverage(
        cells=cells,
        share=float((cells > 0).mean()),
        tilt_deg=np.zeros(0) if tilt_deg is None else tilt_deg,
        images=len(np.unique(seen.frame[seen.view == v])),
    )


def intrinsics_prior(size_px: tuple[int, int], distortion_model: DistortionModel, focal: float) -> tuple[F64, F64]:
    """Return the mean (12,) and the inverse covariance (12, 12) of the intrinsics of real lenses.

    Args:
        size_px: Width and height of the image.
        distortion_model: Distortion model.
        focal: Approximate focal length in px, which is hardly constrained.
    """
    width, height = size_px
    params = np.zeros(N_INTRINSICS)
    params[:4] = focal, focal, (width - 1) / 2, (height - 1) / 2
    sd = np.full(N_INTRINSICS, _FIXED_SD)
    sd[2:4] = _OFF_CENTRE_SD * max(size_px)
    sd[4:8] = _DISTORTION_SD[distortion_model]
    if distortion_model == "pinhole":
        radius2 = (width**2 + height**2) / 4 / focal**2
        sd[4:6] = np.minimum(sd[4:6], (_CORNER_SHIFT_SD[0] / radius2, _CORNER_SHIFT_SD[1] / radius2**2))
    information = np.diag(sd**-2)
    # The common factor of both focal lengths is nearly free, their ratio is not.
    information[:2, :2] = np.array([[1, -1], [-1, 1]]) / (_ASPECT_SD * focal) ** 2 + np.eye(2) / focal**2
    return params, information


def fit_intrinsics(
    seen: BoardObservations, names: Sequence[str], distortion_model: DistortionModel = "pinhole"
) -> dict[str, IntrinsicsFit]:
    """Fit intrinsics to the images of single cameras (Zhang, A flexible new technique for camera calibration, 2000).

    Args:
        seen: Observations.
        names: Cameras to fit.
        distortion_model: Distortion model.

    Returns:
        Fit by camera; cameras with too few images, or without a plausible fit, are omitted.
    """
    images = BoardImages.of(seen)
    enough = images.valid.sum(1) >= LEAST_POINTS
    fits = {}
    for name in names:
        v = seen.cameras.index(name)
        own = images.where((images.view == v) & enough)
        if len(own) < LEAST_IMAGES:
            continue
        own = dataclasses.replace(own, view=np.zeros(len(own), np.int64))
        size = (int(seen.sizes_px[v, 0]), int(seen.sizes_px[v, 1]))
        initial = _initial_camera(own, name, size, distortion_model)
        noise_px = nominal_noise_px(seen.sizes_px[v : v + 1])
        fit = None if initial is None else _fit_camera(own, initial, frame_period_s(seen), noise_px)
        if fit is not None:
            fits[name] = fit
    return fits


def _fit_camera(images: BoardImages, initial: Camera, period_s: float, noise_px: float) -> IntrinsicsFit | None:
    """Adjust the intrinsics of a camera and the trajectory of the board in camera coordinates."""
    solution, information, count = _adjusted(images, initial, period_s, noise_px, free=True)
    return _checked(initial, solution, information, count)


def reprojection_px(images: BoardImages, camera: Camera, period_s: float) -> F64:
    """Return the residuals (N, 2) of a camera's points, with fixed intrinsics and the best board poses.

    Args:
        images: Observations by this camera.
        camera: Camera with its intrinsics.
        period_s: Median time between frames.
    """
    own = dataclasses.replace(images, view=np.zeros(len(images), np.int64))
    noise_px = nominal_noise_px(np.array([camera.size_px]))
    residual_px = _adjusted(own, camera, period_s, noise_px, free=False)[0].residual_px
    return np.asarray(residual_px[np.isfinite(residual_px[..., 0])])


def _adjusted(
    images: BoardImages, initial: Camera, period_s: float, noise_px: float, *, free: bool
) -> tuple[BoardSolution, F64, int]:
    """Return the adjusted camera and trajectory, the information matrix of the prior, and the number of images."""
    poses = board_poses(images, [initial])
    images, poses = images.where(poses.known), poses.where(poses.known)
    mean, information = intrinsics_prior(initial.size_px, initial.distortion_model, float(initial.K[0, 0]))
    prior = CameraPrior(intrinsics=mean[None], information=information[None])
    cameras = Cameras(
        distortion_model=(initial.distortion_model,),
        intrinsics=intrinsics_of(initial)[None],
        R=np.eye(3)[None],
        t_mm=np.zeros((1, 3)),
        time_offset_s=np.zeros(1),
    )
    unknown = np.zeros((1, N_UNKNOWNS), bool)
    unknown[:, INTRINSICS.start + SOLVED] = free
    trajectory = initial_trajectory(period_s, images, poses, cameras)
    solution = adjust_board(
        images,
        cameras,
        trajectory,
        unknown,
        prior,
        noise_px=noise_px,
        motion=_NO_MOTION_PRIOR,
        tolerance=_TOLERANCE,
    )
    return solution, information, len(images)


def _checked(initial: Camera, solution: BoardSolution, prior: F64, images: int) -> IntrinsicsFit | None:
    """Return the fit, or None if it is implausible."""
    params = solution.cameras.intrinsics[0]
    low, high = _FOCAL_RANGE
    if not (np.isfinite(params).all() and low < params[0] / max(initial.size_px) < high):
        return None
    rmse = float(np.sqrt(np.nanmean((solution.residual_px**2).sum(-1))))
    covariance = solution.covariance[INTRINSICS, INTRINSICS]
    solved = np.flatnonzero(np.diag(covariance) > 0)
    information = prior.copy()
    if len(solved) and np.isfinite(covariance).all():
        information[np.ix_(solved, solved)] = np.linalg.inv(covariance[np.ix_(solved, solved)])
    camera = with_intrinsics(initial, params).replace(rmse_px=rmse)
    return IntrinsicsFit(camera=camera, information=information, images=images, rmse_px=rmse)


def _initial_camera(
    images: BoardImages, name: str, size: tuple[int, int], distortion_model: DistortionModel
) -> Camera | None:
    """Return a camera without distortion with the best of several focal lengths for single images of the board."""
    # Large views of the board are the most informative ones.
    extent = np.ptp(np.where(images.valid[..., None], images.xy_px, images.xy_px[:, :1]), axis=1).prod(-1)
    few = images.where(np.sort(np.argsort(-extent)[:_GUESS_IMAGES]))
    best: tuple[float, Camera] | None = None
    for guess in _FOCAL_GUESSES * (_FISHEYE_FOCAL if distortion_model == "fisheye" else 1.0):
        params, _ = intrinsics_prior(size, distortion_model, guess * max(size))
        K = np.array([[params[0], 0, params[2]], [0, params[1], params[3]], [0, 0, 1.0]])
        camera = Camera(
            name=name,
            size_px=size,
            K=K,
            distortion=np.zeros(4 if distortion_model == "fisheye" else 5),
            distortion_model=distortion_model,
        )
        poses = board_poses(few, [camera])
        error = poses.error_px[poses.known, 0]
        if len(error) >= min(_LEAST_GUESS_IMAGES, len(few)):
            error_px = float(np.sqrt(np.mean(np.minimum(error, _GUESS_LARGEST_PX) ** 2)))
            if best is None or error_px < best[0]:
                best = (error_px, camera)
    return None if best is None else best[1]
