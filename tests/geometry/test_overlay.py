"""Floor grid and poles are where the camera sees them, and interrupted where it does not."""

from __future__ import annotations

import numpy as np

from core.geometry import pixel_rays, project
from core.geometry.overlay import floor_grid_px, poles_px, polylines_px, volume_px
from core.synthetic.rigs import camera, ring_rig
from core.types import CaptureVolume

VOLUME = CaptureVolume(centre_mm=(0, 0, 900), size_mm=(4000, 4000, 2200), voxels=(40, 40, 24))


def test_grid_points_lie_on_the_floor_and_on_whole_metres() -> None:
    for c in ring_rig(3, distortion=(-0.15, 0.03, 1e-3, 0, 0)):
        lines = floor_grid_px(c, VOLUME)
        assert len(lines) == 10
        for line in lines:
            line = line[np.isfinite(line).all(1)]
            direction = pixel_rays(c, line)
            depth = -c.centre_mm[2] / direction[:, 2]
            ground = c.centre_mm + depth[:, None] * direction
            off = np.abs(ground[:, :2] / 1000 - np.round(ground[:, :2] / 1000))
            assert off.max(0).min() < 1e-6
            assert np.abs(ground[:, :2]).max() < 2000 + 1e-3


def test_lines_follow_the_distortion() -> None:
    bent = camera("bent", (0, -4000, 1500), (0, 0, 900), distortion=(-0.2, 0.04, 0, 0, 0))
    line = max(floor_grid_px(bent, VOLUME), key=len)
    line = line[np.isfinite(line).all(1)]
    chord, from_start = line[-1] - line[0], line - line[0]
    away = chord[0] * from_start[:, 1] - chord[1] * from_start[:, 0]
    assert np.abs(away).max() / np.linalg.norm(chord) > 1


def test_poles_have_the_given_height_and_are_upright() -> None:
    c = ring_rig(3)[0]
    lines = poles_px(c, VOLUME, height_mm=1800)
    assert len(lines) == 18
    foot, top = lines[8][0], lines[8][-1]
    np.testing.assert_allclose(foot, project(c, np.array([0, 0, 0.0])), atol=1e-9)
    np.testing.assert_allclose(top, project(c, np.array([0, 0, 1800.0])), atol=1e-9)
    bar = lines[9]
    np.testing.assert_allclose((bar[0] + bar[-1]) / 2, top, atol=3)


def test_lines_behind_the_camera_or_far_outside_the_image_are_omitted() -> None:
    c = camera("low", (0, 0, 1500), (4000, 0, 1500), fov_deg=60)
    width, height = c.size_px
    lines = floor_grid_px(c, VOLUME)
    for line in lines:
        seen = line[np.isfinite(line).all(1)]
        assert (np.abs(seen - [width / 2, height / 2]) <= np.array([width, height]) / 2 + 0.25 * width + 1).all()
    behind = polylines_px(c, np.array([[-3000.0, 0, 0]]), np.array([[-1000.0, 0, 0]]))
    assert behind == []
    through = polylines_px(c, np.array([[-3000.0, 0, 1500]]), np.array([[3000.0, 0, 1500]]))
    assert np.isnan(through[0]).any() and np.isfinite(through[0]).any()


def test_a_volume_smaller_than_the_grid_still_has_lines() -> None:
    small = CaptureVolume(centre_mm=(300, 300, 900), size_mm=(500, 500, 2200), voxels=(8, 8, 24))
    assert len(floor_grid_px(ring_rig(3)[0], small)) == 4


def test_the_volume_has_twelve_edges_between_its_corners() -> None:
    c = camera("far", (0, -9000, 3000), (0, 0, 900), fov_deg=70)
    lines = volume_px(c, VOLUME)
    assert len(lines) == 12
    corners = project(c, np.array([(x, y, z) for x in (-2000, 2000) for y in (-2000, 2000) for z in (-200, 2000.0)]))
    ends = np.array([(line[0], line[-1]) for line in lines]).reshape(-1, 2)
    for corner in corners:
        assert (np.abs(ends - corner).max(1) < 1e-6).sum() == 3, "three edges meet in every corner"
