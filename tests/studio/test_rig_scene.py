"""3D view of the Calibrate page: layers without OpenGL, then the drawn image."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from core.files import write_json
from core.geometry.accuracy import accuracy_map
from core.session import Session
from core.synthetic.rigs import ring_rig
from studio.main_window import MainWindow
from studio.pages.calibrate.check.rig_scene import RigScene, thumbnail
from studio.pages.calibrate.check.rig_view import RigView
from studio.plots.error_timeline import ErrorTimeline
from studio.theme import DARK, LIGHT, apply_theme
from studio.viewport import canvas
from studio.viewport.gl import GlSupport
from studio.viewport.layers.accuracy import SHOW_ACCURACY, AccuracyLayer
from studio.viewport.layers.board import SHOW_BOARD
from studio.viewport.layers.cameras import CameraLayer
from studio.viewport.layers.skeletons import SkeletonLayer
from studio.viewport.layers.trails import TrailLayer
from studio.viewport.palette import palette, rgba
from studio.viewport.reliability import CameraReliability
from studio.widgets.images.image_tiles import ImageTiles
from studio.widgets.images.image_view import ImageView

sys.path.insert(0, str(Path(__file__).parent.parent / "studio_view"))
sys.path.insert(0, str(Path(__file__).parent.parent / "calibration"))
from moving_board import corners, filmed
from numbered_take import SIZE_PX, make_take

COLOURS = palette(DARK)


def levels_of(names: tuple[str, ...], levels: tuple[int, ...]) -> CameraReliability:
    errors = {name: 0.5 + 3 * level for name, level in zip(names, levels, strict=True)}
    return CameraReliability(basis="loco", error_px=errors, level=dict(zip(names, levels, strict=True)))


def test_the_scene_shows_cameras_board_and_floor() -> None:
    rig = ring_rig(3)
    scene = RigScene()
    assert set(scene.layers(COLOURS).layers) == {"floor", "floor marks"}
    scene.show_rig(rig, accuracy_map(rig), levels_of(rig.names, (0, 1, 2)), filmed(rig, hidden=((0, 4), (1, 4))))
    layers = scene.layers(COLOURS).layers
    cameras = layers["cameras"]
    assert isinstance(cameras, CameraLayer)
    np.testing.assert_array_equal(cameras.colour, COLOURS.levels)
    assert "accuracy" not in layers and "board" not in layers
    path = layers["board trajectory"]
    assert isinstance(path, TrailLayer)
    np.testing.assert_allclose(path.xyz_mm[0, 10], np.median(corners(np.array([0.5])), axis=1)[0], atol=1e-3)

    scene.show_frame(10)
    board = scene.layers(COLOURS).layers["board"]
    assert isinstance(board, SkeletonLayer)
    truth = corners(np.array([0.5]))
    np.testing.assert_allclose(board.xyz_mm[:, : truth.shape[1]], truth, atol=1e-3)
    scene.show_frame(4)  # seen by one camera only
    assert "board" not in scene.layers(COLOURS).layers
    scene.set_option(SHOW_BOARD, False)
    scene.set_option(SHOW_ACCURACY, True)
    layers = scene.layers(COLOURS).layers
    assert "board trajectory" not in layers
    floor = layers["accuracy"]
    assert isinstance(floor, AccuracyLayer)
    shown = scene.layers(COLOURS).extent_mm  # "Frame all" includes the map
    assert (shown.min(0) <= floor.corner_mm[0].min(0)).all() and (shown.max(0) >= floor.corner_mm[0].max(0)).all()


def test_images_of_another_frame_are_not_shown() -> None:
    rig = ring_rig(2)
    image = QImage(64, 40, QImage.Format.Format_RGB888)
    image.fill(QColor(200, 10, 30))
    scene = RigScene()
    scene.show_rig(rig, None, CameraReliability(), None)
    scene.show_frame(1)
    scene.put_image(rig.names[1], image)
    cameras = scene.layers(COLOURS).layers["cameras"]
    assert isinstance(cameras, CameraLayer)
    assert cameras.images[0] is None
    np.testing.assert_array_equal(cameras.images[1], np.full((40, 64, 3), (200, 10, 30)))
    scene.show_frame(2)
    assert not scene.images
    large = QImage(1280, 720, QImage.Format.Format_RGB32)
    large.fill(QColor(1, 2, 3))
    assert thumbnail(large).shape == (180, 320, 3)


@pytest.fixture
def with_rig(window: MainWindow, tmp_path: Path) -> Session:
    """Open a session whose second camera has a poor leave-one-camera-out error, on another page."""
    session = Session.create(tmp_path / "mine")
    rig = ring_rig(3, size_px=SIZE_PX, distortion=(-0.05, 0.02, 0.001, 0.0, 0.0))
    make_take(session, rig)
    rig.save(session.layout.rig)
    bad = {"check": "loco", "level": "error", "message": "It moved.", "remedy": "", "camera": rig.names[1]}
    report = {
        "digest": session.require_rig().digest,
        "level": "error",
        "verdict": "Not to be used.",
        "findings": [bad],
        "quality": {
            "loco_px": dict(zip(rig.names, (0.5, 9.0, 0.6), strict=True)),
            "loco_median_px": 0.6,
            "coverage": {name: {"cells": [[3, 0], [0, 2]], "share": 0.5, "images": 9} for name in rig.names},
            "shared_frames": [[9, 8, 8]] * 3,
            "frame_px": [0.5, 9.0],
        },
    }
    write_json(session.layout.rig_report, report)
    window.show_page("record")
    window.state.set_session(session)
    return session


def of_colour(image: np.ndarray, colour: str) -> int:
    """Count the pixels of a hue, at any brightness."""
    seen, wanted = image.astype(float) / 255, rgba(colour)[:3]
    length = np.linalg.norm(seen, axis=-1)
    alike = (seen @ wanted) / (np.maximum(length, 1e-6) * np.linalg.norm(wanted))
    return int(((alike > 0.985) & (length > 0.45)).sum())


def card_of(window: MainWindow) -> RigView:
    card = window.pages["calibrate"].check.rig_view
    assert isinstance(card, RigView)
    return card


def see(window: MainWindow, qtbot) -> RigView:
    """Go to the page and scroll to the 3D view."""
    window.show_page("calibrate")
    card = card_of(window)
    window.pages["calibrate"].steps.area("check").ensureWidgetVisible(card)
    qtbot.waitUntil(lambda: card.viewport is not None, timeout=20_000)
    return card


@pytest.mark.slow
def test_poor_cameras_are_red_and_the_legend_explains_it(window: MainWindow, with_rig: Session, qtbot) -> None:
    card = see(window, qtbot)
    viewport = card.viewport
    assert viewport is not None
    assert viewport.has_gl
    qtbot.waitUntil(lambda: len(card.rig_scene.images) == 3, timeout=20_000)
    image = viewport.grab_image()
    assert image is not None
    bare = image
    assert of_colour(bare, DARK.bad) > 50
    assert of_colour(bare, DARK.good) > 50
    assert card.legend.isVisible()
    assert (card.legend.title, list(card.legend.rows)) == (
        "Leave-one-camera-out error",
        [(0, "good: 0.5 to 0.6 px"), (2, "poor: 9.0 px")],
    )
    qtbot.mouseClick(card.toggles["accuracy"], Qt.MouseButton.LeftButton)
    coloured = viewport.grab_image()
    assert coloured is not None
    assert of_colour(coloured, DARK.good) > of_colour(bare, DARK.good) + 500
    qtbot.mouseClick(card.views["top"], Qt.MouseButton.LeftButton)
    from_above = viewport.grab_image()
    assert from_above is not None
    assert (from_above != coloured).any(-1).mean() > 0.05


@pytest.mark.slow
def test_the_view_follows_the_theme_and_the_rig(window: MainWindow, with_rig: Session, qtbot) -> None:
    card = see(window, qtbot)
    assert card.viewport is not None
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    apply_theme(app, "light")
    image = card.viewport.grab_image()
    assert image is not None
    np.testing.assert_allclose(image[2, 2], rgba(LIGHT.viewport)[:3] * 255, atol=2)
    apply_theme(app, "dark")
    window.pages["calibrate"].world_card.flip.click()
    rig = with_rig.require_rig()
    scene = card.rig_scene.layers(COLOURS).layers["cameras"]
    assert isinstance(scene, CameraLayer)
    np.testing.assert_allclose(scene.centre_mm, [c.centre_mm for c in rig])
    assert card.rig_scene.reliability.basis == "loco"  # editing the world coordinates changes no error


@pytest.mark.slow
def test_the_wheel_scrolls_the_page_until_the_view_is_clicked(window: MainWindow, with_rig: Session, qtbot) -> None:
    card = see(window, qtbot)
    assert card.viewport is not None
    native = next(w for w in card.viewport.findChildren(QWidget) if w.focusPolicy() & Qt.FocusPolicy.ClickFocus)
    area = window.pages["calibrate"].steps.area("check")
    area.ensureWidgetVisible(card.views["top"])
    bar = area.verticalScrollBar()
    before = bar.value()

    def turn() -> None:
        # Sent by the window system: only such events propagate to parents when ignored.
        at = native.mapTo(window, native.rect().center())
        QTest.wheelEvent(window.windowHandle(), QPointF(at), QPoint(0, -120))
        QApplication.processEvents()

    turn()
    scrolled = bar.value()
    assert scrolled > before
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    native.setFocus()
    still = card.viewport.grab_image()
    turn()
    assert bar.value() == scrolled
    after = card.viewport.grab_image()
    assert still is not None and after is not None
    assert (still != after).any()


@pytest.mark.slow
def test_without_opengl_a_message_is_shown(
    window: MainWindow, with_rig: Session, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas, "gl_support", lambda: GlSupport("No OpenGL driver was found."))
    card = see(window, qtbot)
    assert card.viewport is not None
    assert "needs OpenGL" in card.viewport.findChild(QLabel, "viewportProblem").text()
    assert not card.legend.isVisible()
    assert not card.toggles["accuracy"].isEnabled()
    window.pages["calibrate"].refresh()
    assert not card.legend.isVisible()
    window.pages["calibrate"].steps.show_panel("world")
    click = window.pages["calibrate"].world_card.rotations["z"]
    qtbot.mouseClick(click, Qt.MouseButton.LeftButton)  # the rest of the page works
    assert window.state.undo.count() == 1


def test_outliers_of_the_error_timeline_stay_visible(dressed: QApplication, qtbot) -> None:
    plot = ErrorTimeline()
    qtbot.addWidget(plot)
    plot.resize(600, 132)
    plot.show()
    error = np.full(200, 1.0)
    error[120] = 50.0
    plot.show_errors(np.arange(200) / 10, error)
    _, heights = plot._dots.getData()
    low, high = plot.plotItem.vb.viewRange()[1]
    assert low <= heights.min() and heights.max() < high < 2
    plot.go_to(120)
    assert "12.0 s: 50.00 px" in plot.status_text
    assert plot.plotItem.getAxis("left").tickStrings([0.5, 1.0], 1, 0.5) == ["0.5 px", "1.0 px"]


def test_eight_cameras_fit_side_by_side(dressed: QApplication, qtbot) -> None:
    tiles = ImageTiles()
    qtbot.addWidget(tiles)
    tiles.resize(560, 400)
    tiles.show()

    def load(name: str) -> tuple[QImage, list]:
        image = QImage(640, 480, QImage.Format.Format_RGB888)
        image.fill(QColor("gray"))
        return image, []

    seen: list[ImageView] = []
    tiles.loaded.connect(seen.append)
    tiles.show_cameras("eight", {f"cam{i}": (640, 480) for i in range(8)}, load)
    qtbot.waitUntil(lambda: len(seen) == 8)
    assert len({tile.x() for tile in tiles.tiles}) == 4
    assert len({tile.y() for tile in tiles.tiles}) == 2
    tiles.show_cameras("four", {f"cam{i}": (640, 480) for i in range(4)}, load)
    qtbot.waitUntil(lambda: len(seen) == 12)
    assert len({tile.x() for tile in tiles.tiles}) == 2


@pytest.mark.slow
def test_refreshing_the_page_keeps_the_view(window: MainWindow, with_rig: Session, qtbot) -> None:
    card = see(window, qtbot)
    assert card.viewport is not None
    qtbot.waitUntil(lambda: len(card.rig_scene.images) == 3, timeout=20_000)
    qtbot.mouseClick(card.views["side"], Qt.MouseButton.LeftButton)
    from_side = card.viewport.grab_image()
    window.pages["calibrate"].refresh()
    again = card.viewport.grab_image()
    assert from_side is not None and again is not None
    np.testing.assert_array_equal(again, from_side)
