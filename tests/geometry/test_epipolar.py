"""Epipolar geometry and ray intersection against their definitions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.geometry import (
    epipolar_line_px,
    essential_matrix,
    intersect_rays,
    pixel_rays,
    project,
    sampson_distance_px,
    undistort,
)
from core.types import Camera


def camera(name: str, rotation: list[float], t_mm: list[float]) -> Camera:
    return Camera(
        name=name,
        size_px=(1280, 720),
        K=np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]]),
        distortion=np.array([-0.2, 0.05, 0.001, -0.002]),
        R=np.asarray(cv2.Rodrigues(np.array(rotation))[0]),
        t_mm=np.array(t_mm),
    )


FIRST, SECOND = camera("first", [0.1, 0, 0], [0, 0, 4000]), camera("second", [0.1, 0.6, 0.05], [-300, 100, 4200])
POINTS = np.random.default_rng(0).uniform(-800, 800, (20, 3))


def pose() -> tuple[np.ndarray, np.ndarray]:
    R = SECOND.pose[0] @ FIRST.pose[0].T
    return R, SECOND.pose[1] - R @ FIRST.pose[1]


def test_the_essential_matrix_relates_views_of_a_point_in_any_unit() -> None:
    R, t = pose()
    E = essential_matrix(R, t)
    np.testing.assert_allclose(essential_matrix(R, t / 1000), E, atol=1e-15)
    first, second = (np.c_[undistort(c, project(c, POINTS)), np.ones(20)] for c in (FIRST, SECOND))
    np.testing.assert_allclose(np.einsum("ni,ij,nj->n", second, E, first), 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.svd(E)[1], [1, 1, 0], atol=1e-12)


def test_the_sampson_distance_is_the_correction_that_both_images_need() -> None:
    """For small errors it is the least movement, over both images, that makes the pair agree."""
    E = essential_matrix(*pose())
    first, second = (undistort(c, project(c, POINTS)) for c in (FIRST, SECOND))
    line = np.c_[first, np.ones(20)] @ E.T  # in the second image
    normal = line[:, :2] / np.linalg.norm(line[:, :2], axis=1, keepdims=True)
    moved = second + 2e-3 * normal  # 2 px across the epipolar line
    distance = sampson_distance_px(E, first[:, None, None], moved[:, None, None], (1000.0, 1000.0))[:, 0, 0, 0]
    back = np.c_[moved, np.ones(20)] @ E
    share = np.hypot(*line[:, :2].T) / np.hypot(np.hypot(*line[:, :2].T), np.hypot(*back[:, :2].T))
    np.testing.assert_allclose(distance, 2 * share, rtol=1e-3)
    along = second + 0.05 * normal[:, ::-1] * [-1, 1]
    off = sampson_distance_px(E, first[:, None, None], along[:, None, None], (1000.0, 1000.0))
    np.testing.assert_allclose(off, 0, atol=1e-9)


def test_the_sampson_distance_compares_all_tracks_and_keeps_missing_joints() -> None:
    E = essential_matrix(*pose())
    first = np.random.default_rng(1).normal(size=(4, 2, 3, 2))
    second = np.random.default_rng(2).normal(size=(4, 5, 3, 2))
    second[1, 2, 0] = np.nan
    both = sampson_distance_px(E, first, second, (900.0, 1100.0))
    assert both.shape == (4, 2, 5, 3)
    assert np.isnan(both[1, :, 2, 0]).all() and np.isfinite(np.delete(both, 1, 0)).all()
    back = sampson_distance_px(E.T, second, first, (1100.0, 900.0))
    np.testing.assert_allclose(both, np.swapaxes(back, 1, 2), rtol=1e-12)


def test_the_epipolar_line_passes_through_the_point_in_the_other_image() -> None:
    for point in POINTS:
        line = epipolar_line_px(FIRST, project(FIRST, point).tolist(), SECOND)
        gap = np.linalg.norm(line - project(SECOND, point), axis=1)
        assert np.nanmin(gap) < 6  # the polyline has a vertex every few pixels
        assert (np.abs(line[np.isfinite(line).all(1)] - [640, 360]) <= [1280, 720]).all()


def test_rays_of_a_point_intersect_in_it() -> None:
    first, second = (pixel_rays(c, project(c, POINTS)) for c in (FIRST, SECOND))
    middle, gap, along_a, along_b = intersect_rays(FIRST.centre_mm, first, SECOND.centre_mm, 2 * second)
    np.testing.assert_allclose(middle, POINTS, atol=1e-3)
    np.testing.assert_allclose(gap, 0, atol=1e-3)
    np.testing.assert_allclose(along_a, np.linalg.norm(POINTS - FIRST.centre_mm, axis=1), rtol=1e-6)
    np.testing.assert_allclose(2 * along_b, np.linalg.norm(POINTS - SECOND.centre_mm, axis=1), rtol=1e-6)


def test_skew_rays_meet_half_way_and_parallel_ones_nowhere() -> None:
    middle, gap, along_a, along_b = intersect_rays(
        np.array([0.0, 0, 0]), np.array([1.0, 0, 0]), np.array([5.0, -7, 4]), np.array([0.0, 2, 0])
    )
    np.testing.assert_allclose(middle, [5, 0, 2])
    assert (gap, along_a, along_b) == pytest.approx((4, 5, 3.5))
    parallel = np.array([1.0, 1e-4, 0])
    assert np.isnan(intersect_rays(np.zeros(3), np.array([1.0, 0, 0]), np.ones(3), parallel)[0]).all()
