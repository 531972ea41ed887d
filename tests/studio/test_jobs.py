"""Tests of jobs in real worker processes, as the window shows them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from core.jobs import Failed, Finished, Job, JobSpec, Metric, Noted, Progressed, Started
from core.jobs.events import encode
from core.jobs.spec import EVENTS_FILE
from core.pipelines.params import BoardSheetParams, ExportParams, Pose2DParams
from core.session import Session
from studio.jobs.panel import JobDetails
from studio.jobs.text import duration_text, outcome_text, progress_text
from studio.jobs.tracked import TrackedJob
from studio.main_window import MainWindow
from studio.state.app_state import AppState

Ended = Callable[[AppState], None]


def _click(qtbot, widget) -> None:
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def _tracked(tmp_path: Path) -> TrackedJob:
    JobSpec(verb="train", title="Train").save(tmp_path)
    return TrackedJob(Job(tmp_path))


@pytest.mark.slow
def test_an_expected_failure_shows_message_remedy_and_log(
    window: MainWindow, qtbot, sample_session: Session, ended: Ended
) -> None:
    state = window.state
    window.open_path(sample_session.root)
    assert window.jobs_panel.isHidden()
    tracked = state.jobs.start(sample_session, "pose2d", Pose2DParams(take="nowhere"), "Label nowhere")
    ended(state)
    assert tracked.state == "failed"
    assert window.jobs_panel.isVisible()  # a failure opens the panel
    card = window.jobs_panel.cards[tracked.name]
    assert "nowhere" in card.text.text()
    assert "two_people" in card.hint.text()  # the remedy names the existing takes
    assert card.resume.text() == "Retry"
    _click(qtbot, card.details)
    details = window.jobs_panel.findChild(JobDetails)
    assert details is not None
    assert "nowhere" in details.log.toPlainText()
    details.accept()


@pytest.mark.slow
def test_an_unexpected_failure_shows_its_traceback(
    window: MainWindow, sample_session: Session, ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "packages" / "reportlab"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('a package that is installed in part')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent), prepend=os.pathsep)
    window.open_path(sample_session.root)
    tracked = window.state.jobs.start(sample_session, "board-sheet", BoardSheetParams(path=str(tmp_path / "a.pdf")))
    ended(window.state)
    assert tracked.failure is not None
    assert tracked.failure.trace
    details = window.jobs_panel.show_details(tracked)
    assert "Traceback" in details.trace.toPlainText()
    details.accept()


@pytest.mark.slow
def test_retry_runs_again_in_the_same_folder(window: MainWindow, qtbot, sample_session: Session, ended: Ended) -> None:
    window.open_path(sample_session.root)
    before = len(sample_session.runs())
    tracked = window.state.jobs.start(sample_session, "export", ExportParams(take="two_people"))
    ended(window.state)
    card = window.jobs_panel.cards[tracked.name]
    _click(qtbot, card.resume)
    assert tracked.active
    ended(window.state)
    assert tracked.state == "failed"
    assert len(sample_session.runs()) == before + 1


@pytest.mark.slow
def test_cancel_stops_a_running_job(window: MainWindow, qtbot, sample_session: Session, ended: Ended) -> None:
    window.open_path(sample_session.root)
    window.show_page("train")
    page = window.pages["train"]
    _click(qtbot, page.steps["pose2d"].push)
    (tracked,) = window.state.jobs.active
    qtbot.waitUntil(lambda: tracked.fraction is not None, timeout=60_000)
    assert not page.run_all.push.isEnabled()
    assert "is running" in page.run_all.reason
    assert window.rail.buttons["train"].step_state == "running"
    card = window.jobs_panel.cards[tracked.name]
    window._show_jobs(True)
    _click(qtbot, card.cancel)
    ended(window.state)
    assert tracked.state == "cancelled"
    assert card.resume.text() == "Resume"
    assert page.run_all.push.isEnabled()
    assert page.steps["pose2d"].push.isEnabled()


def test_a_new_window_finds_the_jobs_of_the_session_with_their_history(
    state: AppState, qtbot, sample_session: Session
) -> None:
    run = sample_session.new_run("train")
    JobSpec(verb="train", title="Train").save(run.root)
    events = [Started(verb="train", pid=1), *(Metric(name="pose/loss", value=1 / s, step=s) for s in range(1, 51))]
    lines = "\n".join(encode(e) for e in [*events, Finished(result={"ok": 1})])
    (run.root / EVENTS_FILE).write_text(lines + "\n", encoding="utf-8")
    with qtbot.waitSignal(state.jobs.measured, timeout=5000) as measured:
        state.set_session(sample_session)
    tracked, metrics = measured.args
    assert tracked.state == "finished"
    assert tracked.result == {"ok": 1}
    assert [m.step for m in metrics] == list(range(1, 51))
    assert state.jobs.newest("train") is tracked
    assert not state.jobs.active


def test_a_job_whose_process_died_is_lost_and_can_be_resumed(state: AppState, qtbot, sample_session: Session) -> None:
    run = sample_session.new_run("train")
    JobSpec(verb="train").save(run.root)
    run.events.write_text(encode(Started(verb="train", pid=1)) + "\n", encoding="utf-8")
    (run.root / "process.json").write_text('{"pid": 999999999, "created": 1.0}', encoding="utf-8")
    with qtbot.waitSignal(state.jobs.added, timeout=5000) as added:
        state.set_session(sample_session)
    (tracked,) = added.args
    assert tracked.state == "lost"
    assert tracked.resumable
    assert "log" in outcome_text(tracked)


def test_events_are_accumulated(tmp_path: Path) -> None:
    tracked = _tracked(tmp_path)
    tracked.apply(Progressed(done=1, total=4, text="Reading", time_left_s=90))
    assert tracked.fraction == pytest.approx(0.25)
    tracked.apply(Progressed(done=1, total=0))
    assert tracked.fraction is None
    tracked.apply(Noted(text="odd", level="warning"))
    tracked.apply(Failed(message="No.", hint="Do."))
    assert tracked.failure is not None
    assert tracked.ended_s is not None
    tracked.apply(Started(verb="train", pid=2))  # resumed
    assert tracked.failure is None
    assert tracked.ended_s is None


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "under 1 s"), (61, "61 s"), (600, "10 min"), (7260, "2 h 1 min")])
def test_duration_text(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words


def test_progress_text(tmp_path: Path) -> None:
    tracked = _tracked(tmp_path)
    assert progress_text(tracked) == "starting"
    tracked.job._state = "running"
    tracked.apply(Progressed(done=1, total=4, text="Reading", time_left_s=30))
    assert progress_text(tracked) == "Reading · 25 % · 30 s left"
    tracked.cancel_requested_s = 0.0
    assert "stopping" in progress_text(tracked)


def _sample_rig() -> Path:
    from core.files import resource

    return resource("sample", "Calib.qca.txt")
