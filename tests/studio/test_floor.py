"""The floor from three clicked points, from the model without widgets to clicks on real pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtWidgets import QApplication

from core.calibration.frame import Similarity
from core.calibration.rotation import exp
from core.errors import CoreError
from core.geometry import project
from core.session import Session
from core.synthetic.rigs import ring_rig
from core.types import Camera, CameraRig
from core.types.arrays import F64
from studio.main_window import MainWindow
from studio.pages.calibrate.floor_dialog import FloorDialog
from studio.pages.calibrate.floor_points import FloorPoints
from studio.widgets.mark_picture import Mark, MarkPicture

FLOOR = np.array([[200.0, 100, 0], [1200, 100, 0], [300, 900, 0]])
TILT = Similarity(R=exp(np.array([0.3, -0.2, 1.0])), origin_mm=np.array([500.0, -300, 900]))


def bent(camera: Camera) -> Camera:
    return camera.replace(distortion=np.array([-0.2, 0.05, 0.001, -0.001, 0.0]))


@pytest.fixture
def rig() -> CameraRig:
    """Cameras with bent lenses in a frame in which the floor is not at z = 0."""
    straight = ring_rig(4)
    return TILT.rig(CameraRig(cameras=tuple(bent(c) for c in straight)), "tilted")


def places(rig: CameraRig) -> F64:
    return TILT.points(FLOOR)


def mark_all(points: FloorPoints, xyz_mm: F64, cameras: int = 2) -> None:
    for p, xyz in enumerate(xyz_mm):
        for camera in list(points.rig)[p : p + cameras]:
            points.mark(p, camera.name, project(camera, xyz).tolist())


class TestPoints:
    def test_exact_marks_give_the_exact_frame(self, rig: CameraRig) -> None:
        points = FloorPoints(rig)
        assert "origin" in points.problem and points.next_point == 0
        mark_all(points, places(rig))
        assert points.problem == ""
        assert [points.sentence(p) for p in range(3)] == ["marked in 2 pictures, off by 0.0 px at most"] * 3
        change = points.change()
        found = change.points(places(rig))
        x = np.linalg.norm(FLOOR[1] - FLOOR[0])
        side = FLOOR[2] - FLOOR[0]
        assert found == pytest.approx(np.array([[0, 0, 0], [x, 0, 0], [side[0], side[1], 0]]), abs=1e-3)
        assert all(c.centre_mm[2] > 500 for c in change.rig(rig, "floor"))

    def test_where_a_point_must_lie_is_shown_in_the_other_pictures(self, rig: CameraRig) -> None:
        points, xyz = FloorPoints(rig), places(rig)[0]
        first, second, third = list(points.rig)[:3]
        points.mark(0, first.name, project(first, xyz).tolist())
        assert points.sight_lines_px(0, first.name) == [] and points.seen_px(0, second.name) is None
        (line,) = points.sight_lines_px(0, second.name)
        apart = np.linalg.norm(line - project(second, xyz), axis=1)
        assert np.nanmin(apart) < 30  # the line is drawn in steps of 10 cm
        points.mark(0, second.name, project(second, xyz).tolist())
        seen = points.seen_px(0, third.name)
        assert seen == pytest.approx(project(third, xyz), abs=1e-3)
        assert points.next_point == 1

    def test_marks_of_two_things_are_refused(self, rig: CameraRig) -> None:
        points, xyz = FloorPoints(rig), places(rig)
        mark_all(points, xyz)
        first, other, *_ = points.rig
        points.mark(0, other.name, (project(other, xyz[0]) + (0, 80)).tolist())
        assert "px apart in" in points.problem and points.seen_px(0, first.name) is None
        with pytest.raises(CoreError, match="Not all three"):
            points.change()
        points.remove(0, other.name)
        assert points.sentence(0).startswith("marked in one picture") and "origin" in points.problem

    def test_points_on_a_line_are_refused(self, rig: CameraRig) -> None:
        points = FloorPoints(rig)
        mark_all(points, TILT.points(np.array([[0.0, 0, 0], [800, 0, 0], [1600, 0, 0]])), cameras=3)
        assert "one line" in points.problem

    def test_two_cameras_side_by_side_cannot_tell_how_far(self, rig: CameraRig) -> None:
        first = rig.cameras[0]
        R, t = first.pose
        beside = first.replace(name="beside", R=R, t_mm=t + (20.0, 0, 0))
        points = FloorPoints(CameraRig(cameras=(first, beside)))
        for camera in points.rig:
            points.mark(0, camera.name, project(camera, places(rig)[0]).tolist())
        assert "nearly the same direction" in points.sentence(0)

    def test_cameras_without_a_pose_take_no_part(self, rig: CameraRig) -> None:
        lost = rig.cameras[0].replace(name="lost", R=None, t_mm=None)
        assert FloorPoints(CameraRig(cameras=(*rig.cameras, lost))).rig.names == rig.names


class TestPicture:
    @pytest.fixture
    def picture(self, dressed: QApplication, qtbot) -> MarkPicture:
        shown = MarkPicture("cam1", (400, 200))
        qtbot.addWidget(shown)
        shown.resize(800, 600)
        image = QImage(400, 200, QImage.Format.Format_RGB888)
        image.fill(QColor(90, 90, 90))
        shown.set_picture(image)
        shown.show()
        qtbot.waitExposed(shown)
        return shown

    @staticmethod
    def turn_wheel(picture: MarkPicture, place: QPointF, steps: int) -> None:
        event = QWheelEvent(
            place,
            picture.mapToGlobal(place),
            QPoint(0, 0),
            QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(picture, event)

    def test_a_click_marks_the_pixel_under_the_pointer_however_far_it_is_enlarged(
        self, picture: MarkPicture, qtbot
    ) -> None:
        assert picture.in_picture(QPointF(400, 300)) == pytest.approx((199.5, 99.5))
        corner = picture.on_screen((-0.5, -0.5))
        assert (corner.x(), corner.y()) == pytest.approx((0, 100))  # letterboxed
        with qtbot.waitSignal(picture.marked) as clicked:
            qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=QPoint(500, 200))
        assert clicked.args == pytest.approx([249.5, 49.5])
        self.turn_wheel(picture, QPointF(500, 200), 4)
        assert picture.zoom == pytest.approx(1.25**4)
        assert picture.in_picture(QPointF(500, 200)) == pytest.approx((249.5, 49.5), abs=25)
        place = picture.on_screen((300.0, 60.0)).toPoint()
        with qtbot.waitSignal(picture.marked) as clicked:
            qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=place)
        assert clicked.args == pytest.approx([300, 60], abs=1 / picture.zoom)
        qtbot.mouseDClick(picture, Qt.MouseButton.LeftButton, pos=QPoint(400, 300))
        assert picture.zoom == 1

    def test_beside_the_picture_nothing_is_marked(self, picture: MarkPicture, qtbot) -> None:
        with qtbot.assertNotEmitted(picture.marked):
            qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=QPoint(400, 50))

    def test_marks_are_dragged_and_taken_back(self, picture: MarkPicture, qtbot) -> None:
        picture.set_marks([Mark(key=2, xy_px=(100.0, 100.0), words="Beside", strong=True)])
        place = picture.on_screen((100.0, 100.0)).toPoint()
        with qtbot.assertNotEmitted(picture.marked), qtbot.waitSignal(picture.moved) as moved:
            qtbot.mousePress(picture, Qt.MouseButton.LeftButton, pos=place)
            qtbot.mouseMove(picture, place + QPoint(40, 20))
            qtbot.mouseRelease(picture, Qt.MouseButton.LeftButton, pos=place + QPoint(40, 20))
        assert moved.args == pytest.approx([2, 120, 110], abs=0.6)
        with qtbot.waitSignal(picture.removed) as removed:
            qtbot.mouseClick(picture, Qt.MouseButton.RightButton, pos=place)
        assert removed.args == [2]


def test_three_points_are_clicked_in_pictures_set_and_undone(
    window: MainWindow, sample_session: Session, qtbot
) -> None:
    window.open_path(sample_session.root)
    window.show_page("calibrate")
    page = window.pages["calibrate"]
    before = sample_session.require_rig()
    qtbot.mouseClick(page.frame_card.points, Qt.MouseButton.LeftButton)
    dialog = window.findChild(FloorDialog)
    assert dialog is not None and not dialog.apply.isEnabled()
    qtbot.waitUntil(lambda: all(p.loaded for p in dialog.pictures.values()), timeout=20_000)
    wanted = np.array([[300.0, 200, 40], [-600, 300, 40], [250, -500, 40]])
    for xyz in wanted:
        visible = []
        for camera in before:
            xy, (width, height) = project(camera, xyz), camera.size_px
            if 20 < xy[0] < width - 20 and 20 < xy[1] < height - 20:
                visible.append((camera.name, xy))
        assert len(visible) >= 2
        for name, xy in visible[:2]:
            picture = dialog.pictures[name]
            for _ in range(12):  # enlarged, so that a click is as exact as a person's
                TestPicture.turn_wheel(picture, picture.on_screen((float(xy[0]), float(xy[1]))), 1)
            place = picture.on_screen((float(xy[0]), float(xy[1]))).toPoint()
            qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=place)
    assert dialog.points.problem == "" and dialog.apply.isEnabled()
    qtbot.mouseClick(dialog.apply, Qt.MouseButton.LeftButton)
    after = sample_session.require_rig()
    assert after.digest != before.digest and "three points" in after.source
    # All points are 40 mm above the former floor: the new one is that much higher, and x runs as clicked.
    assert np.median([b.centre_mm[2] - a.centre_mm[2] for a, b in zip(after, before, strict=True)]) == pytest.approx(
        40, abs=5
    )
    moved = [a.centre_mm - b.centre_mm for a, b in zip(after, before, strict=True)]
    assert max(np.linalg.norm(m) for m in moved) > 300
    window.state.undo.undo()
    assert sample_session.require_rig().digest == before.digest


def test_escape_changes_nothing(window: MainWindow, sample_session: Session, qtbot) -> None:
    window.open_path(sample_session.root)
    window.show_page("calibrate")
    before = sample_session.require_rig().digest
    dialog = window.pages["calibrate"].mark_floor()
    qtbot.waitUntil(dialog.isVisible)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert sample_session.require_rig().digest == before
