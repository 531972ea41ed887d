"""Help of options and comments of settings files, from the docstrings of the settings dataclasses."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import yaml

from core.config import to_mapping
from core.pipelines.params import REGISTRY

CHOSEN_BY_SESSION = ("take", "takes")
"""Settings without a default that the command line takes from the session if they are omitted."""
_WIDTH = 100
_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)


def attribute_docs(cls: type[Any]) -> dict[str, str]:
    """Return the texts of the "Attributes:" section of a class's docstring, by attribute."""
    _, _, section = (inspect.getdoc(cls) or "").partition("Attributes:\n")
    return {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(section)}


def describe_field(cls: type[Any], name: str) -> str:
    """Return the description of a setting: the text of its attribute, and its values if they are enumerable.

    Args:
        cls: Dataclass of the settings.
        name: Name of the field.
    """
    text = attribute_docs(cls).get(name, "")
    values = allowed_values(cls, name)
    if not values:
        return text
    several = typing.get_origin(typing.get_type_hints(cls)[name]) is tuple
    return f"{text} {'Any of' if several else 'One of'}: {', '.join(values)}."


def allowed_values(cls: type[Any], name: str) -> tuple[str, ...]:
    """Return the allowed values of a literal or a registry name; empty for other settings."""
    hint = typing.get_type_hints(cls)[name]
    if typing.get_origin(hint) is typing.Literal:
        return tuple(str(value) for value in typing.get_args(hint))
    field = next(f for f in dataclasses.fields(cls) if f.name == name)
    if REGISTRY not in field.metadata:
        return ()
    module, _, attribute = field.metadata[REGISTRY].partition(":")
    names = tuple(getattr(importlib.import_module(module), attribute))
    default = field.default if isinstance(field.default, str) and field.default else None
    return names if default is None or default in names else (default, *names)


def group_of(cls: type[Any], name: str) -> Any:
    """Return the dataclass of a field that is a group of settings, or None."""
    hint = typing.get_type_hints(cls)[name]
    return next((t for t in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(t)), None)


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Return True if a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def defaults_of(cls: type[Any]) -> Any:
    """Return settings with all defaults, and None for required fields."""
    return cls(**{field.name: None for field in dataclasses.fields(cls) if is_required(field)})


def settings_file(settings: Any) -> str:
    """Render settings as YAML with a comment above each setting; required ones are commented out."""
    return "\n".join(_lines(settings, "")) + "\n"


def _optional_group(cls: type[Any], name: str, value: Any, indent: str) -> Iterator[str]:
    """List the settings of a group that is null by default, commented out."""
    group = group_of(cls, name)
    if value is None and group is not None:
        yield f"{indent}# {name}:"
        yield from (f"{indent}# {line}" for line in _lines(defaults_of(group), "  "))


def _lines(settings: Any, indent: str) -> Iterator[str]:
    cls = type(settings)
    for number, field in enumerate(dataclasses.fields(settings)):
        if number and not indent:
            yield ""
        required = is_required(field) and field.name not in CHOSEN_BY_SESSION
        text = describe_field(cls, field.name) + (" Required." if required else "")
        prefix = f"{indent}# "
        yield from textwrap.wrap(text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False)
        value = getattr(settings, field.name)
        if is_required(field) and value is None:
            yield f"{indent}# {field.name}:"
        elif dataclasses.is_dataclass(value):
            yield f"{indent}{field.name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield from _optional_group(cls, field.name, value, indent)
            plain = to_mapping(settings)[field.name]
            text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=1000).splitlines()[0]
            yield f"{indent}{field.name}: {text}"
