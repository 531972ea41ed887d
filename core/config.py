"""Configuration by frozen dataclasses, stored as YAML; unknown keys are errors with a suggestion."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from core.documents.syntax import parse_yaml
from core.errors import CoreError
from core.files import read_yaml
from core.registry import closest

C = TypeVar("C")

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def to_mapping(config: Any) -> dict[str, Any]:
    """Convert a config dataclass to nested plain values for YAML and JSON; tuples become lists, paths strings."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def from_mapping(cls: type[C], values: Mapping[str, Any], where: str = "", base: C | None = None) -> C:
    """Create a config dataclass from plain values.

    A partially given group of settings keeps the defaults of its field, which may differ from those of its class. A
    dataclass whose groups depend on other fields returns their defaults from a class method `group_defaults(values)`.
    Numbers must be finite, except in fields with the metadata `{"finite": False}`.

    Args:
        cls: Dataclass to create.
        values: Values by field name; missing fields take their defaults.
        where: Dotted path of the mapping in its file, for messages.
        base: Values of the missing fields; None for the defaults of the class.

    Raises:
        CoreError: A key is unknown (the hint suggests the nearest one) or missing without a default, or a type is
            wrong.
    """
    if not isinstance(values, Mapping):
        raise CoreError(
            f"{where or cls.__name__} should be a mapping of settings, found {type(values).__name__}.",
            "Write it as lines 'name: value'.",
        )
    hints = _hints(cls)  # type: ignore[arg-type]
    known = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise CoreError(f"Unknown setting '{where}{key}'.", closest(str(key), list(known)))
    if base is None:
        defaults = {name: _default(f) for name, f in known.items()}
        defaults |= getattr(cls, "group_defaults", lambda _: {})(values)
    else:
        defaults = {name: getattr(base, name) for name in known}
    missing = [name for name in known if name not in values and defaults[name] is dataclasses.MISSING]
    if missing:
        raise CoreError(f"Setting '{where}{missing[0]}' is missing and has no default.", "Give it a value.")
    given = {key: _coerce(hints[key], value, f"{where}{key}", defaults[key]) for key, value in values.items()}
    for key, value in given.items():
        if known[key].metadata.get("finite", True) and not _is_finite(value):
            raise _wrong(f"{where}{key}", "a finite number", value)
    return cls(**defaults | given)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Return the types of the fields, cached: evaluating annotations costs more than everything else here."""
    return typing.get_type_hints(cls)


def load(cls: type[C], path: Path, overrides: Sequence[str] = ()) -> C:
    """Read a config from a YAML file and apply overrides of the form `a.b=c`.

    Raises:
        CoreError: The file is invalid, see `from_mapping`, or an override is not `name=value`.
    """
    return with_overrides(from_mapping(cls, read_yaml(path) or {}), overrides)


def with_overrides(config: C, overrides: Sequence[str]) -> C:
    """Return a copy of a config with overrides `a.b=c` applied; values are YAML scalars or lists."""
    values = to_mapping(config)
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if not equals:
            raise CoreError(
                f"'{override}' is not an override.", "Write it as name=value, for example training.steps=500."
            )
        *parents, last = dotted.strip().split(".")
        level = values
        partial = False
        for depth, parent in enumerate(parents):
            if parent in level and level[parent] is None:
                level[parent], partial = {}, True  # an optional group with only these values
            if not isinstance(level.get(parent), dict):
                path = ".".join(parents[: depth + 1])
                raise CoreError(f"Unknown settings group '{path}'.", closest(parent, list(level)))
            level = level[parent]
        if last not in level and not partial:
            raise CoreError(f"Unknown setting '{dotted}'.", closest(last, list(level)))
        empty = isinstance(level.get(last), str) and not text.strip()
        level[last] = (
            ""
            if empty
            else parse_yaml(text, f"--set {dotted}", "Write it as name=value, for example training.steps=500.")
        )
        if partial or isinstance(level[last], str):  # a group with its defaults, or its short form
            values = to_mapping(from_mapping(type(config), values))
    return from_mapping(type(config), values)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_mapping(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _is_finite(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_finite(v) for v in value)
    return not isinstance(value, float) or math.isfinite(value)


def _coerce(hint: Any, value: Any, where: str, default: Any = None) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = [a for a in arguments if a is not type(None)]
        for option in options:
            try:
                return _coerce(option, value, where, default)
            except CoreError:
                if option is options[-1]:
                    raise
    if origin is typing.Literal:
        if value not in arguments:
            raise CoreError(f"'{where}' cannot be {value!r}.", closest(str(value), [str(a) for a in arguments]))
        return value
    if isinstance(value, str) and hasattr(hint, "from_text"):
        return hint.from_text(value, where)
    if dataclasses.is_dataclass(hint):
        base = default if isinstance(default, hint) else None  # type: ignore[arg-type]
        return value if isinstance(value, hint) else from_mapping(hint, value, f"{where}.", base)  # type: ignore[arg-type]
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _wrong(where, "a list", value)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_coerce(arguments[0], v, where) for v in value)
        if len(value) != len(arguments):
            raise _wrong(where, f"a list of {len(arguments)}", value)
        return tuple(_coerce(a, v, where) for a, v in zip(arguments, value, strict=True))
    if origin in (dict, Mapping) or hint is dict or getattr(origin, "__name__", "") == "Mapping":
        if not isinstance(value, Mapping):
            raise _wrong(where, "a mapping", value)
        return dict(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)  # YAML 1.1 reads 1e-4 as a string
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str):
        return value
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is Any:
        return value
    raise _wrong(where, getattr(hint, "__name__", str(hint)), value)


def _wrong(where: str, expected: str, value: Any) -> CoreError:
    return CoreError(f"'{where}' should be {expected}, found {value!r}.", "Correct the value.")
