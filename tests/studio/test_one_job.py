"""Tests of one job a session at a time, and of how running jobs are shown."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from core.errors import CoreError
from core.jobs import Finished, JobSpec, Progressed, Started, StatusChanged
from core.jobs.events import encode
from core.jobs.spec import write_process
from core.pipelines.params import ExportParams
from core.pipelines.verbs import VERBS
from core.process import ProcessIdentity
from core.session import RunLayout, Session
from studio.jobs.text import progress_text
from studio.main_window import MainWindow
from studio.pages.registry import PAGES
from studio.pages.train import presenter as train
from studio.shell.dialogs import ErrorDialog
from studio.state.app_state import AppState
from studio.state.steps import page_states
from studio.widgets.buttons import button

Ended = Callable[[AppState], None]


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    """Provide a process that runs, in place of a worker of another program."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    yield psutil.Process(child.pid)
    child.kill()
    child.wait()


def _running(session: Session, process: psutil.Process, verb: str = "train", parent: str = "") -> RunLayout:
    """Make the run of a job that another program has started and that still runs."""
    run = session.new_run(verb)
    JobSpec(verb=verb, title="Job of a terminal", parent=parent).save(run.root)
    write_process(run.root, ProcessIdentity.of(process.pid))
    run.events.write_text(encode(Started(verb=verb, pid=process.pid)) + "\n", encoding="utf-8")
    return run


def _write(run: RunLayout, *events: object) -> None:
    with run.events.open("a", encoding="utf-8") as file:
        file.writelines(encode(event) + "\n" for event in events)  # type: ignore[arg-type]


def _error() -> ErrorDialog:
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, ErrorDialog) and w.isVisible())


def test_a_second_job_is_refused_also_beside_one_of_another_program(
    state: AppState, sample_session: Session, process: psutil.Process
) -> None:
    state.set_session(sample_session)
    assert not state.jobs.why_not()
    _running(sample_session, process)  # after the session was opened
    runs = len(sample_session.runs())
    with pytest.raises(CoreError, match="“Job of a terminal” is running"):
        state.jobs.start(sample_session, "export", ExportParams(take="two_people"))
    assert len(sample_session.runs()) == runs
    assert state.jobs.why_not()


def test_a_running_job_is_known_at_once_when_a_session_opens(
    state: AppState, sample_session: Session, process: psutil.Process
) -> None:
    _running(sample_session, process)
    for _ in range(3):  # newer ones that have ended
        ended = sample_session.new_run("export")
        JobSpec(verb="export").save(ended.root)
        _write(ended, Started(verb="export", pid=1), Finished())
    state.set_session(sample_session)
    assert [job.title for job in state.jobs.active] == ["Job of a terminal"]
    assert page_states(state, PAGES)["train"].state == "running"


@pytest.mark.slow
def test_menu_key_and_button_agree_while_a_job_runs(
    window: MainWindow, qtbot, sample_session: Session, process: psutil.Process
) -> None:
    window.open_path(sample_session.root)
    window.show_page("train")
    page, action = window.pages["train"], window.registry["train.run_all"]
    take = sample_session.take("two_people")
    assert action.isEnabled() == page.run_all.push.isEnabled()
    run = _running(sample_session, process, "calibrate")
    window.state.jobs.attach(sample_session)
    runs = len(sample_session.runs())
    for name in ("train.run_all", "take.import", "rig.import", "rig.calibrate"):
        assert not window.registry[name].isEnabled(), name
    assert "is running" in action.toolTip()
    assert not page.run_all.push.isEnabled()
    assert all(not step.push.isEnabled() for step in page.steps.values())
    assert window.rail.buttons["calibrate"].step_state == "running"
    assert window.registry["jobs.cancel"].isEnabled()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert len(sample_session.runs()) == runs
    _write(run, Finished())
    qtbot.waitUntil(lambda: not window.state.jobs.active)
    assert page.run_all.push.isEnabled()
    assert action.isEnabled()
    assert take.manifest.kind == "motion"


