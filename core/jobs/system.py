"""Settings of the process for running networks; to be made before torch is imported."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys

import psutil


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


_LOW_PRIORITY = 10
_FREE_CORE_FROM = 3
"""With fewer cores, the low priority alone has to do: half of two cores would cost a job half of its speed."""


def yield_to_the_window() -> None:
    """Let the window and other programs go first: low priority, and one core left free where there are at least three.

    Child processes inherit both.
    """
    process = psutil.Process()
    with contextlib.suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            process.nice(_LOW_PRIORITY)
    if not hasattr(process, "cpu_affinity"):  # macOS
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
        return
    with contextlib.suppress(psutil.Error, OSError):
        cores = process.cpu_affinity() or []
        if len(cores) >= _FREE_CORE_FROM:
            process.cpu_affinity(sorted(cores)[1:])
