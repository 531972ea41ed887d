"""Takes of running cameras: start, end, markers, disk space, and the conversion of recordings to takes."""

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
_FILES_S = 60.0  # timeout for writing the remaining images


class TakeMaker:
    """Takes of one run of cameras. A thread turns a finished recording into a take while the cameras keep running.

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
        """Names of the takes that are being saved."""
        return tuple(self._saving)

    @property
    def seconds(self) -> float:
        """Length of the current or last take in s; 0 before the first."""
        return (self._clock.now_ns() - self.begin_ns) / 1e9 if self.folder is not None else self._last_s

    def reserve(self, command: StartTake, *, numbered: bool = True) -> TakeLayout:
        """Create the folder of a take.

        Args:
            command: Name, kind and note of the take.
            numbered: Add a number to a name that is taken, instead of refusing it.

        Raises:
            CoreError: The disk is full, or the name is taken.
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
        """Register the start of a recording."""
        self.folder, self.begin_ns, self.markers = folder, begin_ns, []

    def mark(self, text: str) -> None:
        """Add a marker to the take at the current time.

        Raises:
            CoreError: No take is being recorded, or the disk is full.
        """
        if self.folder is None:
            raise CoreError("There is no take to mark.", "Start a take first.")
        marker = RecordedMarker(time_ns=self._clock.now_ns(), text=text)
        add_marker(self.folder, marker)
        self.markers.append(marker)

    def end(self, recorder: Recorder, *, unwanted: bool = False) -> None:
        """End the current recording, and start to save it as a take.

        Args:
            recorder: The cameras.
            unwanted: Delete the recording instead.
        """
        self._last_s, folder, self.folder = self.seconds, self.folder, None
        if folder is not None:
            self._saving[folder.name] = self._saver.submit(self._save, folder, recorder.end(), unwanted)

    def finished(self, *, wait: bool = False) -> list[str]:
        """Return the names of the takes that were saved since the last call.

        Args:
            wait: Wait for those that are being saved.

        Raises:
            CoreError: A recording could not be saved as a take; the message says what happens to it.
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
        """End the thread once all takes are saved."""
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
    """Turn a recording that has ended or was killed into a take.

    Args:
        session: Session of the take.
        folder: Folder of the recording.
        owner: Run, cameras and process of the recording.
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
    """Return the disk space for recordings in bytes; a reserve stays free for other programs."""
    usage = shutil.disk_usage(folder)
    return usage.free - min(_LEAST_FREE_BYTES, round(usage.total * _LEAST_FREE_SHARE))


def check_room(folder: Path) -> None:
    """Check that a disk has space for a recording.

    Raises:
        CoreError: The disk is nearly full.
    """
    if (room := room_bytes(folder)) <= 0:
        free = shutil.disk_usage(folder).free / 1e6
        raise CoreError(
            f"The disk is nearly full: {free:,.0f} MB are free, of which {free - room / 1e6:,.0f} MB are kept free.",
            "Free some space, or keep the session on another disk.",
        )


class _NotesOnly(NullReporter):
    """Reporter of notes only, for work in the background: it is never cancelled, and shows no progress."""

    def __init__(self, reporter: Reporter) -> None:
        self.note = reporter.note  # type: ignore[method-assign]
