"""The View page in a real window, checked by its pixels."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numbered_take import DROPPED, N_FRAMES, number_in, write_detections, write_report
from pixels import near, of_colour, pixels
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core.geometry import inside, project, project_rig
from core.session import Session
from core.types import CameraRig, Pose3DSequence
from studio.pages.registry import PAGES
from studio.pages.view.options import VIEWS, toolbar_options
from studio.pages.view.page import ViewPage
from studio.state.app_state import AppState
from studio.theme import DARK, LIGHT, apply_theme
from studio.viewport.layers.skeletons import SHOW_SKELETONS

Open = Callable[[Session], ViewPage]


def wait_until_drawn(page: ViewPage, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: page.panes.up_to_date and not page._ticker.running, timeout=20_000)


def drawn(page: ViewPage, qtbot: QtBot) -> np.ndarray:
    wait_until_drawn(page, qtbot)
    image = page.viewport.grab_image()
    assert image is not None
    return image


def hide_all_but_skeletons(page: ViewPage) -> None:
    """Show only skeletons in the 3D view: labels and trails have the same colours."""
    for name in ("labels", "trails", "cameras"):
        page.toolbar.toggle(name).setChecked(False)


@pytest.mark.slow
def test_without_a_session_the_page_shows_the_next_step(view: ViewPage) -> None:
    assert view.stack.currentWidget() is view.empty
    assert view.empty.heading.text() == "No session is open"


def test_without_a_take_the_page_shows_the_next_step(open_view: Open, qtbot: QtBot, tmp_path: Path) -> None:
    page = open_view(Session.create(tmp_path / "new"))
    assert page.stack.currentWidget() is page.empty
    assert "Record page" in page.empty.sentence.text()
    with qtbot.waitSignal(page._state.page_requested) as asked:
        qtbot.mouseClick(page.go, Qt.MouseButton.LeftButton)
    assert asked.args == ["record", ""]


@pytest.mark.slow
def test_without_a_result_cameras_and_videos_are_shown(
    open_view: Open, qtbot: QtBot, numbered_session: Session
) -> None:
    numbered_session.take("walk").layout.poses3d("baseline").unlink()
    page = open_view(numbered_session)
    assert page.stack.currentWidget() is not page.empty
    assert page.notice_text == "No 3D result yet. Run Triangulate on the Train page."
    with qtbot.waitSignal(page._state.page_requested) as asked:
        qtbot.mouseClick(page._notice.go, Qt.MouseButton.LeftButton)
    assert asked.args == ["train", ""]
    assert number_in(page.panes.panes["cam01"].image) == 0
    scene = page._layers()
    assert "cameras" in scene.layers
    assert "skeletons" not in scene.layers


def test_without_a_calibration_the_videos_are_shown(open_view: Open, numbered_session: Session) -> None:
    numbered_session.layout.rig.unlink()
    page = open_view(numbered_session)
    assert "The session has no rig." in page.notice_text
    assert number_in(page.panes.panes["cam02"].image) == 0
    assert page.panes.panes["cam02"]._overlay.skeletons == ()


@pytest.mark.slow
def test_a_damaged_result_gives_a_notice(open_view: Open, numbered_session: Session) -> None:
    numbered_session.take("walk").layout.poses3d("baseline").write_bytes(b"no poses")
    page = open_view(numbered_session)
    assert "does not contain 3D poses" in page.notice_text


@pytest.mark.slow
def test_people_are_drawn_where_they_are_and_can_be_hidden(
    open_view: Open, qtbot: QtBot, numbered_root: Path, poses: Pose3DSequence
) -> None:
    page = open_view(Session.open(numbered_root))
    hide_all_but_skeletons(page)
    with_people = drawn(page, qtbot)
    for person in (0, 1):
        mask = of_colour(with_people, DARK.person(person))
        joints = page.viewport.project_to_widget(poses.xyz_mm[0, person])
        known = np.isfinite(joints).all(-1)
        assert known.sum() >= 16
        # A joint may be occluded or small: nearly all must show the colour of the person.
        assert np.mean([near(mask, xy) for xy in joints[known]]) > 0.8
        # The midpoints of thighs and shins are half a limb away from any joint: bones are visible there.
        names = [f"{side}_{{}}" for side in ("left", "right")]
        pairs = [(n.format(a), n.format(b)) for n in names for a, b in (("hip", "knee"), ("knee", "ankle"))]
        ends = [[poses.skeleton.index(joint) for joint in pair] for pair in pairs]
        middles = page.viewport.project_to_widget(poses.xyz_mm[0, person][ends].mean(1))
        assert np.mean([near(mask, xy, 2) for xy in middles]) > 0.7
    page.toolbar.toggle("skeletons").setChecked(False)
    without = drawn(page, qtbot)
    for person in (0, 1):
        assert of_colour(without, DARK.person(person)).sum() < 0.02 * of_colour(with_people, DARK.person(person)).sum()


@pytest.mark.slow
def test_every_view_frames_the_people_and_then_everything(
    open_view: Open, qtbot: QtBot, numbered_root: Path, rig: CameraRig, poses: Pose3DSequence
) -> None:
    page = open_view(Session.open(numbered_root))
    centres = np.array([c.centre_mm for c in rig])
    joints = poses.xyz_mm[np.isfinite(poses.xyz_mm).all(-1)]
    # The middle 98 % of the joints are framed: one stray joint must not shrink the view.
    middle = np.logical_and(*(f(joints, np.percentile(joints, q, 0)) for f, q in ((np.greater, 1), (np.less, 99))))
    people = joints[middle.all(-1)]
    for name in ("top", "front", "side", "perspective"):
        page.views.button(name).click()
        wait_until_drawn(page, qtbot)
        for points, least in ((people, 0.45), (np.concatenate([centres, people]), 0.7)):
            xy = page.viewport.project_to_widget(points)
            size = page.viewport.width(), page.viewport.height()
            assert (xy >= 0).all(), name
            assert (xy <= size).all(), name
            # They span much of the image in one direction.
            assert (np.ptp(xy, 0) / size).max() > least, name
            page.viewport.frame_all()


@pytest.mark.slow
def test_top_and_front_views_are_orthographic(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    """A metre east and a metre north have the same length, and height is invisible from the top."""
    page = open_view(Session.open(numbered_root))
    page.views.button("top").click()
    wait_until_drawn(page, qtbot)
    origin, east, north, up = page.viewport.project_to_widget(
        np.array([(0, 0, 0), (1e3, 0, 0), (0, 1e3, 0), (0, 0, 1e3)])
    )
    metre = east[0] - origin[0]
    np.testing.assert_allclose(east - origin, (metre, 0), atol=0.01)
    np.testing.assert_allclose(north - origin, (0, -metre), atol=0.01)
    np.testing.assert_allclose(up, origin, atol=0.01)
    page.views.button("front").click()
    wait_until_drawn(page, qtbot)
    origin, east, up = page.viewport.project_to_widget(np.array([(0, 0, 0), (1e3, 0, 0), (0, 0, 1e3)]))
    np.testing.assert_allclose(up - origin, (0, -(east - origin)[0]), atol=0.01)


@pytest.mark.slow
def test_the_capture_volume_is_drawn_where_it_is_and_follows_its_fields(
    open_view: Open, qtbot: QtBot, numbered_session: Session
) -> None:
    page = open_view(numbered_session)
    for name in ("labels", "trails", "cameras", "skeletons", "floor"):
        page.toolbar.toggle(name).setChecked(False)
    page.views.button("front").click()
    empty = drawn(page, qtbot)
    page.toolbar.toggle("volume").setChecked(True)
    page.views.button("front").click()

    def top_edge() -> np.ndarray:
        volume = page._state.volume.current().volume
        (x, y, _), z = volume.centre_mm, volume.high_mm[2]
        return page.viewport.project_to_widget(np.array([(x, y, z)]))[0]

    shown = drawn(page, qtbot)
    assert near(of_colour(shown, DARK.accent), top_edge(), 2)
    assert not of_colour(empty, DARK.accent).any()
    page.volume.edit.setChecked(True)
    before, field = top_edge(), page.volume.editor.fields["height"]
    field.setValue(2.8)
    assert numbered_session.volume is not None
    after = drawn(page, qtbot)
    assert before[1] - top_edge()[1] > 5, "a higher volume reaches higher up"
    assert near(of_colour(after, DARK.accent), top_edge(), 2)
    assert page.volume.editor.size_text.text().endswith("2.80 m")
    page.volume.reset.click()
    assert numbered_session.volume is None
    assert not page.volume.reset.isVisible()


@pytest.mark.slow
def test_the_capture_volume_is_drawn_over_the_videos(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    assert page._overlay("cam01", 0).volume_px == ()
    qtbot.keyClick(page, Qt.Key.Key_B)
    lines = page._overlay("cam01", 0).volume_px
    assert lines
    assert all(np.isfinite(line).any() for line in lines)


@pytest.mark.slow
def test_the_volume_panel_stays_inside_the_view(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    page.toolbar.toggle("volume").setChecked(True)
    assert page.volume.isVisible()
    folded = page.volume.height()
    page.volume.edit.setChecked(True)
    assert page.volume.height() > folded + 100
    size = page.size()
    for height in (400, 900):
        page.resize(size.width(), height)
        wait_until_drawn(page, qtbot)
        qtbot.waitUntil(lambda: page.viewport.rect().contains(page.volume.geometry()))
    assert page.volume.editor.visibleRegion().boundingRect().height() == page.volume.editor.height(), (
        "all of it is seen"
    )
    page.resize(size)
    page.volume.edit.setChecked(False)
    assert page.volume.height() == folded
    page.volume.closed.emit()
    assert not page.volume.isVisible()
    assert not page.toolbar.toggle("volume").isChecked()


@pytest.mark.slow
def test_a_damaged_volume_gives_a_notice_and_is_fixed_by_reset(
    open_view: Open, qtbot: QtBot, numbered_session: Session
) -> None:
    numbered_session.layout.volume.write_text("size_mm: 3")
    page = open_view(numbered_session)
    assert "volume.yaml" in page.notice_text
    page._show_volume()
    page.volume.reset.click()
    assert page.notice_text == ""
    assert page.presenter._volume is not None


@pytest.mark.slow
def test_scrubbing_moves_the_people(open_view: Open, qtbot: QtBot, numbered_root: Path, poses: Pose3DSequence) -> None:
    page = open_view(Session.open(numbered_root))
    hide_all_but_skeletons(page)
    before = of_colour(drawn(page, qtbot), DARK.person(0))
    page.timeline.seek(40)
    after = of_colour(drawn(page, qtbot), DARK.person(0))
    hips = page.viewport.project_to_widget(poses.xyz_mm[[0, 40], 0, poses.skeleton.index("left_hip")])
    assert np.linalg.norm(hips[1] - hips[0]) > 10
    assert near(before, hips[0])
    assert near(after, hips[1])
    assert (before != after).sum() > 200


@pytest.mark.slow
def test_panes_show_the_images_of_the_frame(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    for frame in (0, 7, 31, 30, 2, N_FRAMES - 1):
        page.timeline.seek(frame)
        wait_until_drawn(page, qtbot)
        for pane in page.panes.panes.values():
            assert pane.frame == frame
            assert pane.image is not None
            assert number_in(pane.image) == frame


@pytest.mark.slow
def test_a_dropped_frame_shows_a_message(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    camera, frame = DROPPED
    page.timeline.seek(frame)
    wait_until_drawn(page, qtbot)
    panes = list(page.panes.panes.values())
    assert panes[camera].image is None
    assert panes[camera].message == "Dropped frame"
    assert panes[camera]._overlay.skeletons
    assert number_in(panes[0].image) == frame
    page.timeline.step_forward()
    wait_until_drawn(page, qtbot)
    assert number_in(panes[camera].image) == frame + 1


@pytest.mark.slow
def test_a_missing_video_shows_a_message_in_its_pane(open_view: Open, numbered_session: Session) -> None:
    numbered_session.take("walk").video_path("cam02").unlink()
    numbered_session.take("walk").video_path("cam03").write_bytes(b"no video")
    page = open_view(numbered_session)
    assert "does not exist" in page.panes.panes["cam02"].message
    assert "cannot be read as a video" in page.panes.panes["cam03"].message
    assert number_in(page.panes.panes["cam01"].image) == 0


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_people_are_drawn_over_the_videos(
    open_view: Open,
    qtbot: QtBot,
    qapp: QApplication,
    numbered_root: Path,
    rig: CameraRig,
    poses: Pose3DSequence,
    theme: str,
) -> None:
    apply_theme(qapp, theme)  # type: ignore[arg-type]
    tokens = DARK if theme == "dark" else LIGHT
    page = open_view(Session.open(numbered_root))
    page.timeline.seek(12)
    wait_until_drawn(page, qtbot)
    for camera in rig:
        pane = page.panes.panes[camera.name]
        box, image = pane.image_box(), pixels(pane)
        for person in (0, 1):
            knees = [poses.skeleton.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "hip")]
            xy = project(camera, poses.xyz_mm[12, person, knees])
            places = (xy + 0.5) * box.width() / camera.size_px[0] + (box.x(), box.y())
            mask = of_colour(image, tokens.person(person))
            shown = [near(mask, place, 2) for place, visible in zip(places, inside(camera, xy), strict=True) if visible]
            assert shown
            assert np.mean(shown) >= 0.75
    page.toolbar.toggle("skeletons").setChecked(False)
    assert of_colour(pixels(pane), tokens.person(0)).sum() == 0
    apply_theme(qapp, "dark")


@pytest.mark.slow
def test_detections_are_drawn_as_crosses(
    open_view: Open, qtbot: QtBot, numbered_session: Session, rig: CameraRig, poses: Pose3DSequence
) -> None:
    seen = project_rig(rig, poses.xyz_mm)
    write_detections(numbered_session, rig, seen)
    page = open_view(numbered_session)
    page.toolbar.toggle("skeletons").setChecked(False)
    pane, camera = page.panes.panes["cam02"], rig["cam02"]
    before = pixels(pane)
    page.toolbar.toggle("detections").setChecked(True)
    qtbot.waitUntil(lambda: pane._overlay.detections_px is not None)
    after = pixels(pane)
    box = pane.image_box()
    changed = (before != after).any(-1)
    xy = seen[1, 0].reshape(-1, 2)
    places = (xy[inside(camera, xy)] + 0.5) * box.width() / camera.size_px[0] + (box.x(), box.y())
    assert len(places) > 20
    assert all(near(changed, place, 1) for place in places)


@pytest.mark.slow
def test_a_second_result_is_compared_as_a_ghost(
    open_view: Open, qtbot: QtBot, numbered_session: Session, poses: Pose3DSequence
) -> None:
    moved = replace(poses, xyz_mm=poses.xyz_mm + (400.0, 0.0, 0.0))
    moved.save(numbered_session.take("walk").layout.poses3d("20260102-030405-train"))
    page = open_view(numbered_session)
    assert page.toolbar.result.currentText() == "Triangulation"  # the other result was never measured
    page.presenter.select_result("20260102-030405-train")
    assert page.toolbar.result.currentText() == "Trained 2 Jan, 03:04"
    page._state.select_poses("baseline")
    assert page.toolbar.result.currentText() == "Triangulation"
    hide_all_but_skeletons(page)
    before = drawn(page, qtbot)
    page.toolbar.compare.setCurrentIndex(1)
    page.toolbar.compare.activated.emit(1)
    after = drawn(page, qtbot)
    hips = [poses.skeleton.index(f"{side}_hip") for side in ("left", "right")]
    ghost = page.viewport.project_to_widget(moved.xyz_mm[0, 0, hips].mean(0))
    assert near((before != after).any(-1), ghost[0], 2)
    assert [f.person for f in page._overlay("cam01", 0).skeletons] == [None, None, 0, 1]


@pytest.mark.slow
def test_a_followed_person_stays_in_the_centre(
    open_view: Open, qtbot: QtBot, numbered_root: Path, poses: Pose3DSequence
) -> None:
    page = open_view(Session.open(numbered_root))
    page.toolbar.follow.setCurrentIndex(1)
    page.toolbar.follow.activated.emit(1)
    hips = [poses.skeleton.index(f"{side}_hip") for side in ("left", "right")]
    for frame in (0, 40):
        page.timeline.seek(frame)
        wait_until_drawn(page, qtbot)
        middle = page.viewport.project_to_widget(poses.xyz_mm[frame, 0, hips].mean(0))[0]
        np.testing.assert_allclose(middle, (page.viewport.width() / 2, page.viewport.height() / 2), atol=1.5)


@pytest.mark.slow
def test_the_panel_lists_the_people_present(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    first, second = page.side.people.people
    assert (first.name, second.name) == ("Person 1", "Person 2")
    assert first.present
    assert first.confidence == pytest.approx(0.9)
    page.timeline.seek(32)
    assert not page.side.people.people[1].present
    assert page.side.people.people[1].confidence == 0


@pytest.mark.slow
def test_metrics_and_verdict_are_shown(open_view: Open, numbered_session: Session) -> None:
    page = open_view(numbered_session)
    assert page.side.evaluation.isHidden()
    write_report(numbered_session)
    page._state.refresh()
    assert not page.side.evaluation.isHidden()
    assert page.side.evaluation.verdict.startswith("The trained networks are better")
    evaluation = page.presenter.evaluation
    assert evaluation is not None
    assert evaluation.rows == (
        ("Leave-one-camera-out, median", "18.3 px", "16.2 px"),
        ("Identity switches", "0", "–"),
    )
    page.resize(1100, 600)
    page.side.evaluation.fold.setChecked(True)
    assert page.side.bodies.isHidden() and page.side.people.isHidden(), "the table takes their room in a small window"
    page.side.evaluation.fold.setChecked(False)
    assert not page.side.bodies.isHidden() and not page.side.people.isHidden()


@pytest.mark.slow
def test_shortcuts_work_on_the_whole_page(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    qtbot.keyClick(page, Qt.Key.Key_Right)
    assert page.timeline.frame == 1
    qtbot.keyClick(page, Qt.Key.Key_Space)
    assert page.timeline.playing
    qtbot.keyClick(page, Qt.Key.Key_Space)
    assert not page.timeline.playing
    qtbot.keyClick(page, Qt.Key.Key_S)
    assert not page.presenter.options.shows(SHOW_SKELETONS)
    assert page._overlay("cam01", 0).skeletons == ()
    qtbot.keyClick(page, Qt.Key.Key_2)
    assert page.views.button("top").isChecked()
    qtbot.keyClick(page, Qt.Key.Key_F)


@pytest.mark.slow
def test_playback_stops_when_the_page_is_hidden(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    page.timeline.play()
    page.hide()
    assert not page.timeline.playing
    page.show()
    wait_until_drawn(page, qtbot)


@pytest.mark.slow
def test_a_double_click_enlarges_one_camera(open_view: Open, qtbot: QtBot, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    pane = page.panes.panes["cam02"]
    small = pane.width()
    qtbot.mouseDClick(pane, Qt.MouseButton.LeftButton)
    wait_until_drawn(page, qtbot)
    assert pane.width() > small
    assert not page.panes.panes["cam01"].isVisible()
    assert pane.height() > page.side.height() - 40 and page.side.people.isHidden(), "the cards give it their room"
    qtbot.mouseDClick(pane, Qt.MouseButton.LeftButton)
    assert page.panes.panes["cam01"].isVisible()
    assert pane.width() == small


def test_the_list_of_shortcuts_is_complete() -> None:
    listed = " ".join(
        keys for page in PAGES if page.name == "view" for _, rows in page.keys for _, keys in rows
    ).split()
    assert {key for key in listed if len(key) == 1 and key.isascii()} == {
        o.shortcut for o in toolbar_options() if o.shortcut
    } | {v[2] for v in VIEWS} | set("F50WR")


@pytest.mark.slow
def test_a_deleted_page_leaves_no_objects(qtbot: QtBot, numbered_root: Path) -> None:
    page = ViewPage(AppState())
    page.show()
    page._state.open(numbered_root)
    wait_until_drawn(page, qtbot)
    page.timeline.play()
    parts = [weakref.ref(part) for part in (page, page.viewport, page.panes, page.timeline, page.presenter)]
    page.shut_down()
    page.close()
    page.deleteLater()
    del page
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert [part() for part in parts] == [None] * len(parts)


@pytest.mark.slow
def test_closing_a_take_leaves_no_thread(open_view: Open, numbered_root: Path) -> None:
    page = open_view(Session.open(numbered_root))
    threads = [t for t in threading.enumerate() if t.name.startswith("images-")]
    assert len(threads) == 3
    page._state.set_session(None)
    assert not any(t.is_alive() for t in threads)
    assert not page.panes.panes


@pytest.mark.slow
def test_without_opengl_the_rest_of_the_page_works(numbered_root: Path) -> None:
    """In a subprocess on a display without OpenGL, a message replaces the 3D view."""
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from PySide6.QtWidgets import QApplication, QLabel
        from studio.state.app_state import AppState
        from studio.pages.view.page import ViewPage
        app = QApplication([])
        page = ViewPage(AppState())
        page.show()
        page._state.open(Path(sys.argv[1]))
        page.timeline.seek(9)
        while not page.panes.up_to_date:
            app.processEvents()
        print(page.viewport.has_gl, page.viewport.grab_image())
        print(page.viewport.findChild(QLabel, "viewportProblem").text())
        print([pane.frame for pane in page.panes.panes.values()])
        page.shut_down()
        """
    )
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(numbered_root)],
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "False None" in done.stdout
    assert "cannot show 3D" in done.stdout
    assert "[9, 9, 9]" in done.stdout


@pytest.mark.slow
def test_the_legend_explains_the_colours_of_the_cameras(open_view: Open, numbered_session: Session) -> None:
    rig = numbered_session.require_rig()
    replace(rig, cameras=tuple(c.replace(rmse_px=20.0) for c in rig)).save(numbered_session.layout.rig)
    page = open_view(numbered_session)
    assert page.legends.cameras.isVisible()
    assert page.legends.cameras.title == "Reprojection error"
    assert list(page.legends.cameras.rows) == [(2, "poor: 20.0 px")]
    assert page.viewport.rect().contains(page.legends.cameras.geometry())
    page.toolbar.toggle("cameras").setChecked(False)
    assert not page.legends.cameras.isVisible()
