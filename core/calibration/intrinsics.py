"""A first estimate of each camera's lens from the board alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from core.calibration.observations import BoardObservations
from core.types.arrays import F64, I64
from core.types.camera import Camera, Lens

LEAST_PICTURES = 5
LEAST_POINTS = 6  # of one picture: fewer tell nothing about the lens
_MOST_PICTURES = 40
_GRID = 8  # cells along the longer side of the picture, for coverage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LensFit:
    """A lens as fitted to one camera's pictures.

    Attributes:
        camera: Unposed camera.
        information: (12, 12) inverse covariance of its numbers as in `lens`.
        pictures: How many were used.
        rmse_px: Root mean square of the residuals, two coordinates a point.
    """

    camera: Camera
    information: F64
    pictures: int
    rmse_px: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """Which part of a camera's picture the board has been in, and how it was held.

    Attributes:
        cells: (rows, columns) number of points seen in each cell of the picture.
        share: Share of cells with at least one point.
        tilt_deg: (n,) angle in each picture between the board and the picture's plane.
        pictures: Pictures that show the board.
    """

    cells: I64
    share: float
    tilt_deg: F64
    pictures: int


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
    pictures = len(np.unique(seen.moment[seen.view == v]))
    return Coverage(
        cells=cells,
        share=float((cells > 0).mean()),
        tilt_deg=np.zeros(0) if tilt_deg is None else tilt_deg,
        pictures=pictures,
    )


def fit_lens(seen: BoardObservations, name: str, lens: Lens = "pinhole", *, terms: int = 2) -> LensFit | None:
    """Focal lengths, principal point and distortion of one camera by Zhang's method.

    Args:
        seen: Observations; only those of the camera are used.
        name: The camera.
        lens: Distortion model to fit.
        terms: Radial terms of a pinhole lens, 1 to 3.

    Returns:
        None where too few pictures show enough of the board, or nothing could be fitted.
    """
    import cv2

    v = seen.cameras.index(name)
    size = (int(seen.sizes_px[v, 0]), int(seen.sizes_px[v, 1]))
    pictures = _pictures(seen, v)
    if len(pictures) < LEAST_PICTURES:
        return None
    chosen = [pictures[i] for i in _spread(pictures, size)]
    board = [np.ascontiguousarray(points[:, None], np.float32) for points, _ in chosen]
    image = [np.ascontiguousarray(places[:, None], np.float32) for _, places in chosen]
    try:
        if lens == "fisheye":
            K, d = np.eye(3), np.zeros((4, 1))
            flags = cv2.fisheye.CALIB_RECOMPUTE_EXTRINSIC | cv2.fisheye.CALIB_FIX_SKEW
            rms, K, d, _, _ = cv2.fisheye.calibrate(
                [b.astype(np.float64) for b in board], [i.astype(np.float64) for i in image], size, K, d, flags=flags
            )
            spread = np.full(4, 0.02)
            focal_sd = np.full(4, 0.005 * K[0, 0])
        else:
            flags = cv2.CALIB_ZERO_TANGENT_DIST
            flags |= {1: cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3, 2: cv2.CALIB_FIX_K3, 3: 0}[terms]
            rms, K, d, _, _, sd, _, _ = cv2.calibrateCameraExtended(board, image, size, None, None, flags=flags)
            focal_sd, spread = sd.ravel()[:4], sd.ravel()[4:12]
    except cv2.error:
        return None  # degenerate pictures, such as a board always held the same way
    if not (np.isfinite(K).all() and np.isfinite(d).all() and K[0, 0] > 0 and K[1, 1] > 0):
        return None
    camera = Camera(name=name, size_px=size, K=K, distortion=np.asarray(d).ravel()[:5], lens=lens, rmse_px=float(rms))
    return LensFit(
        camera=camera, information=_information(focal_sd, spread, size), pictures=len(chosen), rmse_px=float(rms)
    )


def _information(focal_sd: F64, bend_sd: F64, size: tuple[int, int]) -> F64:
    """Inverse covariance of a lens, never surer than pictures of this size allow."""
    sd = np.full(12, 1e-6)
    sd[:4] = np.maximum(focal_sd, 0.5 * max(size) / 1280)
    sd[4 : 4 + len(bend_sd)] = np.maximum(bend_sd, 2e-3)
    return np.diag(sd**-2)


def _pictures(seen: BoardObservations, v: int) -> list[tuple[F64, F64]]:
    """(n, 3) board points and (n, 2) places of every picture with enough of them."""
    mine = np.flatnonzero(seen.view == v)
    parts = np.split(mine, np.flatnonzero(np.diff(seen.moment[mine])) + 1) if len(mine) else []
    points = seen.board.points_mm
    return [(points[seen.point[p]], seen.xy_px[p]) for p in parts if len(p) >= LEAST_POINTS]


def _spread(pictures: list[tuple[F64, F64]], size: tuple[int, int]) -> I64:
    """Pictures that differ most from each other in place, size and slant: farthest-point sampling of their shapes."""
    if len(pictures) <= _MOST_PICTURES:
        return np.arange(len(pictures))
    shapes = np.stack([_shape(points, places, size) for points, places in pictures])
    weight = np.array([len(places) for _, places in pictures])
    chosen = [int(np.argmax(weight))]
    distance = np.full(len(shapes), np.inf)
    for _ in range(_MOST_PICTURES - 1):
        near, _ = cKDTree(shapes[chosen[-1:]]).query(shapes)
        distance = np.minimum(distance, near)
        chosen.append(int(np.argmax(distance * np.sqrt(weight))))
    return np.unique(chosen)


def _shape(points: F64, places: F64, size: tuple[int, int]) -> F64:
    """(6,) affine map from board to picture, in units of the picture."""
    rows = np.column_stack([points[:, :2] - points[:, :2].mean(0), np.ones(len(points))])
    affine = np.linalg.lstsq(rows, places / max(size), rcond=None)[0]
    extent = np.ptp(points[:, :2], axis=0).max()
    return np.concatenate([affine[:2].ravel() * extent * 2, affine[2]])
