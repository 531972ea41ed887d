"""Safe reading of numbers from untrusted pickles: no code from the file is executed.

A pickle is a program that calls functions by name. Here only the few names with which numpy stores arrays and numbers
are admitted, and they are bound to functions of this module that check their arguments; every other name is refused.
numpy's own functions are not called with arguments from the file, because some of them trust these.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from core.errors import CoreError

_MAX_BYTES = 1 << 30
_REMEDY = "Use the file as published by its authors; only arrays, numbers, text, lists and mappings are read."


def read_pickle(path: Path) -> Any:
    """Read dicts, lists, tuples, strings, numbers and numeric numpy arrays from a pickle.

    Raises:
        CoreError: The file is missing, damaged, too large, or refers to anything else, such as a function.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CoreError(f"{path.name} is larger than {_MAX_BYTES >> 30} GB.", _REMEDY)
        with path.open("rb") as file:
            return _plain(_Reader(file, encoding="latin1").load(), {})
    except _Refused as refused:
        raise CoreError(f"{path.name} refers to '{refused}', which is not allowed.", _REMEDY) from refused
    except CoreError:
        raise
    except Exception as error:
        raise CoreError(f"{path.name} cannot be read: {error or type(error).__name__}.", _REMEDY) from error


class _Refused(Exception):
    """The file refers to a name that is not admitted."""


class _Admitted:
    """An admitted name: it can be called, and the file cannot modify it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise _Refused("a changed function")


class _DType:
    """A numeric type; its byte order follows in the file."""

    __slots__ = ("dtype",)

    def __init__(self, name: Any, *rest: Any) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[<>|=]?(b1|i[1248]|u[1248]|f[248])", name):
            raise _Refused(f"arrays of type {name}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array; its content follows in the file."""

    __slots__ = ("value",)

    def __init__(self, *arguments: Any) -> None:
        self.value: Any = None

    def __setstate__(self, state: Any) -> None:
        *_, shape, kind, column_major, data = state
        self.value = _array(data, kind, shape, "F" if column_major else "C")


def _array(data: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(kind, _DType) or not isinstance(shape, tuple):
        raise _Refused("a non-numeric array")
    raw = data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))
    if any(not isinstance(n, int) or n < 0 for n in shape) or len(raw) != prod(shape) * kind.dtype.itemsize:
        raise _Refused(f"an array of shape {shape} out of {len(raw)} bytes")
    return np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if order == "F" else "C").copy()


def _buffer_array(data: Any, kind: Any, shape: Any, order: Any, *rest: Any) -> _Array:
    out = _Array()
    out.value = _array(data, kind, shape, order)
    return out


def _number(kind: Any, data: Any) -> Any:
    return _array(data, kind, (), "C").item()


def _bytes(text: Any, encoding: Any = "") -> bytes:
    """Decode bytes as older pickles store them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused("a change of text")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Return empty bytes as older pickles store them; an argument would allocate that many and is refused."""
    return b""


def _mapping(pairs: Any = ()) -> dict[Any, Any]:
    return dict(pairs)


def _nothing(*arguments: Any) -> NoReturn:
    raise _Refused("an array without content")


_MULTIARRAY: Mapping[str, Callable[..., Any]] = {"_reconstruct": _Array, "scalar": _number}
_NAMES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "numpy": {"dtype": _DType, "ndarray": _nothing},
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy._core.multiarray": _MULTIARRAY,
    "numpy.core.numeric": {"_frombuffer": _buffer_array},
    "numpy._core.numeric": {"_frombuffer": _buffer_array},
    "builtins": {"bytes": _no_bytes},
    "__builtin__": {"bytes": _no_bytes},
    "_codecs": {"encode": _bytes},
    "collections": {"OrderedDict": _mapping},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        call = _NAMES.get(module, {}).get(name)
        if call is None:
            raise _Refused(f"{module}.{name}")
        return _Admitted(call)


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """Replace placeholders by arrays; values that occur repeatedly are converted once."""
    if id(value) in seen:
        return seen[id(value)]
    result: Any
    if isinstance(value, _Array):
        if value.value is None:
            raise _Refused("an array without content")
        result = value.value
    elif isinstance(value, dict):
        result = {key: _plain(inner, seen) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        result = type(value)(_plain(inner, seen) for inner in value)
    elif value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    else:
        raise _Refused(f"a {type(value).__name__}")
    seen[id(value)] = result
    return result
