"""Several processes at work on one job: who is who, starting the others on this machine, and ending together.

Processes know each other by the variables that `torchrun` sets, so that one machine, whose first process starts the
others itself, and many machines, where torchrun does, go the same way. Each takes its share of the work; only the
first one speaks to the person and writes results.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
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
_END_S = 120.0
"""The others may take this long to end after the first process is done."""
_REASON_S = 10.0
_logger = logging.getLogger(f"{NAME}.ranks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Which of how many processes this one is.

    Attributes:
        rank: 0 is the first one, which writes and tells.
        world_size: How many there are.
    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def from_environment(cls) -> Ranks:
        """As torchrun, or the first process, has set it."""
        return cls(rank=int(os.environ.get("RANK", "0")), world_size=int(os.environ.get("WORLD_SIZE", "1")))

    @property
    def is_main(self) -> bool:
        """Whether this process writes results and tells the person."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's share of some work, items that follow each other."""
        return items[len(items) * self.rank // self.world_size : len(items) * (self.rank + 1) // self.world_size]


def select_gpu() -> None:
    """Shows this process the one GPU that is its own, before any library looks; does nothing outside of a group."""
    mine = os.environ.get("LOCAL_RANK")
    if mine is None or Ranks.from_environment().world_size == 1:
        return
    visible = [v for v in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if v]
    if len(visible) != 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[int(mine) % len(visible)] if visible else mine


@contextmanager
def launch(processes: int, folder: Path) -> Iterator[Ranks]:
    """Has that many processes do the job in a folder; those that are already in a group stay in it.

    Args:
        processes: On this machine; 1 starts no other.
        folder: The job's, with its `job.json`, which the others read.

    Raises:
        CoreError: One of the others failed or died; with its reason.
    """
    given = Ranks.from_environment()
    if given.world_size > 1 or processes <= 1:
        yield given
        return
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(processes)}
    for rank in range(1, processes):
        _reason_file(folder, rank).unlink(missing_ok=True)
    others = {rank: _start(folder, rank, shared) for rank in range(1, processes)}
    mine = {**shared, "RANK": "0", "LOCAL_RANK": "0"}
    before = {name: os.environ.get(name) for name in mine}
    os.environ.update(mine)
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
        for name in mine:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def run_rank(folder: Path, work: Callable[[Reporter], object], stopped: Callable[[], bool]) -> int:
    """Does the share of a process that is not the first one; what goes wrong is left for the first one to read.

    Returns:
        The exit code: 0 done, 1 failed, 130 cancelled.
    """
    rank = Ranks.from_environment().rank
    try:
        work(_Follower(folder / CANCEL_FILE, stopped))
    except CancelledError:
        return 130
    except Exception as error:
        _logger.exception("Process %d failed", rank + 1)
        hint = error.hint if isinstance(error, CoreError) else ""
        message = error.message if isinstance(error, CoreError) else f"{type(error).__name__}: {error}"
        write_json(_reason_file(folder, rank), {"message": message, "hint": hint})
        return 1
    return 0


class _Follower(NullReporter):
    """Tells nobody anything; stops when the job is to stop."""

    def __init__(self, cancel_file: Path, stopped: Callable[[], bool]) -> None:
        self._cancel_file, self._stopped = cancel_file, stopped

    def cancelled(self) -> bool:
        return self._stopped() or self._cancel_file.exists()


def wait_for_files(paths: Sequence[Path], reporter: Reporter) -> None:
    """Waits until other processes have written all of these files whole.

    Args:
        paths: Files; each appears under its name only when it is whole.
        reporter: Asked whether to stop.

    Raises:
        CancelledError: Asked to stop.
        RuntimeError: The processes of this machine that should write them ended without doing so; `launch` says why.
    """
    while missing := [path for path in paths if not path.is_file()]:
        check(reporter)
        if _started and all(process.poll() is not None for process in _started):
            if all(path.is_file() for path in missing):
                return
            raise RuntimeError(f"{missing[0]} was not written.")
        time.sleep(0.05)


_started: list[subprocess.Popen[bytes]] = []


def _start(folder: Path, rank: int, shared: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(shared["WORLD_SIZE"]))))
    with (folder / f"process-{rank}.log").open("ab") as log:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "core.worker", str(folder)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=sys.platform != "win32",  # Ctrl-C is for the first process, which tells the others
            )
        except OSError as error:
            raise CoreError(f"Another process could not be started: {error}.", "Set processes to 1.") from error
    _started.append(process)
    return process


def _wait(others: dict[int, subprocess.Popen[bytes]], folder: Path) -> None:
    """Lets the others end.

    Raises:
        CoreError: One failed, or does not end.
    """
    until = time.monotonic() + _END_S
    for process in others.values():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
    failed = _reason(others, folder, patience_s=0)
    if failed is not None:
        raise failed


def _reason(
    others: dict[int, subprocess.Popen[bytes]], folder: Path, patience_s: float = _REASON_S
) -> CoreError | None:
    """Why one of the others ended before its time; None if none has."""
    until = time.monotonic() + patience_s
    while True:
        for rank, process in others.items():
            code = process.poll()
            if code in (None, 0, 130):
                continue
            who = f"Process {rank + 1} of {len(others) + 1}"
            with contextlib.suppress(CoreError, KeyError, TypeError):
                said = read_json(_reason_file(folder, rank))
                return CoreError(f"{who} failed: {said['message']}", str(said["hint"]) or _HINT)
            return CoreError(f"{who} ended unexpectedly (exit code {code}).", _HINT)
        if time.monotonic() >= until:
            return None
        time.sleep(0.05)


_HINT = "Its log is beside the job's. Start again to go on where it stopped, with fewer processes if memory ran out."


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


def _reason_file(folder: Path, rank: int) -> Path:
    return folder / f"process-{rank}.json"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
