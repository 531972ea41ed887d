"""Test of the whole workflow on the sample: 2D poses, 3D, viewing and export, with real widgets and workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from core.session import Session
from studio.main_window import MainWindow
from studio.state.app_state import AppState
from studio.theme import current_theme
from studio.viewport.palette import rgba

pytestmark = pytest.mark.slow


Ended = Callable[[AppState], None]


def _click(qtbot, widget) -> None:
    assert widget.isEnabled()
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def _pixels_of(image: np.ndarray, colour: str) -> int:
    """Count the pixels of an (H, W, 3) image with this hue that are not dark."""
    wanted = rgba(colour)[:3]
    seen = image[..., :3].astype(float) / 255
    length = np.linalg.norm(seen, axis=-1)
    alike = (seen @ wanted) / (np.maximum(length, 1e-6) * np.linalg.norm(wanted))
    return int(((alike > 0.99) & (length > 0.5)).sum())


def test_the_sample_becomes_exported_files(
    window: MainWindow, qtbot, short_session: Session, tmp_path: Path, ended: Ended
) -> None:
    window.open_path(short_session.root)
    window.show_page("train")
    train = window.pages["train"]
    for step in ("pose2d", "triangulate"):
        _click(qtbot, train.steps[step].push)
        ended(window.state)
        assert [j.job.state for j in window.state.jobs.jobs] == ["finished"] * len(window.state.jobs.jobs)
    assert window.rail.buttons["view"].step_state == "done"

    window.show_page("view")
    view = window.pages["view"]
    for name in ("labels", "trails", "cameras"):  # they are drawn in the people's colours too
        view.toolbar.toggle(name).setChecked(False)
    people = [current_theme().person(i) for i in range(2)]

    def seen() -> list[int]:
        image = view.viewport.grab_image()
        return [0, 0] if image is None else [_pixels_of(image, colour) for colour in people]

    qtbot.waitUntil(lambda: min(seen()) > 100, timeout=20_000)
    view.toolbar.toggle("skeletons").setChecked(False)
    qtbot.waitUntil(lambda: max(seen()) < 20, timeout=20_000)

    window.show_page("export")
    export = window.pages["export"]
    qtbot.keyClicks(export.folder, str(tmp_path / "out"))
    _click(qtbot, export.export.push)
    ended(window.state)
    written = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert {".c3d", ".trc", ".csv", ".json", ".nc"} <= written
