"""Registries of named entries that are imported on first use."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar, cast

from core.errors import CoreError

T = TypeVar("T")


def closest(name: str, known: Iterator[str] | list[str]) -> str:
    """Return a sentence that suggests the nearest known name, or lists the known names."""
    names = list(known)
    match = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean '{match[0]}'?" if match else f"Known: {', '.join(sorted(names))}."


class Registry(Generic[T]):
    """Mapping of names to `package.module:attribute`, imported on first use.

    A new entry is one line in the owner's table; the owner's contract test then covers it.

    Args:
        kind: Kind of the entries for messages, such as "exporter".
        entries: Import path by name.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> tuple[T, ...]:
        """Return all entries, in the order of the table; imports every one of them."""
        return tuple(self.get(name) for name in self._entries)

    def get(self, name: str) -> T:
        """Return the entry of a name.

        Raises:
            CoreError: The name is unknown; the hint suggests the nearest one.
        """
        if name not in self._entries:
            raise CoreError(f"There is no {self.kind} named '{name}'.", closest(name, iter(self._entries)))
        module, _, attribute = self._entries[name].partition(":")
        return cast(T, getattr(importlib.import_module(module), attribute))
