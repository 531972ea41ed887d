"""Jobs: long work in child processes, described, reported and followed through files."""

from core.jobs.client import Job, State, process_of, reap, unfinished
from core.jobs.events import (
    Cancelled,
    Ended,
    Event,
    Failed,
    Finished,
    Metric,
    Noted,
    Progressed,
    Started,
    StatusChanged,
)
from core.jobs.runner import JobReporter, execute, run_job
from core.jobs.spec import JobSpec

__all__ = [
    "Cancelled",
    "Ended",
    "Event",
    "Failed",
    "Finished",
    "Job",
    "JobReporter",
    "JobSpec",
    "Metric",
    "Noted",
    "Progressed",
    "Started",
    "State",
    "StatusChanged",
    "execute",
    "process_of",
    "reap",
    "run_job",
    "unfinished",
]
