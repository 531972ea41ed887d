"""How the domain types check and freeze their arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CoreError

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]


def frozen(
    value: Any,
    shape: Sequence[int | str],
    what: str,
    dtype: type[np.generic] = np.float64,
    *,
    allow_nan: bool = False,
    sizes: dict[str, int] | None = None,
) -> NDArray[Any]:
    """A read-only contiguous copy of `value`, checked.

    Args:
        value: Anything array-like.
        shape: Expected shape; letters such as "T" stand for any size, equal wherever the letter recurs in `sizes`.
        what: Field name for messages ("camera cam01: K").
        dtype: Type to convert to.
        allow_nan: Whether NaN may stand for a missing value. Infinities never may.
        sizes: Sizes of the letters seen so far; filled in as a side effect.

    Raises:
        CoreError: Wrong shape or a value that is not finite.
    """
    try:
        array = np.array(value, dtype=dtype, order="C")
    except (TypeError, ValueError) as error:
        raise CoreError(f"{what} is not an array of numbers: {error}.", "Check the file it was read from.") from error
    sizes = {} if sizes is None else sizes
    expected = tuple(sizes.get(s, s) if isinstance(s, str) else s for s in shape)
    matches = array.ndim == len(expected) and all(
        isinstance(e, str) or e == n for e, n in zip(expected, array.shape, strict=True)
    )
    if not matches:
        shown = "(" + ", ".join(str(e) for e in expected) + ("," if len(expected) == 1 else "") + ")"
        raise CoreError(f"{what} should have shape {shown}, found {array.shape}.", "Check the file it was read from.")
    sizes.update({s: n for s, n in zip(shape, array.shape, strict=True) if isinstance(s, str)})
    if np.issubdtype(array.dtype, np.floating):
        bad = np.isinf(array) if allow_nan else ~np.isfinite(array)
        if bad.any():
            raise CoreError(
                f"{what} has {int(bad.sum())} values that are not finite.", "Check the file it was read from."
            )
    array.setflags(write=False)
    return array
