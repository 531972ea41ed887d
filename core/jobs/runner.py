"""Doing a job's work while writing down what it says: events, metrics and how it ended.

The worker process and the command line both run jobs through `run_job`, so that a run's folder looks the same whoever
started it.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import psutil

from core import NAME
from core.errors import CancelledError, CoreError
from core.files import write_json
from core.jobs.events import (
    Cancelled,
    Ended,
    Event,
    Failed,
    Finished,
    Metric,
    Noted,
    Progressed,
    Started,
    StatusChanged,
    encode,
)
from core.jobs.spec import CANCEL_FILE, EVENTS_FILE, METRICS_FILE, PROCESS_FILE
from core.progress import Level, Reporter, TimeLeft, stage_of

Listener = Callable[[Event], None]
Stopped = Callable[[], bool]
_PROGRESS_EVERY_S = 0.1
_CANCEL_EVERY_S = 0.05
_logger = logging.getLogger(f"{NAME}.job")


def _never() -> bool:
    return False


class JobReporter:
    """Reporter that writes to a job's folder, one whole line at a time, so that a crash loses at most the last one.

    Progress is thinned out to ten lines a second; the last one of a stage is always written.

    Args:
        folder: The job's folder.
        stopped: Whether someone asked to stop; the folder's cancel file does the same.
        listen: Called with every event that was written.
    """

    def __init__(self, folder: Path, stopped: Stopped = _never, listen: Listener | None = None) -> None:
        self._stopped = stopped
        self._asked = False
        self._listen = listen
        self._cancel_file = folder / CANCEL_FILE
        self._lock = threading.RLock()
        self._time_left = TimeLeft()
        self._waiting: Progressed | None = None
        self._stage = ""
        self._progress_at = self._cancel_at = float("-inf")
        self._events = _appending(folder / EVENTS_FILE)
        self._metrics = _appending(folder / METRICS_FILE)
        if self._metrics.tell() == 0:
            self._metrics.write(b"name,step,value,time\n")

    def __enter__(self) -> JobReporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._events.close()
        self._metrics.close()

    def progress(self, done: float, total: float, text: str = "") -> None:
        """See `core.progress.Reporter`."""
        with self._lock:
            stage = stage_of(text)
            if stage != self._stage:
                self._write_waiting()
            left = self._time_left.update(done, total, text)
            self._waiting = Progressed(done=float(done), total=float(total), text=text, time_left_s=left)
            due = time.monotonic() - self._progress_at >= _PROGRESS_EVERY_S
            if due or stage != self._stage or done >= total:
                self._write_waiting()
            self._stage = stage

    def metric(self, name: str, value: float, step: int) -> None:
        """See `core.progress.Reporter`."""
        event = Metric(name=name, value=float(value), step=int(step))
        row = io.StringIO()
        csv.writer(row, lineterminator="\n").writerow([event.name, event.step, repr(event.value), f"{event.time:.3f}"])
        with self._lock:
            self._metrics.write(row.getvalue().encode())
            self.write(event)

    def note(self, text: str, level: Level = "info") -> None:
        """See `core.progress.Reporter`."""
        _logger.log(logging.WARNING if level == "warning" else logging.INFO, "%s", text)
        self.write(Noted(text=text, level=level))

    def status(self, values: Mapping[str, Any]) -> None:
        """See `core.progress.Reporter`."""
        self.write(StatusChanged(values=dict(values)))

    def cancelled(self) -> bool:
        """See `core.progress.Reporter`; looks for the cancel file at most twenty times a second."""
        if self._asked or self._stopped():
            return True
        now = time.monotonic()
        if now - self._cancel_at >= _CANCEL_EVERY_S:
            self._cancel_at = now
            self._asked = self._cancel_file.exists()
            if now - self._progress_at >= _PROGRESS_EVERY_S:
                self._write_waiting()
        return self._asked

    def write(self, event: Event) -> None:
        """Writes one event, after any progress that still waits."""
        with self._lock:
            if not isinstance(event, Progressed):
                self._write_waiting()
            self._events.write(encode(event).encode() + b"\n")
            if self._listen is not None:
                self._listen(event)

    def _write_waiting(self) -> None:
        with self._lock:
            if self._waiting is not None:
                event, self._waiting = self._waiting, None
                self._progress_at = time.monotonic()
                self.write(event)


def execute(
    folder: Path,
    verb: str,
    work: Callable[[Reporter], dict[str, Any]],
    *,
    stopped: Stopped = _never,
    listen: Listener | None = None,
) -> dict[str, Any]:
    """Does `work` in this process as the job of `folder`, and writes how it went and ended.

    Args:
        folder: The job's folder; made if missing.
        verb: What the job does.
        work: Called with the reporter to use; returns plain values to put into the last event.
        stopped: Whether someone asked to stop: a signal handler, another thread, the job that this one is a part of.
        listen: Told of every event.

    Returns:
        What `work` returned. What it raised was written down and goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    process = psutil.Process()
    write_json(folder / PROCESS_FILE, {"pid": process.pid, "created": process.create_time()})
    with JobReporter(folder, stopped, listen) as reporter:
        reporter.write(Started(verb=verb, pid=os.getpid()))
        try:
            finished = Finished(result=work(reporter))
            encode(finished)  # A result that is no plain value fails here, while it can still be told.
        except BaseException as error:
            reporter.write(_ending(error))
            raise
        reporter.write(finished)
    return finished.result


def run_job(
    folder: Path,
    verb: str,
    work: Callable[[Reporter], dict[str, Any]],
    *,
    stopped: Stopped = _never,
    listen: Listener | None = None,
) -> Ended:
    """As `execute`, for the outermost caller: whatever the work raises ends up in the log and in the returned event."""
    try:
        return Finished(result=execute(folder, verb, work, stopped=stopped, listen=listen))
    except (CancelledError, KeyboardInterrupt) as error:
        _logger.info("Cancelled.")
        return _ending(error)
    except CoreError as error:
        _logger.error("%s", error)
        return _ending(error)
    except Exception as error:
        _logger.exception("Unexpected error.")
        return _ending(error)


def _ending(error: BaseException) -> Ended:
    if isinstance(error, CancelledError | KeyboardInterrupt):
        return Cancelled()
    if isinstance(error, CoreError):
        return Failed(message=error.message, hint=error.hint)
    trace = "".join(traceback.format_exception(error))
    # The name is torch's, which this process may never have loaded.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        hint = "Close other programs, or choose fewer voxels or a smaller batch in the settings."
        return Failed(message="The memory was not enough.", hint=hint, trace=trace)
    hint = "This is a fault of the program: the trace and the job's log say where. Please report it with both."
    return Failed(message=f"{type(error).__name__}: {error}", hint=hint, trace=trace)


def _appending(path: Path) -> BinaryIO:
    """The file, unbuffered, at its end; a line that a crash cut off is closed first, so that the next one is whole."""
    file = path.open("ab+", buffering=0)
    if file.seek(0, io.SEEK_END) > 0:
        file.seek(-1, io.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file
