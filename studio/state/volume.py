"""Capture volume of the open session, with undo."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.errors import CoreError
from core.session import BASELINE, Session
from core.session.volume import ActiveVolume, active_volume, set_volume
from core.training.presets import preset
from core.types import VolumeSettings
from studio.background import Background

_FEW_TAKES, _LITTLE_BYTES = 4, 8 << 20
_ONE_GESTURE_S = 0.8
"""Interval in s within which changes of one value are undone together, such as those of a spin box."""


class VolumeState(QObject):
    """Capture volume of the session on disk, with its inputs and the undo history.

    Args:
        undo: Undo stack of the window.
        parent: Owner.

    Signals:
        changed: The capture volume was set, undone, or derived from other takes.
        shown: The user wants to see the capture volume in 3D.
        failed: Undo or redo has failed (`CoreError`).
    """

    changed = Signal()
    shown = Signal()
    failed = Signal(object)

    def __init__(self, undo: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo
        self._session: Session | None = None
        self._takes: tuple[str, ...] | None = None
        self._spacing_mm = preset("quick").model.root.spacing_mm
        self._key: object = None
        self._cached: ActiveVolume | CoreError | None = None
        self._background = Background(self)

    def attach(self, session: Session | None) -> None:
        """Switch to another session and clear the undo stack."""
        self._session, self._takes, self._key = session, None, None
        self._undo.clear()

    def set_inputs(self, takes: tuple[str, ...], spacing_mm: float) -> None:
        """Set the takes for the derivation of the volume, and the voxel spacing of the training preset."""
        if (takes, spacing_mm) != (self._takes, self._spacing_mm):
            self._takes, self._spacing_mm = takes, spacing_mm
            self.changed.emit()

    @property
    def deriving(self) -> bool:
        """True while the volume is being derived in the background."""
        return self._background.busy

    def current(self) -> ActiveVolume:
        """Return the current capture volume; for many or long takes, it is derived in the background.

        Raises:
            CoreError: There is none, or none yet.
        """
        session = self._session
        if session is None:
            raise _no_session()
        takes = session.take_names() if self._takes is None else self._takes
        files = [session.layout.rig, session.layout.volume]
        files += [path for t in takes for path in (session.layout.take(t).manifest, _baseline(session, t))]
        key = (session.root, takes, self._spacing_mm, tuple(map(_modified_ns, files)))
        if key != self._key or self._cached is None:
            self._key = key
            if len(takes) <= _FEW_TAKES and sum(map(_size, files)) <= _LITTLE_BYTES:
                self._cached = _read(session, takes, self._spacing_mm)
            else:
                people = f"{len(takes)} takes" if len(takes) > 1 else "the people in the take"
                self._cached = CoreError(
                    f"The capture volume is being derived from {people}.", "It is shown once it is known."
                )
                self._background.drop()
                task = partial(_read, session, takes, self._spacing_mm)
                self._background.run(task, partial(self._derived, key))
        if isinstance(self._cached, CoreError):
            raise self._cached
        return self._cached

    def _derived(self, key: object, volume: ActiveVolume | CoreError) -> None:
        if key == self._key:
            self._cached = volume
            self.changed.emit()

    def set(self, chosen: VolumeSettings, value_name: str) -> None:
        """Set the session's capture volume.

        Args:
            chosen: New volume.
            value_name: Name of the changed value, for the undo menu.

        Raises:
            CoreError: The volume is invalid or cannot be written.
        """
        session = self._require()
        before = session.volume
        set_volume(session, chosen, self._spacing_mm)
        self._undo.push(_Change(self, session, before, session.volume, value_name))
        self.changed.emit()

    def reset(self) -> None:
        """Delete the volume set by the user, so that it is derived from rig and people.

        Raises:
            CoreError: The session cannot be written.
        """
        session = self._require()
        try:
            before = session.volume
        except CoreError:
            before = None  # damaged: nothing to restore
        session.set_volume(None)
        if before is not None:
            self._undo.push(_Change(self, session, before, None, "reset"))
        self.changed.emit()

    @property
    def has_rig(self) -> bool:
        """True if the session has a rig."""
        return self._session is not None and self._session.layout.rig.exists()

    @property
    def is_set(self) -> bool:
        """True if the session has a volume set by the user, valid or not."""
        return self._session is not None and self._session.layout.volume.exists()

    def restore(self, session: Session, chosen: VolumeSettings | None) -> bool:
        """Restore a volume; on failure, emit `failed` and return False."""
        try:
            session.set_volume(chosen)
        except CoreError as error:
            self.failed.emit(error)
            return False
        self.changed.emit()
        return True

    def _require(self) -> Session:
        if self._session is None:
            raise _no_session()
        return self._session


class _Change(QUndoCommand):
    """Change between capture volumes, created after the change was made."""

    def __init__(
        self,
        state: VolumeState,
        session: Session,
        before: VolumeSettings | None,
        after: VolumeSettings | None,
        value_name: str,
    ) -> None:
        super().__init__(f"capture volume: {value_name}")
        self._state, self._session, self._before, self._after = state, session, before, after
        self._value_name = value_name
        self._at_s = time.monotonic()
        self._done = True

    def id(self) -> int:
        return 1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, _Change) or other._value_name != self._value_name:
            return False
        if other._at_s - self._at_s > _ONE_GESTURE_S:
            return False
        self._after, self._at_s = other._after, other._at_s
        return True

    def redo(self) -> None:
        if self._done:
            self._done = False  # called once when the command is pushed, after the change, which may be refused
        elif not self._state.restore(self._session, self._after):
            self.setObsolete(True)

    def undo(self) -> None:
        if not self._state.restore(self._session, self._before):
            self.setObsolete(True)


def _no_session() -> CoreError:
    return CoreError("No session is open.", "Open a session or the sample session.")


def _read(session: Session, takes: tuple[str, ...] | list[str], spacing_mm: float) -> ActiveVolume | CoreError:
    try:
        return active_volume(session, takes, spacing_mm)
    except CoreError as error:
        return error


def _baseline(session: Session, take: str) -> Path:
    return session.layout.take(take).poses3d(BASELINE)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
