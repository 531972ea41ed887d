"""Faces of the capture volume, dragged in the 3D view."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conftest import move_mouse, wait_until_drawn
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from core.session import Session
from studio.pages.view.page import ViewPage
from studio.viewport.layers.volume import face_centres
from studio.volume.box import VolumeBox

Open = Callable[[Session], ViewPage]


def test_a_face_moves_within_the_limits() -> None:
    box = VolumeBox(low_mm=np.array([-1000.0, -1000, 0]), high_mm=np.array([1000.0, 1000, 2000]))
    assert box.with_face(1, 1503.0).high_mm.tolist() == [1500, 1000, 2000]
    assert box.with_face(0, -2004.0).low_mm.tolist() == [-2000, -1000, 0]
    assert box.with_face(0, 5000.0).low_mm.tolist() == [500, -1000, 0], "half a metre is left"
    assert box.with_face(5, 10.0).high_mm.tolist() == [1000, 1000, 1000]


@pytest.mark.parametrize("face", [1, 5])
def test_a_dragged_face_follows_the_pointer_and_is_undone(
    open_view: Open, qtbot: QtBot, numbered_session: Session, face: int
) -> None:
    page = open_view(numbered_session)
    page.toolbar.toggle("volume").setChecked(True)
    wait_until_drawn(page, qtbot)
    view, canvas, axis = page.viewport, page.viewport.native, face // 2
    box = page.presenter.box
    assert box is not None and numbered_session.volume is None
    centre = face_centres(box.low_mm, box.high_mm)[face]
    goal = centre + np.eye(3)[axis] * 400
    start, end = (QPoint(*np.round(xy).astype(int).tolist()) for xy in view.project_to_widget(np.stack([centre, goal])))
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    move_mouse(canvas, end, Qt.MouseButton.LeftButton)
    assert numbered_session.volume is None, "stored when the button is released"
    assert page._layers().layers["volume"].high_mm[axis] == pytest.approx(goal[axis], abs=40)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=end)
    stored = numbered_session.volume
    assert stored is not None
    assert stored.centre_mm[axis] + stored.size_mm[axis] / 2 == pytest.approx(goal[axis], abs=40)
    assert stored.centre_mm[axis] - stored.size_mm[axis] / 2 == pytest.approx(box.low_mm[axis])
    page._state.undo.undo()
    assert numbered_session.volume is None
    assert page.presenter.box is not None
    np.testing.assert_allclose(page.presenter.box.high_mm, box.high_mm)
