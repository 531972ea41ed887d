"""Deletion (to the bin of the session) and renaming of takes, results and jobs, with undo."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.config import to_mapping
from core.errors import CoreError
from core.files import safe_name, write_yaml
from core.jobs import JobSpec
from core.session import Session, Take
from core.session.naming import files_of_result, give_title, given_title, rename_take
from core.session.store import TakeKind


class BinState(QObject):
    """Changes of takes, results and jobs on disk, with the undo history.

    Args:
        undo: Undo stack of the window.
        parent: Owner.

    Signals:
        changed: Takes, results or jobs on disk have changed.
        take_renamed: New name of a take.
        failed: A change or its undo has failed (`CoreError`).
    """

    changed = Signal()
    take_renamed = Signal(str)
    failed = Signal(object)

    def __init__(self, undo: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo

    def delete_take(self, session: Session, name: str) -> None:
        """Move a take with its results to the bin."""
        self._delete(session, [session.layout.take(name).root], f"delete take {name}")

    def delete_result(self, session: Session, take: Take, name: str, title: str) -> None:
        """Move a 3D result with its bodies to the bin."""
        self._delete(session, files_of_result(take, name), f"delete {title} of {take.name}")

    def delete_job(self, session: Session, folder: Path, title: str) -> None:
        """Move the folder of a job, including trained networks, to the bin."""
        self._delete(session, [folder], f"delete job {title}")

    def rename_take(self, session: Session, old: str, new: str) -> None:
        """Rename a take."""

        def rename(source: str, target: str) -> None:
            rename_take(session, source, target)
            self.take_renamed.emit(target)

        self._do(f"rename take {old}", lambda: rename(old, new), lambda: rename(new, old))

    def set_kind(self, session: Session, name: str, kind: TakeKind) -> None:
        """Set the kind of a take."""
        before = session.take(name).manifest.kind

        def write(value: TakeKind) -> None:
            take = session.take(name)
            write_yaml(take.layout.manifest, to_mapping(dataclasses.replace(take.manifest, kind=value)))

        self._do(f"change the kind of {name}", lambda: write(kind), lambda: write(before))

    def rename_result(self, take: Take, name: str, title: str) -> None:
        """Set the title of a result; an empty one restores the original."""
        before = given_title(take, name)
        self._do("rename result", lambda: give_title(take, name, title), lambda: give_title(take, name, before))

    def rename_job(self, folder: Path, title: str) -> None:
        """Set the title of a job."""
        spec = JobSpec.load(folder)
        other = dataclasses.replace(spec, title=title)
        self._do("rename job", lambda: _save(other, folder), lambda: _save(spec, folder))

    def size_bytes(self, session: Session) -> int:
        """Return the size of the bin."""
        return sum(path.lstat().st_size for path in session.layout.bin.rglob("*") if path.is_file())

    def empty(self, session: Session) -> None:
        """Permanently delete the content of the bin."""
        self._undo.clear()  # undo would need the deleted files
        try:
            if session.layout.bin.exists():
                shutil.rmtree(session.layout.bin)
        except OSError as error:
            self.failed.emit(_disk_error(session.layout.bin, error))
        self.changed.emit()

    def _delete(self, session: Session, paths: Sequence[Path], text: str) -> None:
        folder = session.layout.bin / f"{datetime.now():%Y%m%d-%H%M%S-%f}"
        moves = [(path, folder / path.relative_to(session.root)) for path in paths]

        def there() -> None:
            for source, target in moves:
                _move(source, target)

        def back() -> None:
            for source, target in moves:
                _move(target, source)

        self._do(text, there, back)

    def _do(self, text: str, redo: Callable[[], None], undo: Callable[[], None]) -> None:
        self._undo.push(_StoredChange(self, text, redo, undo))


class _StoredChange(QUndoCommand):
    """Undoable change of files; removed from the history if it fails."""

    def __init__(self, owner: BinState, text: str, redo: Callable[[], None], undo: Callable[[], None]) -> None:
        super().__init__(text)
        self._owner, self._redo, self._undo = owner, redo, undo

    def redo(self) -> None:
        self._run(self._redo)

    def undo(self) -> None:
        self._run(self._undo)

    def _run(self, change: Callable[[], None]) -> None:
        try:
            change()
        except CoreError as error:
            self.setObsolete(True)
            self._owner.failed.emit(error)
        self._owner.changed.emit()


def _move(source: Path, target: Path) -> None:
    """Rename a file or folder within the session.

    Raises:
        CoreError: It is missing, the target exists, or the disk cannot be written.
    """
    if target.exists():
        raise CoreError(f"{target} exists already.", "Choose another name, or move it away.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    except OSError as error:
        raise _disk_error(source, error) from error


def _save(spec: JobSpec, folder: Path) -> None:
    try:
        spec.save(folder)
    except OSError as error:
        raise _disk_error(folder, error) from error


def _disk_error(path: Path, error: OSError) -> CoreError:
    return CoreError(
        f"{path} cannot be changed: {error.strerror or error}.",
        "Check that it still exists, that no other program uses it, and that you may write to the session.",
    )


def take_name_problem(session: Session, name: str) -> str:
    """Return why a name is not allowed for a take; empty if it is."""
    try:
        plain = safe_name(name)
    except CoreError as error:
        return str(error)
    return f"A take named '{plain}' already exists." if session.layout.take(plain).root.exists() else ""
