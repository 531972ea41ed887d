"""Clicked floor points: exact for exact clicks, and refused with a reason where they cannot be right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.calibration.floor_points import locate_point, world_from_floor
from core.calibration.world import world_from_points
from core.errors import CoreError
from core.geometry import epipolar_line_px, inside, project
from core.geometry.similarity import Similarity
from core.geometry.so3 import exp
from core.synthetic.rigs import ring_rig
from core.types import CameraRig
from core.types.arrays import F64

DISTORTION = (-0.25, 0.08, 0.001, -0.0005, 0.0)


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    """Four cameras with strong distortion, in coordinates that are neither level nor at the floor."""
    tilt = Similarity(R=exp(np.array([0.3, -0.2, 0.7])), origin_mm=np.array([400.0, -900.0, 250.0]))
    return tilt.rig(ring_rig(4, distortion=DISTORTION))


def clicks(rig: CameraRig, xyz_mm: F64, *names: str) -> dict[str, F64]:
    seen = {name: project(rig[name], xyz_mm) for name in names}
    assert all(inside(rig[name], xy) for name, xy in seen.items())
    return seen


def on_floor(*xy_mm: float) -> F64:
    """Return a point of the true floor in the coordinates of `rig`."""
    tilt = Similarity(R=exp(np.array([0.3, -0.2, 0.7])), origin_mm=np.array([400.0, -900.0, 250.0]))
    return tilt.points(np.array([*xy_mm, 0.0]))


def found(rig: CameraRig, *places: F64) -> F64:
    return np.stack([locate_point(rig, clicks(rig, place, "cam01", "cam03", "cam02")).xyz_mm for place in places])


def test_clicks_give_the_point_through_distortion(rig: CameraRig) -> None:
    place = on_floor(700, -300)
    point = locate_point(rig, clicks(rig, place, "cam01", "cam02"))
    np.testing.assert_allclose(point.xyz_mm, place, atol=1e-5)
    assert set(point.error_px) == {"cam01", "cam02"}
    assert point.worst_px < 1e-6
    for v, camera in enumerate(rig):
        np.testing.assert_allclose(point.seen_px[v], project(camera, place), atol=1e-5)


def test_an_imprecise_click_is_an_error_and_a_wrong_point_is_refused(rig: CameraRig) -> None:
    place = on_floor(700, -300)
    seen = clicks(rig, place, "cam01", "cam02", "cam03")
    slipped = locate_point(rig, seen | {"cam02": seen["cam02"] + [0, 4]})
    assert 0.5 < slipped.worst_px < 4.5
    assert np.linalg.norm(slipped.xyz_mm - place) < 40
    with pytest.raises(CoreError, match="not of one point"):
        locate_point(rig, seen | {"cam02": project(rig["cam02"], on_floor(-600, 500))})


def test_points_that_cannot_be_located_are_refused(rig: CameraRig) -> None:
    place = on_floor(0, 0)
    with pytest.raises(CoreError, match="clicked in 1 views"):
        locate_point(rig, clicks(rig, place, "cam02"))
    twin = rig["cam01"].replace(name="twin", t_mm=rig["cam01"].pose[1] + [30.0, 0, 0])
    with_twin = dataclasses.replace(rig, cameras=(*rig.cameras, twin))
    with pytest.raises(CoreError, match="same direction"):
        locate_point(with_twin, clicks(with_twin, place, "cam01", "twin"))
    assert locate_point(with_twin, clicks(with_twin, place, "cam01", "twin", "cam02")).worst_px < 1e-6


def test_three_clicked_points_give_the_same_world_as_the_command_line(rig: CameraRig) -> None:
    places = on_floor(-500, 200), on_floor(900, 200), on_floor(-300, 1100)
    change = world_from_floor(found(rig, *places), rig)
    same = world_from_points(*places, rig)
    np.testing.assert_allclose(change.R, same.R, atol=1e-8)
    new = change.points(np.stack(places))
    np.testing.assert_allclose(new, [[0, 0, 0], [1400, 0, 0], [200, 900, 0]], atol=1e-4)
    truth = ring_rig(4, distortion=DISTORTION)
    for camera in change.rig(rig):
        np.testing.assert_allclose(camera.centre_mm, truth[camera.name].centre_mm + [500, -200, 0], atol=1e-3)


def test_points_that_define_no_world_coordinates_are_refused(rig: CameraRig) -> None:
    line = found(rig, on_floor(0, 0), on_floor(500, 0), on_floor(1000, 60))
    with pytest.raises(CoreError, match="collinear"):
        world_from_floor(line, rig)
    close = found(rig, on_floor(0, 0), on_floor(60, 0), on_floor(0, 800))
    with pytest.raises(CoreError, match="10 cm"):
        world_from_floor(close, rig)
    right = found(rig, on_floor(0, 0), on_floor(800, 0), on_floor(0, -800))
    with pytest.raises(CoreError, match="to the right"):
        world_from_floor(right, rig)
    with pytest.raises(CoreError, match="2 points"):
        world_from_floor(right[:2], rig)


def test_the_epipolar_line_of_a_click_passes_through_the_point_and_is_curved(rig: CameraRig) -> None:
    place = on_floor(700, -300)
    line = epipolar_line_px(rig["cam01"], project(rig["cam01"], place), rig["cam03"])
    target = project(rig["cam03"], place)
    distance = np.nanmin(np.linalg.norm(line - target, axis=1))
    spacing = np.nanmedian(np.linalg.norm(np.diff(line, axis=0), axis=1))
    assert distance < spacing
    known = line[np.isfinite(line).all(1)]
    known = known[inside(rig["cam03"], known)]
    off = known - known[0]
    chord = off[-1] / np.linalg.norm(off[-1])
    assert np.abs(off[:, 0] * chord[1] - off[:, 1] * chord[0]).max() > 2  # a straight line would be wrong by that
    R, t_mm = rig["cam01"].pose
    about = np.diag([-1.0, 1, -1])  # at the same position, looking away
    back = rig["cam01"].replace(name="back", R=about @ R, t_mm=about @ t_mm)
    assert len(epipolar_line_px(rig["cam01"], project(rig["cam01"], place), back)) == 0
