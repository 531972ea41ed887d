"""Safe reading of numeric arrays from untrusted npz archives: no unpickling, and sizes are checked first."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from core.documents.limits import MAX_BYTES, bad_document
from core.errors import CoreError

_KINDS = "biuf"
_MAX_MEMBERS = 1000
_REMEDY = "Use the file as published by its authors."


def read_npz(path: Path, names: Collection[str], max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """Return those of the named arrays that an npz archive has; others are not read.

    Args:
        path: The archive.
        names: Names of arrays.
        max_bytes: Limit on the bytes of all arrays together, which a small archive can exceed (a "zip bomb").

    Raises:
        CoreError: The archive is damaged or too large, or a named array is not numeric.
    """
    where, found = path.name, {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                raise bad_document(where, f"it has {len(members)} members", _REMEDY)
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name not in names:
                    continue
                max_bytes -= member.file_size
                if max_bytes < 0 or name in found:
                    what = "repeats an array" if name in found else "has more values than a file of its kind"
                    raise bad_document(where, f"{name}: it {what}", _REMEDY)
                with archive.open(member) as file:
                    found[name] = _array(file, member.file_size, f"{where}: {name}")
    except CoreError:
        raise
    except Exception as error:  # a damaged archive fails in many ways
        raise bad_document(where, f"it cannot be read: {error}", _REMEDY) from error
    return found


def _array(file: IO[bytes], size: int, where: str) -> np.ndarray:
    """Read an array in NumPy's file format, whose header must agree with the number of bytes (size)."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format {version} of an array is unknown")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, columns, dtype = read_header(file)
    if dtype.kind not in _KINDS or dtype.hasobject:
        raise bad_document(where, f"it holds {dtype} instead of numbers, which are never loaded", _REMEDY)
    n_bytes = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes != size - file.tell():
        raise ValueError(f"an array of shape {shape} does not have the bytes that it needs")
    data = bytearray(file.read(n_bytes))
    if len(data) != n_bytes:
        raise ValueError("an array ends early")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if columns else "C")
