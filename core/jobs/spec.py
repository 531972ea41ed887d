"""Specification of a job, and the names of the files in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config import from_mapping, to_mapping
from core.files import read_json, write_json

JOB_FILE = "job.json"
EVENTS_FILE = "events.jsonl"
METRICS_FILE = "metrics.csv"
LOG_FILE = "log.txt"
PROCESS_FILE = "process.json"
CANCEL_FILE = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A verb and its settings.

    Attributes:
        verb: Name of the verb.
        session: Folder of the session.
        params: Settings as JSON values, checked by the verb's dataclass.
        title: Name of the job in the window.
    """

    verb: str
    session: str
    params: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""

    def save(self, folder: Path) -> None:
        """Write `job.json` into a job's folder."""
        write_json(folder / JOB_FILE, to_mapping(self))

    @classmethod
    def load(cls, folder: Path) -> JobSpec:
        """Read `job.json` from a job's folder.

        Raises:
            CoreError: The file is missing or damaged.
        """
        return from_mapping(cls, read_json(folder / JOB_FILE), "job.")
