"""Triangulation is exact for exact pixels, and missing where it is undetermined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from core.geometry import ideal_points, project_rig, triangulate, triangulate_views
from core.types import Camera, CameraRig


def looking_at_the_origin(name: str, azimuth: float, height_mm: float = 1800.0) -> Camera:
    """A camera 4 m from the z axis, level images, aimed one metre above the floor."""
    centre = np.array([4000 * np.cos(azimuth), 4000 * np.sin(azimuth), height_mm])
    forward = np.array([0, 0, 1000.0]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    return Camera(
        name=name,
        size_px=(1920, 1080),
        K=np.array([[1100.0, 0, 960], [0, 1100, 540], [0, 0, 1]]),
        distortion=np.array([-0.12, 0.03, 0.001, -0.0005, 0.0]),
        R=R,
        t_mm=-R @ centre,
    )


RIG = CameraRig(cameras=tuple(looking_at_the_origin(f"cam{i}", a) for i, a in enumerate(np.arange(5) * 2 * np.pi / 5)))


@pytest.mark.slow
@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_exact_pixels_give_the_exact_point(seed: int, views: int) -> None:
    rng = np.random.default_rng(seed)
    xyz = rng.uniform([-1500, -1500, 0], [1500, 1500, 2000], (3, 4, 3))
    weight = np.zeros((5, 3, 4))
    weight[rng.permutation(5)[:views]] = rng.uniform(0.1, 1, (views, 3, 4))
    found = triangulate(RIG, ideal_points(RIG, project_rig(RIG, xyz)), weight)
    # The inverse of the distortion is exact to 1e-9 of the distance; opposite cameras are the worst pair.
    np.testing.assert_allclose(found, xyz, atol=0.02)


def test_a_point_seen_once_is_missing() -> None:
    xyz = np.array([[0.0, 0, 1000], [300, 0, 1200]])
    ideal = ideal_points(RIG, project_rig(RIG, xyz))
    weight = np.ones((5, 2))
    weight[1:, 0] = 0
    ideal[2:, 1] = np.nan
    found = triangulate(RIG, ideal, weight)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], xyz[1], atol=0.02)


def test_parallel_rays_have_no_intersection() -> None:
    one = RIG[0]
    twin = one.replace(name="twin")
    pair = CameraRig(cameras=(one, twin))
    ideal = ideal_points(pair, project_rig(pair, np.array([[0.0, 0, 1000]])))
    assert np.isnan(triangulate(pair, ideal, np.ones((2, 1)))).all()


def test_intersections_behind_the_cameras_are_missing() -> None:
    pair = RIG.subset(["cam0", "cam1"])
    # Each looks away from the other: the lines cross, but behind both.
    behind = (pair[0].centre_mm + pair[1].centre_mm) * 0.9
    local = np.stack([c.pose[0] @ behind + c.pose[1] for c in pair])
    assert (local[:, 2] < 0).all()
    ideal = (local[:, :2] / local[:, 2:])[:, None]
    assert np.isnan(triangulate(pair, ideal, np.ones((2, 1)))).all()


def test_weights_decide_between_views_that_disagree() -> None:
    xyz = np.array([[200.0, -100, 1100]])
    pixels = project_rig(RIG, xyz)
    pixels[0] += 40
    ideal = ideal_points(RIG, pixels)
    equal, trusting = np.ones((5, 1)), np.ones((5, 1))
    trusting[0] = 1e-3
    off = [np.linalg.norm(triangulate(RIG, ideal, w) - xyz) for w in (equal, trusting)]
    assert off[0] > 10 and off[1] < 0.1


def test_noise_is_averaged_without_bias() -> None:
    rng = np.random.default_rng(0)
    xyz = np.broadcast_to([100.0, 300, 1000], (4000, 3))
    pixels = project_rig(RIG, xyz) + rng.normal(0, 2, (5, 4000, 2))
    found = triangulate(RIG, ideal_points(RIG, pixels), np.ones((5, 4000)))
    # 2 px at about 4 m and f = 1100 is 7.3 mm a ray; five rays give 7.3 * sqrt(2 / 5 / 2) to 7.3 mm an axis.
    spread = found.std(0)
    assert (spread > 2).all() and (spread < 7.3).all()
    assert np.linalg.norm(found.mean(0) - xyz[0]) == pytest.approx(0, abs=5 * 7.3 * np.sqrt(3) / np.sqrt(4000))


def test_a_near_camera_counts_no_more_than_its_pixels() -> None:
    """The result minimises weighted pixels: a camera at a tenth of the distance locates a point ten times better."""
    near = RIG[0]
    R = near.pose[0]
    centre = np.array([0.0, 0, 1000]) + 0.1 * (near.centre_mm - [0, 0, 1000])
    rig = CameraRig(cameras=(near.replace(t_mm=-R @ centre), *RIG.cameras[1:3]))
    xyz = np.random.default_rng(5).uniform([-60, -60, 940], [60, 60, 1060], (30, 3))
    ideal = ideal_points(rig, project_rig(rig, xyz)) + np.random.default_rng(6).normal(0, 3e-3, (3, 30, 2))
    weight = np.random.default_rng(7).uniform(0.5, 1, (3, 30))
    found = triangulate(rig, ideal, weight)

    def residuals(point: np.ndarray, n: int) -> np.ndarray:
        local = np.stack([c.pose[0] @ point + c.pose[1] for c in rig])
        return np.asarray((weight[:, n, None] * (local[:, :2] / local[:, 2:] - ideal[:, n])).ravel())

    best = np.stack([least_squares(residuals, xyz[n], args=(n,), xtol=1e-12).x for n in range(30)])
    displaced = np.linalg.norm(best - xyz, axis=1)
    assert np.median(displaced) > 2  # mm, by the noise
    assert np.median(np.linalg.norm(found - best, axis=1)) < 0.1


def test_points_nearer_than_the_least_depth_are_missing() -> None:
    xyz = np.array([[0.0, 0, 1000], [3000, 0, 1000]])  # the second is about 1.3 m from the first camera
    R, t = (np.stack([c.pose[i] for c in RIG]) for i in range(2))
    focal = np.full(5, 1100.0)
    ideal = ideal_points(RIG, project_rig(RIG, xyz))
    weight = np.isfinite(ideal[..., 0]).astype(float)
    depth = float(R[0, 2] @ xyz[1] + t[0, 2])
    for near_mm, missing in ((depth - 1, False), (depth + 1, True)):
        found = triangulate_views(R, t, focal, ideal, weight, near_mm=near_mm)
        np.testing.assert_allclose(found[0], xyz[0], atol=0.02)
        assert np.isnan(found[1]).all() == missing
    weight[0] = 0  # a view that does not contribute sets no limit
    found = triangulate_views(R, t, focal, ideal, weight, near_mm=depth + 1)
    np.testing.assert_allclose(found[1], xyz[1], atol=0.05)
