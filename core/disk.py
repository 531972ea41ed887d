"""Atomic replacement of files and folders, and error messages for disks that are full, read-only or broken.

Names of temporaries identify their process and have no known suffix; they are removed once the process is dead.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import CoreError
from core.process import ProcessIdentity

_TEMPORARY = re.compile(r"\.tmp-(?P<host>[0-9a-f]{6})-(?P<boot>[0-9a-f-]*)_(?P<pid>\d+)-(?P<created>\d+)-[0-9a-f]{8}")
_FORMER = re.compile(r"\.(best|last)\.new-[0-9a-f]{8}")
"""Names of temporary folders of versions up to 0.1, which do not identify a process."""
_ALMOST_FULL_BYTES = 1 << 16
_FREE = "Free some space and run this again."
_ELSEWHERE = "Copy the session to a disk that you may write to, and work on the copy."
_CAUSES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", _FREE),
    errno.EDQUOT: ("your share of the disk is used up", _FREE),
    errno.EFBIG: ("the file is larger than the disk or the system allows", "Choose another disk, or raise the limit."),
    errno.EROFS: ("the disk is read-only", _ELSEWHERE),
    errno.EACCES: ("permission is denied", f"Check the permissions. {_ELSEWHERE}"),
    errno.EPERM: ("permission is denied", f"Check the permissions. {_ELSEWHERE}"),
    errno.EIO: ("the disk reports an error", "Check the disk and its cable, and copy your data to another one."),
    errno.ENODEV: ("the disk is gone", "Connect the disk again and run this again."),
    errno.ENOTCONN: ("the network disk is gone", "Connect the disk again and run this again."),
    errno.ESTALE: ("the network disk is gone", "Connect the disk again and run this again."),
    errno.EMFILE: ("too many files are open", "Close other programs and run this again."),
}
_IN_TEXT = re.compile(r"(?:errno = |os error |\[Errno )(\d+)")
"""Error number as printed by HDF5, Rust and Python."""
_swept: set[Path] = set()


class DiskError(CoreError):
    """Disk that cannot be written or read."""


@contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it replaces `path`, on error it is removed.

    Permissions follow the umask. The content is synced to disk before it replaces the earlier file.

    Args:
        path: File to create or replace.
        mode: Permissions before the umask.

    Raises:
        DiskError: The disk is full or not writable.
    """
    with saying_why(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_in(path.parent)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
        finally:
            _remove(temporary)


@contextmanager
def replacing_folder(folder: Path, aside: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `folder`; on success it replaces it, on error it is removed.

    Args:
        folder: Folder to create or replace.
        aside: Path of the earlier folder between the two renames; it is removed afterwards.

    Raises:
        DiskError: The disk is full or not writable.
    """
    with saying_why(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_in(folder.parent)
        temporary.mkdir()
        try:
            yield temporary
            for path in [*temporary.rglob("*"), temporary]:
                sync(path)
            if folder.exists():
                _remove(aside)
                folder.rename(aside)
            temporary.rename(folder)
            sync(folder.parent)
            _remove(aside)
        finally:
            _remove(temporary)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk; folders only if the system supports it."""
    if path.is_dir():
        if os.name == "nt":
            return
        handle = os.open(path, os.O_RDONLY)
    else:
        handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporary_in(folder: Path) -> Path:
    """Return an unused path for a temporary of this process; sweeps the folder on the first call."""
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder, deep=False)
    mine = ProcessIdentity.of()
    owner = f"{_token(mine.host)}-{mine.boot}_{mine.pid}-{round(100 * mine.created)}"
    return folder / f".tmp-{owner}-{secrets.token_hex(4)}"


def sweep(folder: Path, *, deep: bool = True) -> None:
    """Remove the temporaries of dead processes of this computer from a folder; ignores failures.

    Args:
        folder: Folder to sweep.
        deep: Sweep its subfolders as well.
    """
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if _abandoned(name):
                with contextlib.suppress(OSError):
                    _remove(Path(root, name))
        if not deep:
            break


def is_temporary(name: str) -> bool:
    """Return whether a file or folder of this name is a temporary of any process."""
    return bool(_TEMPORARY.fullmatch(name) or _FORMER.fullmatch(name))


@contextmanager
def saying_why(path: Path) -> Iterator[None]:
    """Convert disk errors to a `DiskError` about a path; other errors propagate unchanged."""
    try:
        yield
    except CoreError:
        raise
    except Exception as error:
        explained = disk_error(error, path)
        if explained is None:
            raise
        raise explained from error


def disk_error(error: BaseException, path: Path | None = None) -> DiskError | None:
    """Return a disk error as a `DiskError`; None for any other error.

    Args:
        error: Error of any library, whose cause or context may be an error of the system.
        path: File or folder that was written; None for the one in the error.
    """
    found = _number(error)
    if found is None and path is not None and isinstance(error, OSError | RuntimeError | ValueError):
        # numpy and HDF5 report a short write without its reason.
        with contextlib.suppress(OSError):
            existing = next(p for p in [path, *path.parents] if p.exists())
            if shutil.disk_usage(existing).free < _ALMOST_FULL_BYTES:
                found = errno.ENOSPC, ""
    if found is None:
        return None
    number, name = found
    cause, hint = _CAUSES.get(number, ("", ""))
    if number == errno.ENOENT and is_temporary(Path(name).name):
        cause, hint = "its folder takes no new files", "Choose another file or folder."
    where = str(path or name or "A file of the job")
    written = path is not None or number not in (errno.EACCES, errno.EPERM, errno.EIO)
    if not cause:
        if path is None or number == errno.ENOENT:
            return None
        return DiskError(f"{where} cannot be written: {os.strerror(number)}.", "Choose another file or folder.")
    return DiskError(f"{where} cannot be {'written' if written else 'used'}: {cause}.", hint)


def _number(error: BaseException) -> tuple[int, str] | None:
    """Return the system's number of an error or of one that caused it, and the file that it names."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        number = getattr(one, "errno", None)
        if isinstance(number, int) and number in errno.errorcode:
            return number, str(getattr(one, "filename", "") or "")
        match = _IN_TEXT.search(str(one))
        if match and not isinstance(one, CoreError):
            return int(match.group(1)), ""
        waiting += [one.__cause__, one.__context__]
    return None


def _abandoned(name: str) -> bool:
    match = _TEMPORARY.fullmatch(name)
    if match is None:
        return _FORMER.fullmatch(name) is not None
    mine = ProcessIdentity.of()
    if match["host"] != _token(mine.host):
        return False  # of another computer that shares the disk, whose processes cannot be checked
    owner = ProcessIdentity(pid=int(match["pid"]), created=int(match["created"]) / 100, boot=match["boot"])
    return not owner.alive


def _token(host: str) -> str:
    return hashlib.sha256(host.encode()).hexdigest()[:6]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
