"""Settings of the process for running networks; to be made before torch is imported."""

from __future__ import annotations

import ctypes
import os
import platform


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks instead of returning each to the system; does nothing with other C libraries.

    A network allocates and frees the same large blocks at each step; by default each of them is mapped and zeroed page
    by page every time.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 256 << 20)


def wait_without_spinning() -> None:
    """Make idle OpenMP threads sleep.

    By default they spin until the next parallel loop, which is fastest on an otherwise idle machine, and many times
    slower when a window, a camera or another job needs a core as well.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
