"""First poses of the cameras: from the board in single images, over pairs of cameras, to one frame for all.

A flat board looks nearly the same in two poses (Collins and Bartoli, Infinitesimal plane-based pose estimation, 2014).
Both are carried along until the frames of a pair of cameras agree on one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.board.bundle import Images
from core.geometry import undistort
from core.geometry.so3 import angle_rad, mean
from core.types.arrays import F64, I64
from core.types.camera import Camera

LEAST_POINTS = 4  # of an image: those of a single marker
LEAST_FRAMES = 3  # that two cameras must share
_AGREE_RAD, _AGREE_SHARE = np.radians(12), 0.15
_MOST_FRAMES = 200  # of a pair that are compared with each other
_FOCAL = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardPoses:
    """Poses of the board in single images (board to camera).

    Attributes:
        R: (P, 2, 3, 3) the two candidates, the better first.
        t_mm: (P, 2, 3).
        error_px: (P, 2) root mean square reprojection error; infinite where there is no such pose.
    """

    R: F64
    t_mm: F64
    error_px: F64

    def where(self, keep: np.ndarray) -> BoardPoses:
        """Only some of the images, by mask or rows."""
        return BoardPoses(R=self.R[keep], t_mm=self.t_mm[keep], error_px=self.error_px[keep])

    @property
    def known(self) -> np.ndarray:
        """(P,) whether there is any pose."""
        return np.isfinite(self.error_px[:, 0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairGraph:
    """What cameras have seen the board together.

    Attributes:
        shared: (V, V) frames in which both saw enough of it.
        agreeing: (V, V) of these, frames that agree on how the two cameras stand to each other.
        R: (V, V, 3, 3) first camera's frame to the second's.
        t_mm: (V, V, 3).
    """

    shared: I64
    agreeing: I64
    R: F64
    t_mm: F64


def board_poses(images: Images, cameras: Sequence[Camera | None]) -> BoardPoses:
    """Both poses of the board in every image of a camera whose lens is known."""
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
        straight = undistort(camera, np.where(images.valid[begin:end, :, None], images.xy_px[begin:end], np.nan))
        # One call an image is what OpenCV offers; it takes a tenth of a millisecond.
        for p in range(begin, end):
            ideal, points = straight[p - begin], images.board_mm[p]
            seen = np.isfinite(ideal).all(-1)
            if seen.sum() < LEAST_POINTS or np.linalg.matrix_rank(points[seen] - points[seen].mean(0), 1.0) < 2:
                continue
            flat, depth = points[seen] * (1, 1, 0), points[seen][0, 2]
            try:
                found, turns, shifts, errors = cv2.solvePnPGeneric(
                    flat, ideal[seen] * _FOCAL, K, None, flags=cv2.SOLVEPNP_IPPE
                )
            except cv2.error:
                continue
            for i in range(min(found, 2)):
                R[p, i] = cv2.Rodrigues(turns[i])[0]
                t[p, i] = shifts[i].ravel() - R[p, i, :, 2] * depth
                if np.isfinite(t[p, i]).all() and (flat @ R[p, i].T + shifts[i].ravel())[:, 2].min() > 0:
                    error[p, i] = float(np.ravel(errors[i])[0]) * focal / _FOCAL
    return BoardPoses(R=R, t_mm=t, error_px=error)


def pair_graph(images: Images, poses: BoardPoses, views: int) -> PairGraph:
    """How each pair of cameras stands to each other, by the pose on which most of their shared frames agree."""
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
            found = _agree(poses, in_a[i], in_b[j])
            if found is None:
                continue
            turn, shift, votes = found
            R[a, b], t[a, b], agreeing[a, b] = turn, shift, votes
            R[b, a], t[b, a], agreeing[b, a] = turn.T, -turn.T @ shift, votes
    return PairGraph(shared=shared, agreeing=agreeing, R=R, t_mm=t)


def _agree(poses: BoardPoses, in_a: I64, in_b: I64) -> tuple[F64, F64, int] | None:
    """Rotation and shift from camera a to b by the largest set of frames that agree, and its size."""
    if len(in_a) > _MOST_FRAMES:
        pick = np.linspace(0, len(in_a) - 1, _MOST_FRAMES).astype(int)
        in_a, in_b = in_a[pick], in_b[pick]
    n = len(in_a)
    # All four pairings of candidates, (n, 4, ...).
    ia, ib = (np.repeat([0, 1], 2), np.tile([0, 1], 2))
    turn = poses.R[in_b][:, ib] @ np.swapaxes(poses.R[in_a][:, ia], -1, -2)
    shift = poses.t_mm[in_b][:, ib] - (turn @ poses.t_mm[in_a][:, ia][..., None])[..., 0]
    possible = np.isfinite(poses.error_px[in_a][:, ia]) & np.isfinite(poses.error_px[in_b][:, ib])
    depth = np.minimum(poses.t_mm[in_a, 0, 2], poses.t_mm[in_b, 0, 2])
    flat_turn, flat_shift, flat = turn.reshape(-1, 3, 3), shift.reshape(-1, 3), possible.ravel()
    trace = np.einsum("aij,bij->ab", flat_turn, flat_turn)
    near = trace >= 1 + 2 * np.cos(_AGREE_RAD)
    apart = np.linalg.norm(flat_shift[:, None] - flat_shift, axis=-1)
    near &= apart <= _AGREE_SHARE * np.repeat(depth, 4)[:, None] * 2
    near &= flat[:, None] & flat
    votes = near.reshape(4 * n, n, 4).any(-1).sum(-1)
    best = int(np.argmax(votes))
    if votes[best] < 1:
        return None
    members = near[best].reshape(n, 4)
    frames = members.any(-1)
    # Of several pairings of one frame that agree, the one nearest to the best counts.
    distance = np.where(members, -trace[best].reshape(n, 4), np.inf)
    pick = np.argmin(distance, axis=1)[frames]
    rows = np.flatnonzero(frames)
    rotations = turn[rows, pick]
    middle = mean(rotations)
    middle = rotations[np.argmin(angle_rad(np.swapaxes(rotations, -1, -2) @ middle))]
    return middle, np.median(shift[rows, pick], axis=0), int(frames.sum())


def chain(graph: PairGraph) -> tuple[F64, F64, np.ndarray, int]:
    """Poses of all cameras that the pairs connect, along the best supported ones.

    Returns:
        (V, 3, 3) and (V, 3) first camera's frame to each camera's; (V,) whether a camera is connected; and the first
        camera, the one with most shared frames.
    """
    views = len(graph.shared)
    strength = np.where(graph.agreeing >= LEAST_FRAMES, graph.agreeing, 0)
    root = int(np.argmax(strength.sum(1)))
    R, t = np.tile(np.eye(3), (views, 1, 1)), np.zeros((views, 3))
    reached = np.zeros(views, bool)
    reached[root] = True
    for _ in range(views - 1):  # Prim's maximum spanning tree
        edges = np.where(reached[:, None] & ~reached, strength, 0)
        a, b = np.unravel_index(int(np.argmax(edges)), edges.shape)
        if edges[a, b] == 0:
            break
        R[b], t[b] = graph.R[a, b] @ R[a], graph.R[a, b] @ t[a] + graph.t_mm[a, b]
        reached[b] = True
    return R, t, reached, root
