"""The rig in space on the Calibrate page: colours, pictures, accuracy, and a wheel that does not get in the way."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from core.files import write_json
from core.session import Session
from core.synthetic.rigs import ring_rig
from core.types import CameraRig
from studio.main_window import MainWindow
from studio.pages.calibrate.rig_view import RigView
from studio.state.rig import left_out_px
from studio.theme import current_theme
from studio.viewport.gl import gl_support
from studio.viewport.layers import FrustaLayer
from studio.viewport.palette import palette


@pytest.fixture
def rig() -> CameraRig:
    """Four cameras of 1920 px width; all of them report an error of half a pixel."""
    return dataclasses.replace(ring_rig(4), cameras=tuple(c.replace(rmse_px=0.5) for c in ring_rig(4)))


@pytest.fixture
def view(dressed: QApplication, qtbot) -> RigView:
    shown = RigView()
    qtbot.addWidget(shown)
    return shown


def frusta(view: RigView) -> FrustaLayer:
    layer = view.scene().layers["frusta"]
    assert isinstance(layer, FrustaLayer)
    return layer


def test_cameras_are_coloured_by_what_the_others_predict(view: RigView, rig: CameraRig) -> None:
    colours = palette(current_theme())
    view.show_rig(rig, {})
    assert np.allclose(frusta(view).colour, colours.camera)
    assert "reprojection error that the calibration itself reports" in view.legend.text()
    # At 1920 px width, amber from 4.5 px and red from 15 px.
    view.show_rig(rig, dict(zip(rig.names, (4.0, 5.0, 16.0), strict=False)))
    expected = [colours.camera, colours.verdict[1], colours.verdict[2], colours.camera]
    assert np.allclose(frusta(view).colour, expected)
    assert "what the others predict" in view.legend.text()


def test_pictures_and_accuracy_are_switched(view: RigView, rig: CameraRig, qtbot) -> None:
    view.show_rig(rig, {})
    image = QImage(1920, 1080, QImage.Format.Format_RGB888)
    image.fill(QColor(10, 200, 30))
    view.show_picture(rig.names[1], image)
    pictures = frusta(view).pictures
    assert [p is None for p in pictures] == [True, False, True, True]
    assert pictures[1] is not None and pictures[1].shape == (203, 360, 3) and (pictures[1] == (10, 200, 30)).all()
    assert "accuracy" in view.scene().layers
    qtbot.mouseClick(view.pictures_toggle, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(view.accuracy_toggle, Qt.MouseButton.LeftButton)
    assert "accuracy" not in view.scene().layers and all(p is None for p in frusta(view).pictures)
    qtbot.mouseClick(view.pictures_toggle, Qt.MouseButton.LeftButton)
    view.forget_pictures()
    assert all(p is None for p in frusta(view).pictures)


def test_the_errors_are_those_of_this_rig_only(sample_session: Session) -> None:
    rig, path = sample_session.require_rig(), sample_session.layout.rig_report
    assert left_out_px(sample_session, rig) == {}
    quality = {"left_out_px": {"cam01": 1.25, "cam02": None, "gone": 3.0}}
    write_json(path, {"digest": rig.digest, "quality": quality})
    assert left_out_px(sample_session, rig) == {"cam01": 1.25}
    write_json(path, {"digest": "another", "quality": quality})
    assert left_out_px(sample_session, rig) == {}
    path.write_text("{", encoding="utf-8")
    assert left_out_px(sample_session, rig) == {}


def test_the_wheel_scrolls_the_page_until_the_view_is_clicked(
    window: MainWindow, sample_session: Session, qtbot
) -> None:
    window.open_path(sample_session.root)
    window.show_page("calibrate")
    view = window.pages["calibrate"].rig_view
    qtbot.waitUntil(lambda: view.viewport is not None)
    assert view.viewport is not None
    if gl_support().problem:
        pytest.skip(gl_support().problem)
    native = next(w for w in view.viewport.findChildren(QWidget) if w.focusPolicy() == Qt.FocusPolicy.ClickFocus)

    def turn() -> bool:
        at = QPointF(native.rect().center())
        event = QWheelEvent(
            at,
            native.mapToGlobal(at),
            QPoint(0, 0),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        before = view.viewport._camera.scale_factor  # type: ignore[union-attr]
        QApplication.sendEvent(native, event)
        return bool(view.viewport._camera.scale_factor != before)  # type: ignore[union-attr]

    assert not turn()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    native.setFocus()
    qtbot.waitUntil(native.hasFocus)
    assert turn()
