"""Bodies in the 3D view: who has one, how finely it is drawn, and that its pixels are where it stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numbered_take import ABSENT

from core.body.model import BODY_TO_WORLD
from core.body.models.free import free_body
from core.body.sequence import BodyMotion
from core.geometry.so3 import log
from core.rendering.skeleton_geometry import person_centres_mm
from core.session import Session
from core.types import BodySequence, Pose3DSequence
from studio.pages.view.page import ViewPage
from studio.theme import DARK
from studio.viewport.layers.bodies import BodyLayer, PosedLevels
from studio.viewport.layers.skeletons import SHOW_BODIES, SHOW_SIDES, SHOW_SKELETONS
from studio.viewport.layers.spec import ViewOptions
from studio.viewport.palette import palette
from studio.viewport.scene import build_scene_layers
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals.image_quads import sides_px
from studio.viewport.visuals.meshes import levels_of_detail

PALETTE = palette(DARK)


@pytest.fixture(scope="module")
def bodies(poses: Pose3DSequence) -> BodySequence:
    """Return people in the T pose where they are in the result."""
    model = free_body()
    T, P = poses.xyz_mm.shape[:2]
    rotations = np.zeros((T, P, len(model.joints), 3), np.float32)
    rotations[:, :, 0] = log(BODY_TO_WORLD)
    pelvis = person_centres_mm(poses)
    rotations[np.isnan(pelvis).any(-1)] = np.nan
    return BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=poses.time_s,
        person_ids=poses.person_ids,
        betas=np.zeros((P, model.n_shape)),
        rotations_rad=rotations,
        pelvis_mm=pelvis,
    )


def test_people_who_are_present_have_bodies_in_their_colours(poses: Pose3DSequence, bodies: BodySequence) -> None:
    data = SceneData.build(poses=poses, bodies=BodyMotion.of(free_body(), bodies))
    for index, people in ((5, [0, 1]), (ABSENT.start, [0])):
        layer = build_scene_layers(data, poses.time_s[index], ViewOptions(), PALETTE).layers["bodies"]
        assert isinstance(layer, BodyLayer)
        assert layer.people.tolist() == people
        np.testing.assert_array_equal(layer.colour, [PALETTE.body(p) for p in people])
    clear = build_scene_layers(data, 0.0, ViewOptions().with_option(SHOW_SIDES, True), PALETTE).layers["bodies"]
    assert clear.opacity < 1 == layer.opacity, "sides of joints are seen through the bodies"
    hidden = ViewOptions().with_option(SHOW_BODIES, False)
    assert "bodies" not in build_scene_layers(data, 0.0, hidden, PALETTE).layers
    assert "bodies" not in build_scene_layers(SceneData.build(poses=poses), 0.0, ViewOptions(), PALETTE).layers


def test_the_finest_level_is_the_surface_of_the_body(poses: Pose3DSequence, bodies: BodySequence) -> None:
    motion = BodyMotion.of(free_body(), bodies)
    layer = BodyLayer(motion=motion, frame=5, people=np.array([0, 1]), colour=PALETTE.persons[:2])
    levels = PosedLevels(motion.model, bodies.betas)
    meshes = levels.pose(layer, (-1, 0))
    assert meshes.counts == (len(free_body().template_mm),)
    np.testing.assert_array_equal(meshes.position_mm, motion.vertices_mm(5)[1])
    faces = free_body().faces
    a, b, c = (meshes.position_mm[faces[:, i]] for i in range(3))
    outwards = np.cross(b - a, c - a)
    assert ((outwards * meshes.normal[faces[:, 0]]).sum(1) > 0).mean() > 0.99
    # Vertices and triangles belong together at any time, also while coarser levels are being made.
    for done in (False, True):
        if done:
            assert [len(model.result().template_mm) for model in levels._coarser] == [2600, 1200]
        meshes = levels.pose(layer, (1, 2))
        assert len(meshes.position_mm) == sum(meshes.counts)
        assert tuple(int(triangles.max()) + 1 for triangles in meshes.triangles) == meshes.counts
    assert meshes.counts == (2600, 1200)


def test_distant_bodies_are_coarser_and_those_out_of_view_are_not_drawn() -> None:
    ends = np.array([[(x, y, 0.0), (x, y, 1.8)] for x, y in ((0, 2), (0, 6), (0, 20), (40, 20), (0, -5))])

    def to_clip(xyz: np.ndarray) -> np.ndarray:
        """A pinhole at the origin that looks along y, with a field of view of 90 degrees."""
        x, y, z = xyz.T
        return np.stack([x, z - 1.0, y, y], 1)

    assert levels_of_detail(to_clip, ends, (800, 800)) == (1, 2, 2, -1, -1)
    assert levels_of_detail(to_clip, ends, (3000, 3000)) == (0, 0, 2, -1, -1)
    assert levels_of_detail(to_clip, ends[:0], (800, 800)) == ()


def test_image_planes_are_uploaded_at_their_size_on_the_screen_and_not_out_of_view() -> None:
    plane = np.array([(-1.0, 0.0, 1.0), (1.0, 0.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 0.0, -1.0)])

    def to_clip(xyz: np.ndarray) -> np.ndarray:
        x, y, z = xyz.T
        return np.stack([x, z, y, y], 1)

    corner = np.stack([plane + (0, y, 0) for y in (4, 8, -3)] + [plane + (20, 8, 0)])
    np.testing.assert_allclose(sides_px(to_clip, corner, (800, 800)), [200, 100, 0, 0])


@pytest.mark.slow
def test_bodies_are_drawn_where_they_stand(
    numbered_session: Session, bodies: BodySequence, open_view: Callable[[Session], ViewPage]
) -> None:
    bodies.save(numbered_session.take("walk").layout.bodies("baseline"))
    page = open_view(numbered_session)
    page.toolbar.toggle(SHOW_SKELETONS.name).setChecked(False)
    button = page.toolbar.toggle(SHOW_BODIES.name)
    assert button.isVisible() and button.isChecked()
    motion = BodyMotion.of(free_body(), bodies)
    hips = motion.bodies.pelvis_mm[page.timeline.frame, 0] + (0, 0, 150)

    def blue() -> bool:
        """Whether the trunk has the hue of its person, at any brightness."""
        image = page.viewport.grab_image()
        assert image is not None
        x, y = np.round(page.viewport.project_to_widget(hips)[0]).astype(int)
        red, green, blue = image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(0)
        return bool(blue > green > red + 40)

    assert blue()
    button.setChecked(False)
    assert not blue()
