"""Safe reading of numbers from untrusted pickles: no code from the file is executed.

A pickle is a program for a stack machine that can call functions by name. Here its opcodes are interpreted one by one,
and only the few names with which numpy stores arrays and numbers have a meaning, which this module implements; every
other name is refused. Instances of classes that the caller admits by name are read as their attributes, without the
class. Memo, keys, integers, depth and the memory of all values together are limited by the file's size.
"""

from __future__ import annotations

import codecs
import io
import pickletools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from core.documents.limits import MAX_BYTES, MAX_DEPTH, read_bounded
from core.errors import CoreError

_REMEDY = "Use the file as published by its authors; only arrays, numbers, text, lists and mappings are read."
_MAX_BITS = 64
_MAX_KEY_PARTS = 16
_MEMORY_PER_BYTE = 8  # of all values together, as a multiple of the size of the file


@dataclass(frozen=True, slots=True)
class PickledObject:
    """An instance of a class that the reader admits, as plain data.

    Attributes:
        kind: Class as `module.name`.
        attributes: Attributes by name.
    """

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)


def read_pickle(path: Path, objects: Collection[str] = ()) -> Any:
    """Read dicts, lists, tuples, strings, numbers and numeric numpy arrays from a pickle; sets become lists.

    Args:
        path: The file.
        objects: Classes, as `module.name`, whose instances are read as `PickledObject`. With any, arrays of text or of
            Python objects are admitted as well, as None.

    Raises:
        CoreError: The file is missing, damaged, too large, or refers to anything else, such as a function.
    """
    try:
        data = read_bounded(path, MAX_BYTES)
    except CoreError as error:
        raise CoreError(f"{path.name} cannot be read: {error.message}", error.hint) from error
    return parse_pickle(data, path.name, objects)


def parse_pickle(data: bytes, where: str, objects: Collection[str] = ()) -> Any:
    """Return the value of a pickle as `read_pickle` does.

    Args:
        data: The pickle.
        where: Name of the document for messages.
        objects: Classes whose instances are read, as in `read_pickle`.

    Raises:
        CoreError: The pickle is damaged, or refers to anything else, such as a function.
    """
    position = 0
    machine = _Machine(_MEMORY_PER_BYTE * len(data), objects)
    try:
        for code, argument, position in _opcodes(data):  # noqa: B007 (the position is part of the message)
            if code == "STOP":
                return _plain(machine.pop(), {}, 0)
            machine.run(code, argument)
        raise ValueError("it ends before its last value")
    except _RefusedError as refused:
        raise CoreError(f"{where} refers to '{refused}' (byte {position}), which is not allowed.", _REMEDY) from None
    except Exception as error:
        what = str(error) or type(error).__name__
        raise CoreError(f"{where} cannot be read: {what} (byte {position}).", _REMEDY) from error


class _RefusedError(Exception):
    """The file refers to a name or a type that is not admitted."""