@pytest.mark.slow
def test_a_condition_is_asked_again_when_an_action_starts(
    window: MainWindow, sample_session: Session, process: psutil.Process
) -> None:
    window.open_path(sample_session.root)
    action = window.registry["train.run_all"]
    assert action.isEnabled()
    _running(sample_session, process)  # nothing has told the window
    runs = len(sample_session.runs())
    action.trigger()
    assert len(sample_session.runs()) == runs
    dialog = _error()
    assert "is running" in dialog.message.text()
    dialog.accept()


@pytest.mark.slow
def test_resume_shows_the_job_as_running_everywhere(window: MainWindow, sample_session: Session, ended: Ended) -> None:
    window.open_path(sample_session.root)
    tracked = window.state.jobs.start(sample_session, "export", ExportParams(take="two_people"))
    ended(window.state)
    assert not window.registry["jobs.cancel"].isEnabled()
    assert window.top_bar.jobs.text() == "Jobs"
    window.state.jobs.resume(tracked)
    assert window.registry["jobs.cancel"].isEnabled()
    assert window.rail.buttons["export"].step_state == "running"
    assert window.top_bar.jobs.text() == "Jobs (1)"
    ended(window.state)
    assert not window.registry["jobs.cancel"].isEnabled()


def test_a_job_of_all_steps_shows_its_step_and_is_listed_once(
    state: AppState, qtbot, sample_session: Session, process: psutil.Process
) -> None:
    run = _running(sample_session, process, "run")
    _write(
        run,
        StatusChanged(values={"step": "pose2d", "number": 1, "steps": 6}),
        StatusChanged(values={"step": "train", "number": 3, "steps": 6}),
        Progressed(done=1, total=2, text="Training on the footage"),
    )
    _running(sample_session, process, "train", parent=run.name)
    former = sample_session.layout.run(f"{run.name}-train")  # as earlier versions named it
    former.root.mkdir()
    JobSpec(verb="train").save(former.root)
    state.set_session(sample_session)
    qtbot.wait(1000)  # the rest of the history is read a run at a time
    (job,) = state.jobs.jobs
    assert progress_text(job) == "step 3 of 6 · Training on the footage · 50 %"
    rows = {row.step.name: row.state for row in train.step_rows({}, state.jobs)}
    assert rows["train"] == "running"
    assert rows["pose2d"] != "running"
    _write(run, Finished())
    qtbot.waitUntil(lambda: not state.jobs.active)
    state.set_session(sample_session)
    qtbot.wait(1000)
    assert [job.verb for job in state.jobs.jobs] == ["run"]


def test_every_verb_belongs_to_one_page() -> None:
    verbs = [verb for page in PAGES for verb in page.verbs]
    assert sorted(verbs) == sorted(VERBS)


def test_a_take_of_the_board_is_not_offered_for_people(state: AppState, sample_session: Session) -> None:
    take = sample_session.take("two_people")
    assert not train.take_problem(take)
    sample_session.write_take(dataclasses.replace(take.manifest, kind="board"), take.timeline())
    state.set_session(sample_session)
    board = sample_session.take("two_people")
    assert "shows the calibration board" in train.take_problem(board)
    assert all("board" in row.blocked for row in train.step_rows({}, state.jobs, board) if row.state != "blocked")


def test_the_focus_stays_where_a_pressed_button_greys_out(dressed: QApplication, qtbot) -> None:
    window = QWidget()
    outer, card = QVBoxLayout(window), QWidget()
    outer.addWidget(card)
    column = QVBoxLayout(card)
    first, second = button("First"), button("Second")
    column.addWidget(first)
    column.addWidget(second)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    first.setFocus()
    assert window.focusWidget() is first
    first.setEnabled(False)
    assert window.focusWidget() is card  # Space must not press the neighbour
    first.setEnabled(True)
    assert window.focusWidget() is first
    first.setEnabled(False)
    second.setFocus()
    first.setEnabled(True)
    assert window.focusWidget() is second  # the user has moved on


@pytest.mark.slow
def test_the_first_focus_is_on_what_a_newcomer_presses(window: MainWindow, qtbot, tmp_path: Path) -> None:
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    assert QApplication.focusWidget() is window.welcome.sample
