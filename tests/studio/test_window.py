"""Tests of the main window with real clicks and keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel

from core.session import Session
from core.synthetic.people import walkers
from studio.actions.table import RECENT, SEPARATOR, all_actions, menu_table
from studio.main_window import MainWindow
from studio.pages.registry import PAGES
from studio.shell.dialogs import Dialog, ErrorDialog, ShortcutsDialog
from studio.state.app_state import AppState
from studio.theme import DARK, LIGHT


@dataclass(frozen=True)
class _Count:
    """Settings of the verb of `tests/hooks`."""

    until: int = 1


def _dialog(kind: type[Dialog]) -> Dialog:
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())


def _click(qtbot, widget) -> None:
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


@pytest.mark.slow
def test_the_welcome_page_opens_the_sample(window: MainWindow, qtbot) -> None:
    assert window.page_name == ""
    assert window.stack.currentWidget() is window.welcome
    assert not window.top_bar.isVisible()
    assert not any(b.isEnabled() for b in window.rail.buttons.values())
    _click(qtbot, window.welcome.sample)
    assert window.welcome.busy.text()
    assert not window.welcome.sample.isEnabled()  # disabled while busy
    qtbot.waitUntil(lambda: window.state.session is not None, timeout=60_000)
    session = window.state.session
    assert session is not None
    assert window.state.take_name == "two_people"
    assert window.top_bar.take.currentText() == "two_people"
    assert window.page_name == "view"  # the sample has a result: people are to be seen at once, and they move
    view = window.pages["view"]
    assert window.state.poses_name == "baseline" and view.timeline.playing and view.viewport.turning
    frame = view.timeline.frame
    qtbot.waitUntil(lambda: view.timeline.frame != frame and len(view.side.people.people) == 3, timeout=20_000)
    _click(qtbot, view.timeline.play_button)
    assert not view.timeline.playing and not view.viewport.turning
    window.state.settings.update(turning=False)
    view.play()
    assert view.timeline.playing and not view.viewport.turning
    view.timeline.pause()
    for spec in PAGES:
        _click(qtbot, window.rail.buttons[spec.name])
        assert window.page_name == spec.name
        assert window.pages[spec.name].isVisible()
    states = {name: b.step_state for name, b in window.rail.buttons.items()}
    assert states.pop("live") == "ready"
    assert states == {"calibrate": "done", "record": "done", "train": "ready", "view": "done", "export": "ready"}


@pytest.mark.slow
def test_pages_are_built_one_after_the_other_and_at_once_for_a_session(
    window: MainWindow, qtbot, sample_session: Session
) -> None:
    assert window.isVisible() and not window.registry["train.run_all"].isEnabled()
    done: list[int] = []
    window.pages.when_complete(lambda: done.append(len(window.pages.made)))
    qtbot.waitUntil(lambda: bool(window.pages.made))
    window.open_path(sample_session.root)
    assert list(window.pages.made) == [spec.name for spec in PAGES] and window.page_name
    qtbot.waitUntil(lambda: done == [len(PAGES)])


@pytest.mark.slow
def test_closing_a_session_returns_to_the_welcome_page_which_lists_it(
    window: MainWindow, qtbot, sample_session: Session
) -> None:
    window.open_path(sample_session.root)
    window.registry["session.close"].trigger()
    assert window.stack.currentWidget() is window.welcome
    (recent,) = window.welcome.recent_buttons
    assert recent.accessibleName() == sample_session.root.name
    _click(qtbot, recent)
    assert window.state.session is not None
    assert window.state.session.root == sample_session.root


@pytest.mark.slow
def test_a_folder_without_a_session_is_rejected_with_the_remedy(window: MainWindow, tmp_path: Path) -> None:
    window.open_path(tmp_path)
    dialog = _dialog(ErrorDialog)
    assert isinstance(dialog, ErrorDialog)
    assert "session.yaml" in dialog.message.text()
    assert "create one" in dialog.hint.text()
    dialog.accept()
    assert window.state.session is None


@pytest.mark.slow
def test_a_new_session_starts_on_the_calibrate_page(window: MainWindow, tmp_path: Path) -> None:
    window.create_session(tmp_path / "mine")
    assert window.page_name == "calibrate"
    assert window.rail.buttons["calibrate"].step_state == "ready"
    assert window.rail.buttons["train"].step_state == "blocked"
    assert (tmp_path / "mine" / "session.yaml").is_file()


@pytest.mark.slow
def test_switching_the_theme_changes_the_pixels_and_is_saved(window: MainWindow, qtbot) -> None:
    def corner() -> str:
        shown = window.grab().toImage()
        return shown.pixelColor(shown.width() - 8, shown.height() // 2).name()

    assert corner() == DARK.window
    window.registry["theme.switch"].trigger()
    assert corner() == LIGHT.window
    assert window.state.settings.value.theme == "light"
    window.registry["theme.switch"].trigger()
    assert corner() == DARK.window


@pytest.mark.slow
def test_shortcuts_open_pages_and_are_listed(window: MainWindow, qtbot, sample_session: Session) -> None:
    window.open_path(sample_session.root)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, Qt.Key.Key_5, Qt.KeyboardModifier.ControlModifier)
    assert window.page_name == "export"
    qtbot.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert window.page_name == "calibrate"
    qtbot.keyClick(window, Qt.Key.Key_F1)
    dialog = _dialog(ShortcutsDialog)
    words = {label.text() for label in dialog.findChildren(QLabel)}
    assert {"Ctrl+5", "M"} <= words
    assert dialog.height() <= 720, "higher than a small screen"
    assert {a.text.rstrip("…") for a in all_actions(PAGES) if a.keys} <= words
    dialog.accept()


def test_actions_and_menus_agree() -> None:
    actions = all_actions(PAGES)
    ids = [a.id for a in actions]
    assert len(ids) == len(set(ids))
    in_menus = [n for _, names in menu_table(PAGES) for n in names if n not in (SEPARATOR, RECENT)]
    assert sorted(in_menus) == sorted(ids)
    keys = [k for a in actions for k in a.keys]
    assert len(keys) == len(set(keys))


@pytest.mark.slow
def test_blocked_actions_show_the_reason(window: MainWindow, tmp_path: Path) -> None:
    assert not window.registry["take.import"].isEnabled()
    assert window.registry["take.import"].toolTip() == "Open a session first."
    window.create_session(tmp_path / "mine")
    assert window.registry["take.import"].isEnabled()
    assert not window.registry["train.run_all"].isEnabled()
    assert window.registry["train.run_all"].toolTip() == "Calibrate first."


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_nothing_is_wider_than_the_window(
    window: MainWindow, qtbot, sample_session: Session, size: tuple[int, int]
) -> None:
    window.resize(*size)
    window.open_path(sample_session.root)
    window._show_jobs(True)
    qtbot.wait(50)
    assert (window.width(), window.height()) == size
    for spec in PAGES:
        window.show_page(spec.name)
        page = window.pages[spec.name]
        assert page.minimumSizeHint().width() <= page.width(), spec.name
        assert page.minimumSizeHint().height() <= page.height(), spec.name


@pytest.mark.slow
def test_a_new_result_is_selected_and_compared_with_what_was(
    state: AppState, sample_session: Session, counting_verb: None, ended
) -> None:
    take = sample_session.take("two_people")
    poses = walkers(1, 4, np.random.default_rng(0))
    poses.save(take.layout.poses3d("baseline"))
    state.set_session(sample_session)
    assert (state.poses_name, state.comparison_name) == ("baseline", "")
    state.jobs.start(sample_session, "count", _Count())
    ended(state)
    assert (state.poses_name, state.comparison_name) == ("baseline", "")  # the job made no result
    state.jobs.start(sample_session, "count", _Count())
    poses.save(take.layout.poses3d("20261130-120000-run"))
    ended(state)
    assert (state.poses_name, state.comparison_name) == ("20261130-120000-run", "baseline")
    state.select_poses("baseline")
    state.refresh()
    assert state.poses_name == "baseline"  # the choice of the user stays


@pytest.mark.slow
def test_deselecting_the_result_survives_a_refresh(window: MainWindow, sample_session: Session) -> None:
    take = sample_session.take("two_people")
    walkers(1, 4, np.random.default_rng(0)).save(take.layout.poses3d("baseline"))
    window.open_path(sample_session.root)
    assert window.state.poses_name == "baseline"
    window.state.select_poses("")
    window.state.refresh()
    assert window.state.poses_name == ""
    window.state.select_poses("baseline")
    window.state.refresh()
    assert window.state.poses_name == "baseline"
