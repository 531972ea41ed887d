"""Several views of one scene: four directions, a wipe between two results, the view of a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from conftest import move_mouse, wait_until_drawn
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from core.geometry import project, undistort
from core.session import Session
from core.types import CameraRig, Pose3DSequence
from studio.pages.view.page import ViewPage
from studio.theme import DARK
from studio.viewport.layers.backdrop import undistorting_grid
from studio.viewport.layers.spec import ViewOptions
from studio.viewport.palette import palette, rgba
from studio.viewport.scene import build_scene_layers
from studio.viewport.scene_data import SceneData
from studio.viewport.scene_view import SceneView, ViewCanvas

Open = Callable[[Session], ViewPage]


def drawn(page: ViewPage, qtbot: QtBot) -> np.ndarray:
    wait_until_drawn(page, qtbot)
    image = page.viewport.grab_image()
    assert image is not None
    return image.astype(float) / 255


def shows(image: np.ndarray, colour: str, xy: np.ndarray) -> bool:
    """Return whether a colour is seen within 3 px of a position."""
    x, y = np.round(xy).astype(int)
    around = image[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].reshape(-1, 3)
    wanted = rgba(colour)[:3]
    length = np.linalg.norm(around, axis=-1)
    return bool(((around @ wanted > 0.985 * length * np.linalg.norm(wanted)) & (length > 0.45)).any())


def test_the_image_behind_the_view_has_no_distortion(rig: CameraRig) -> None:
    camera = rig[0]
    grid = undistorting_grid(camera)
    np.testing.assert_allclose(
        project(camera, grid.xyz_mm.astype(float)), grid.texture * camera.size_px - 0.5, atol=0.02
    )
    assert len(grid.triangles) == 2 * 32 * 32


def test_a_software_renderer_shows_what_a_graphics_card_shows(
    qtbot: QtBot, rig: CameraRig, poses: Pose3DSequence
) -> None:
    scene = build_scene_layers(SceneData.build(rig, poses), 0.5, ViewOptions(), palette(DARK))
    images = []
    for software in (False, True):
        canvas = ViewCanvas(software=software, keys=None, size=(320, 240), show=True)
        with qtbot.waitExposed(canvas.native):
            view = SceneView(canvas)
        view.place((0, 0, 320, 240))
        view.draw(scene)
        view.fit(scene.extent_mm)
        canvas.native.grabFramebuffer()
        canvas.native.repaint()
        image = canvas.native.grab().toImage().convertToFormat(QImage.Format.Format_RGBX8888)
        images.append(np.array(image.constBits()).reshape(240, 320, 4)[..., :3].astype(int))
        canvas.close()
    assert np.ptp(images[0], axis=(0, 1)).min() > 100
    assert np.abs(images[0] - images[1]).max() <= 1


def test_the_view_through_a_camera_shows_what_it_sees(
    open_view: Open, qtbot: QtBot, numbered_session: Session, poses: Pose3DSequence, rig: CameraRig
) -> None:
    page = open_view(numbered_session)
    qtbot.keyClick(page, Qt.Key.Key_0)
    wait_until_drawn(page, qtbot)
    assert page.views.through.isChecked() and page.presenter.options.through == "cam01"
    assert "backdrop" in page._layers().layers and "cameras" not in page._layers().layers
    camera, joints = rig["cam01"], poses.xyz_mm[0, 0][np.isfinite(poses.xyz_mm[0, 0]).all(-1)]
    ideal = undistort(camera, project(camera, joints)) @ camera.K[:2, :2].T + camera.K[:2, 2]
    size, image = np.array([page.viewport.width(), page.viewport.height()]), np.array(camera.size_px)
    scale = (size / image).min()
    expected = size / 2 + scale * (ideal + 0.5 - image / 2)
    np.testing.assert_allclose(page.viewport.project_to_widget(joints), expected, atol=0.01)
    qtbot.keyClick(page, Qt.Key.Key_0)
    assert page.presenter.options.through == "cam02"
    page._state.set_session(Session.open(numbered_session.root))
    wait_until_drawn(page, qtbot)
    assert page.views.through.isChecked() and "backdrop" in page._layers().layers, "another take keeps the view"
    qtbot.keyClick(page, Qt.Key.Key_1)
    assert page.presenter.options.through == "" and "cameras" in page._layers().layers


def test_four_views_show_the_people_from_four_sides(
    open_view: Open, qtbot: QtBot, numbered_session: Session, poses: Pose3DSequence
) -> None:
    page = open_view(numbered_session)
    for name in ("labels", "trails", "cameras"):
        page.toolbar.toggle(name).setChecked(False)
    qtbot.keyClick(page, Qt.Key.Key_5)
    image = drawn(page, qtbot)
    width, height = page.viewport.width(), page.viewport.height()
    hip = poses.xyz_mm[0, 0, poses.skeleton.index("left_hip")]
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        place = page.viewport.project_to_widget(hip, (x * width, y * height))[0]
        assert (np.abs(place - (x * width, y * height)) < (width / 4, height / 4)).all()
        assert shows(image, DARK.person(0), place)
    canvas, before = page.viewport.native, page.viewport.project_to_widget(hip, (0.25 * width, 0.25 * height))
    qtbot.mousePress(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(100, 100))
    move_mouse(canvas, QPoint(130, 100), Qt.MouseButton.MiddleButton)
    qtbot.mouseRelease(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(130, 100))
    after = page.viewport.project_to_widget(hip, (0.25 * width, 0.25 * height))
    np.testing.assert_allclose(after - before, [[30, 0]], atol=1.5)
    qtbot.keyClick(page, Qt.Key.Key_1)
    assert not page.viewport.four


def turn_wheel(widget: QWidget, xy: np.ndarray, steps: int) -> None:
    at = QPointF(*xy.tolist())
    buttons, keys = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    turned = QPoint(0, 120 * steps)
    event = QWheelEvent(
        at, widget.mapToGlobal(at), QPoint(), turned, buttons, keys, Qt.ScrollPhase.NoScrollPhase, False
    )
    QApplication.sendEvent(widget, event)


def test_the_wheel_zooms_toward_what_is_under_the_pointer(
    open_view: Open, qtbot: QtBot, numbered_session: Session, poses: Pose3DSequence
) -> None:
    page = open_view(numbered_session)
    view, canvas = page.viewport, page.viewport.native
    assert canvas is not None
    hip = poses.xyz_mm[0, 0, poses.skeleton.index("left_hip")]
    for key, where in ((Qt.Key.Key_1, None), (Qt.Key.Key_5, (100.0, 100.0))):
        qtbot.keyClick(page, key)
        wait_until_drawn(page, qtbot)
        for point in (hip, np.array([600.0, -400.0, 0.0])):
            around = np.array([point, point + (50.0, 30.0, 0.0)])
            before = view.project_to_widget(around, where)
            turn_wheel(canvas, before[0], 4)
            after = view.project_to_widget(around, where)
            np.testing.assert_allclose(after[0], before[0], atol=0.01)
            assert np.linalg.norm(np.diff(after, axis=0)) > 1.3 * np.linalg.norm(np.diff(before, axis=0))
            turn_wheel(canvas, before[0], -4)
    qtbot.keyClick(page, Qt.Key.Key_1)
    sky, camera = np.array([view.width() / 2, 2.0]), view._main.camera
    centre = np.array(camera.center)
    turn_wheel(canvas, sky, -3)
    assert np.linalg.norm(np.array(camera.center) - centre) < camera.scale_factor, "the centre stays near"


def test_a_line_divides_two_results(
    open_view: Open, qtbot: QtBot, numbered_session: Session, poses: Pose3DSequence
) -> None:
    other = replace(poses, xyz_mm=poses.xyz_mm + (0, 0, 2500.0))
    other.save(numbered_session.take("walk").layout.poses3d("20260102-030405-train"))
    page = open_view(numbered_session)
    for name in ("labels", "trails", "cameras"):
        page.toolbar.toggle(name).setChecked(False)
    page._state.select_poses("baseline")
    page._compare("20260102-030405-train")
    qtbot.keyClick(page, Qt.Key.Key_W)
    hip = poses.skeleton.index("left_hip")
    low, high = poses.xyz_mm[0, 0, hip], other.xyz_mm[0, 0, hip]
    page.viewport.frame_all()
    places = page.viewport.project_to_widget(np.array([low, high]))
    width = page.viewport.width()
    for share in (0.95, 0.05):
        line = page.dividers[0]
        qtbot.mousePress(line, Qt.MouseButton.LeftButton, pos=line.rect().center())
        move_mouse(line, line.mapFromParent(QPoint(round(share * width), 50)), Qt.MouseButton.LeftButton)
        qtbot.mouseRelease(line, Qt.MouseButton.LeftButton)
        image = drawn(page, qtbot)
        assert [shows(image, DARK.person(0), place) for place in places] == [share > 0.5, share < 0.5]
    move_mouse(page.viewport.native, QPoint(*np.round(places[1]).astype(int).tolist()))
    assert page.pointer.tip.title == "Person 1, left hip"
    assert dict(page.pointer.tip.rows)["Height"] == f"{high[2] / 1000:.2f} m", "the joint of the result on this side"
    qtbot.keyClick(page, Qt.Key.Key_5)
    page.viewport.frame_all()
    width, height = page.viewport.width(), page.viewport.height()
    front = 0.25 * width, 0.75 * height
    for share in (0.95, 0.05):
        line = page.dividers[1]
        qtbot.mousePress(line, Qt.MouseButton.LeftButton, pos=line.rect().center())
        move_mouse(line, line.mapFromParent(QPoint(round((1 + share) * width / 2), 50)), Qt.MouseButton.LeftButton)
        qtbot.mouseRelease(line, Qt.MouseButton.LeftButton)
        image = drawn(page, qtbot)
        assert [other.share == line.share == pytest.approx(share, abs=0.01) for other in page.dividers] == [True, True]
        places = page.viewport.project_to_widget(np.array([low, high]), front)
        assert [shows(image, DARK.person(0), place) for place in places] == [share > 0.5, share < 0.5]
        assert page.viewport.is_wiped(tuple(places[0])) == (share < 0.5)
    qtbot.keyClick(page, Qt.Key.Key_1)
    assert page.dividers[0].isVisible() and not page.dividers[1].isVisible()
    page.toolbar.wipe.setChecked(False)
    assert not page.dividers[0].isVisible()
