"""Reading of arrays and text from HDF5 files: no links to other files, no pickled attributes, limited sizes."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from core.documents.limits import MAX_DEPTH, bad_document, read_bounded
from core.documents.pickles import parse_pickle
from core.errors import CoreError

_MAX_VALUES_BYTES = 4 << 30
_MAX_RATIO = 1100  # array size over file size; exceeds the best compression ratio of HDF5
_MAX_NAMES = 10_000
_NUMBERS = "biuf"
_REFERENCE_BYTES = 16
_HEAP = b"GCOL\x01\0\0\0"


class Hdf5Document:
    """Arrays of an open HDF5 file.

    Attributes:
        where: Name of the file for messages.
        names: Paths of all data sets in the file, without a leading slash.
    """

    def __init__(self, file: Any, where: str) -> None:
        self.where = where
        self.names = tuple(_names(file, where))
        self._file = file
        self._bytes = Path(file.filename).stat().st_size

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def array(self, name: str) -> np.ndarray:
        """Return a data set of numbers, booleans or records of them as an array.

        Raises:
            CoreError: It is missing, damaged, too large, or of another type.
        """
        data = self._dataset(name)
        kinds = [data.dtype.fields[n][0] for n in data.dtype.names] if data.dtype.names else [data.dtype]
        if any(kind.base.kind not in _NUMBERS + "S" for kind in kinds):
            raise bad_document(self.where, f"{name} is not an array of numbers")
        size = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
        if size > min(_MAX_VALUES_BYTES, _MAX_RATIO * self._bytes):
            raise bad_document(self.where, f"{name} states {size:,} bytes, more than there can be")
        return np.asarray(self._read(data, name))

    def texts(self, name: str) -> list[str]:
        """Return a data set of strings, flattened.

        Raises:
            CoreError: It is missing, damaged, too large, or not text.
        """
        data = self._dataset(name)
        import h5py

        if h5py.check_string_dtype(data.dtype) is None or data.size > _MAX_NAMES:
            raise bad_document(self.where, f"{name} is not a list of names")
        _check_lengths(data, Path(self._file.filename), self.where)
        _check_heaps(Path(self._file.filename), self.where)
        found = np.atleast_1d(np.asarray(self._read(data, name), dtype=object)).ravel()
        return [t.decode(errors="replace") if isinstance(t, bytes) else str(t) for t in found]

    def text_attribute(self, name: str, attribute: str) -> str:
        """Return an attribute of a data set or group as text; empty if it is missing or not text."""
        try:
            value = self._file[name or "/"].attrs.get(attribute, "")
        except Exception as error:
            raise bad_document(self.where, f"{name}: the attribute {attribute} cannot be read ({error})") from error
        return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""

    def number_attribute(self, name: str, attribute: str) -> float:
        """Return an attribute of a data set or group as a number; NaN if it is missing or not a number."""
        try:
            value = self._file[name or "/"].attrs.get(attribute, math.nan)
        except Exception as error:
            raise bad_document(self.where, f"{name}: the attribute {attribute} cannot be read ({error})") from error
        return float(value) if isinstance(value, int | float | np.number) else math.nan

    def pickled_attribute(self, name: str, attribute: str) -> Any:
        """Return an attribute that Python stored as a pickle, read as `core.documents.pickles` does.

        Raises:
            CoreError: It is missing, damaged, or more than plain values.
        """
        try:
            value = self._file[name].attrs[attribute]
        except Exception as error:
            raise bad_document(self.where, f"{name}: the attribute {attribute} cannot be read ({error})") from error
        if not isinstance(value, bytes | np.bytes_):
            raise bad_document(self.where, f"{name}: the attribute {attribute} is not text")
        return parse_pickle(bytes(value), f"{self.where}, {attribute} of {name}")

    def _dataset(self, name: str) -> Any:
        if name not in self.names:
            raise bad_document(self.where, f"it has no {name}")
        data = self._file[name]
        try:
            elsewhere = data.external or data.is_virtual
            _ = data.dtype, data.shape
        except Exception as error:  # h5py raises many kinds of errors for damaged files
            raise bad_document(self.where, f"{name} cannot be read ({error})") from error
        if elsewhere:
            raise bad_document(self.where, f"{name} is stored in another file")
        return data

    def _read(self, data: Any, name: str) -> Any:
        try:
            return data[()]
        except Exception as error:  # h5py raises many kinds of errors for damaged files
            raise bad_document(self.where, f"{name} cannot be read ({error})") from error


def _check_lengths(data: Any, path: Path, where: str) -> None:
    """Raise CoreError if a text claims to be longer than the file: the library would allocate it first.

    A reference to a text has 16 bytes and begins with its length in four (HDF5 File Format Specification 3.0, VIII.B).
    """
    offset = data.id.get_offset()
    if offset is None or data.dtype.kind != "O":
        return
    with path.open("rb") as file:
        file.seek(offset)
        references = file.read(_REFERENCE_BYTES * int(data.size))
    lengths = np.frombuffer(references[: len(references) // _REFERENCE_BYTES * _REFERENCE_BYTES], "<u4")[::4]
    if (lengths > path.stat().st_size).any():
        raise bad_document(where, f"{data.name} claims texts of {int(lengths.max()):,} bytes, more than the file has")


def _check_heaps(path: Path, where: str) -> None:
    """Raise CoreError if the objects of a heap of texts do not fill it: the library would loop forever.

    A heap begins with a signature, a version, three zeros and its size in eight bytes; an object with its index in two
    bytes, six others, and its size in eight. Object 0 is the rest, header included (HDF5 File Format Specification 3.0,
    III.E).
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            end, at = start + int.from_bytes(content[start + 8 : start + 16], "little"), start + 16
            intact = at <= end <= len(content)
            while intact and at + 16 <= end:
                index = int.from_bytes(content[at : at + 2], "little")
                size = int.from_bytes(content[at + 8 : at + 16], "little")
                step = 16 + (size + 7) // 8 * 8 if index else size
                intact = step >= 16 and at + step <= end
                at += step
            if not intact:
                raise bad_document(where, "the heap of its texts is damaged")
            start = content.find(_HEAP, end)


@contextmanager
def open_hdf5(path: Path) -> Iterator[Hdf5Document]:
    """Open an HDF5 file for reading.

    Raises:
        CoreError: The file is missing or not HDF5, or a data set is damaged, too large or in another file.
    """
    import h5py  # imported late: it is slow

    read_bounded(path, 1 << 50) if not path.is_file() else None
    try:
        file = h5py.File(path, "r")
    except Exception as error:  # h5py raises many kinds of errors for damaged files
        raise bad_document(str(path), f"it is not a readable HDF5 file ({error})") from error
    with file:
        yield Hdf5Document(file, str(path))


def _names(group: Any, where: str, prefix: str = "", depth: int = 0, count: list[int] | None = None) -> Iterator[str]:
    """Yield the paths of data sets; links to other files and soft links are not followed."""
    import h5py

    count = [0] if count is None else count
    if depth > MAX_DEPTH:
        raise bad_document(where, f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        for key in group:
            count[0] += 1
            if count[0] > _MAX_NAMES:
                raise bad_document(where, f"it has more than {_MAX_NAMES} entries")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                continue
            child = group.get(key)
            if isinstance(child, h5py.Group):
                yield from _names(child, where, f"{prefix}{key}/", depth + 1, count)
            elif isinstance(child, h5py.Dataset):
                yield f"{prefix}{key}"
    except CoreError:
        raise
    except Exception as error:  # h5py raises many kinds of errors for damaged files
        raise bad_document(where, f"{prefix or '/'} cannot be read ({error})") from error
