"""Projection against OpenCV's own, and the points that no lens can show."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.geometry import fold_radius, inside, project, rays, to_camera, undistort
from core.types import Camera

K = np.array([[1000.0, 0, 640], [0, 1010, 360], [0, 0, 1]])
R = np.asarray(cv2.Rodrigues(np.array([0.3, -0.2, 0.1]))[0])
T_MM = np.array([100.0, -200.0, 4000.0])
LENSES = {
    "none": [],
    "four": [-0.2, 0.05, 0.001, -0.002],
    "five": [-0.2, 0.05, 0.001, -0.002, -0.01],
    "rational": [0.1, 0.05, 0.001, -0.002, 0.01, 0.3, 0.06, 0.012],
    "thin prism": [-0.1, 0.02, 0.001, -0.001, 0.0, 0.05, 0.0, 0.0, 0.003, -0.001, 0.002, 0.0005],
    "tilted": [-0.1, 0.02, 0.001, -0.001, 0.0, 0.05, 0.0, 0.0, 0.003, -0.001, 0.002, 0.0005, 0.03, -0.02],
}


def camera(distortion: list[float] | None = None, lens: str = "pinhole") -> Camera:
    return Camera(
        name="cam",
        size_px=(1280, 720),
        K=K,
        distortion=np.array(distortion or []),
        distortion_model=lens,  # type: ignore[arg-type]
        R=R,
        t_mm=T_MM,
    )


def points(n: int = 200) -> np.ndarray:
    """World points within 30 degrees of the camera's axis."""
    rng = np.random.default_rng(3)
    depth = rng.uniform(500, 8000, (n, 1))
    local = np.concatenate([rng.uniform(-0.4, 0.4, (n, 2)) * depth, depth], -1)
    return (local - T_MM) @ R


@pytest.mark.parametrize("lens", LENSES)
def test_projection_is_opencvs(lens: str) -> None:
    xyz = points()
    expected = cv2.projectPoints(xyz, cv2.Rodrigues(R)[0], T_MM, K, np.array(LENSES[lens]))[0][:, 0]
    np.testing.assert_allclose(project(camera(LENSES[lens]), xyz), expected, atol=1e-9)


def test_fisheye_projection_is_opencvs() -> None:
    distortion = [0.05, -0.01, 0.004, -0.001]
    xyz = points()
    expected = cv2.fisheye.projectPoints(xyz[:, None], cv2.Rodrigues(R)[0], T_MM, K, np.array(distortion))[0][:, 0]
    np.testing.assert_allclose(project(camera(distortion, "fisheye"), xyz), expected, atol=1e-9)


@pytest.mark.parametrize(("lens", "distortion"), [*(("pinhole", d) for d in LENSES.values()), ("fisheye", [0.05] * 4)])
def test_undistortion_is_the_exact_inverse(lens: str, distortion: list[float]) -> None:
    cam = camera(distortion, lens)
    xyz = points()
    local = to_camera(cam, xyz)
    ideal = undistort(cam, project(cam, xyz))
    # 1e-9 on the plane is a millionth of a pixel.
    np.testing.assert_allclose(ideal, local[:, :2] / local[:, 2:], atol=1e-9)


def test_rays_point_from_the_centre_to_the_point() -> None:
    cam = camera(LENSES["five"])
    xyz = points()
    direction = xyz - cam.centre_mm
    np.testing.assert_allclose(
        rays(cam, project(cam, xyz)), direction / np.linalg.norm(direction, axis=-1, keepdims=True), atol=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(10, 1e5))
def test_points_behind_the_camera_have_no_pixel(x: float, y: float, depth: float) -> None:
    cam = camera(LENSES["five"])
    local = np.array([x * depth, y * depth, depth])
    ahead, behind = ((sign * local - T_MM) @ R for sign in (1, -1))
    assert np.isfinite(project(cam, ahead)).all()
    assert np.isnan(project(cam, behind)).all(), "it would project to a mirrored pixel"


def test_points_beyond_the_fold_have_no_pixel() -> None:
    # k1 = -0.3: r (1 - 0.3 r^2) rises up to r = sqrt(1 / 0.9) and falls beyond it.
    cam = camera([-0.3, 0, 0, 0])
    fold = np.sqrt(1 / 0.9)
    assert fold_radius(cam) == pytest.approx(fold, rel=0.01)
    at = (np.array([[0.98 * fold, 0, 1], [1.05 * fold, 0, 1]]) * 3000 - T_MM) @ R
    pixels = project(cam, at)
    assert np.isfinite(pixels[0]).all()
    assert np.isnan(pixels[1]).all()
    furthest = K[0, 0] * fold * (1 - 0.3 * fold**2) + K[0, 2]
    assert np.isnan(undistort(cam, np.array([furthest + 5, K[1, 2]]))).all(), "no direction belongs to such a pixel"


def test_a_lens_without_distortion_does_not_fold() -> None:
    assert fold_radius(camera()) == np.inf
    assert fold_radius(camera([0.1, 0.01, 0, 0])) == np.inf


def test_missing_points_stay_missing() -> None:
    cam = camera(LENSES["rational"])
    assert np.isnan(project(cam, np.full((2, 3, 3), np.nan))).all()
    assert np.isnan(undistort(cam, np.full((4, 2), np.nan))).all()
    assert project(cam, np.zeros((0, 3))).shape == (0, 2)


def test_inside_counts_from_the_middle_of_the_corner_pixel() -> None:
    pixels = np.array([[-0.5, -0.5], [1279.4, 719.4], [-0.6, 5], [5, 719.5], [np.nan, 5]])
    assert inside(camera(), pixels).tolist() == [True, True, False, False, False]
