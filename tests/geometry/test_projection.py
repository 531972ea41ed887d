"""Projection agrees with OpenCV and masks the points that no camera can see."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.geometry import fold_radius, inside, pixel_rays, project, to_camera, undistort
from core.types import Camera

K = np.array([[1000.0, 0, 640], [0, 1010, 360], [0, 0, 1]])
R = np.asarray(cv2.Rodrigues(np.array([0.3, -0.2, 0.1]))[0])
T_MM = np.array([100.0, -200.0, 4000.0])
DISTORTIONS = {
    "none": [],
    "four": [-0.2, 0.05, 0.001, -0.002],
    "five": [-0.2, 0.05, 0.001, -0.002, -0.01],
    "rational": [0.1, 0.05, 0.001, -0.002, 0.01, 0.3, 0.06, 0.012],
    "thin prism": [-0.1, 0.02, 0.001, -0.001, 0.0, 0.05, 0.0, 0.0, 0.003, -0.001, 0.002, 0.0005],
    "tilted": [-0.1, 0.02, 0.001, -0.001, 0.0, 0.05, 0.0, 0.0, 0.003, -0.001, 0.002, 0.0005, 0.03, -0.02],
}


def camera(distortion: list[float] | None = None, model: str = "pinhole") -> Camera:
    return Camera(
        name="cam",
        size_px=(1280, 720),
        K=K,
        distortion=np.array(distortion or []),
        distortion_model=model,  # type: ignore[arg-type]
        R=R,
        t_mm=T_MM,
    )


def points(n: int = 200) -> np.ndarray:
    """World points within 30 degrees of the camera's axis."""
    rng = np.random.default_rng(3)
    depth = rng.uniform(500, 8000, (n, 1))
    local = np.concatenate([rng.uniform(-0.4, 0.4, (n, 2)) * depth, depth], -1)
    return (local - T_MM) @ R


@pytest.mark.parametrize("name", DISTORTIONS)
def test_projection_agrees_with_opencv(name: str) -> None:
    xyz = points()
    expected = cv2.projectPoints(xyz, cv2.Rodrigues(R)[0], T_MM, K, np.array(DISTORTIONS[name]))[0][:, 0]
    np.testing.assert_allclose(project(camera(DISTORTIONS[name]), xyz), expected, atol=1e-9)


def test_fisheye_projection_agrees_with_opencv() -> None:
    distortion = [0.05, -0.01, 0.004, -0.001]
    xyz = points()
    expected = cv2.fisheye.projectPoints(xyz[:, None], cv2.Rodrigues(R)[0], T_MM, K, np.array(distortion))[0][:, 0]
    np.testing.assert_allclose(project(camera(distortion, "fisheye"), xyz), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("model", "distortion"), [*(("pinhole", d) for d in DISTORTIONS.values()), ("fisheye", [0.05] * 4)]
)
def test_undistortion_is_the_exact_inverse(model: str, distortion: list[float]) -> None:
    cam = camera(distortion, model)
    xyz = points()
    local = to_camera(cam, xyz)
    ideal = undistort(cam, project(cam, xyz))
    # 1e-9 on the plane is a millionth of a pixel.
    np.testing.assert_allclose(ideal, local[:, :2] / local[:, 2:], atol=1e-9)


def test_rays_point_from_the_centre_to_the_point() -> None:
    cam = camera(DISTORTIONS["five"])
    xyz = points()
    direction = xyz - cam.centre_mm
    np.testing.assert_allclose(
        pixel_rays(cam, project(cam, xyz)), direction / np.linalg.norm(direction, axis=-1, keepdims=True), atol=1e-9
    )


@settings(max_examples=50)
@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(10, 1e5))
def test_points_behind_the_camera_have_no_pixel(x: float, y: float, depth: float) -> None:
    cam = camera(DISTORTIONS["five"])
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


# k_i alone folds where 1 + (2 i + 1) k_i theta^(2 i) = 0.
FISHEYE_FOLDS = [([-0.3, 0, 0, 0], 1), ([0, -0.4, 0, 0], 2), ([0, 0, -0.5, 0], 3), ([0, 0, 0, -0.6], 4)]


@pytest.mark.parametrize(("distortion", "order"), FISHEYE_FOLDS)
def test_a_fisheye_folds_where_its_polynomial_stops_rising(distortion: list[float], order: int) -> None:
    cam = camera(distortion, "fisheye")
    theta = (-1 / ((2 * order + 1) * distortion[order - 1])) ** (1 / (2 * order))
    assert theta < np.pi / 2
    step = np.pi / 2 / 512  # of the search
    assert np.tan(theta) <= fold_radius(cam) <= np.tan(theta + step)
    assert_folds(cam, theta, theta * (1 + distortion[order - 1] * theta ** (2 * order)))


