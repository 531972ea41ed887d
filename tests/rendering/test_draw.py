"""Layers over camera images: where the distorted projection says, smooth, nothing from behind the camera."""

from __future__ import annotations

import numpy as np
import pytest

from core.geometry import project
from core.geometry.resize import scaled
from core.rendering.draw import blend, draw_surface
from core.rendering.surfaces import Surface, capsule_surface, join, vertex_normals
from core.synthetic.rigs import camera
from core.types.arrays import F64
from core.types.camera import Camera

RED = np.array([[1.0, 0.1, 0.1]], np.float32)


def lens(model: str) -> Camera:
    distortion = (-0.2, 0.05, 0.001, -0.001, 0.0) if model == "pinhole" else (0.05, -0.01, 0.002, 0.0)
    view = camera("lens", (2900, 2500, 2250), (0, 0, 850), size_px=(640, 480), fov_deg=80)
    return view.replace(distortion=np.array(distortion), distortion_model=model)


def ball(centre_mm: F64, radius_mm: float = 20.0) -> Surface:
    return capsule_surface(centre_mm[None], centre_mm[None], np.array([radius_mm]), RED)


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
@pytest.mark.parametrize("size_px", [(640, 480), (320, 240)])
def test_a_ball_is_drawn_where_its_centre_projects_to(model: str, size_px: tuple[int, int]) -> None:
    view = lens(model)
    for centre in np.array([[0, 0, 850.0], [900, -1200, 100], [-1500, 900, 1900]]):
        layer = draw_surface(view, size_px, ball(centre), samples=4)
        alpha = layer.rgba[..., 3].astype(float)
        rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
        found = [layer.left + (alpha * columns).sum() / alpha.sum(), layer.top + (alpha * rows).sum() / alpha.sum()]
        np.testing.assert_allclose(found, project(scaled(view, size_px), centre), atol=0.15)


def test_nothing_is_drawn_behind_the_camera_or_outside_the_image() -> None:
    view = lens("pinhole")
    behind = 2 * view.centre_mm - np.array([0, 0, 850.0])
    for centre in (behind, view.centre_mm + [0, 0, 5000.0]):
        assert draw_surface(view, (640, 480), ball(centre)).rgba.size == 0
    assert draw_surface(view, (640, 480), join([])).rgba.size == 0


def test_a_layer_covers_the_image_by_its_opacity_and_only_where_it_is() -> None:
    view = lens("pinhole")
    layer = draw_surface(view, (640, 480), ball(np.array([0, 0, 850.0]), 200.0))
    image = np.full((480, 640, 3), 100, np.uint8)
    blend(image, layer)
    changed = (image != 100).any(-1)
    covered = np.zeros((480, 640), bool)
    height, width = layer.rgba.shape[:2]
    covered[layer.top : layer.top + height, layer.left : layer.left + width] = layer.rgba[..., 3] > 0
    assert covered.any() and not (changed & ~covered).any()
    x, y = project(view, np.array([0, 0, 850.0])).round().astype(int)
    assert image[y, x, 0] > 150 > 60 > image[y, x, 1], "red"


def test_capsules_are_closed_and_their_normals_point_outwards() -> None:
    surface = capsule_surface(np.zeros((1, 3)), np.array([[0, 300.0, 400.0]]), np.array([50.0]), RED)
    axis = np.array([0, 0.6, 0.8])
    along = np.clip(surface.vertices_mm @ axis, 0, 500)
    np.testing.assert_allclose(np.linalg.norm(surface.vertices_mm - along[:, None] * axis, axis=1), 50, rtol=1e-4)
    assert ((vertex_normals(surface.vertices_mm, surface.faces) * surface.normals).sum(1) > 0.8).all()
    edges = np.sort(np.concatenate([surface.faces[:, [0, 1]], surface.faces[:, [1, 2]], surface.faces[:, [2, 0]]]), 1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
