"""HDF5 files that survive a full disk: the library itself may crash the process if a write fails."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SurvivingFile(io.RawIOBase):
    """File for HDF5 that hides disk errors from the library; after the first error it writes to memory.

    Args:
        path: Path of an existing file.

    Attributes:
        error: First disk error; None if there is none.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        self._at = self._size = 0
        self._kept: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the first disk error, if any; call it between blocks, since later writes stay in memory."""
        if self.error is not None:
            raise self.error

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def writable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `io.IOBase`."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def truncate(self, size: int | None = None) -> int:
        """See `io.IOBase`."""
        self._size = self._at if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._handle, self._size)
            except OSError as error:
                self.error = error
        return self._size

    def write(self, data: object) -> int:
        """See `io.RawIOBase`; always writes everything."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        done = 0
        while done < len(view) and self.error is None:
            try:
                os.lseek(self._handle, self._at + done, os.SEEK_SET)
                done += os.write(self._handle, view[done:])
            except OSError as error:
                self.error = error
        if done < len(view):
            self._kept.append((self._at + done, bytes(view[done:])))
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def readinto(self, buffer: object) -> int:
        """See `io.RawIOBase`."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = max(0, min(len(view), self._size - self._at))
        os.lseek(self._handle, self._at, os.SEEK_SET)
        read = os.read(self._handle, count)
        view[:count] = read + bytes(count - len(read))
        for start, content in self._kept:
            first, last = max(start, self._at), min(start + len(content), self._at + count)
            if first < last:
                view[first - self._at : last - self._at] = content[first - start : last - start]
        self._at += count
        return count

    def close(self) -> None:
        """See `io.IOBase`."""
        if not self.closed:
            os.close(self._handle)
        super().close()


@contextmanager
def surviving_file(path: Path) -> Iterator[SurvivingFile]:
    """Open a file for HDF5; raises the first disk error when HDF5 closes it.

    Args:
        path: Existing file, such as that of `core.disk.replacing`.
    """
    file = SurvivingFile(path)
    try:
        yield file
        file.check()
    finally:
        file.close()
