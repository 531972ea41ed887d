"""Locks on folders that only one process may work in, such as a run or a take.

The system holds the lock and releases it when the process ends in any way; the content of the file says who holds it.
Where the disk has no locks, the content alone decides.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.config import from_mapping, to_mapping
from core.disk import saying_why
from core.errors import CoreError
from core.files import read_json
from core.jobs.launch import Ranks
from core.process import ProcessIdentity

LOCK_FILE = ".lock"
_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_BEYOND = 1 << 30
"""Byte that Windows locks, far behind the content: there, a locked byte cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that works in a folder.

    Attributes:
        process: The process.
        work: Verb that it runs.
        since: Time of the start, ISO 8601.
        folder: Folder as the process knows it: a copy of the folder is held by nobody.
    """

    process: ProcessIdentity
    work: str
    since: str
    folder: str

    def __str__(self) -> str:
        host = "" if self.process.here else f" on {self.process.host}"
        return f"process {self.process.pid}{host} ('{self.work}', since {self.since.replace('T', ' ')})"


_held: dict[Path, tuple[int, int]] = {}
"""Thread and depth of the locks that this process holds."""
_mutex = threading.Lock()


@contextmanager
def locked(folder: Path, what: str, work: str) -> Iterator[None]:
    """Hold the lock of a folder; may be nested in one thread. Processes other than the main one of a job share its.

    Args:
        folder: Folder to work in.
        what: Name of the folder's content at the start of a sentence, such as "Take walk".
        work: Verb that works in it.

    Raises:
        CoreError: Another process or thread works in the folder; the message says which.
        DiskError: The folder cannot be written.
    """
    if not Ranks.from_environment().is_main:
        yield
        return
    key, thread = folder.resolve(), threading.get_ident()
    with _mutex:
        owner, depth = _held.get(key, (thread, 0))
        if owner != thread:
            raise _in_use(what, None)
        handle = _acquire(folder, what, work) if not depth else None
        _held[key] = (thread, depth + 1)
    try:
        yield
    finally:
        with _mutex:
            _, depth = _held.pop(key)
            if depth > 1:
                _held[key] = (thread, depth - 1)
            if handle is not None:
                _release(handle)


def holder(folder: Path) -> Holder | None:
    """Return who works in a folder; None if nobody does, or if it is not known."""
    found = _content(folder)
    if found is None or found.folder != str(folder.resolve()):
        return None
    return found if found.process.alive or not found.process.here else None


def require_free(folder: Path, what: str) -> None:
    """Raise if another process works in a folder.

    Raises:
        CoreError: Another process does; the message says which.
    """
    found = holder(folder)
    if found is not None and found.process.pid != os.getpid():
        raise _in_use(what, found)


def _acquire(folder: Path, what: str, work: str) -> int:
    path = folder / LOCK_FILE
    with saying_why(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
        except OSError as error:
            if error.errno in _BUSY:
                os.close(handle)
                raise _in_use(what, _content(folder)) from error
            if (found := holder(folder)) is not None:
                os.close(handle)
                raise _in_use(what, found) from error
        since = datetime.now().isoformat(timespec="seconds")
        mine = Holder(process=ProcessIdentity.of(), work=work, since=since, folder=str(folder.resolve()))
        try:
            _write(handle, mine)
        except OSError:
            os.close(handle)
            raise
    return handle


def _release(handle: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
    os.close(handle)


def _write(handle: int, mine: Holder) -> None:
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(to_mapping(mine)).encode())


def _content(folder: Path) -> Holder | None:
    try:
        return from_mapping(Holder, read_json(folder / LOCK_FILE))
    except CoreError:
        return None


def _in_use(what: str, found: Holder | None) -> CoreError:
    who = "another program" if found is None else str(found)
    return CoreError(f"{what} is in use by {who}.", "Wait until it is done, or stop it first.")


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _BEYOND, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