class _DType:
    """A numeric type; its byte order follows in the file. Other types are None where they are admitted."""

    def __init__(self, name: Any, any_type: bool) -> None:
        numeric = isinstance(name, str) and re.fullmatch(r"[<>|=]?(b1|i[1248]|u[1248]|f[248])", name)
        if not numeric and not (any_type and isinstance(name, str) and re.fullmatch(r"[<>|=]?[OSU]\d{0,6}", name)):
            raise _RefusedError(f"arrays of type {str(name)[:40]}")
        self.dtype = np.dtype(name) if numeric else None

    def set_state(self, state: Any) -> None:
        if self.dtype is not None and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array; its content may follow in the file, or be of a type that is not read."""

    def __init__(self, value: np.ndarray | None = None) -> None:
        self.value = value
        self.unread = False


class _Name:
    """An admitted name, which can only be called."""

    def __init__(self, call: Callable[[_Machine, tuple[Any, ...]], Any]) -> None:
        self.call = call


class _Class(_Name):
    """An admitted class, of which only instances without content can be made."""

    def __init__(self, name: str) -> None:
        super().__init__(_refused_call)
        self.name = name


def _array(machine: _Machine, data: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    numeric = isinstance(kind, _DType) and kind.dtype is not None
    if not numeric or not isinstance(shape, tuple) or not isinstance(data, str | bytes | bytearray):
        raise _RefusedError("a non-numeric array")
    raw = data.encode("latin1") if isinstance(data, str) else data
    if any(type(n) is not int or n < 0 for n in shape) or len(raw) != prod(shape) * kind.dtype.itemsize:
        raise _RefusedError(f"an array of shape {str(shape)[:40]} out of {len(raw)} bytes")
    machine.spend(len(raw))
    return np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if order == "F" else "C").copy()


def _encoded(machine: _Machine, arguments: tuple[Any, ...]) -> bytes:
    """Decode bytes as older pickles store them."""
    text, encoding = arguments
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _RefusedError("a change of text")
    machine.spend(len(text))
    return text.encode("latin1")


def _no_bytes(machine: _Machine, arguments: tuple[Any, ...]) -> bytes:
    """Return empty bytes as older pickles store them; an argument would allocate that many and is refused."""
    if arguments:
        raise _RefusedError("bytes of a given number")
    return b""


def _nothing(machine: _Machine, arguments: tuple[Any, ...]) -> NoReturn:
    raise _RefusedError("an array without content")


def _elements(machine: _Machine, arguments: tuple[Any, ...]) -> list[Any]:
    """Return the elements of a set as older pickles store it: the class and a list."""
    elements = arguments[0] if arguments else []
    machine.spend(len(elements))
    return list(elements)


def _refused_call(machine: _Machine, arguments: tuple[Any, ...]) -> NoReturn:
    raise _RefusedError("a call of a class")


def _instance(machine: _Machine, arguments: tuple[Any, ...]) -> PickledObject:
    """Return an instance as older pickles make them: class, base class, and nothing."""
    kind, _, content = arguments
    if not isinstance(kind, _Class) or content is not None:
        raise _RefusedError("an instance of another class")
    return PickledObject(kind.name)


def _buffer_array(machine: _Machine, arguments: tuple[Any, ...]) -> _Array:
    return _Array(_array(machine, *arguments[:4]))


def _number(machine: _Machine, arguments: tuple[Any, ...]) -> Any:
    kind, data = arguments
    return _array(machine, data, kind, (), "C").item()


def _ordered(machine: _Machine, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    pairs = [part for pair in arguments[0] for part in pair] if arguments else []
    return machine.filled({}, pairs)


_BUILTINS: Mapping[str, Callable[[Any, tuple[Any, ...]], Any]] = {
    "bytes": _no_bytes,
    "object": _refused_call,
    "set": _elements,
    "frozenset": _elements,
}
_MULTIARRAY: Mapping[str, Callable[[Any, tuple[Any, ...]], Any]] = {
    "_reconstruct": lambda machine, arguments: _Array(),
    "scalar": _number,
}
_NAMES: Mapping[str, Mapping[str, Callable[[Any, tuple[Any, ...]], Any]]] = {
    "numpy": {"dtype": lambda machine, arguments: _DType(arguments[0], bool(machine.objects)), "ndarray": _nothing},
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy._core.multiarray": _MULTIARRAY,
    "numpy.core.numeric": {"_frombuffer": _buffer_array},
    "numpy._core.numeric": {"_frombuffer": _buffer_array},
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,
    "copyreg": {"_reconstructor": _instance},
    "copy_reg": {"_reconstructor": _instance},
    "_codecs": {"encode": _encoded},
    "collections": {"OrderedDict": _ordered},
}
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUSHED = re.compile(
    r"INT|BININT[12]?|LONG[14]?|(BIN)?FLOAT|((SHORT_)?BIN)?STRING|UNICODE|(SHORT_)?BIN(UNICODE|BYTES)|BIN(UNICODE|BYTES)8"
    r"|BYTEARRAY8"
)
_CODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """Stack, marks and memo of a pickle.

    Args:
        memory: Limit on the bytes of arrays and converted text, and on the elements of containers.
        objects: Admitted classes.
    """

    def __init__(self, memory: int, objects: Collection[str]) -> None:
        self.objects = objects
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.memory = memory

    def spend(self, amount: int) -> None:
        self.memory -= amount
        if self.memory < 0:
            raise ValueError("it repeats its content too often")

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("its stack is empty")
        return self.stack.pop()

    def top(self, kind: type[Any]) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise ValueError(f"it changes something that is not a {kind.__name__.lstrip('_')}")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise ValueError("a mark is missing")
        mark = self.marks.pop()
        found = self.stack[mark:]
        del self.stack[mark:]
        return found

    def filled(self, table: dict[Any, Any], parts: list[Any]) -> dict[Any, Any]:
        """Add keys and values to a mapping; hashing nested keys can take exponential time."""
        if len(parts) % 2:
            raise ValueError("a key has no value")
        self.spend(len(parts))
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            for part in key if isinstance(key, tuple) and len(key) <= _MAX_KEY_PARTS else (key,):
                if not (part is None or isinstance(part, str | bytes | int | float)):
                    raise ValueError(f"a key is a {type(part).__name__.lstrip('_')}")
            table[key] = value
        return table

    def run(self, code: str, argument: Any) -> None:
        """Execute an opcode."""
        push = self.stack.append
        if _PUSHED.fullmatch(code):
            if isinstance(argument, int) and argument.bit_length() > _MAX_BITS:
                raise ValueError(f"it has an integer of {argument.bit_length()} bits")
            push(argument)
        elif code in _CONSTANTS:
            push(_CONSTANTS[code])
        elif code in _TUPLES:
            parts = [self.pop() for _ in range(_TUPLES[code])]
            push(tuple(reversed(parts)))
        elif code in _CONTAINERS:
            push(_CONTAINERS[code](self))
        elif code in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            value = self.pop()
            push(value)
            self.memo[len(self.memo) if code == "MEMOIZE" else argument] = value
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            push(self.memo[argument])
        elif code in _ACTIONS:
            _ACTIONS[code](self)
        elif code in ("GLOBAL", "STACK_GLOBAL"):
            name, module = (self.pop(), self.pop()) if code == "STACK_GLOBAL" else argument.split(" ", 1)[::-1]
            if not isinstance(module, str) or not isinstance(name, str):
                raise _RefusedError("a name that is not text")  # its repr could take exponential time
            call = _NAMES.get(module, {}).get(name)
            if call is None and f"{module}.{name}" not in self.objects:
                raise _RefusedError(f"{module[:80]}.{name[:80]}")
            push(_Class(f"{module}.{name}") if call is None else _Name(call))
        elif code not in ("PROTO", "FRAME"):
            raise _RefusedError(f"the operation {code}")

    def append(self) -> None:
        value = self.pop()
        self.spend(1)
        self.top(list).append(value)

    def extend(self) -> None:
        values = self.since_mark()
        self.spend(len(values))
        self.top(list).extend(values)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.filled(self.top(dict), [key, value])

    def set_items(self) -> None:
        parts = self.since_mark()
        self.filled(self.top(dict), parts)

    def call(self) -> None:
        arguments, name = self.pop(), self.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise _RefusedError(f"a call of a {type(name).__name__.lstrip('_')}")
        self.stack.append(name.call(self, arguments))

    def new(self) -> None:
        arguments, kind = self.pop(), self.pop()
        if not isinstance(kind, _Class) or arguments != ():
            raise _RefusedError("an instance of another class")
        self.stack.append(PickledObject(kind.name))

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if isinstance(target, _DType):
            target.set_state(state)
        elif isinstance(target, PickledObject) and isinstance(state, dict):
            self.spend(len(state))
            target.attributes.update(state)
        elif isinstance(target, _Array):
            *_, shape, kind, column_major, data = state
            target.unread = isinstance(kind, _DType) and kind.dtype is None
            target.value = None if target.unread else _array(self, data, kind, shape, "F" if column_major else "C")
        else:
            raise _RefusedError("a changed function")
        self.stack.append(target)

    def discard(self) -> None:
        if self.marks and len(self.stack) == self.marks[-1]:
            self.marks.pop()  # POP removes a mark too
        else:
            self.pop()

    def repeat(self) -> None:
        value = self.pop()
        self.stack += [value, value]


_CONTAINERS: Mapping[str, Callable[[_Machine], Any]] = {
    "EMPTY_LIST": lambda machine: [],
    "EMPTY_DICT": lambda machine: {},
    "EMPTY_SET": lambda machine: [],
    "FROZENSET": lambda machine: machine.since_mark(),
    "TUPLE": lambda machine: tuple(machine.since_mark()),
    "LIST": lambda machine: machine.since_mark(),
    "DICT": lambda machine: machine.filled({}, machine.since_mark()),
}
_ACTIONS: Mapping[str, Callable[[_Machine], object]] = {
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "POP": _Machine.discard,
    "POP_MARK": _Machine.since_mark,
    "DUP": _Machine.repeat,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "ADDITEMS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.new,
    "BUILD": _Machine.build,
}


def _opcodes(data: bytes) -> Iterator[tuple[str, Any, int]]:
    """Yield name, argument and position of each opcode; text of Python 2 is latin-1, which numpy's bytes need."""
    stream = io.BytesIO(data)
    while True:
        position = stream.tell()
        byte = stream.read(1)
        opcode = _CODES.get(byte.decode("latin1"))
        if opcode is None:
            raise ValueError(f"unknown operation {byte!r}" if byte else "it ends before its last value")
        argument: Any = None
        if opcode.name == "STRING":
            line = stream.readline().strip()
            if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
                raise ValueError("a text has no quotes")
            argument = codecs.escape_decode(line[1:-1])[0].decode("latin1")
        elif opcode.arg is not None:
            argument = opcode.arg.reader(stream)
        yield opcode.name, argument, position
        if opcode.name == "STOP":
            return


def _plain(value: Any, seen: dict[int, Any], depth: int) -> Any:
    """Replace placeholders by arrays; values that occur repeatedly are converted once."""
    if id(value) in seen:
        if seen[id(value)] is _Machine:
            raise ValueError("a value contains itself")
        return seen[id(value)]
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    if value is None or isinstance(value, bool | int | float | str | bytes | bytearray):
        return value
    result: Any
    if isinstance(value, _Array):
        if value.value is None and not value.unread:
            raise _RefusedError("an array without content")
        result = value.value
    elif isinstance(value, PickledObject):
        result = PickledObject(value.kind)
        seen[id(value)] = result  # objects may refer to each other
        result.attributes.update({key: _plain(inner, seen, depth + 1) for key, inner in value.attributes.items()})
    elif isinstance(value, dict | list | tuple):
        seen[id(value)] = _Machine  # a mark: the conversion is under way
        if isinstance(value, dict):
            result = {key: _plain(inner, seen, depth + 1) for key, inner in value.items()}
        else:
            result = type(value)(_plain(inner, seen, depth + 1) for inner in value)
    else:
        raise _RefusedError(f"a {type(value).__name__.lstrip('_')}")
    seen[id(value)] = result
    return result
