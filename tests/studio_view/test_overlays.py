"""Colours of the people over the videos, and the frames held out on the timeline."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Open, wait_until_drawn
from pixels import near, of_colour, pixels
from pytestqt.qtbot import QtBot

from core.config import to_mapping
from core.files import write_yaml
from core.geometry import project
from core.pipelines.params import TrainParams
from core.session import Session
from core.types import CameraRig, Pose3DSequence
from studio.pages.view.page import ViewPage
from studio.pages.view.panels import PeoplePanel
from studio.pages.view.results import frames_held_out
from studio.pages.view.summary import PersonState
from studio.theme import DARK
from studio.viewport.palette import side_colours


@pytest.mark.slow
def test_sides_and_confidence_have_the_same_colours_over_the_videos(
    open_view: Open, qtbot: QtBot, numbered_session: Session, rig: CameraRig, poses: Pose3DSequence
) -> None:
    page = open_view(numbered_session)
    page.toolbar.toggle("sides").setChecked(True)
    wait_until_drawn(page, qtbot)
    layer = page._layers().layers["skeletons"]
    for skeleton, joints, bones in zip(
        page._overlay("cam01", 0).skeletons, layer.joint_colour, layer.bone_colour, strict=True
    ):
        np.testing.assert_array_equal(skeleton.joint_colour, joints)
        np.testing.assert_array_equal(skeleton.bone_colour, bones)
    pane = page.panes.panes["cam01"]
    image, box = pixels(pane), pane.image_box()
    ankles = project(rig["cam01"], poses.xyz_mm[0, 0, poses.skeleton.indices("left_ankle", "right_ankle")])
    places = (ankles + 0.5) * box.width() / rig["cam01"].size_px[0] + (box.x(), box.y())
    for place, colour in zip(places, side_colours(DARK), strict=True):
        assert near(of_colour(image, colour), place, 2)
    assert [text for _, text in page.legends.joints.rows] == ["left side", "right side"]
    page.toolbar.toggle("confidence").setChecked(True)
    wait_until_drawn(page, qtbot)
    layer = page._layers().layers["skeletons"]
    np.testing.assert_array_equal(page._overlay("cam01", 0).skeletons[0].joint_colour, layer.joint_colour[0])
    assert of_colour(pixels(pane), DARK.good).any(), "certain joints"


def test_bodies_show_what_was_held_out_of_the_training_of_their_result(numbered_session: Session) -> None:
    run, take = "20260102-030405-train", numbered_session.take("walk")
    write_yaml(numbered_session.layout.run(run).config, to_mapping(TrainParams(takes=("walk",))))
    shown = frames_held_out(numbered_session, take, run, 40)
    assert shown is not None and 0 < shown.sum() < 40
    np.testing.assert_array_equal(frames_held_out(numbered_session, take, f"{run}-body", 40), shown)
    assert frames_held_out(numbered_session, take, "baseline-body", 40) is None
    write_yaml(numbered_session.layout.run(run).config, to_mapping(TrainParams(takes=("other",))))
    assert frames_held_out(numbered_session, take, run, 40) is None, "no frame of this take was trained on"


@pytest.mark.slow
def test_a_long_take_is_read_on_a_thread(
    open_view: Open, qtbot: QtBot, numbered_session: Session, poses: Pose3DSequence, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = numbered_session.take("walk").layout.poses3d("20260102-030405-train")
    poses.save(other)
    monkeypatch.setattr("studio.pages.view.presenter._LITTLE_BYTES", 0)
    page = open_view(numbered_session)
    qtbot.waitUntil(lambda: page.presenter.result == "baseline" and page.stack.currentIndex() == 1)
    assert page.side.people.people[0].confidence == pytest.approx(0.9)
    page._compare(other.stem)
    assert not page.presenter.has_comparison, "it is still being read"
    qtbot.waitUntil(lambda: page.presenter.has_comparison)
    other.write_bytes(b"damaged")
    page._state.refresh()
    qtbot.waitUntil(lambda: "3D poses" in page.notice_text)


def test_many_people_are_listed_side_by_side_where_there_is_room(view: ViewPage) -> None:
    panel = PeoplePanel()
    states = [PersonState(name=f"Person {p}", person=p, present=True, confidence=0.9, speed_m_s=1.0) for p in range(5)]
    panel.resize(560, 200)
    panel.show_people(tuple(states))
    wide = panel.height()
    panel.resize(300, 200)
    panel.show_people(tuple(states[:3]))
    three = panel.height()
    panel.show_people(tuple(states))
    assert wide == three < panel.height()
