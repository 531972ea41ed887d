"""Cache of values per object."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

K = TypeVar("K")
V = TypeVar("V")


def once_each(compute: Callable[[K], V]) -> Callable[[K], V]:
    """Return a function with a thread-safe cache per object, whose entries live as long as the object.

    Values must not refer to their object, which would otherwise never be freed.
    """
    known: WeakKeyDictionary[K, V] = WeakKeyDictionary()
    lock = threading.Lock()

    @functools.wraps(compute)
    def value(of: K) -> V:
        with lock:
            if of in known:
                return known[of]
        found = compute(of)
        with lock:
            known[of] = found
        return found

    return value
