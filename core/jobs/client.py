"""Start, follow, cancel and re-attach to jobs from another process.

States: starting -> running -> finished | failed | cancelled, or `lost` if the process died without a final event.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import psutil

from core.errors import CoreError
from core.jobs.commands import COMMANDS_FILE
from core.jobs.events import Cancelled, Event, Failed, Finished, Started, decode
from core.jobs.lock import require_free
from core.jobs.spec import (
    CANCEL_FILE,
    EVENTS_FILE,
    LOG_FILE,
    PROCESS_FILE,
    STATUS_FILE,
    JobSpec,
    read_process,
    write_process,
)
from core.process import ProcessIdentity

State = Literal["starting", "running", "finished", "failed", "cancelled", "lost"]
_START_GRACE_S = 60.0


class Job:
    """Job, identified by its folder, so that any window can attach at any time.

    Args:
        folder: Folder of the job, with its `job.json`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = JobSpec.load(folder)
        self._offset = 0
        self._behind = False
        self._rest = b""
        self._status_ns = 0
        self._state: State = "starting"
        self._attached = time.monotonic()

    @classmethod
    def start(cls, spec: JobSpec, folder: Path) -> Job:
        """Write the job file and start a detached worker, which outlives this process.

        Args:
            spec: Verb and settings.
            folder: Folder of the job.

        Raises:
            CoreError: The process could not be started.
        """
        spec.save(folder)
        job = cls(folder)
        job.restart()
        return job

    def restart(self) -> None:
        """Start the worker again in the same folder, to continue where it stopped.

        Raises:
            CoreError: The process could not be started.
        """
        require_free(self.folder, f"Run {self.folder.name}")
        for name in (CANCEL_FILE, COMMANDS_FILE, STATUS_FILE):  # left by the previous worker
            (self.folder / name).unlink(missing_ok=True)
        flags = {} if sys.platform == "win32" else {"start_new_session": True}
        if sys.platform == "win32":
            flags["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        events = self.folder / EVENTS_FILE
        self._offset = events.stat().st_size if events.exists() else 0
        self._rest = b""
        self._state, self._attached = "starting", time.monotonic()
        with (self.folder / LOG_FILE).open("ab") as log:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "core.worker", str(self.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **flags,  # type: ignore[call-overload]
                )
            except OSError as error:
                raise CoreError(f"The job could not be started: {error}.", "Check the installation.") from error
        with contextlib.suppress(psutil.Error):
            write_process(self.folder, ProcessIdentity.of(process.pid))
        _children.append(process)

    @property
    def state(self) -> State:
        """State as of the last `poll`."""
        return self._state

    @property
    def ended(self) -> bool:
        """True if the job has ended in any way."""
        return self._state in ("finished", "failed", "cancelled", "lost")

    @property
    def behind(self) -> bool:
        """True if the last `poll` stopped before the end of the events."""
        return self._behind

    def poll(self, most: int = -1) -> list[Event]:
        """Return the events since the last call, and the latest status; an incomplete line waits for the next call.

        Args:
            most: Largest number of bytes to read, so that an event-loop iteration stays short; all by default.
        """
        reap()
        alive = self._alive()
        events: list[Event] = []
        with contextlib.suppress(FileNotFoundError), (self.folder / EVENTS_FILE).open("rb") as file:
            file.seek(self._offset)
            chunk = file.read(most)
            self._offset += len(chunk)
            self._behind = len(chunk) == most
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    with contextlib.suppress(CoreError):  # a line cut off by a crash of an earlier attempt
                        events.append(decode(line.decode("utf-8", "replace")))
        if not self._behind:
            events += self._new_status()
        for event in events:
            if isinstance(event, Started):
                self._state = "running"
            elif isinstance(event, Finished):
                self._state = "finished"
            elif isinstance(event, Failed):
                self._state = "failed"
            elif isinstance(event, Cancelled):
                self._state = "cancelled"
        if not self.ended and not alive and not self._behind:  # the worker died before the end of the file was read
            self._state = "lost"
        return events

    def _new_status(self) -> list[Event]:
        """Return the status of the job if it has changed."""
        path = self.folder / STATUS_FILE
        with contextlib.suppress(OSError, CoreError):  # the file is being replaced or does not exist
            changed_ns = path.stat().st_mtime_ns
            if changed_ns != self._status_ns:
                event = decode(path.read_text(encoding="utf-8"))
                self._status_ns = changed_ns
                return [event]
        return []

    def cancel(self) -> None:
        """Ask the worker to stop at its next safe point."""
        (self.folder / CANCEL_FILE).touch()

    def kill(self) -> None:
        """Kill the worker and its children."""
        process = self._process()
        if process is None:
            return
        with contextlib.suppress(psutil.Error):
            for child in [*process.children(recursive=True), process]:
                with contextlib.suppress(psutil.Error):
                    child.kill()

    def log_tail(self, limit: int = 20_000) -> str:
        """Return the last `limit` characters of the job's log."""
        path = self.folder / LOG_FILE
        return path.read_text(encoding="utf-8", errors="replace")[-limit:] if path.exists() else ""

    def wait(self, timeout_s: float) -> State:
        """Poll until the job ends or the time is up; blocks, so not for the window."""
        until = time.monotonic() + timeout_s
        while not self.ended and time.monotonic() < until:
            self.poll()
            time.sleep(0.05)
        return self._state

    def _process(self) -> psutil.Process | None:
        return process_of(self.folder)

    def _alive(self) -> bool:
        if self._process() is not None:
            return True
        fresh = not (self.folder / PROCESS_FILE).exists()
        return fresh and time.monotonic() - self._attached < _START_GRACE_S


def process_of(folder: Path) -> psutil.Process | None:
    """Return the worker process of the job in a folder, or None."""
    try:
        identity = read_process(folder)
    except CoreError:
        return None
    return None if identity is None else identity.find()


_children: list[subprocess.Popen[bytes]] = []
"""Workers started by this process, to be reaped when they end."""


def reap() -> bool:
    """Reap workers of this process that have exited.

    Returns:
        True if a worker still runs; it exits shortly after its last event.
    """
    for child in _children[:]:
        if child.poll() is not None:
            _children.remove(child)
    return bool(_children)


def unfinished(runs: list[Path]) -> list[Job]:
    """Return the jobs among these folders whose worker still runs."""
    jobs = []
    for folder in runs:
        with contextlib.suppress(CoreError):
            job = Job(folder)
            job.poll()
            if not job.ended:
                jobs.append(job)
    return jobs
