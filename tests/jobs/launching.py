"""Waiting for the events of a job."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.jobs import Event, Job


def follow(job: Job, until: Callable[[list[Event]], bool], timeout_s: float = 30.0) -> list[Event]:
    """Events up to the one that satisfies `until`."""
    events: list[Event] = []
    deadline = time.monotonic() + timeout_s
    while not until(events):
        assert time.monotonic() < deadline, f"{job.state}: {events}\n{job.log_tail()}"
        events += job.poll()
        time.sleep(0.02)
    return events
