"""The Live page: what it says before people can be shown, and people and bodies of real rings in its 3D view."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.board.pattern import Board
from core.body.model import BODY_TO_WORLD
from core.body.models import registry
from core.body.models.free import free_body
from core.body.sequence import BodyMotion
from core.capture.ring import ImageRing
from core.capture.source import SOURCES, parse_camera
from core.capture.sources.demo import demo_rig
from core.geometry.so3 import log
from core.live.config import VMC_PORT
from core.live.stream import LivePeople, PeopleRing
from core.session import Session
from core.synthetic.rendering.scene import room_rig
from core.types.body import BodySequence
from core.types.skeleton import COCO17
from studio.main_window import MainWindow
from studio.pages.live.page import LivePage
from studio.pages.live.presenter import LiveScene, lost_text, rate_text, take_cameras, used_text
from studio.state.live_status import LiveStatus, live_status
from studio.theme import current_theme
from studio.viewport.palette import palette


def following(people: PeopleRing, cameras: dict[str, object]) -> LiveStatus:
    """Return the state of cameras whose people are in a ring."""
    status = live_status(
        {
            "seconds": 1.0,
            "advice": "",
            "live": True,
            "people": {"ring": people.name, "fps": 8.0, "latency_ms": 90, "people": 2, "problem": ""},
            "cameras": cameras,
        }
    )
    assert status is not None
    return status


@pytest.mark.slow
def test_the_page_says_what_is_missing_and_leads_there(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "bodies_folder", lambda: tmp_path)
    session = Session.create(tmp_path / "session")
    window.open_path(session.root)
    window.show_page("live")
    page = window.pages["live"]
    assert isinstance(page, LivePage)
    assert page.view.stage == "no rig" and page.stack.currentIndex() == 0
    assert page.calibrate.isVisible() and page.demo.isVisible() and not page.record.isVisible()
    page.calibrate.click()
    assert window.page_name == "calibrate"
    room_rig().save(session.layout.rig)
    window.show_page("live")
    assert page.view.stage == "no cameras" and page.empty.heading.text() == "No cameras yet"
    page.record.click()
    assert window.page_name == "record"
    window.state.cameras.add(("left=rtsp://127.0.0.1:9/a", "right=rtsp://127.0.0.1:9/b"))
    window.show_page("live")
    assert page.view.stage == "mismatch" and "left, right" in page.empty.sentence.text()
    for name in ("left", "right"):
        window.state.cameras.remove(name)
    window.state.cameras.add_demo(people=True)
    assert page.view.stage == "ready" and page.stack.currentIndex() == 1
    demo_rig(Board(), 4).save(session.layout.rig)  # the same names and image sizes, another room
    page.refresh()
    assert page.view.stage == "mismatch" and "people in another room" in page.empty.sentence.text()
    room_rig().subset(["cam02", "cam04"]).save(session.layout.rig)
    page.refresh()
    assert page.view.stage == "ready" and page.stack.currentIndex() == 1
    assert page.start_button.isVisible() and page.start_button.isEnabled() and not page.stop_button.isVisible()
    assert page.config.vmc_port == 0
    page.vmc.setChecked(True)
    assert page.config.vmc_port == VMC_PORT and page.config.vmc_host == "127.0.0.1"
    assert page.config.body_model == "free" and not page.model.isVisible()
    (tmp_path / "Anna.yaml").write_text("{name: Anna, family: smpl}")
    page.refresh()
    assert page.model.isVisible() and page.config.body_model == "free"
    page.model.setCurrentIndex(page.model.findData("Anna"))
    page.refresh()
    assert page.config.body_model == "Anna"
    (tmp_path / "Anna.yaml").unlink()
    page.refresh()
    assert page.config.body_model == "Anna" and page.model.currentText() == "Anna (missing)"
    page.bodies.click()
    assert "VMC sends joints" in page.notice.text() and page.notice.isVisible()
    page.bodies.click()
    assert not page.notice.isVisible()


def test_the_scene_follows_the_rings_of_a_recording(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "session")
    room_rig().save(session.layout.rig)
    people, camera = PeopleRing(), ImageRing(16)
    scene = LiveScene()
    scene.set_rig(session.rig, ("cam01", "cam02"))
    colours = palette(current_theme())
    values = {"size_px": [8, 2], "problem": "", "frames": 3, "fps": 9.0, "dropped": 0, "cells": [], "share": 0.0}
    status = following(people, {"cam02": {**values, "ring": camera.name}})
    assert status.live and status.people.fps == 8.0
    try:
        scene.attach(status)
        now_ns = time.monotonic_ns()
        assert not scene.poll(now_ns) and "skeletons" not in scene.layers(colours).layers
        camera.put(np.full((2, 8, 3), 77, np.uint8), {"corners": []})
        xyz_mm = np.random.default_rng(1).normal(1000, 300, (2, 17, 3)).round(1)
        live = LivePeople(
            skeleton=COCO17,
            time_ns=now_ns,
            newest_ns=now_ns - 90_000_000,
            ids=np.array([2, 5]),
            xyz_mm=xyz_mm,
            score=np.ones((2, 17)),
            cameras=("cam02",),
            fps=8.0,
        )
        people.put(live)
        assert scene.poll(now_ns)
        layers = scene.layers(colours).layers
        np.testing.assert_array_equal(layers["skeletons"].xyz_mm[:, :17], xyz_mm)
        np.testing.assert_array_equal(layers["skeletons"].colour, [colours.person(1), colours.person(4)])
        assert layers["cameras"].names == ("cam01", "cam02")
        assert layers["cameras"].images[0] is None and (layers["cameras"].images[1] == 77).all()
        assert rate_text(scene.people, 0.0904) == "8 fps, 90 ms · 2 people"
        lost = dict(values, state="lost", problem="It does not answer. Check its cable.", ring=camera.name)
        gone = following(people, {"cam02": lost})
        assert lost_text(gone) == "No images from cam02, which is being reopened: It does not answer. Check its cable."
        assert not lost_text(status) and not used_text(scene.people, gone)
        scene.attach(gone)
        assert scene.layers(colours).layers["cameras"].images[1] is None
        assert not scene.poll(now_ns + 10**9)
        assert scene.poll(now_ns + 2 * 10**9) and "skeletons" not in scene.layers(colours).layers
    finally:
        scene.close()
        people.close()
        camera.close()


def test_a_take_of_people_can_be_played_as_if_its_cameras_ran(sample_session: Session) -> None:
    take, rig = sample_session.take(sample_session.take_names()[0]), sample_session.require_rig()
    cameras = [parse_camera(one) for one in take_cameras(take, rig)]
    assert [name for name, _ in cameras] == ["cam01", "cam02", "cam03", "cam04"]
    assert all(SOURCES.get("file").accepts(address) and address.endswith("?loop") for _, address in cameras)
    assert len(take_cameras(take, rig.subset(["cam02", "cam04"]))) == 2 and not take_cameras(
        take, rig.subset(["cam02"])
    )
    assert not take_cameras(take, None) and not take_cameras(None, rig)


def test_bodies_whose_model_is_missing_are_skeletons_with_a_reason_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "bodies_folder", lambda: tmp_path)
    body, ring, scene = free_body(), PeopleRing(), LiveScene()
    pose_dirs_mm = np.zeros((9 * (len(body.joints) - 1), *body.template_mm.shape), np.float32)
    model = replace(body, name="Ana", family="smpl", pose_dirs_mm=pose_dirs_mm)
    file = tmp_path / "ana.npz"
    file.write_bytes(b"as its publisher made it")
    bodies = BodySequence(
        model="Ana",
        joints=model.joints,
        time_s=np.zeros(1),
        person_ids=(1,),
        betas=np.zeros((1, model.n_shape)),
        rotations_rad=np.zeros((1, 1, len(model.joints), 3), np.float32),
        pelvis_mm=np.zeros((1, 1, 3)),
    )
    people = LivePeople(
        skeleton=COCO17,
        time_ns=1,
        newest_ns=1,
        ids=np.array([1]),
        xyz_mm=np.zeros((1, 17, 3)),
        score=np.ones((1, 17)),
        bodies=bodies,
    )

    def layers(second: int) -> dict[str, object]:
        ring.put(people)
        assert scene.poll(second * 10**9)
        return scene.layers(palette(current_theme())).layers

    try:
        scene.attach(following(ring, {}))
        assert "bodies" not in layers(10) and "no body model 'Ana'" in scene.body_problem
        registry.keep_body_model(model, file, "Ana", accepted=True)
        assert "bodies" in layers(13) and not scene.body_problem
        registry.remove_body_model("Ana")
        assert "bodies" in layers(14) and not scene.body_problem  # what is on the screen stays
    finally:
        scene.close()
        ring.close()


@pytest.mark.slow
def test_bodies_of_a_stream_are_drawn_around_thin_skeletons(window: MainWindow, tmp_path: Path) -> None:
    session = Session.create(tmp_path / "session")
    room_rig().save(session.layout.rig)
    window.open_path(session.root)
    window.state.cameras.add_demo(people=True)
    window.show_page("live")
    page = window.pages["live"]
    assert isinstance(page, LivePage) and page.bodies.isVisible() and page.config.body_model == "free"
    model, ring = free_body(), PeopleRing()
    rotations = np.zeros((1, 1, len(model.joints), 3), np.float32)
    rotations[0, 0, 0] = log(BODY_TO_WORLD)
    bodies = BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=np.zeros(1),
        person_ids=(1,),
        betas=np.zeros((1, model.n_shape)),
        rotations_rad=rotations,
        pelvis_mm=np.array([[[0.0, 0.0, 950.0]]]),
    )
    motion = BodyMotion.of(model, bodies)
    joints = model.posed_keypoints(motion.rest.keypoints_mm, motion.bones(0))[0]
    joints = joints[[model.keypoints.index(name) for name in COCO17.joints]]
    people = LivePeople(
        skeleton=COCO17,
        time_ns=1,
        newest_ns=1,
        ids=np.array([1, 3]),  # the shape of the second person is not known yet
        xyz_mm=np.stack([joints, joints + (0, 1500, 0)]),
        score=np.ones((2, 17)),
        bodies=bodies,
    )

    def coloured() -> int:
        """Number of pixels in the hue of the person with a body."""
        image = page.viewport.grab_image()
        assert image is not None
        red, green, blue = np.moveaxis(image.astype(int), -1, 0)
        return int(((blue > green) & (green > red + 40)).sum())

    try:
        page.scene.attach(following(ring, {}))
        ring.put(people)
        assert page.scene.poll(time.monotonic_ns())
        page.viewport.invalidate()
        layers = page.scene.layers(palette(current_theme())).layers
        assert layers["bodies"].motion.bodies.person_ids == (1,)
        nose = layers["skeletons"].size[:, 0]
        assert nose[0] < 0.5 * nose[1] and len(layers["skeletons"].xyz_mm) == 2
        with_body = coloured()
        page.bodies.click()
        assert page.config.body_model == "" and "bodies" not in page.scene.layers(palette(current_theme())).layers
        skeleton = coloured()
        assert 0 < 2 * skeleton < with_body
    finally:
        page.scene.attach(None)
        ring.close()
