"""One program at a time works in a run or on a take; a copied or moved session works on itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.cli import main
from core.errors import CoreError
from core.jobs import Finished, Job, JobSpec
from core.jobs.lock import LOCK_FILE, Holder, holder, locked
from core.process import ProcessIdentity
from core.session import Session

pytestmark = pytest.mark.usefixtures("counting_verb")

HOLD = """
import sys, time
from pathlib import Path
from core.jobs.lock import locked
with locked(Path(sys.argv[1]), "Take walk", "triangulate"):
    print("held", flush=True)
    time.sleep(600)
"""


class Other:
    """Another process that holds a folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        self.process.communicate()


def test_a_second_program_says_who_holds_a_folder_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    other = Other(tmp_path)
    try:
        with pytest.raises(CoreError, match=rf"^Take walk is in use by process {other.process.pid} \('triangulate', "):
            locked(tmp_path, "Take walk", "infer").__enter__()
        assert holder(tmp_path).process.pid == other.process.pid  # type: ignore[union-attr]
    finally:
        other.kill()
    assert holder(tmp_path) is None
    with locked(tmp_path, "Take walk", "infer"):
        assert holder(tmp_path).process == ProcessIdentity.of()  # type: ignore[union-attr]
    assert holder(tmp_path) is None


def test_a_lock_nests_in_a_thread_and_keeps_out_another_thread(tmp_path: Path) -> None:
    refused = []

    def work() -> None:
        try:
            locked(tmp_path, "Take walk", "infer").__enter__()
        except CoreError as error:
            refused.append(error.message)

    with locked(tmp_path, "Take walk", "run"), locked(tmp_path, "Take walk", "infer"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert refused == ["Take walk is in use by another program."]


def test_content_of_a_reused_process_id_an_earlier_boot_or_a_copy_holds_nothing(tmp_path: Path) -> None:
    mine = ProcessIdentity.of(os.getppid())

    def holds(**changes: object) -> bool:
        values = {"pid": mine.pid, "created": mine.created, "boot": mine.boot, "host": mine.host} | changes
        folder = values.pop("folder", str(tmp_path.resolve()))
        content = {"process": values, "work": "train", "since": "2026-01-01T00:00:00", "folder": folder}
        (tmp_path / LOCK_FILE).write_text(json.dumps(content))
        return holder(tmp_path) is not None

    assert holds()
    assert not holds(created=mine.created + 5)
    assert not holds(boot="another")
    assert not holds(folder="/of/the/original")
    assert holds(host="elsewhere"), "whether a process of another computer is dead cannot be known"
    (tmp_path / LOCK_FILE).write_text("damaged")
    assert holder(tmp_path) is None
    assert "on elsewhere" in str(
        Holder(process=ProcessIdentity(pid=1, created=0, host="elsewhere"), work="", since="", folder="")
    )


def counting(session: Session, to: int) -> Job:
    spec = JobSpec(verb="count", params={"until": to, "pause_s": 0.01})
    return Job.start(spec, session.new_run("count").root)


def test_a_job_that_runs_cannot_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session.create(tmp_path / "session")
    job = counting(session, 1_000_000)
    while job.state == "starting":
        job.poll()
    lines = (job.folder / "process.json").read_text()
    with pytest.raises(CoreError, match=r"is in use by process \d+ \('count', since "):
        Job(job.folder).restart()
    assert main(["resume", str(session.root), job.folder.name]) == 1
    assert f"is in use by process {json.loads(lines)['pid']}" in capsys.readouterr().err.replace("\n", " ")
    assert (job.folder / "process.json").read_text() == lines
    job.cancel()
    assert job.wait(60) == "cancelled"


def test_a_copied_session_works_on_itself(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "session")
    job = counting(session, 1_000_000)
    while job.state == "starting":
        job.poll()
    while not (job.folder / "counter").exists():
        job.poll()
    shutil.copytree(session.root, tmp_path / "copy")
    copy = Job(tmp_path / "copy" / "runs" / job.folder.name)
    copy.poll()
    assert copy.state == "lost", "the job of the original is none of the copy"
    copy.kill()
    job.poll()
    assert job.state == "running"
    assert str(session.root) not in (copy.folder / "job.json").read_text()
    copy.restart()  # although the original runs
    while copy.state == "starting":
        copy.poll()
    assert holder(copy.folder).folder == str(copy.folder.resolve())  # type: ignore[union-attr]
    for one in (copy, job):
        one.cancel()
        assert one.wait(60) == "cancelled"


def test_a_moved_session_is_resumed_where_it_is(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "session")
    job = counting(session, 3)
    assert job.wait(60) == "finished"
    values = json.loads((job.folder / "job.json").read_text())
    (job.folder / "job.json").write_text(json.dumps(values | {"session": str(session.root)}))  # as before 0.2
    session.root.rename(tmp_path / "moved")
    moved = Job(tmp_path / "moved" / "runs" / job.folder.name)
    moved.restart()
    assert moved.wait(60) == "finished"
    assert not session.root.exists()
    assert sum(isinstance(e, Finished) for e in Job(moved.folder).poll()) == 2


def test_runs_are_ordered_by_their_numbers_whatever_the_clock_says(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "session")
    names = ["20300101-000000-train", "20200101-000000-train", "20250101-000000-train"]
    for name in names:
        JobSpec(verb="train").save(session.layout.run(name).root)
    assert [run.name for run in session.runs()] == names
    first = JobSpec.load(session.layout.run(names[0]).root)
    assert first.save(session.layout.run(names[0]).root).number == 1, "a resumed job keeps its number"
    (session.layout.run("damaged").root).mkdir()
    (session.layout.run("damaged").job).write_text("{")
    assert JobSpec(verb="train").save(session.layout.run("last").root).number == 4
