import numpy as np
import pytest

from core.geometry import ideal_points, project_rig, triangulate
from core.geometry.accuracy import accuracy_map, expected_error_mm
from core.synthetic import rigs

POINTS = np.array([[0.0, 0.0, 900.0], [800.0, -500.0, 100.0], [-1200.0, 300.0, 1700.0]])


@pytest.mark.parametrize("radius_mm", [4000.0, 24000.0])
def test_expected_error_is_that_of_noisy_triangulation(radius_mm):
    rng = np.random.default_rng(0)
    rig = rigs.ring_rig(4, radius_mm=radius_mm, distortion=(-0.05, 0.01, 0.0, 0.0, 0.0))
    sigma_px = np.array([1.0, 2.0, 1.0, 2.0])
    exact = np.repeat(POINTS[None], 3000, axis=0)
    pixels = project_rig(rig, exact)
    noisy = pixels + rng.normal(size=pixels.shape) * sigma_px[:, None, None, None]
    weight = np.broadcast_to((1 / sigma_px)[:, None, None], noisy.shape[:3])
    off = triangulate(rig, ideal_points(rig, noisy), weight) - exact
    measured = np.sqrt((off**2).sum(-1).mean(0))
    assert expected_error_mm(rig, POINTS, sigma_px) == pytest.approx(measured, rel=0.05)


def test_estimated_joints_are_as_uncertain_in_4k_as_in_hd():
    hd, uhd = (rigs.ring_rig(4, size_px=size) for size in ((1920, 1080), (3840, 2160)))
    assert expected_error_mm(uhd, POINTS) == pytest.approx(expected_error_mm(hd, POINTS), rel=0.01)
    assert expected_error_mm(uhd, POINTS, 5.0) == pytest.approx(expected_error_mm(hd, POINTS, 5.0) / 2, rel=0.01)


def test_points_that_fewer_than_two_cameras_see_have_no_expected_error():
    rig = rigs.ring_rig(3)
    behind = rig[0].centre_mm * 3.0
    points = np.array([[behind, [np.nan] * 3, [0.0, 0.0, 900.0]]])
    error = expected_error_mm(rig, points)
    assert error.shape == (1, 3)
    assert np.isnan(error[0]).tolist() == [True, True, False]


def test_the_map_is_the_expected_error_over_the_floor():
    rig = rigs.ring_rig(4)
    found = accuracy_map(rig, 2.0)
    grid = np.stack(np.meshgrid(found.x_mm, found.y_mm, found.z_mm, indexing="ij"), -1)
    assert np.allclose(found.error_mm, expected_error_mm(rig, grid, 2.0), equal_nan=True)
    assert (found.worst_mm <= found.error_mm)[np.isfinite(found.error_mm)].all()
