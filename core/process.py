"""Identity of processes: a process id is reused by the system, but not with the same start time."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

_TOLERANCE_S = 2.0  # systems round start times differently


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process of this machine, as stored in files.

    Attributes:
        pid: Process id.
        created: Unix time of the process's start.
    """

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int | None = None) -> ProcessIdentity:
        """Return the identity of a running process; None for this one.

        Raises:
            psutil.Error: There is no such process.
        """
        process = psutil.Process(pid)
        return cls(pid=process.pid, created=process.create_time())

    def find(self) -> psutil.Process | None:
        """Return the process; None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError):
            return None

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.find() is not None
