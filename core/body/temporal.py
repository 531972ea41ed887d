"""Joint fit of the poses of consecutive frames with a penalty on accelerations.

Legend: T frame, U unknown of a pose.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from core.body.chain import BodyChain, Poses, Targets
from core.geometry.so3 import log
from core.types.arrays import F64


def smooth_poses(chain: BodyChain, poses: Poses, targets: Targets, stiffness: F64, steps: int) -> Poses:
    """Fit poses of consecutive frames to keypoints, prior and smooth motion.

    Args:
        chain: Chain of the body.
        poses: T initial poses.
        targets: Observed keypoints.
        stiffness: (U,) weight of the squared second difference of each unknown.
        steps: Number of Gauss-Newton steps.
    """
    T, U = len(poses), chain.n_unknowns
    if T < 3:
        return poses
    # Second differences (1 -2 1), squared, as a banded matrix.
    D = np.zeros((T - 2, T))
    D[np.arange(T - 2), np.arange(T - 2)] = D[np.arange(T - 2), np.arange(2, T)] = 1
    D[np.arange(T - 2), np.arange(1, T - 1)] = -2
    bands = [np.diagonal(D.T @ D, offset=-k) for k in range(3)]
    r, c = np.tril_indices(U)
    within = (r - c)[:, None], c[:, None] + U * np.arange(T)
    for _ in range(steps):
        gradient, hessian = chain.normal_equations(poses, targets)
        change = np.zeros((T - 1, U))
        change[:, :3] = np.diff(poses.pelvis_mm, axis=0)
        change[:, 3:6] = log(poses.root[1:] @ np.swapaxes(poses.root[:-1], -1, -2))
        change[:, 6:] = np.diff(poses.w.reshape(T, -1), axis=0)
        gradient += stiffness * (D.T @ np.diff(change, axis=0))
        banded = np.zeros((3 * U, T * U))
        banded[within] = hessian[:, r, c].T
        for k, band in enumerate(bands):
            banded[k * U, : (T - k) * U] += (band[:, None] * stiffness).ravel()
        poses = poses.moved(-solveh_banded(banded, gradient.ravel(), lower=True, overwrite_ab=True).reshape(T, U))
    return poses
