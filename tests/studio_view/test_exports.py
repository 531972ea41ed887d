"""Pictures of the 3D view in several sizes, and the dialog that starts a film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from pytestqt.qtbot import QtBot

from core.session import Session
from studio.pages.view.options import EXPORT_VIDEO, SAVE_PICTURE
from studio.pages.view.page import ViewPage

Open = Callable[[Session], ViewPage]


def test_a_picture_has_the_chosen_size_and_shows_what_the_view_shows(
    open_view: Open, qtbot: QtBot, numbered_session: Session, tmp_path: Path
) -> None:
    page = open_view(numbered_session)
    assert page.why_not(SAVE_PICTURE.id) == ""
    screen = page.viewport.grab_image()
    assert screen is not None
    height, width = screen.shape[:2]
    files = {}
    for scale, transparent in ((2, False), (1, True)):
        path = tmp_path / f"{scale}.png"
        page.exports.save_picture(path, scale, transparent=transparent)
        qtbot.waitUntil(lambda: not page.exports.busy, timeout=20_000)
        files[scale] = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert files[2].shape == (2 * height, 2 * width, 3) and files[1].shape == (height, width, 4)
    # Edges differ by their samples; the same things are in the same places.
    large = cv2.resize(files[2], (width, height), interpolation=cv2.INTER_AREA)[..., ::-1]
    assert np.abs(cv2.blur(large, (9, 9)).astype(int) - cv2.blur(screen, (9, 9))).mean() < 1
    alpha = files[1][..., 3]
    assert alpha[2, 2] == 0 and alpha.max() == 255, "the background is transparent, people are not"
    background = page._palette.background[:3]
    over = files[1][..., 2::-1] * (alpha[..., None] / 255) + 255 * background * (1 - alpha[..., None] / 255)
    assert np.abs(over - large).mean() < 1.5, "over the background it is the picture without transparency"
    again = page.viewport.grab_image()
    assert again is not None
    inside = slice(3, -3)  # vispy rounds the edges of a view differently after each change of its size
    assert np.abs(again.astype(int) - screen)[inside, inside].mean() < 0.01, "the view itself is as before"


def test_a_film_has_the_choices_of_the_dialog(open_view: Open, numbered_session: Session) -> None:
    page = open_view(numbered_session)
    page._state.select_poses("baseline")
    assert page.why_not(EXPORT_VIDEO.id) == ""
    dialog = page.exports.ask_film()
    assert dialog is not None
    names = list(dialog.cameras)
    assert len(names) == 3
    dialog.times[0].setValue(1.0)
    dialog.times[1].setValue(0.5)
    assert not dialog.go.isEnabled() and "before the end" in dialog.problem.text()
    dialog.times[1].setValue(1.2)
    dialog.cameras[names[0]].setChecked(False)
    dialog.turn.setChecked(False)
    dialog.size_choice.setCurrentIndex(0)
    params = dialog.params
    assert params.cameras == tuple(names[1:]) and (params.start_s, params.end_s) == (1.0, 1.2)
    assert (params.turn_s, params.height_px, params.poses) == (0.0, 720, "baseline")
    dialog.reject()
