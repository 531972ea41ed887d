"""Identity of processes; the system reuses process ids, but not with the same start time in the same boot."""

from __future__ import annotations

import functools
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_TOLERANCE_S = 2.0
"""Tolerance of start times: systems round Unix times differently, and adjust their clocks."""
_EXACT_S = 0.011


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """Process, as stored in files.

    Attributes:
        pid: Process id.
        created: Start time of the process: s since boot if `boot` is given, Unix time otherwise.
        boot: Id of the system's boot; empty if the system has none.
        host: Name of the computer; empty in files of earlier versions.
    """

    pid: int
    created: float
    boot: str = ""
    host: str = ""

    @classmethod
    def of(cls, pid: int | None = None) -> ProcessIdentity:
        """Return the identity of a running process; None for this one.

        Raises:
            psutil.Error: The process does not exist.
        """
        process, boot = psutil.Process(pid), boot_id()
        return cls(pid=process.pid, created=_start_s(process, boot), boot=boot, host=platform.node())

    def find(self) -> psutil.Process | None:
        """Return the process; None if it has ended, or runs on another computer."""
        if (self.boot and self.boot != boot_id()) or not self.here:
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(_start_s(process, self.boot) - self.created) < (_EXACT_S if self.boot else _TOLERANCE_S)
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError, OverflowError, OSError):
            return None

    @property
    def here(self) -> bool:
        """True for a process of this computer, whose end can be detected."""
        return not self.host or self.host == platform.node()

    @property
    def alive(self) -> bool:
        """True if the process is still running on this computer."""
        return self.find() is not None


@functools.cache
def boot_id() -> str:
    """Return the id of the system's boot; empty if the system has none."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if sys.platform == "linux" and path.exists() else ""


def _start_s(process: psutil.Process, boot: str) -> float:
    """Return the start time in s since boot, independent of clock changes, or as Unix time."""
    if not boot:
        return float(process.create_time())
    # Fields are counted after the command's name, which may contain spaces and brackets.
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / _ticks_per_s()


@functools.cache
def _ticks_per_s() -> int:
    return os.sysconf("SC_CLK_TCK")
