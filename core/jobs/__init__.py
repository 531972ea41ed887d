"""Jobs: long work in child processes, described, reported and followed through files."""

from core.jobs.client import Job, State, reap, unfinished
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
    "reap",
    "run_job",
    "unfinished",
]
