"""Incomplete takes: folders under `takes/.incoming/` that are renamed once complete.

The folder of a failed import is removed, at the latest by the next import. That of an interrupted recording is kept, so
that `resume` can turn it into a take.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.config import from_mapping, to_mapping
from core.disk import temporary_in
from core.errors import CoreError
from core.files import read_json, safe_name, write_json
from core.process import ProcessIdentity
from core.session.layout import TakeLayout
from core.session.store import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMarker:
    """Marker of a recording.

    Attributes:
        time_ns: Time on the clock of the recording.
        text: Note.
    """

    time_ns: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingOwner:
    """Process that creates a take, with facts about the take; stored in the take's folder.

    Attributes:
        process: The process.
        run: Run of the recording; empty for an import.
        cameras: Names of the recorded cameras.
        kind: Kind of take; empty for an import.
        note: Note of the user.
        markers: Markers.
    """

    process: ProcessIdentity
    run: str = ""
    cameras: tuple[str, ...] = ()
    kind: Literal["", "board", "floor", "motion"] = ""
    note: str = ""
    markers: tuple[RecordedMarker, ...] = ()


def reserve(
    session: Session,
    name: str,
    *,
    run: str = "",
    cameras: Sequence[str] = (),
    kind: Literal["", "board", "floor", "motion"] = "",
    note: str = "",
) -> TakeLayout:
    """Create the folder of an incomplete take, owned by this process.

    Args:
        session: Session of the take.
        name: Name of the take.
        run: Run of the recording; empty for an import.
        cameras: Names of the recorded cameras.
        kind: Kind of take; empty for an import.
        note: Note of the user.

    Raises:
        CoreError: Another process is creating a take with this name.
        OSError: The folder cannot be written.
    """
    _remove_abandoned(session)
    incoming = session.layout.incoming_take(name)
    refusal = f"A take '{name}' is being created.", "Choose another name, or resume its recording."
    if incoming.root.exists():
        raise CoreError(*refusal)
    owner = IncomingOwner(process=ProcessIdentity.of(), run=run, cameras=tuple(cameras), kind=kind, note=note)
    session.layout.takes.mkdir(parents=True, exist_ok=True)
    # The folder appears together with its owner: one without owner would block the name after a crash.
    prepared = TakeLayout(temporary_in(session.layout.takes))
    try:
        prepared.root.mkdir()
        write_json(prepared.owner, to_mapping(owner))
        incoming.root.parent.mkdir(exist_ok=True)
        prepared.root.rename(incoming.root)
    except OSError as error:
        if incoming.root.exists():  # another process was faster
            raise CoreError(*refusal) from error
        raise
    finally:
        shutil.rmtree(prepared.root, ignore_errors=True)
    return incoming


def add_marker(incoming: TakeLayout, marker: RecordedMarker) -> None:
    """Store a marker of a recording immediately, so that it survives a crash."""
    owner = from_mapping(IncomingOwner, read_json(incoming.owner))
    write_json(incoming.owner, to_mapping(dataclasses.replace(owner, markers=(*owner.markers, marker))))


@contextlib.contextmanager
def staged(session: Session, name: str) -> Iterator[TakeLayout]:
    """Provide a folder for a new take, which is removed unless it is put in place.

    Raises:
        CoreError: Another process is creating a take with this name, or the disk cannot be written.
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
    """Move a complete take into place.

    Raises:
        CoreError: The session already has a take with this name.
    """
    if take.root.exists():
        raise CoreError(f"The session already has a take '{take.name}'.", "Choose another name.")
    incoming.root.rename(take.root)
    take.owner.unlink(missing_ok=True)


def discard(session: Session, incoming: TakeLayout) -> None:
    """Remove the folder of an incomplete take, and the folder of incoming takes if it is then empty."""
    shutil.rmtree(incoming.root, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty
        session.layout.incoming.rmdir()


def find_recording(session: Session, run: str) -> tuple[TakeLayout, IncomingOwner] | None:
    """Find an interrupted recording.

    Args:
        session: Session of the recording.
        run: Name of its run.

    Returns:
        Folder and owner; None if there is none.

    Raises:
        CoreError: The recording is still running.
    """
    for folder in session.layout.incoming.glob("*"):
        incoming = TakeLayout(folder)
        owner = recording_owner(incoming)
        if owner is not None and owner.run == run:
            if owner.process.alive and owner.process != ProcessIdentity.of():
                raise CoreError("The recording is still running.", "Stop it first.")
            return incoming, owner
    return None


def interrupted_recordings(session: Session) -> dict[str, str]:
    """Return the run of each interrupted recording by take name."""
    owners = {folder.name: recording_owner(TakeLayout(folder)) for folder in sorted(session.layout.incoming.glob("*"))}
    return {name: owner.run for name, owner in owners.items() if owner and owner.run and not owner.process.alive}


def free_take_name(session: Session, wanted: str, sources: Sequence[Path | str] = (), *, numbered: bool = False) -> str:
    """Return a name for a new take.

    Args:
        session: Session of the take.
        wanted: Requested name; if empty, the name is that of the source folder or a number.
        sources: Source files or folders of the take.
        numbered: Add a number to a requested name that is taken, instead of refusing it.

    Raises:
        CoreError: The requested name is taken.
    """
    taken = {path.name.casefold() for path in session.layout.takes.glob("*")}
    for folder in session.layout.incoming.glob("*"):
        owner = recording_owner(TakeLayout(folder))
        if owner is not None and (owner.run or owner.process.alive):
            taken.add(folder.name.casefold())
    if wanted:
        name = safe_name(wanted)
        if numbered and name.casefold() in taken:
            return next(n for i in range(2, len(taken) + 3) if (n := f"{name}_{i:02d}").casefold() not in taken)
        if name.casefold() in taken:
            run = {other.casefold(): run for other, run in interrupted_recordings(session).items()}.get(name.casefold())
            if run is not None:
                raise CoreError(
                    f"The recording '{name}' was interrupted, and is not a take yet.",
                    f"Resume run {run} to recover it, or choose another name.",
                )
            raise CoreError(f"The session already has a take '{name}'.", "Choose another name.")
        return name
    folder_given = len(sources) == 1 and Path(sources[0]).is_dir()
    base = safe_name(Path(sources[0]).resolve().name) if folder_given else "take"
    candidates = ([base] if folder_given else []) + [f"{base}_{number:02d}" for number in range(1, len(taken) + 2)]
    return next(name for name in candidates if name.casefold() not in taken)


def recording_owner(incoming: TakeLayout) -> IncomingOwner | None:
    """Return the owner of an incomplete take; None if its file is missing or damaged."""
    try:
        return from_mapping(IncomingOwner, read_json(incoming.owner))
    except CoreError:
        return None


def _remove_abandoned(session: Session) -> None:
    """Remove the folders of imports by dead processes; recordings are kept."""
    for folder in session.layout.incoming.glob("*"):
        owner = recording_owner(TakeLayout(folder))
        recorded = any(folder.glob("*.times.csv")) if owner is None else bool(owner.run)
        if not recorded and (owner is None or not owner.process.alive):
            shutil.rmtree(folder, ignore_errors=True)
