"""Rendered people: the rasteriser equals its definition, images agree with the projection, feet do not slide."""

from __future__ import annotations

import numpy as np

from core.body.sequence import BodyMotion
from core.geometry import project, to_camera
from core.geometry.so3 import log
from core.rendering.raster import rasterize
from core.synthetic.recorded import RecordedPeople
from core.synthetic.rendering.renderer import DressedPeople, RoomCamera
from core.synthetic.rendering.room import ROOM_MM, SHADE_CELL_MM, furniture, view_room
from core.synthetic.rendering.scene import room_people, room_rig, room_walk
from core.synthetic.rendering.wardrobe import OUTFITS
from core.synthetic.rigs import camera
from core.synthetic.walking import PERIOD_S
from core.types import BodySequence
from core.types.camera import Camera


def small(distortion: tuple[float, ...] = (-0.2, 0.05, 0.001, -0.001, 0.0)) -> Camera:
    return camera("small", (2900, 2500, 2250), (0, 0, 850), size_px=(128, 96), fov_deg=72, distortion=distortion)


def test_each_pixel_shows_the_nearest_front_face_at_its_centre() -> None:
    rng = np.random.default_rng(3)
    xy = rng.uniform(-8, 40, (60, 2)).astype(np.float32)
    depth = rng.uniform(1000, 9000, 60).astype(np.float32)
    xy[:3] = np.nan  # behind the camera
    faces = rng.integers(0, 60, (80, 3))
    seen = rasterize(xy, depth, faces, (32, 24))
    found = dict(zip(seen.pixel.tolist(), zip(seen.face.tolist(), seen.nearness.tolist(), strict=True), strict=True))
    assert len(found) == len(seen.pixel), "each pixel once"
    assert (seen.weights >= 0).all() and np.allclose(seen.weights.sum(0), 1, atol=1e-4)
    for pixel in range(32 * 24):
        x, y = pixel % 32, pixel // 32
        nearest = (-np.inf, -1, np.inf)
        for f, (a, b, c) in enumerate(faces):
            (ax, ay), (bx, by), (cx, cy) = xy[[a, b, c]].astype(float)
            area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
            if not area < 0:
                continue
            v = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
            w = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
            edge = min(v, w, 1 - v - w)
            if edge >= 0:
                nearness = (1 - v - w) / depth[a] + v / depth[b] + w / depth[c]
                nearest = max(nearest, (nearness, f, edge))
        if nearest[1] < 0:
            assert pixel not in found
        elif nearest[2] > 1e-3:  # Single precision decides at edges.
            assert found[pixel][1] >= nearest[0] * (1 - 1e-4), "none is nearer"


def test_the_room_is_where_the_camera_sees_it() -> None:
    """Rays and projection agree, with distortion: a floor point found at a pixel projects to it."""
    view = small()
    room = view_room(view, furniture())
    rows, columns = np.nonzero(room.floor[..., 0] > -1e3)
    assert len(rows) > 3000
    floor_mm = (room.floor[rows, columns] + 0.5) * SHADE_CELL_MM + ROOM_MM[0, :2]
    points = np.column_stack([floor_mm, np.zeros(len(rows))])
    np.testing.assert_allclose(project(view, points), np.column_stack([columns, rows]), atol=0.02)
    np.testing.assert_allclose(1 / room.nearness[rows, columns], to_camera(view, points)[:, 2], rtol=1e-3)


def test_images_show_people_at_their_exact_joints_and_repeat_exactly() -> None:
    people, view = room_people(), small()
    drawn, again = (RoomCamera(view, furniture(), seed=1) for _ in range(2))
    for time_s in (2.0, 33.3):
        image = drawn.image(people, time_s, 4)
        np.testing.assert_array_equal(image, again.image(people, time_s, 4))
        joints = people.people.sequence(np.array([time_s])).xyz_mm[0]
        seen = drawn.visible(people, time_s, joints)
        assert seen.mean() > 0.6
        xy = np.round(project(view, joints)[seen]).astype(int)
        elsewhere = again.image(people, time_s + 0.37 * PERIOD_S, 4)
        differs = np.abs(image[xy[:, 1], xy[:, 0]].astype(int) - elsewhere[xy[:, 1], xy[:, 0]]).max(-1) > 12
        assert differs.mean() > 0.8, "at a joint there is a person, who is elsewhere at another time"


def test_people_keep_apart_stand_on_the_floor_and_do_not_slide() -> None:
    people = room_people()
    walk = room_walk()
    time_s = np.arange(0, 6, 1 / 120)
    rotations, pelvis = walk.poses(time_s)
    assert np.allclose(pelvis[0], walk.poses(np.array([PERIOD_S]))[1][0], atol=1e-6), "the motion repeats"
    assert np.linalg.norm(pelvis[:, 0, :2] - pelvis[:, 1, :2], axis=-1).min() > 550
    lowest = [people.at(t).vertices_mm.reshape(2, -1, 3)[..., 2].min(1) for t in time_s[::24]]
    assert np.abs(lowest).max() < 12, "one foot is on the floor, and none is below it"
    for p in range(2):
        shape = (len(time_s), *walk.rest.joints_mm[p].shape)
        bones = walk.model.transforms(np.broadcast_to(walk.rest.joints_mm[p], shape), rotations[:, p], pelvis[:, p])
        rest = walk.rest.keypoints_mm[p]
        points = walk.model.posed_keypoints(np.broadcast_to(rest, (len(time_s), *rest.shape)), bones)
        speed = np.linalg.norm(np.diff(points[:, walk.model.keypoints.index("left_heel")], axis=0), axis=-1) * 120
        assert 0.2 < (speed < 1).mean() < 0.5 < (speed < 2500).mean(), "a foot stands still for a part of the stride"
        assert np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).max() * 120**2 < 80_000, "no jumps, mm/s²"


def test_cameras_of_the_demo_room_see_both_people_nearly_always() -> None:
    rig, times = room_rig(), np.arange(0, PERIOD_S, 3.1)
    xyz = room_people().people.sequence(times).xyz_mm
    for one in rig:
        xy = project(one, xyz)
        inside = ((xy > 0) & (xy < np.array(one.size_px))).all(-1)
        assert inside.mean() > 0.9, one.name


def test_bodies_of_a_take_are_drawn_where_they_were() -> None:
    walk, time_s = room_walk(), np.array([2.0, 2.5])
    rotations, pelvis = walk.poses(time_s)
    bodies = BodySequence(
        model=walk.model.name,
        joints=walk.model.joints,
        time_s=time_s,
        person_ids=(1, 2),
        betas=np.array([w.betas for w in walk.walkers]),
        rotations_rad=log(rotations).astype(np.float32),
        pelvis_mm=pelvis,
    )
    people = RecordedPeople(BodyMotion.of(walk.model, bodies))
    np.testing.assert_allclose(people.sequence(time_s).xyz_mm, walk.sequence(time_s).xyz_mm, atol=0.01)
    drawn, walking = DressedPeople(people, OUTFITS), room_people()
    np.testing.assert_allclose(drawn.at(2.4).vertices_mm, walking.at(2.5).vertices_mm, atol=0.02)
