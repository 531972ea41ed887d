"""Takes that are being made: folders under `takes/.incoming/` that are renamed into place as a whole.

An import that fails or dies leaves nothing that counts: its folder is removed, at the latest by the next import. A
recording that dies keeps its folder, so that `resume` can make the take of what is there.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_json, safe_name, write_json
from core.session.layout import TakeLayout
from core.session.store import Session

_START_TOLERANCE_S = 2.0  # process start times are rounded differently by different systems
_OWNERLESS_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingOwner:
    """The process that makes a take, stored beside the take's files.

    Attributes:
        pid: Process id.
        created: Start time of the process, which tells it from a later one with the same id.
        run: Run of a recording; empty for an import.
        cameras: Names of the recorded cameras.
    """

    pid: int
    created: float
    run: str = ""
    cameras: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.created) < _START_TOLERANCE_S
        except psutil.Error:
            return False


def reserve(session: Session, name: str, *, run: str = "", cameras: Sequence[str] = ()) -> TakeLayout:
    """Make the folder of a take that this process is about to fill.

    Args:
        session: Session of the take.
        name: Name of the take.
        run: Run of a recording; empty for an import.
        cameras: Names of the recorded cameras.

    Raises:
        CoreError: Another process makes a take of this name.
        OSError: The folder cannot be written.
    """
    _remove_abandoned(session)
    incoming = session.layout.incoming_take(name)
    try:
        incoming.root.mkdir(parents=True)
    except FileExistsError as error:
        raise CoreError(f"A take '{name}' is being made.", "Choose another name, or resume its recording.") from error
    process = psutil.Process()
    owner = IncomingOwner(pid=process.pid, created=process.create_time(), run=run, cameras=tuple(cameras))
    write_json(incoming.owner, to_mapping(owner))
    return incoming


@contextlib.contextmanager
def staged(session: Session, name: str) -> Iterator[TakeLayout]:
    """Provide a folder for a take that is put together; removes it if it was not put in place.

    Raises:
        CoreError: Another process makes a take of this name, or the disk cannot be written.
    """
    incoming = None
    try:
        incoming = reserve(session, name)
        yield incoming
    except OSError as error:
        raise CoreError(
            f"The videos cannot be copied to {session.root}: {error.strerror or error}.",
            "Check that both disks are connected, have free space, and may be written to.",
        ) from error
    finally:
        if incoming is not None:
            discard(session, incoming)


def put_in_place(incoming: TakeLayout, take: TakeLayout) -> None:
    """Rename a complete take into place.

    Raises:
        CoreError: The session has a take of this name.
    """
    if take.root.exists():
        raise CoreError(f"The session already has a take '{take.name}'.", "Choose another name.")
    incoming.root.rename(take.root)
    take.owner.unlink(missing_ok=True)


def discard(session: Session, incoming: TakeLayout) -> None:
    """Remove the folder of a take that is not wanted, and the folder of incoming takes when it is empty."""
    shutil.rmtree(incoming.root, ignore_errors=True)
    with contextlib.suppress(OSError):  # other takes are being made
        session.layout.incoming.rmdir()


def find_recording(session: Session, run: str) -> tuple[TakeLayout, IncomingOwner] | None:
    """Return what a recording that died left behind, by the name of its run; None if there is nothing."""
    for folder in session.layout.incoming.glob("*"):
        incoming = TakeLayout(folder)
        owner = _owner(incoming)
        if owner is not None and owner.run == run:
            return incoming, owner
    return None


def free_take_name(session: Session, wanted: str, sources: Sequence[Path | str] = ()) -> str:
    """Return a name for a new take.

    Args:
        session: Session of the take.
        wanted: Requested name; empty for a name after the folder that the take comes from, or a number.
        sources: Where the take comes from.

    Raises:
        CoreError: The requested name is taken.
    """
    taken = {path.name.casefold() for path in session.layout.takes.glob("*")}
    for folder in session.layout.incoming.glob("*"):
        owner = _owner(TakeLayout(folder))
        if owner is not None and (owner.run or owner.alive):
            taken.add(folder.name.casefold())
    if wanted:
        name = safe_name(wanted)
        if name.casefold() in taken:
            raise CoreError(f"The session already has a take '{name}'.", "Choose another name.")
        return name
    folder_given = len(sources) == 1 and Path(sources[0]).is_dir()
    base = safe_name(Path(sources[0]).resolve().name) if folder_given else "take"
    candidates = ([base] if folder_given else []) + [f"{base}_{number:02d}" for number in range(1, len(taken) + 2)]
    return next(name for name in candidates if name.casefold() not in taken)


def _owner(incoming: TakeLayout) -> IncomingOwner | None:
    try:
        return from_mapping(IncomingOwner, read_json(incoming.owner))
    except CoreError:
        return None


def _remove_abandoned(session: Session) -> None:
    """Remove what imports of dead processes left; recordings stay."""
    for folder in session.layout.incoming.glob("*"):
        owner = _owner(TakeLayout(folder))
        if owner is None:
            # Another process may be about to write its owner file.
            fresh = time.time() - folder.stat().st_mtime < _OWNERLESS_S
            keep = fresh or any(folder.glob("*.times.csv"))
        else:
            keep = bool(owner.run) or owner.alive
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
