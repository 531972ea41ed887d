"""Run a job and write its events, metrics and outcome into its folder.

The worker process and the command line both use `run_job`, so that a run's folder looks the same however it was
started.
"""

from __future__ import annotations

import contextlib
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

from core import NAME
from core.disk import DiskError, disk_error, saying_why
from core.errors import CancelledError, CoreError
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
    without_secrets,
)
from core.jobs.lock import locked
from core.jobs.spec import CANCEL_FILE, EVENTS_FILE, METRICS_FILE, RESERVE_FILE, STATUS_FILE, write_process
from core.process import ProcessIdentity
from core.progress import Level, Reporter, TimeLeft, stage_of

Listener = Callable[[Event], None]
Stopped = Callable[[], bool]
_PROGRESS_EVERY_S = 0.1
_CANCEL_EVERY_S = 0.05
_RESERVE_BYTES = 1 << 14
"""Space that is kept for the last event of a job whose disk is full."""
_KEPT = "Earlier results and finished parts are kept; resume the job to continue."
_logger = logging.getLogger(f"{NAME}.job")


def _never() -> bool:
    return False


class JobReporter:
    """Reporter that appends whole lines to the files of a job, so that a crash costs the last line at most.

    Progress is limited to ten lines per second; the last one of each stage is always written.

    Args:
        folder: Folder of the job.
        stopped: Returns whether the job was asked to stop; the cancel file in the folder has the same effect.
        listen: Called with each event that was written.
    """

    def __init__(self, folder: Path, stopped: Stopped = _never, listen: Listener | None = None) -> None:
        self._stopped = stopped
        self._cancelled = False
        self._listen = listen
        self._cancel_file = folder / CANCEL_FILE
        self._lock = threading.RLock()
        self._time_left = TimeLeft()
        self._waiting: Progressed | None = None
        self._stage = ""
        self._progress_at = self._cancel_at = float("-inf")
        self._reserve, self._status = folder / RESERVE_FILE, folder / STATUS_FILE
        with saying_why(folder):
            _fill_reserve(self._reserve)
            self._status.unlink(missing_ok=True)  # that of the attempt before
            self._events = _appending(folder / EVENTS_FILE)
            self._metrics = _appending(folder / METRICS_FILE)
            if self._metrics.tell() == 0:
                _write_whole(self._metrics, b"name,step,value,time\n")

    def __enter__(self) -> JobReporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._events.close()
        self._metrics.close()
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)

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
            with saying_why(self._reserve.parent):
                _write_whole(self._metrics, row.getvalue().encode())
            self.write(event)

    def note(self, text: str, level: Level = "info") -> None:
        """See `core.progress.Reporter`."""
        _logger.log(logging.WARNING if level == "warning" else logging.INFO, "%s", text)
        self.write(Noted(text=text, level=level))

    def status(self, values: Mapping[str, Any]) -> None:
        """See `core.progress.Reporter`; the file of the status is replaced, for hours of them would fill the disk."""
        event = without_secrets(StatusChanged(values=dict(values)))
        with self._lock:
            self._write_waiting()
            temporary = self._status.with_suffix(".tmp")
            with saying_why(self._status.parent):
                temporary.write_text(encode(event), encoding="utf-8")
                # On Windows a file that is being read cannot be replaced; the next status can.
                with contextlib.suppress(PermissionError):
                    temporary.replace(self._status)
            if self._listen is not None:
                self._listen(event)

    def cancelled(self) -> bool:
        """See `core.progress.Reporter`; checks for the cancel file at most twenty times per second."""
        if self._cancelled or self._stopped():
            return True
        now = time.monotonic()
        if now - self._cancel_at >= _CANCEL_EVERY_S:
            self._cancel_at = now
            self._cancelled = self._cancel_file.exists()
            if now - self._progress_at >= _PROGRESS_EVERY_S:
                self._write_waiting()
        return self._cancelled

    def write(self, event: Event) -> None:
        """Write an event, after any progress that is still held back."""
        with self._lock:
            if not isinstance(event, Progressed):
                self._write_waiting()
            event = without_secrets(event)
            line = encode(event).encode() + b"\n"
            with saying_why(self._reserve.parent):
                try:
                    _write_whole(self._events, line)
                except OSError:
                    # How a job ended has to be known even where its disk is full.
                    self._reserve.unlink(missing_ok=True)
                    if not isinstance(event, Ended):
                        raise
                    _write_whole(self._events, b"\n" + line)
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
    """Run `work` in this process as the job of a folder, and write its events.

    Args:
        folder: Folder of the job; created if missing.
        verb: Name of the verb.
        work: Called with the reporter to use; returns JSON values for the last event.
        stopped: Returns whether the job was asked to stop, by a signal, another thread or its parent job.
        listen: Called with each event.

    Returns:
        The result of `work`. Exceptions are written as the last event and raised again.
    """
    with saying_why(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, f"Run {folder.name}", verb), JobReporter(folder, stopped, listen) as reporter:
        write_process(folder, ProcessIdentity.of())
        reporter.write(Started(verb=verb, pid=os.getpid()))
        try:
            finished = Finished(result=work(reporter))
            encode(finished)  # a result that is no JSON fails here, where it can still be reported
        except BaseException as error:
            with contextlib.suppress(DiskError):  # the caller says how it ended
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
    """Run a job as `execute` does, and turn exceptions into a log entry and the returned event."""
    try:
        return Finished(result=execute(folder, verb, work, stopped=stopped, listen=listen))
    except (CancelledError, KeyboardInterrupt) as error:
        _logger.info("Cancelled.")
        return _ending(error)
    except CoreError as error:
        _logger.error("%s", error)
        return without_secrets(_ending(error))
    except Exception as error:
        _logger.exception("Unexpected error.")
        return without_secrets(_ending(error))


def _ending(error: BaseException) -> Ended:
    if isinstance(error, CancelledError | KeyboardInterrupt):
        return Cancelled()
    explained = error if isinstance(error, CoreError) else disk_error(error)
    if isinstance(explained, DiskError):
        return Failed(message=explained.message, hint=f"{explained.hint} {_KEPT}")
    if explained is not None:
        return Failed(message=explained.message, hint=explained.hint)
    trace = "".join(traceback.format_exception(error))
    # OutOfMemoryError is torch's, which may not be loaded here.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        hint = "Close other programs, or set fewer voxels or a smaller batch."
        return Failed(message="Out of memory.", hint=hint, trace=trace)
    hint = "This is a bug in the program. Please report it with the trace and the job's log."
    return Failed(message=f"{type(error).__name__}: {error}", hint=hint, trace=trace)


def _fill_reserve(path: Path) -> None:
    with path.open("wb") as file:
        file.write(bytes(_RESERVE_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _write_whole(file: BinaryIO, data: bytes) -> None:
    """Write all bytes to an unbuffered file, which may take only a part of them at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _appending(path: Path) -> BinaryIO:
    """Open a file for appending, unbuffered; first completes a line that a crash cut off."""
    file = path.open("ab+", buffering=0)
    if file.seek(0, io.SEEK_END) > 0:
        file.seek(-1, io.SEEK_END)
        if file.read(1) != b"\n":
            _write_whole(file, b"\n")
    return file
