"""Live images between processes: a ring buffer in shared memory from which the newest image is read.

The writer never waits. A reader may attach late, be slow or die. It detects an image that was overwritten during the
copy by the slot's sequence number, which is odd while the slot is written (a seqlock).

Blocks of a process that was killed are removed when the next process creates a ring: each process lists its blocks in a
file in the temporary folder.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import struct
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

from core import NAME
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_json, write_json
from core.process import ProcessIdentity
from core.types.arrays import U8

_MAGIC = 0x53504C4956453031
_HEADER = struct.Struct("<QQQQ")  # magic, slot count, bytes per slot, number of the newest image
_NEWEST_AT = 24
_SLOT = struct.Struct("<QIII")  # sequence number, height, width, size of the metadata
_SLOT_BYTES = 32
_INFO_BYTES = 32 << 10
_READ_ATTEMPTS = 3
_SPARE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RingImage:
    """An image from a ring.

    Attributes:
        number: Number of the image, from 1.
        image: (H, W, 3) uint8 RGB.
        info: Metadata.
    """

    number: int
    image: U8
    info: Mapping[str, Any]


class ImageRing:
    """Writer of a ring; used by one thread.

    Args:
        max_pixels: Largest number of pixels of an image.
        slots: Number of images in memory; an image stays readable until `slots` - 1 more are written.

    Raises:
        CoreError: The system has no shared memory left.
    """

    def __init__(self, max_pixels: int, slots: int = 3) -> None:
        remove_abandoned_rings()
        self._slots, self._count = slots, 0
        self._stride = _SLOT_BYTES + _INFO_BYTES + 3 * max_pixels
        size = _HEADER.size + slots * self._stride
        _check_space(size)
        name = f"{NAME.lower().replace(' ', '')[:8]}{secrets.token_hex(6)}"  # macOS allows 30 characters
        _list_block(name)
        try:
            self._memory = SharedMemory(name=name, create=True, size=size)
        except OSError as error:
            raise CoreError(f"Live images need shared memory: {error}.", "Close other programs.") from error
        _HEADER.pack_into(_buffer(self._memory), 0, _MAGIC, slots, self._stride, 0)

    @property
    def name(self) -> str:
        """Name by which an `ImageRingReader` opens the ring."""
        return self._memory.name

    def put(self, image: U8, info: Mapping[str, Any]) -> None:
        """Publish an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            info: Metadata as JSON values.

        Raises:
            ValueError: The image or the metadata does not fit.
        """
        encoded, pixels = json.dumps(info).encode(), np.ascontiguousarray(image).reshape(-1)
        if len(encoded) > _INFO_BYTES or _SLOT_BYTES + _INFO_BYTES + pixels.nbytes > self._stride:
            raise ValueError(f"An image of {image.shape} with {len(encoded)} bytes of metadata does not fit the ring.")
        number, buffer = self._count + 1, _buffer(self._memory)
        at = _HEADER.size + number % self._slots * self._stride
        _SLOT.pack_into(buffer, at, 2 * number - 1, image.shape[0], image.shape[1], len(encoded))
        start = at + _SLOT_BYTES
        buffer[start : start + len(encoded)] = encoded
        start += _INFO_BYTES
        buffer[start : start + pixels.nbytes] = pixels.data
        struct.pack_into("<Q", buffer, at, 2 * number)
        struct.pack_into("<Q", buffer, _NEWEST_AT, number)
        self._count = number

    def close(self) -> None:
        """Remove the ring; attached readers keep their memory."""
        name = self._memory.name
        self._memory.close()
        with contextlib.suppress(FileNotFoundError):
            self._memory.unlink()
        _unlist_block(name)


class ImageRingReader:
    """Reader of a ring.

    Args:
        name: Name of the ring.

    Raises:
        CoreError: There is no such ring.
    """

    def __init__(self, name: str) -> None:
        try:
            self._memory = _attach(name)
        except (OSError, ValueError) as error:
            raise CoreError(f"There are no live images '{name}'.", "Start the cameras again.") from error
        magic, self._slots, self._stride, _ = _HEADER.unpack_from(_buffer(self._memory), 0)
        if magic != _MAGIC:
            self._memory.close()
            raise CoreError(f"There are no live images '{name}'.", "Start the cameras again.")
        self._last = 0

    def newest(self) -> RingImage | None:
        """Return the newest image; None if there is no new one, or if images are overwritten during the copy."""
        buffer = _buffer(self._memory)
        for _ in range(_READ_ATTEMPTS):
            (number,) = struct.unpack_from("<Q", buffer, _NEWEST_AT)
            if number == self._last:
                return None
            at = _HEADER.size + number % self._slots * self._stride
            sequence, height, width, info_bytes = _SLOT.unpack_from(buffer, at)
            end = at + _SLOT_BYTES + _INFO_BYTES + 3 * height * width
            if sequence != 2 * number or end > at + self._stride or info_bytes > _INFO_BYTES:
                continue
            info = bytes(buffer[at + _SLOT_BYTES : at + _SLOT_BYTES + info_bytes])
            pixels = bytes(buffer[at + _SLOT_BYTES + _INFO_BYTES : end])
            if struct.unpack_from("<Q", buffer, at)[0] == sequence:
                self._last = number
                image = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
                return RingImage(number=number, image=image, info=json.loads(info))
        return None

    def close(self) -> None:
        """Detach from the ring."""
        self._memory.close()


def remove_abandoned_rings() -> None:
    """Remove the blocks of processes that were killed."""
    for path in _folder().glob("*.json"):
        try:
            listed = from_mapping(_Blocks, read_json(path))
        except CoreError:
            path.unlink(missing_ok=True)
            continue
        if listed.process.alive:
            continue
        for name in listed.names:
            with contextlib.suppress(OSError, ValueError):
                memory = SharedMemory(name=name)
                memory.close()
                memory.unlink()
        path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blocks:
    """Shared memory blocks of a process, as listed in its file."""

    process: ProcessIdentity
    names: tuple[str, ...]


_names: list[str] = []
"""Shared memory blocks of this process."""


def _list_block(name: str) -> None:
    if not _names:
        atexit.register(_remove_list)
    _names.append(name)
    write_json(_list_path(), to_mapping(_Blocks(process=ProcessIdentity.of(), names=tuple(_names))))


def _unlist_block(name: str) -> None:
    _names.remove(name)
    if not _names:
        _remove_list()


def _remove_list() -> None:
    _list_path().unlink(missing_ok=True)


def _list_path() -> Path:
    return _folder() / f"{os.getpid()}.json"


def _folder() -> Path:
    """Return the folder of the lists; it must belong to this user, because listed blocks are removed."""
    user = str(os.getuid()) if sys.platform != "win32" else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"{NAME.lower().replace(' ', '-')}-rings-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32" and folder.stat().st_uid != os.getuid():
        raise CoreError(f"{folder} belongs to another user.", "Remove it, or set TMPDIR to a folder of your own.")
    return folder


def _check_space(size: int) -> None:
    """Check the free shared memory on Linux, where writing beyond it kills the process (SIGBUS)."""
    shared = Path("/dev/shm")
    if sys.platform.startswith("linux") and shared.is_dir():
        status = os.statvfs(shared)
        if status.f_bavail * status.f_frsize < size + _SPARE_BYTES:
            raise CoreError("Live images need more shared memory than is free.", f"Make {shared} larger.")


def _buffer(memory: SharedMemory) -> memoryview:
    assert memory.buf is not None, "the ring is closed"
    return memory.buf


def _attach(name: str) -> SharedMemory:
    """Open a block without owning it: before Python 3.13, each process that opens a block removes it at exit."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name=name, track=False)
    with _attaching:
        register = resource_tracker.register
        resource_tracker.register = _no_register  # type: ignore[assignment]
        try:
            return SharedMemory(name=name)
        finally:
            resource_tracker.register = register


_attaching = threading.Lock()


def _no_register(name: str, rtype: str) -> None:
    """Replace `resource_tracker.register`."""
