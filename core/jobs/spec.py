"""Specification of a job, and the names of the files in its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_json, write_json
from core.passwords import keep_passwords
from core.process import ProcessIdentity

JOB_FILE = "job.json"
EVENTS_FILE = "events.jsonl"
STATUS_FILE = "status.json"
METRICS_FILE = "metrics.csv"
LOG_FILE = "log.txt"
PROCESS_FILE = "process.json"
CANCEL_FILE = "cancel"
RESERVE_FILE = ".reserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A verb and its settings. The session is that of the folder: a copied or moved one works on itself.

    Attributes:
        verb: Name of the verb.
        params: Settings as JSON values, checked by the verb's dataclass.
        title: Name of the job in the window.
        number: Place in the order of the session's jobs, which no clock can change; 0 until it is saved.
        background: True if the program started it automatically, so that it does not delay other jobs.
        parent: Run that does this job as one of its steps; empty for a job of its own process.
    """

    verb: str
    params: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    number: int = 0
    background: bool = False
    parent: str = ""

    def save(self, folder: Path) -> JobSpec:
        """Write `job.json` into a job's folder, and return what was written: numbered, and without passwords."""
        number = self.number or 1 + max((_number(other) for other in folder.parent.glob(f"*/{JOB_FILE}")), default=0)
        numbered = dataclasses.replace(self, number=number, params=keep_passwords(self.params))
        write_json(folder / JOB_FILE, to_mapping(numbered))
        return numbered

    @classmethod
    def load(cls, folder: Path) -> JobSpec:
        """Read `job.json` from a job's folder.

        Raises:
            CoreError: The file is missing or damaged.
        """
        values = read_json(folder / JOB_FILE)
        if isinstance(values, dict):
            values.pop("session", None)  # of versions up to 0.1; it leads away from a copy
        return from_mapping(cls, values, "job.")


def _number(file: Path) -> int:
    try:
        return JobSpec.load(file.parent).number
    except CoreError:
        return 0


def write_process(folder: Path, process: ProcessIdentity) -> None:
    """Write which process works on the job of a folder."""
    write_json(folder / PROCESS_FILE, {**to_mapping(process), "folder": str(folder.resolve())})


def read_process(folder: Path) -> ProcessIdentity | None:
    """Return the latest process that works on the job of a folder; None if the folder is a copy.

    Raises:
        CoreError: The file is missing or damaged.
    """
    values = read_json(folder / PROCESS_FILE)
    original = values.pop("folder", None) if isinstance(values, dict) else None
    if original not in (None, str(folder.resolve())):
        return None
    return from_mapping(ProcessIdentity, values)