def test_all_terms_of_a_fisheye_count_in_its_fold() -> None:
    # The slope is (1 - t)(1 + 0.2 t)(1 + 0.1 t)(1 + 0.05 t) with t = (theta / 0.9)^2, so that it folds at 0.9 rad.
    slope = np.polynomial.polynomial.polyfromroots([1.0, -5.0, -10.0, -20.0])
    slope = slope / slope[0] * (1 / 0.81) ** np.arange(5)
    distortion = (slope[1:] / [3, 5, 7, 9]).tolist()
    assert np.all(distortion)
    cam = camera(distortion, "fisheye")
    assert np.tan(0.9) <= fold_radius(cam) <= np.tan(0.9 + np.pi / 2 / 512)
    distorted = 0.9 * (1 + sum(k * 0.9 ** (2 * i + 2) for i, k in enumerate(distortion)))
    assert_folds(cam, 0.9, distorted)


@pytest.mark.parametrize(
    "distortion", [[0.3, 0, 0, 0], [0, 0.3, 0, 0], [0, 0, 0.3, 0], [0, 0, 0, 0.3], [-0.1, 0, 0, 0], [-0.3, 0.1, 0, 0]]
)
def test_a_fisheye_that_rises_everywhere_does_not_fold(distortion: list[float]) -> None:
    cam = camera(distortion, "fisheye")
    assert fold_radius(cam) == np.inf
    steep = np.radians(89.0)
    point = (np.array([np.sin(steep), 0, np.cos(steep)]) * 3000 - T_MM) @ R
    assert np.isfinite(project(cam, point)).all()


@pytest.mark.parametrize(
    ("radial", "fold"),
    [
        ([-0.3, 0, 0, 0, 0, 0], (1 / 0.9) ** (1 / 2)),
        ([0, -0.2, 0, 0, 0, 0], 1.0),
        ([0, 0, -0.1, 0, 0, 0], (1 / 0.7) ** (1 / 6)),
        # r / (1 + k r^n) peaks where 1 + k r^n = n k r^n.
        ([0, 0, 0, 0.3, 0, 0], (1 / 0.3) ** (1 / 2)),
        ([0, 0, 0, 0, 0.2, 0], (1 / 0.6) ** (1 / 4)),
        ([0, 0, 0, 0, 0, 0.1], (1 / 0.5) ** (1 / 6)),
    ],
)
def test_a_pinhole_model_folds_where_its_radius_peaks(radial: list[float], fold: float) -> None:
    k1, k2, k3, k4, k5, k6 = radial
    cam = camera([k1, k2, 0, 0, k3, k4, k5, k6])
    step = np.tan(np.arctan(fold) + np.radians(85) / 2047) - fold
    assert fold - step <= fold_radius(cam) <= fold + step
    r2 = fold**2
    peak = fold * (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    assert_folds(cam, np.arctan(fold), peak)


def assert_folds(cam: Camera, theta: float, peak: float) -> None:
    """Just within the fold a point has its pixel and the pixel its direction; beyond it neither has the other."""
    angles = np.array([theta - 0.02, theta + 0.02])
    local = np.stack([np.sin(angles), np.zeros(2), np.cos(angles)], -1)
    pixels = project(cam, (local * 3000 - T_MM) @ R)
    assert np.isfinite(pixels[0]).all() and np.isnan(pixels[1]).all()
    np.testing.assert_allclose(undistort(cam, pixels[0]), [np.tan(angles[0]), 0], atol=1e-6)
    beyond = np.array([K[0, 0] * peak + K[0, 2] + 2, K[1, 2]])
    assert np.isnan(undistort(cam, beyond)).all(), "no direction belongs to a pixel beyond the largest radius"


def test_a_skewed_camera_matrix_is_inverted_as_a_whole() -> None:
    skewed = np.array([[1000.0, 7, 640], [0, 1010, 360], [0, 0, 1]])
    cam = camera(DISTORTIONS["five"]).replace(K=skewed)
    xyz = points()
    local = to_camera(cam, xyz)
    pixels = project(cam, xyz)
    plain = project(camera(DISTORTIONS["five"]), xyz)
    np.testing.assert_allclose(pixels[:, 0] - plain[:, 0], 7 / 1010 * (plain[:, 1] - 360), atol=1e-9)
    np.testing.assert_allclose(undistort(cam, pixels), local[:, :2] / local[:, 2:], atol=1e-9)


def test_points_nearer_than_a_millimetre_have_no_pixel() -> None:
    pixels = project(camera(), (np.array([[0, 0, 0.99], [0, 0, 1.01]]) - T_MM) @ R)
    assert np.isnan(pixels[0]).all()
    np.testing.assert_allclose(pixels[1], K[:2, 2], atol=1e-6)


def test_a_camera_without_distortion_does_not_fold() -> None:
    assert fold_radius(camera()) == np.inf
    assert fold_radius(camera([0.1, 0.01, 0, 0])) == np.inf


def test_missing_points_stay_missing() -> None:
    cam = camera(DISTORTIONS["rational"])
    assert np.isnan(project(cam, np.full((2, 3, 3), np.nan))).all()
    assert np.isnan(undistort(cam, np.full((4, 2), np.nan))).all()
    assert project(cam, np.zeros((0, 3))).shape == (0, 2)


def test_inside_refers_to_pixel_centres() -> None:
    pixels = np.array([[-0.5, -0.5], [1279.4, 719.4], [-0.6, 5], [5, -0.6], [1279.5, 5], [5, 719.5], [np.nan, 5]])
    assert inside(camera(), pixels).tolist() == [True, True, False, False, False, False, False]
