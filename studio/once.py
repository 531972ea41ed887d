"""Values that are worked out once for each object."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

K = TypeVar("K")
V = TypeVar("V")


def once_each(compute: Callable[[K], V]) -> Callable[[K], V]:
    """Return a function that works out its value once for each object, and forgets it with the object; thread-safe.

    The value must not refer to the object, which would then live for ever.
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
