"""How a process that runs networks uses the machine. To be called before torch is imported."""

from __future__ import annotations

import ctypes
import os
import platform


def keep_freed_memory() -> None:
    """Has glibc keep freed blocks instead of handing each back to the system.

    A network allocates and frees the same large blocks at every step; with the default settings each of them is mapped
    and zeroed page by page anew. Elsewhere than on glibc this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 256 << 20)


def wait_without_spinning() -> None:
    """Has OpenMP's threads sleep while they have nothing to do.

    By default they burn their core until the next parallel loop, which is the fastest when a process has the machine to
    itself, and many times slower when a window, a camera or another job wants a core as well.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
