"""Several processes for one job: ranks, launching them on this machine, and ending together.

Ranks are passed in the environment variables of `torchrun`. On one machine the main process starts the others itself,
and they meet through a file and the loopback interface; on several machines torchrun starts them. Each process takes
its share of the work; only the main one reports and writes results.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from core import NAME
from core.errors import CancelledError, CoreError
from core.files import read_json, write_json
from core.jobs.spec import CANCEL_FILE
from core.progress import NullReporter, Reporter, check

T = TypeVar("T")
MEETING = "SELFPOSE_MEETING"
"""Variable with the rendezvous file of the processes of one machine, which avoids a server and its port."""
_ORPHANED = 1
_TAIL_CHARS = 20_000
_END_S = 120.0
"""Time for the other processes to end after the main one is done."""
_REASON_S = 10.0
"""Time to wait for the error message of a failed process."""
_logger = logging.getLogger(f"{NAME}.ranks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Rank of this process within its job.

    Attributes:
        rank: Number of the process; 0 is the main one.
        world_size: Number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def from_environment(cls) -> Ranks:
        """Return the rank that torchrun or the main process has set."""
        return cls(rank=int(os.environ.get("RANK", "0")), world_size=int(os.environ.get("WORLD_SIZE", "1")))

    @property
    def is_main(self) -> bool:
        """True if this process reports and writes results."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's contiguous share of some work."""
        return items[len(items) * self.rank // self.world_size : len(items) * (self.rank + 1) // self.world_size]


def select_gpu() -> None:
    """Restrict this process to the GPU of its local rank; must run before any library looks for GPUs."""
    local_rank = os.environ.get("LOCAL_RANK")
    if local_rank is None or Ranks.from_environment().world_size == 1:
        return
    visible = [v for v in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if v]
    if len(visible) != 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[int(local_rank) % len(visible)] if visible else local_rank


@contextmanager
def launch(processes: int, folder: Path) -> Iterator[Ranks]:
    """Launch further processes for the job in a folder and end together with them; does nothing within a launched one.

    Args:
        processes: Number of processes on this machine; 1 starts no other.
        folder: Folder of the job, whose `job.json` the others read.

    Yields:
        Rank of this process.

    Raises:
        CoreError: Another process failed or died; the message says why.
    """
    ranks = Ranks.from_environment()
    if ranks.world_size > 1 or processes <= 1:
        yield ranks
        return
    meeting = Path(tempfile.mkdtemp(prefix=f"{NAME.lower().replace(' ', '-')}-"))  # accessible only to this user
    environment = {MEETING: str(meeting / "store"), "WORLD_SIZE": str(processes), **_loopback()}
    for rank in range(1, processes):
        _reason_file(folder, rank).unlink(missing_ok=True)
    others = {rank: _start(folder, rank, environment) for rank in range(1, processes)}
    main = {**environment, "RANK": "0", "LOCAL_RANK": "0"}
    before = {name: os.environ.get(name) for name in main}
    os.environ.update(main)
    try:
        yield Ranks(rank=0, world_size=processes)
        _wait(others, folder)
    except (CancelledError, CoreError):
        raise
    except Exception as error:
        reason = _reason(others, folder)
        if reason is None:
            raise
        raise reason from error
    finally:
        for process in others.values():
            _kill(process)
        for name in main:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if value is not None})
        shutil.rmtree(meeting, ignore_errors=True)


