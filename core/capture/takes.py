"""Takes of running cameras: their beginning and end, markers, room on the disk, and what is made of the recording."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

from core.capture.recorder import Recorder
from core.clock import Clock
from core.disk import DiskError, saying_why
from core.errors import CoreError
from core.jobs.commands import StartTake
from core.process import ProcessIdentity
from core.progress import NullReporter, Reporter
from core.session import RunLayout, Session, Take, TakeLayout
from core.session.incoming import (
    IncomingOwner,
    RecordedMarker,
    add_marker,
    discard,
    free_take_name,
    recording_owner,
    reserve,
)
from core.session.ingest import ingest_recording

_LEAST_FREE_BYTES, _LEAST_FREE_SHARE = 500_000_000, 0.1
_RESERVE_BYTES = 1 << 20
_FILES_S = 60.0  # in which a disk has to take what is left of the images


class TakeMaker:
    """The takes of one run of cameras. A finished recording becomes a take in a thread, while the cameras run on.

    Args:
        session: Session of the takes.
        run: Run of the cameras.
        cameras: Names of the cameras.
        reporter: Receives notes.
        clock: Clock of the cameras.
    """

    def __init__(
        self, session: Session, run: RunLayout, cameras: Sequence[str], reporter: Reporter, clock: Clock
    ) -> None:
        self._session, self._run, self._cameras = session, run, tuple(cameras)
        self._reporter, self._clock = reporter, clock
        self._saver = ThreadPoolExecutor(1, "save")
        self._saving: dict[str, Future[Take | None]] = {}
        self.takes: list[str] = []
        self.folder: TakeLayout | None = None
        self.begin_ns, self._last_s = 0, 0.0
        self.markers: list[RecordedMarker] = []

    @property
    def saving(self) -> tuple[str, ...]:
        """Names of the takes that are being made."""
        return tuple(self._saving)

    @property
    def seconds(self) -> float:
        """Length of the present take so far, or of the last one, in s; 0 before the first."""
        return (self._clock.now_ns() - self.begin_ns) / 1e9 if self.folder is not None else self._last_s

    def reserve(self, command: StartTake, *, numbered: bool = True) -> TakeLayout:
        """Make the folder of a take.

        Args:
            command: What is to be recorded.
            numbered: Add a number to a name that is taken, rather than refuse it.

        Raises:
            CoreError: The disk has no room, or the name is taken.
        """
        check_room(self._session.root)
        name = free_take_name(self._session, command.name, numbered=numbered)
        folder = reserve(
            self._session, name, run=self._run.name, cameras=self._cameras, kind=command.kind, note=command.note
        )
        try:
            with saying_why(folder.root):
                folder.reserve.write_bytes(os.urandom(min(_RESERVE_BYTES, shutil.disk_usage(folder.root).free // 20)))
        except DiskError:
            discard(self._session, folder)
            raise
        return folder

    def began(self, folder: TakeLayout, begin_ns: int) -> None:
        """Take note that a recording has begun."""
        self.folder, self.begin_ns, self.markers = folder, begin_ns, []

    def mark(self, text: str) -> None:
        """Mark the present instant of the take.

        Raises:
            CoreError: No take is recorded, or the disk is full.
        """
        if self.folder is None:
            raise CoreError("There is no take to mark.", "Start a take first.")
        marker = RecordedMarker(time_ns=self._clock.now_ns(), text=text)
        add_marker(self.folder, marker)
        self.markers.append(marker)

    def end(self, recorder: Recorder, *, unwanted: bool = False) -> None:
        """End the present take, and begin to make a take of what was recorded.

        Args:
            recorder: The cameras.
            unwanted: Remove it.
        """
        self._last_s, folder, self.folder = self.seconds, self.folder, None
        if folder is not None:
            self._saving[folder.name] = self._saver.submit(self._save, folder, recorder.end(), unwanted)

    def finished(self, *, wait: bool = False) -> list[str]:
        """Return the names of the takes that were completed since the last call.

        Args:
            wait: Whether to wait for those that are being made.

        Raises:
            CoreError: A recording could not be made a take; the message says what becomes of it.
        """
        names = []
        for name, future in list(self._saving.items()):
            if wait or future.done():
                del self._saving[name]
                if (take := future.result()) is not None:
                    names.append(take.name)
                    self.takes.append(take.name)
        return names

    def close(self) -> None:
        """End the thread, after what is being saved."""
        self._saver.shutdown()

    def _save(self, folder: TakeLayout, ends: list[Event], unwanted: bool) -> Take | None:
        for end in ends:
            end.wait(_FILES_S)
        if unwanted:
            discard(self._session, folder)
            return None
        known = IncomingOwner(process=ProcessIdentity.of(), run=self._run.name, cameras=self._cameras)
        owner = recording_owner(folder) or known
        return save_recording(self._session, folder, owner, _NotesOnly(self._reporter))


def save_recording(session: Session, folder: TakeLayout, owner: IncomingOwner, reporter: Reporter) -> Take:
    """Make a take of a recording that has ended, or was killed.

    Args:
        session: Session of the take.
        folder: Folder of the recording.
        owner: What is known of it.
        reporter: Receives progress and notes.

    Raises:
        CoreError: Nothing was recorded, or the disk is full.
    """
    try:
        return ingest_recording(session, folder, owner, reporter)
    except DiskError as error:
        raise DiskError(error.message, f"Free some space; then resume run {owner.run}: nothing is lost.") from error
    except CoreError:
        if not any(folder.root.glob("*.mkv")):
            discard(session, folder)
        raise


def room_bytes(folder: Path) -> int:
    """Return how much can be recorded before the last part of a disk is reached, which is left to others."""
    usage = shutil.disk_usage(folder)
    return usage.free - min(_LEAST_FREE_BYTES, round(usage.total * _LEAST_FREE_SHARE))


def check_room(folder: Path) -> None:
    """Check that a disk has room for a recording.

    Raises:
        CoreError: It has not.
    """
    if (room := room_bytes(folder)) <= 0:
        free = shutil.disk_usage(folder).free / 1e6
        raise CoreError(
            f"The disk is nearly full: {free:,.0f} MB are free, of which {free - room / 1e6:,.0f} MB are left alone.",
            "Free some space, or keep the session on another disk.",
        )


class _NotesOnly(NullReporter):
    """A reporter for work beside the cameras: it is never cancelled, and shows no progress."""

    def __init__(self, reporter: Reporter) -> None:
        self.note = reporter.note  # type: ignore[method-assign]
