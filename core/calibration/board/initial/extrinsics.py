"""Initial camera poses, from board poses in single images via pairs of cameras to common world coordinates.

The pose of a flat board is ambiguous (Collins and Bartoli, Infinitesimal plane-based pose estimation, 2014). Both
candidates are kept until the frames of a pair of cameras agree on one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.board.adjustment.state import BoardImages
from core.geometry import undistort
from core.geometry.so3 import angle_rad, mean
from core.types.arrays import F64, I64
from core.types.camera import Camera

LEAST_POINTS = 4
"""Number of points for a pose: the corners of a single marker."""
LEAST_FRAMES = 3
"""Number of frames that must agree on the relative pose of two cameras."""
# Relative poses agree within twice this angle and twice this fraction of the distance of the board.
_AGREE_RAD, _AGREE_SHARE = np.radians(12), 0.15
_MOST_FRAMES = 200  # of a pair to compare with each other, which takes quadratic time
_FOCAL = 1000.0  # of the ideal camera for the pose solver, px
_FLAT_MM = 1.0  # singular value below which points count as collinear


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardPoses:
    """Two candidate poses of the board (board to camera) per image.

    Attributes:
        R: (P, 2, 3, 3) rotations, the better candidate first.
        t_mm: (P, 2, 3) translations.
        error_px: (P, 2) root mean square reprojection error; infinite without pose.
    """

    R: F64
    t_mm: F64
    error_px: F64

    def where(self, keep: np.ndarray) -> BoardPoses:
        """Return the poses selected by a mask (P,) or by row numbers."""
        return BoardPoses(R=self.R[keep], t_mm=self.t_mm[keep], error_px=self.error_px[keep])

    @property
    def known(self) -> np.ndarray:
        """Mask (P,) of images with a pose."""
        return np.isfinite(self.error_px[:, 0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairGraph:
    """Relative poses of pairs of cameras.

    Attributes:
        shared: (V, V) number of frames in which both cameras have a pose of the board.
        agreeing: (V, V) number of these frames with the same relative pose.
        R: (V, V, 3, 3) rotation from the first camera's coordinates to the second's.
        t_mm: (V, V, 3) translation from the first camera's coordinates to the second's.
    """

    shared: I64
    agreeing: I64
    R: F64
    t_mm: F64


def board_poses(images: BoardImages, cameras: Sequence[Camera | None]) -> BoardPoses:
    """Return both candidate poses of the board in each image of cameras with known intrinsics."""
    import cv2

    count = len(images)
    R, t = np.tile(np.eye(3), (count, 2, 1, 1)), np.zeros((count, 2, 3))
    error = np.full((count, 2), np.inf)
    K = np.diag([_FOCAL, _FOCAL, 1.0])
    for v, camera in enumerate(cameras):
        if camera is None:
            continue
        focal = float(camera.K[0, 0])
        begin, end = np.searchsorted(images.view, (v, v + 1))
        ideal = undistort(camera, np.where(images.valid[begin:end, :, None], images.xy_px[begin:end], np.nan))
        # OpenCV needs one call per image, which takes 0.1 ms.
        for p in range(begin, end):
            xy, points = ideal[p - begin], images.board_mm[p]
            seen = np.isfinite(xy).all(-1)
            if seen.sum() < LEAST_POINTS or np.linalg.matrix_rank(points[seen] - points[seen].mean(0), _FLAT_MM) < 2:
                continue
            flat, depth = points[seen] * (1, 1, 0), points[seen][0, 2]
            try:
                found, rotations, translations, errors = cv2.solvePnPGeneric(
                    flat, xy[seen] * _FOCAL, K, None, flags=cv2.SOLVEPNP_IPPE
                )
            except cv2.error:
                continue
            for i in range(min(found, 2)):
                R[p, i] = cv2.Rodrigues(rotations[i])[0]
                t[p, i] = translations[i].ravel() - R[p, i, :, 2] * depth
                in_front = (flat @ R[p, i].T + translations[i].ravel())[:, 2].min() > 0
                if np.isfinite(t[p, i]).all() and in_front:
                    error[p, i] = float(np.ravel(errors[i])[0]) * focal / _FOCAL
    return BoardPoses(R=R, t_mm=t, error_px=error)


def pair_graph(images: BoardImages, poses: BoardPoses, views: int) -> PairGraph:
    """Return the relative pose of each pair of cameras with the most agreeing common frames."""
    shared, agreeing = np.zeros((views, views), np.int64), np.zeros((views, views), np.int64)
    R, t = np.tile(np.eye(3), (views, views, 1, 1)), np.zeros((views, views, 3))
    known = poses.known
    for a in range(views):
        for b in range(a + 1, views):
            in_a, in_b = (np.flatnonzero((images.view == v) & known) for v in (a, b))
            _, i, j = np.intersect1d(images.frame[in_a], images.frame[in_b], return_indices=True)
            shared[a, b] = shared[b, a] = len(i)
            if not len(i):
                continue
            consensus = _consensus(poses, in_a[i], in_b[j])
            if consensus is None:
                continue
            rotation, translation, votes = consensus
            R[a, b], t[a, b], agreeing[a, b] = rotation, translation, votes
            R[b, a], t[b, a], agreeing[b, a] = rotation.T, -rotation.T @ translation, votes
    return PairGraph(shared=shared, agreeing=agreeing, R=R, t_mm=t)


def _consensus(poses: BoardPoses, in_a: I64, in_b: I64) -> tuple[F64, F64, int] | None:
    """Return the relative pose from camera a to b of the largest agreeing set of frames, and its size."""
    if len(in_a) > _MOST_FRAMES:
        pick = np.linspace(0, len(in_a) - 1, _MOST_FRAMES).astype(int)
        in_a, in_b = in_a[pick], in_b[pick]
    n = len(in_a)
    # All four combinations of candidates, (n, 4, ...).
    ia, ib = (np.repeat([0, 1], 2), np.tile([0, 1], 2))
    rotation = poses.R[in_b][:, ib] @ np.swapaxes(poses.R[in_a][:, ia], -1, -2)
    translation = poses.t_mm[in_b][:, ib] - (rotation @ poses.t_mm[in_a][:, ia][..., None])[..., 0]
    possible = (np.isfinite(poses.error_px[in_a][:, ia]) & np.isfinite(poses.error_px[in_b][:, ib])).ravel()
    depth = np.minimum(poses.t_mm[in_a, 0, 2], poses.t_mm[in_b, 0, 2])
    all_R, all_t = rotation.reshape(-1, 3, 3), translation.reshape(-1, 3)
    trace = np.einsum("aij,bij->ab", all_R, all_R)
    near = trace >= 1 + 2 * np.cos(_AGREE_RAD)
    apart = np.linalg.norm(all_t[:, None] - all_t, axis=-1)
    near &= apart <= _AGREE_SHARE * np.repeat(depth, 4)[:, None] * 2
    near &= possible[:, None] & possible
    votes = near.reshape(4 * n, n, 4).any(-1).sum(-1)
    best = int(np.argmax(votes))
    if votes[best] < 1:
        return None
    members = near[best].reshape(n, 4)
    frames = members.any(-1)
    # Of several agreeing combinations of one frame, the one closest to the best counts.
    distance = np.where(members, -trace[best].reshape(n, 4), np.inf)
    pick = np.argmin(distance, axis=1)[frames]
    rows = np.flatnonzero(frames)
    rotations = rotation[rows, pick]
    middle = mean(rotations)
    middle = rotations[np.argmin(angle_rad(np.swapaxes(rotations, -1, -2) @ middle))]
    return middle, np.median(translation[rows, pick], axis=0), int(frames.sum())


def chain(graph: PairGraph) -> tuple[F64, F64, np.ndarray, int]:
    """Chain relative poses along the maximum spanning tree (Prim's algorithm), weighted by agreeing frames.

    Returns:
        Transformations (V, 3, 3) and (V, 3) from the coordinates of the root camera to those of each camera; mask (V,)
        of connected cameras; and the root, the camera with the most agreeing frames.
    """
    views = len(graph.shared)
    strength = np.where(graph.agreeing >= LEAST_FRAMES, graph.agreeing, 0)
    root = int(np.argmax(strength.sum(1)))
    R, t = np.tile(np.eye(3), (views, 1, 1)), np.zeros((views, 3))
    connected = np.zeros(views, bool)
    connected[root] = True
    for _ in range(views - 1):
        edges = np.where(connected[:, None] & ~connected, strength, 0)
        a, b = np.unravel_index(int(np.argmax(edges)), edges.shape)
        if edges[a, b] == 0:
            break
        R[b], t[b] = graph.R[a, b] @ R[a], graph.R[a, b] @ t[a] + graph.t_mm[a, b]
        connected[b] = True
    return R, t, connected, root
