"""Rotations keep every angle as a Rodrigues vector, and as the quaternion of an export and its import."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.rig_io.exporters.exporter import quaternion
from core.rig_io.raw import rotation_from_quaternion
from core.types import Camera

AXES = [(0.48, -0.6, 0.64), (1, 0, 0), (0, -1, 0), (0, 0.6, 0.8)]


def rotation(axis: tuple[float, ...], angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def posed(R: np.ndarray) -> Camera:
    return Camera(name="cam", size_px=(640, 480), K=np.diag([500.0, 500, 1]), R=R, t_mm=np.zeros(3))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("angle", [0.0, 1e-9, 3e-7, 5e-6, 0.3, np.pi / 2, 3.0, np.pi - 1e-6, np.pi - 1e-9, np.pi])
def test_every_angle_is_kept(axis: tuple[float, ...], angle: float) -> None:
    R = rotation(axis, angle)
    camera = posed(R)
    vector = camera.rotation_vector
    assert vector is not None
    np.testing.assert_allclose(cv2.Rodrigues(vector)[0], R, atol=2e-15)
    np.testing.assert_allclose(np.linalg.norm(vector), angle, atol=1e-14)
    q = quaternion(camera)
    np.testing.assert_allclose([np.linalg.norm(q), q[3]], [1, np.cos(angle / 2)], atol=1e-15)
    np.testing.assert_allclose(rotation_from_quaternion(q), R, atol=2e-15)
    np.testing.assert_allclose(rotation_from_quaternion(-3 * q), R, atol=2e-15)


def test_the_nearest_rotation_is_taken() -> None:
    """Digits that a file rounded: the same rotation as that of the singular value decomposition."""
    R = np.round(rotation(AXES[0], 1.2), 3)
    U, _, Vt = np.linalg.svd(R)
    np.testing.assert_allclose(rotation_from_quaternion(quaternion(posed(R))), U @ Vt, atol=1e-9)
