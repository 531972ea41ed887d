"""Validation and freezing of the arrays of domain types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import CoreError

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
S = TypeVar("S", bound=np.generic)
_BLOCK_ROWS = 4096


def frozen(
    value: Any,
    shape: Sequence[int | str],
    what: str,
    dtype: type[np.generic] = np.float64,
    *,
    allow_nan: bool = False,
    sizes: dict[str, int] | None = None,
) -> NDArray[Any]:
    """Return a validated, contiguous, read-only copy of an array; the array itself if it is one (see `read_only`).

    Args:
        value: Array or nested sequence.
        shape: Expected shape; a letter such as "T" stands for any size, but the same one wherever it recurs.
        what: Field name for messages, such as "camera cam01: K".
        dtype: Data type to convert to.
        allow_nan: True to allow NaN, for missing values; infinities are never allowed.
        sizes: Sizes of the letters so far; extended in place.

    Raises:
        CoreError: Another shape, or a value that is not finite.
    """
    try:
        array = value if _is_frozen(value, dtype) else np.array(value, dtype=dtype, order="C")
    except (TypeError, ValueError) as error:
        raise CoreError(f"{what} is not an array of numbers: {error}.", "Check the file it was read from.") from error
    sizes = {} if sizes is None else sizes
    expected = tuple(sizes.get(s, s) if isinstance(s, str) else s for s in shape)
    matches = array.ndim == len(expected) and all(
        isinstance(e, str) or e == n for e, n in zip(expected, array.shape, strict=True)
    )
    if not matches:
        wanted = "(" + ", ".join(str(e) for e in expected) + ("," if len(expected) == 1 else "") + ")"
        raise CoreError(f"{what} should have shape {wanted}, found {array.shape}.", "Check the file it was read from.")
    sizes.update({s: n for s, n in zip(shape, array.shape, strict=True) if isinstance(s, str)})
    if np.issubdtype(array.dtype, np.floating):
        bad = sum(_not_finite(array[rows], allow_nan) for rows in _blocks(array))
        if bad:
            raise CoreError(f"{what} has {bad} values that are not finite.", "Check the file it was read from.")
    array.setflags(write=False)
    return array


def _blocks(array: NDArray[Any]) -> Iterator[Any]:
    """Yield indices that cut an array into blocks of rows, since tests of its values take memory as well."""
    if not array.ndim:
        yield ...
        return
    for start in range(0, len(array), _BLOCK_ROWS):
        yield slice(start, start + _BLOCK_ROWS)


def _not_finite(array: NDArray[Any], allow_nan: bool) -> int:
    return int(np.count_nonzero(np.isinf(array) if allow_nan else ~np.isfinite(array)))


def read_only(array: NDArray[S]) -> NDArray[S]:
    """Make an array read-only that nobody else holds, so that it is frozen without a copy; return it."""
    array.setflags(write=False)
    return array


def _is_frozen(value: Any, dtype: type[np.generic]) -> bool:
    if not isinstance(value, np.ndarray) or type(value) is not np.ndarray or value.base is not None:
        return False
    return value.dtype == dtype and value.flags.c_contiguous and not value.flags.writeable