def end_with_parent() -> None:
    """End this process immediately when its parent process ends.

    The parent holds the other end of the standard input, which the system closes with it.
    """
    if MEETING not in os.environ:
        return  # torchrun ends its own processes

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(0, 1024):
                pass
        os._exit(_ORPHANED)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _loopback() -> dict[str, str]:
    """Return the variables that restrict traffic between the processes of one machine to the loopback interface."""
    name = next((n for n, found in psutil.net_if_addrs().items() if any(a.address == "127.0.0.1" for a in found)), "")
    return {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": name} if name else {}


def run_rank(folder: Path, work: Callable[[Reporter], object], stopped: Callable[[], bool]) -> int:
    """Run the share of a process other than the main one, and store the reason of a failure for the main one.

    Args:
        folder: Folder of the job.
        work: Function to run.
        stopped: Returns True if this process was asked to stop.

    Returns:
        Exit code: 0 done, 1 failed, 130 cancelled.
    """
    rank = Ranks.from_environment().rank
    try:
        work(_RankReporter(folder / CANCEL_FILE, stopped))
    except CancelledError:
        return 130
    except Exception as error:
        _logger.exception("Process %d failed", rank + 1)
        hint = error.hint if isinstance(error, CoreError) else ""
        message = error.message if isinstance(error, CoreError) else f"{type(error).__name__}: {error}"
        write_json(_reason_file(folder, rank), {"message": message, "hint": hint})
        return 1
    return 0


class _RankReporter(NullReporter):
    """Reporter that only checks for cancellation."""

    def __init__(self, cancel_file: Path, stopped: Callable[[], bool]) -> None:
        self._cancel_file, self._stopped = cancel_file, stopped

    def cancelled(self) -> bool:
        return self._stopped() or self._cancel_file.exists()


def wait_for_files(paths: Sequence[Path], reporter: Reporter) -> None:
    """Wait until other processes have written all of these files.

    Args:
        paths: Files, each renamed into place when it is complete.
        reporter: Reporter that is checked for cancellation.

    Raises:
        CancelledError: The job is cancelled.
        RuntimeError: The processes of this machine ended without writing them; `launch` replaces it by their error.
    """
    while missing := [path for path in paths if not path.is_file()]:
        check(reporter)
        if _started and all(process.poll() is not None for process in _started):
            if all(path.is_file() for path in missing):
                return
            raise RuntimeError(f"{missing[0]} was not written.")
        time.sleep(0.05)


_started: list[subprocess.Popen[bytes]] = []


def _start(folder: Path, rank: int, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **variables, "RANK": str(rank), "LOCAL_RANK": str(rank)}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(variables["WORLD_SIZE"]))))
    with _log_file(folder, rank).open("ab") as log:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "core.worker", str(folder)],
                env=environment,
                stdin=subprocess.PIPE,  # see `end_with_parent`
                stdout=log,
                stderr=log,
                start_new_session=sys.platform != "win32",  # Ctrl-C is for the main process only
            )
        except OSError as error:
            raise CoreError(f"Another process could not be started: {error}.", "Set processes to 1.") from error
    _started.append(process)
    return process


def _wait(others: dict[int, subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait for the other processes to end.

    Raises:
        CoreError: One failed.
    """
    until = time.monotonic() + _END_S
    for process in others.values():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
    failed = _reason(others, folder, timeout_s=0)
    if failed is not None:
        raise failed


def _reason(others: dict[int, subprocess.Popen[bytes]], folder: Path, timeout_s: float = _REASON_S) -> CoreError | None:
    """Return the error of another process that ended early, or None."""
    until = time.monotonic() + timeout_s
    while True:
        for rank, process in others.items():
            code = process.poll()
            if code in (None, 0, 130):
                continue
            who = f"Process {rank + 1} of {len(others) + 1}"
            with contextlib.suppress(CoreError, KeyError, TypeError):
                reason = read_json(_reason_file(folder, rank))
                return CoreError(f"{who} failed: {reason['message']}", str(reason["hint"]) or _HINT)
            return CoreError(f"{who} ended unexpectedly (exit code {code}).{_last_words(folder, rank)}", _HINT)
        if time.monotonic() >= until:
            return None
        time.sleep(0.05)


def _last_words(folder: Path, rank: int) -> str:
    """Return the last line that a process printed, or the line with the reason of its abort."""
    with contextlib.suppress(OSError):
        text = _log_file(folder, rank).read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARS:]
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        why = [line for line in lines if "what():" in line or line.startswith(("Fatal", "terminate called"))]
        if lines:
            return f" It said: {(why or lines)[-1][:200]}"
    return ""


_HINT = "Its log is in the job's folder. Resume the job, with fewer processes if memory ran out."


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ValueError):
        _started.remove(process)
    if process.poll() is None:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _log_file(folder: Path, rank: int) -> Path:
    return folder / f"process-{rank}.log"


def _reason_file(folder: Path, rank: int) -> Path:
    return folder / f"process-{rank}.json"
