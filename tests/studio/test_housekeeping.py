"""Tests of deleting and renaming with undo, of dropped files, the guide, and the list of recent sessions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel

from core.errors import CoreError
from core.files import read_yaml, resource, write_yaml
from core.jobs import Finished, JobSpec, Started
from core.jobs.events import encode
from core.session import BASELINE, Session
from studio.actions.menus import RecentMenu
from studio.main_window import MainWindow
from studio.pages.calibrate.import_dialog import ImportRigDialog
from studio.pages.record.import_dialog import ImportDialog
from studio.pages.registry import PAGES
from studio.shell.dialogs import Dialog, ErrorDialog
from studio.shell.drops import classify_drop
from studio.state.app_state import AppState
from studio.state.results import result_title, with_titles


def _dialog(kind: type[Dialog]) -> Dialog:
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())


@pytest.fixture
def opened(state: AppState, sample_session: Session) -> AppState:
    """Provide the state with the sample session, whose take has a result."""
    take = sample_session.take("two_people")
    take.layout.poses3d_root.mkdir(exist_ok=True)
    take.layout.poses3d(BASELINE).write_bytes(b"no NetCDF")
    state.set_session(sample_session)
    return state


def test_a_deleted_take_comes_back(opened: AppState, sample_session: Session) -> None:
    opened.bin.delete_take(sample_session, "two_people")
    assert sample_session.take_names() == []
    assert opened.take_name == ""
    assert opened.bin.size_bytes(sample_session) > 1e6
    opened.undo.undo()
    assert opened.take_name == "two_people"
    opened.undo.redo()
    assert sample_session.take_names() == []
    opened.bin.empty(sample_session)
    assert not sample_session.layout.bin.exists()
    assert not opened.undo.canUndo()  # nothing could bring it back


def test_a_renamed_take_stays_selected_and_readable(opened: AppState, sample_session: Session) -> None:
    run = sample_session.new_run("train")
    JobSpec(verb="train", params={"takes": ["two_people"], "estimator": "made"}).save(run.root)
    write_yaml(run.inputs, {"poses2d": {"two_people": "1234"}})
    opened.bin.rename_take(sample_session, "two_people", "dance")
    assert opened.take_name == "dance"
    assert JobSpec.load(run.root).params == {"takes": ["dance"], "estimator": "made"}  # it can be resumed
    assert read_yaml(run.inputs) == {"poses2d": {"dance": "1234"}}
    assert sample_session.take("dance").manifest.name == "dance"
    assert sample_session.take("dance").video_path("cam01").is_file()
    opened.undo.undo()
    assert opened.take_name == "two_people"
    assert JobSpec.load(run.root).params["takes"] == ["two_people"]
    assert sample_session.take_names() == ["two_people"]


def test_a_deleted_result_comes_back_and_a_renamed_one_keeps_its_file(
    opened: AppState, sample_session: Session
) -> None:
    take = sample_session.take("two_people")
    opened.bin.rename_result(take, BASELINE, "First try")
    assert result_title(BASELINE, take) == "First try"
    opened.undo.undo()
    assert result_title(BASELINE, take) == "Triangulation"
    assert opened.poses_name == BASELINE
    opened.bin.delete_result(sample_session, take, BASELINE, "Triangulation")
    assert take.poses3d_runs() == []
    assert opened.poses_name == ""
    opened.undo.undo()
    assert take.poses3d_runs() == [BASELINE]


def test_a_change_that_fails_is_said_and_not_kept(opened: AppState, sample_session: Session, qtbot) -> None:
    with qtbot.waitSignal(opened.bin.failed) as failed:
        opened.bin.delete_take(sample_session, "nowhere")
    assert "cannot be changed" in failed.args[0].message
    assert sample_session.take_names() == ["two_people"]
    (sample_session.layout.takes / "taken").mkdir()
    with qtbot.waitSignal(opened.bin.failed) as failed:
        opened.bin.rename_take(sample_session, "two_people", "taken")
    assert "exists already" in failed.args[0].message
    assert sample_session.take_names() == ["two_people"]


def test_a_board_can_be_declared_and_is_offered_where_it_belongs(opened: AppState, sample_session: Session) -> None:
    from studio.pages.calibrate.check.results import board_takes
    from studio.pages.train.presenter import takes_of_people

    assert board_takes(sample_session) == []
    assert takes_of_people(sample_session) == ["two_people"]
    opened.bin.set_kind(sample_session, "two_people", "board")
    assert board_takes(sample_session) == ["two_people"]
    assert takes_of_people(sample_session) == []
    opened.undo.undo()
    assert takes_of_people(sample_session) == ["two_people"]


@pytest.mark.slow
def test_jobs_are_renamed_and_deleted_in_their_list(window: MainWindow, qtbot, sample_session: Session) -> None:
    run = sample_session.new_run("export")
    JobSpec(verb="export", title="Export it").save(run.root)
    run.events.write_text(encode(Started(verb="export", pid=1)) + "\n" + encode(Finished()) + "\n", encoding="utf-8")
    window.open_path(sample_session.root)
    window._show_jobs(True)
    qtbot.waitUntil(lambda: run.name in window.jobs_panel.cards)
    qtbot.mouseClick(window.jobs_panel.cards[run.name].rename, Qt.MouseButton.LeftButton)
    dialog = window.findChild(Dialog)
    dialog.name.setText("Export for Maya")
    qtbot.keyClick(dialog.name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.jobs_panel.cards.get(run.name) is not None)
    assert window.jobs_panel.cards[run.name].title.text() == "Export for Maya"
    qtbot.mouseClick(window.jobs_panel.cards[run.name].delete, Qt.MouseButton.LeftButton)
    assert not run.root.exists()
    assert window.status_bar.message.shown_text.endswith("Ctrl+Z restores it."), "elided, or no room at all"
    window.registry["edit.undo"].trigger()
    assert run.root.exists()


@pytest.mark.slow
def test_actions_delete_what_is_selected(window: MainWindow, sample_session: Session) -> None:
    for name in ("take.delete", "take.rename", "result.delete", "session.bin"):
        assert not window.registry[name].isEnabled()
    window.open_path(sample_session.root)
    assert window.registry["take.delete"].isEnabled()
    assert window.registry["result.delete"].toolTip() == "There is no 3D result."
    assert window.registry["session.bin"].toolTip() == "The bin is empty."
    window.registry["take.delete"].trigger()
    assert sample_session.take_names() == []
    assert window.registry["session.bin"].isEnabled()
    window.registry["edit.undo"].trigger()
    assert window.state.take_name == "two_people"


@pytest.mark.slow
def test_a_damaged_take_blocks_its_steps_with_the_reason(window: MainWindow, sample_session: Session) -> None:
    sample_session.layout.take("two_people").manifest.write_text("name: 3", encoding="utf-8")
    window.open_path(sample_session.root)
    assert not window.registry["train.run_all"].isEnabled()
    assert "take." in window.registry["train.run_all"].toolTip()


# ---- dropped files


def test_dropped_files_are_told_apart(tmp_path: Path, sample_session: Session) -> None:
    root = sample_session.root
    assert classify_drop([root]).kind == "session"
    assert classify_drop([root / "session.yaml"]).paths == (root,)
    videos = [resource("sample", f"cam0{i}.mp4") for i in (1, 2)]
    assert classify_drop(videos).paths == tuple(videos)
    folder = tmp_path / "videos"
    folder.mkdir()
    for video in videos:
        shutil.copy(video, folder)
    (folder / "notes.txt").write_text("")
    assert classify_drop([folder]).kind == "videos"
    assert len(classify_drop([folder]).paths) == 2
    assert classify_drop([resource("sample", "Calib.qca.txt")]).kind == "rig"
    for wrong in ([tmp_path], [tmp_path / "picture.psd"], [videos[0], tmp_path / "picture.psd"]):
        with pytest.raises(CoreError, match="open"):
            classify_drop(wrong)


def _drop(window: MainWindow, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    actions, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), actions, data, left, none)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(50, 50), actions, data, left, none))


@pytest.mark.slow
def test_sessions_videos_and_calibrations_are_dropped_on_the_window(
    window: MainWindow, sample_session: Session, tmp_path: Path
) -> None:
    video, rig = resource("sample", "cam01.mp4"), resource("sample", "Calib.qca.txt")
    _drop(window, video)
    error = _dialog(ErrorDialog)
    assert "Open a session first" in error.message.text()  # type: ignore[attr-defined]
    error.accept()
    _drop(window, sample_session.root)
    assert window.state.session is not None
    _drop(window, video)
    assert window.page_name == "record"
    _dialog(ImportDialog).reject()
    _drop(window, rig)
    assert window.page_name == "calibrate"
    _dialog(ImportRigDialog).reject()
    _drop(window, tmp_path)
    _dialog(ErrorDialog).accept()


# ---- guide, names, recent sessions


@pytest.mark.slow
def test_the_guide_says_what_each_page_is_for(window: MainWindow) -> None:
    dialog = window.show_guide()
    words = " ".join(label.text() for label in dialog.findChildren(QLabel))
    for page in PAGES:
        assert page.guide
        assert page.guide in words
    dialog.accept()


def test_sentences_name_results_as_people_do() -> None:
    text = "1 trained run, the newest is 20261130-135735-run-train."
    assert with_titles(text) == "1 trained run, the newest is “Trained 30 Nov, 13:57”."
    assert with_titles("Nothing to name here: 4 cameras.") == "Nothing to name here: 4 cameras."


@pytest.mark.slow
def test_recent_sessions_are_cleaned_up(window: MainWindow, qtbot, tmp_path: Path) -> None:
    for name in ("a", "b"):
        window.create_session(tmp_path / name)
    window.close_session()
    assert [b.accessibleName() for b in window.welcome.recent_buttons] == ["b", "a"]
    qtbot.mouseClick(window.welcome.forget_buttons[0], Qt.MouseButton.LeftButton)
    assert [b.accessibleName() for b in window.welcome.recent_buttons] == ["a"]
    assert (tmp_path / "b" / "session.yaml").is_file()
    menu = RecentMenu(window.state.settings, window.open_path, window)
    menu.aboutToShow.emit()
    menu.actions()[-1].trigger()
    assert window.state.settings.value.recent == ()
