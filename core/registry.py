"""Named plug-in points whose entries are imported only when asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar, cast

from core.errors import CoreError

T = TypeVar("T")


def closest(name: str, known: Iterator[str] | list[str]) -> str:
    """A «did you mean» sentence for an unknown name, or the list of known ones."""
    names = list(known)
    match = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean '{match[0]}'?" if match else f"Known: {', '.join(sorted(names))}."


class Registry(Generic[T]):
    """Maps a name to `package.module:attribute`, imported on first use.

    Adding an entry is one line in the owner's table; the owner's contract test then covers it.

    Args:
        kind: What an entry is, for messages ("exporter").
        entries: Name to import path.
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
        """The entry of that name.

        Raises:
            CoreError: There is none; the hint names the nearest one.
        """
        if name not in self._entries:
            raise CoreError(f"There is no {self.kind} named '{name}'.", closest(name, iter(self._entries)))
        module, _, attribute = self._entries[name].partition(":")
        return cast(T, getattr(importlib.import_module(module), attribute))
