"""The floor of films: lines at whole metres where the viewer sees them, shadows below people, none elsewhere."""

from __future__ import annotations

import numpy as np

from core.geometry import project
from core.rendering.colours import VIEW_COLOURS, rgb
from core.rendering.floor_scene import FloorScene
from core.rendering.orbit import orbit_camera, people_box
from core.rendering.surfaces import capsule_surface, join
from core.types.arrays import F64, U8

COLOURS = VIEW_COLOURS["light"]
LOW, HIGH = np.array([-1500.0, -1500.0, 0.0]), np.array([1500.0, 1500.0, 1800.0])


def at(image: U8, view: object, xyz_mm: F64) -> np.ndarray:
    x, y = project(view, xyz_mm).round().astype(int)  # type: ignore[arg-type]
    return image[y, x].astype(float)


def test_lines_are_at_whole_metres_and_shadows_below_people() -> None:
    view = orbit_camera(LOW, HIGH, (640, 480), 25.0, 30.0)
    scene = FloorScene(LOW, HIGH, COLOURS)
    empty = scene.image(view, join([]))
    grid, floor = 255 * rgb(COLOURS.grid), 255 * rgb(COLOURS.floor)
    for x, y in ((1000.0, 500.0), (-1000.0, 300.0), (400.0, 1000.0)):
        on, off = (at(empty, view, np.array([x + d, y + d, 0.0])) for d in (0.0, 160.0))
        assert np.abs(on - grid).max() < np.abs(on - floor).max() and np.abs(off - floor).max() < 12
    ball = np.array([[600.0, 600.0, 60.0]])
    under = np.array([600.0, 600.0, 0.0])
    shaded = scene.image(view, capsule_surface(ball, ball, np.array([50.0]), np.ones((1, 3), np.float32)))
    beside, far = under + [100.0, 0, 0], under - [1200.0, 0, 0]
    assert at(shaded, view, beside).sum() < at(empty, view, beside).sum() - 20
    assert (at(shaded, view, far) == at(empty, view, far)).all()


def test_people_are_whole_in_view_from_all_sides() -> None:
    xyz = np.random.default_rng(1).uniform(LOW, HIGH, (200, 3))
    low, high = people_box(xyz)
    for azimuth in range(0, 360, 30):
        xy = project(orbit_camera(low, high, (640, 360), azimuth, 16.0), xyz)
        assert (xy > 0).all() and (xy < [640, 360]).all()
