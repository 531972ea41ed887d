"""Blocks of arrays in NetCDF-4 files: a transposed array of a whole take would be copied as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.hdf5 import SurvivingFile
from core.types.arrays import F32, F64, read_only

_BLOCK_FRAMES = 4096


def write_variable(
    file: Any, name: str, dims: tuple[str, ...], values: F64 | F32, disk: SurvivingFile, units: str = ""
) -> None:
    """Write a variable in blocks of frames."""
    variable = file.create_variable(name, dims, values.dtype)
    for start in range(0, len(values), _BLOCK_FRAMES):
        variable[start : start + _BLOCK_FRAMES] = values[start : start + _BLOCK_FRAMES]
        disk.check()
    if units:
        variable.attrs["units"] = units


def read_variable(variable: Any, axes: tuple[int, ...], dtype: type[np.generic]) -> Any:
    """Read a variable with another order of axes, in blocks of frames, as an array that can be frozen as it is."""
    out = np.empty([variable.shape[axis] for axis in axes], dtype)
    for start in range(0, len(out), _BLOCK_FRAMES):
        out[start : start + _BLOCK_FRAMES] = variable[start : start + _BLOCK_FRAMES].transpose(axes)
    return read_only(out)


def write_text_variable(file: Any, name: str, dims: tuple[str, ...], values: list[str]) -> None:
    """Write a variable of strings."""
    import h5py

    variable = file.create_variable(name, dims, h5py.string_dtype("utf-8"))
    variable[...] = np.array(values, dtype=object)


@contextmanager
def reading(path: Path, what: str, schema: tuple[str, int], *, absent: str, damaged: str) -> Iterator[Any]:
    """Open a file to read it.

    Args:
        path: The file.
        what: Content of the file, for messages.
        schema: Attribute with the version of its layout, and the newest version that is known.
        absent: Remedy where there is no file.
        damaged: Remedy where it cannot be read.

    Raises:
        CoreError: A missing, truncated or different file, or one of a newer schema; also for what its reader raises.
    """
    if not path.is_file():
        raise CoreError(f"{path} does not exist.", absent)
    import h5py  # h5netcdf takes as long to look at dimensions as it takes to read the arrays

    attribute, newest = schema
    try:
        with h5py.File(path, "r") as file:
            version = int(np.ravel(file.attrs[attribute])[0])
            if version > newest:
                raise CoreError(
                    f"{path} was written by a newer version (schema {version}, expected up to {newest}).",
                    "Update the program.",
                )
            yield file
    except CoreError:
        raise
    except Exception as error:
        raise CoreError(f"{path} does not contain {what}: {error}.", damaged) from error
