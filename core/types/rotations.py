"""Rotations as matrices, quaternions and Rodrigues vectors, exact to the last digits at every angle."""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64


def quaternion(R: F64) -> F64:
    """(4,) unit quaternion x y z w, w >= 0, of the rotation nearest to R (3, 3).

    It is the dominant eigenvector of a symmetric matrix (Bar-Itzhack 2000), for which no angle is special.
    """
    symmetric = np.empty((4, 4))
    trace = np.trace(R)
    symmetric[:3, :3] = R + R.T - trace * np.eye(3)
    symmetric[:3, 3] = symmetric[3, :3] = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]
    symmetric[3, 3] = trace
    found = np.linalg.eigh(symmetric)[1][:, -1]
    return np.asarray(found if found[3] >= 0 else -found)


def rotation_vector(R: F64) -> F64:
    """(3,) Rodrigues vector, rad, of the rotation nearest to R (3, 3).

    OpenCV's own conversion takes turns below 1e-5 rad for none, which is up to 0.01 px.
    """
    *axis, w = quaternion(R)
    vector = np.array(axis)
    sine = float(np.linalg.norm(vector))
    return vector * (2 * np.arctan2(sine, w) / sine if sine > 1e-12 else 2.0)


def matrix_of_quaternion(xyzw: F64) -> F64:
    """(3, 3) rotation of a quaternion x y z w of any length but zero."""
    x, y, z, w = np.asarray(xyzw, float) / np.linalg.norm(xyzw)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
