"""Jobs as real child processes: how they end, and how they are followed."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.files import read_json, read_yaml
from core.jobs import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Job,
    JobSpec,
    Metric,
    Noted,
    Progressed,
    Started,
    StatusChanged,
    unfinished,
)
from core.jobs.events import encode
from core.jobs.runner import run_job
from core.jobs.spec import EVENTS_FILE, STATUS_FILE, write_process
from core.process import ProcessIdentity
from core.progress import Reporter
from core.session import RunLayout, Session

from .launching import follow

Start = Callable[..., Job]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


@pytest.fixture
def start(session: Session, counting_verb: None) -> Start:
    """Starts a counting job."""

    def run(**params: object) -> Job:
        spec = JobSpec(verb="count", params=params)
        return Job.start(spec, session.new_run("count").root)

    return run


def ended(job: Job) -> list[Event]:
    return follow(job, lambda _: job.ended)


def counting(events: list[Event]) -> bool:
    return any(isinstance(e, Metric) for e in events)


@pytest.mark.slow
def test_all_events_of_a_job_are_read(start: Start) -> None:
    job = start(until=5)
    events = ended(job)
    assert job.state == "finished", job.log_tail()
    assert isinstance(events[0], Started) and events[0].verb == "count"
    assert isinstance(events[-1], Finished) and events[-1].result == {"counted": 5}
    assert [e.text for e in events if isinstance(e, Noted)] == ["Counting from 0."]
    assert [(e.name, e.value, e.step) for e in events if isinstance(e, Metric)] == [
        ("count", float(n + 1), n) for n in range(5)
    ]
    assert [e for e in events if isinstance(e, Progressed)][-1].done == 5
    run = RunLayout(job.folder)
    assert read_yaml(run.config) == {"until": 5, "pause_s": 0.0, "end": ""}
    rows = list(csv.DictReader(run.metrics.read_text().splitlines()))
    assert [(r["name"], int(r["step"]), float(r["value"])) for r in rows] == [("count", n, n + 1.0) for n in range(5)]
    assert "Counting from 0." in job.log_tail()


@pytest.mark.slow
def test_an_expected_error_carries_its_remedy_and_no_trace(start: Start) -> None:
    job = start(end="expected")
    last = ended(job)[-1]
    assert job.state == "failed"
    assert isinstance(last, Failed)
    assert (last.message, last.hint, last.trace) == ("The count is wrong.", "Count again.", "")


@pytest.mark.slow
def test_an_unexpected_error_keeps_its_trace_in_the_event_and_in_the_log(start: Start) -> None:
    job = start(end="unexpected")
    last = ended(job)[-1]
    assert isinstance(last, Failed)
    assert "ZeroDivisionError" in last.message and "in count" in last.trace and last.hint
    assert "in count" in job.log_tail()


@pytest.mark.slow
def test_running_out_of_memory_is_reported(start: Start) -> None:
    last = ended(start(end="memory"))[-1]
    assert isinstance(last, Failed) and "memory" in last.message and "MemoryError" in last.trace


@pytest.mark.slow
def test_wrong_settings_fail_with_a_suggestion(start: Start) -> None:
    last = ended(start(untill=3))[-1]
    assert isinstance(last, Failed) and "untill" in last.message and "'until'" in last.hint


@pytest.mark.slow
def test_cancel_stops_at_the_next_safe_point_and_restart_goes_on(start: Start) -> None:
    job = start(until=10_000, pause_s=0.02)
    follow(job, counting)
    job.cancel()
    assert isinstance(ended(job)[-1], Cancelled)
    assert job.state == "cancelled"
    reached = int((job.folder / "counter").read_text())
    assert 0 < reached < 10_000
    (job.folder / "counter").write_text("9998")
    job.restart()
    events = ended(job)
    assert job.state == "finished", job.log_tail()
    assert isinstance(events[-1], Finished) and events[-1].result == {"counted": 2}


@pytest.mark.slow
def test_terminate_cancels_cleanly(start: Start) -> None:
    job = start(until=10_000, pause_s=0.02)
    follow(job, counting)
    os.kill(read_json(job.folder / "process.json")["pid"], signal.SIGTERM)
    assert isinstance(ended(job)[-1], Cancelled)


@pytest.mark.slow
def test_a_killed_job_is_lost_and_restart_resumes_it_after_a_cut_line(start: Start) -> None:
    job = start(until=10_000, pause_s=0.02)
    follow(job, counting)
    job.kill()
    ended(job)
    assert job.state == "lost"
    newcomer = Job(job.folder)
    assert newcomer.poll() and newcomer.state == "lost", "one look is enough to see that nothing more will come"
    assert unfinished([job.folder]) == []
    events_file = RunLayout(job.folder).events
    with events_file.open("a") as file:
        file.write('{"event": "metric", "na')
    (job.folder / "counter").write_text("9999")
    job.restart()
    events = ended(job)
    assert job.state == "finished", job.log_tail()
    assert isinstance(events[0], Started), "the first event after the cut line is whole"
    assert isinstance(events[-1], Finished) and events[-1].result == {"counted": 1}
    assert ended(Job(job.folder))[-1] == events[-1], "a window that opens later reads past the cut line"


@pytest.mark.slow
def test_a_crash_of_native_code_is_lost_and_leaves_its_trace_in_the_log(start: Start) -> None:
    job = start(end="abort")
    ended(job)
    assert job.state == "lost"
    assert "Fatal Python error" in job.log_tail()


@pytest.mark.slow
def test_another_window_attaches_to_a_running_job(start: Start, session: Session) -> None:
    job = start(until=10_000, pause_s=0.02)
    first = follow(job, counting)
    (other,) = unfinished([run.root for run in session.runs()])
    other.cancel()
    ended(job)
    assert other.wait(10) == "cancelled"
    assert first[0] == Job(job.folder).poll()[0], "every window reads the same story"
    assert unfinished([run.root for run in session.runs()]) == []


@pytest.mark.slow
def test_no_worker_outlives_its_job(start: Start) -> None:
    job = start(until=1)
    ended(job)
    pid = read_json(job.folder / "process.json")["pid"]
    for _ in range(100):
        job.poll()
        if not psutil.pid_exists(pid):
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [([], 2, "usage"), (["{empty}"], 1, "job.json does not exist")],
)
def test_exit_codes_without_a_job(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    filled = [a.format(empty=tmp_path) for a in arguments]
    done = subprocess.run([sys.executable, "-m", "core.worker", *filled], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert words in done.stderr


def test_long_events_are_read_a_part_at_a_time(tmp_path: Path) -> None:
    JobSpec(verb="train").save(tmp_path)
    lines = [encode(Metric(name="loss", value=1.0, step=n)) for n in range(300)]
    (tmp_path / EVENTS_FILE).write_text("\n".join(lines) + "\n")
    job, polls = Job(tmp_path), 0
    read: list[Event] = []
    write_process(tmp_path, ProcessIdentity(pid=2**22 + 1, created=0.0))  # it ended long ago
    while not polls or job.behind:
        read += job.poll(1000)
        polls += 1
        assert (job.state == "lost") == (not job.behind), "what was not read yet may say how it ended"
    assert [event.step for event in read if isinstance(event, Metric)] == list(range(300))
    assert polls > 20


def test_of_many_states_only_the_last_is_kept(tmp_path: Path) -> None:
    JobSpec(verb="record").save(tmp_path)
    job = Job(tmp_path)

    def work(reporter: Reporter) -> dict[str, Any]:
        for n in range(100):
            reporter.status({"frames": n, "camera": "rtsp://me:secret@host"})
        assert [e.values["frames"] for e in job.poll() if isinstance(e, StatusChanged)] == [99]
        assert not any(isinstance(e, StatusChanged) for e in job.poll()), "it has not changed"
        reporter.status({"frames": 100})
        return {}

    run_job(tmp_path, "record", work)
    *_, last = job.poll()
    assert isinstance(last, StatusChanged) and last.values == {"frames": 100}
    assert (tmp_path / EVENTS_FILE).stat().st_size < 1000 and "secret" not in (tmp_path / STATUS_FILE).read_text()
