"""Rotations keep every angle in each of their forms."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.types.rotations import matrix_of_quaternion, quaternion, rotation_vector

AXES = [(0.48, -0.6, 0.64), (1, 0, 0), (0, -1, 0), (0, 0.6, 0.8)]


def turn(axis: tuple[float, ...], angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("angle", [0.0, 1e-9, 3e-7, 5e-6, 0.3, np.pi / 2, 3.0, np.pi - 1e-6, np.pi - 1e-9, np.pi])
def test_every_angle_is_kept(axis: tuple[float, ...], angle: float) -> None:
    R = turn(axis, angle)
    np.testing.assert_allclose(cv2.Rodrigues(rotation_vector(R))[0], R, atol=2e-15)
    np.testing.assert_allclose(np.linalg.norm(rotation_vector(R)), angle, atol=1e-14)
    q = quaternion(R)
    np.testing.assert_allclose([np.linalg.norm(q), q[3]], [1, np.cos(angle / 2)], atol=1e-15)
    np.testing.assert_allclose(matrix_of_quaternion(q), R, atol=2e-15)
    np.testing.assert_allclose(matrix_of_quaternion(-3 * q), R, atol=2e-15)


def test_the_nearest_rotation_is_taken() -> None:
    """Digits that a file rounded: the same rotation as that of the singular value decomposition."""
    R = np.round(turn(AXES[0], 1.2), 3)
    U, _, Vt = np.linalg.svd(R)
    np.testing.assert_allclose(matrix_of_quaternion(quaternion(R)), U @ Vt, atol=1e-9)
