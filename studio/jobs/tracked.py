"""State of a job, accumulated from its events."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from core.jobs import Cancelled, Event, Failed, Finished, Job, Metric, Noted, Progressed, Started, State, StatusChanged
from core.pipelines.verbs import VERBS

KILL_AFTER_S = 6.0
"""Time in s after a cancel request from which a job may be killed."""


@dataclass(eq=False)
class TrackedJob:
    """Job with its accumulated events.

    Attributes:
        job: The job.
        fraction: Progress of the current stage, 0 to 1; None before the first progress event.
        text: Current stage.
        time_left_s: Remaining time of the stage; None while unknown.
        step: Verb of the current step, its number and the number of steps; None for a job with a single step.
        status: Last published facts, such as the state of running cameras.
        notes: Notes for the user, in order.
        metrics: Metrics, in order.
        failure: Failure, if the job failed.
        result: Result of the job.
        started_s: Unix time of the last start; None before it.
        ended_s: Unix time of the end.
        cancel_requested_s: Monotonic time of the cancel request.
    """

    job: Job
    fraction: float | None = None
    text: str = ""
    time_left_s: float | None = None
    step: tuple[str, int, int] | None = None
    status: dict[str, Any] = field(default_factory=dict)
    notes: list[Noted] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    failure: Failed | None = None
    result: dict[str, Any] = field(default_factory=dict)
    started_s: float | None = None
    ended_s: float | None = None
    cancel_requested_s: float | None = None

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.job.folder.name

    @property
    def verb(self) -> str:
        """Verb of the job."""
        return self.job.spec.verb

    @property
    def title(self) -> str:
        """Title of the job, or the summary of its verb."""
        summary = VERBS[self.verb].summary if self.verb in VERBS else self.verb
        return self.job.spec.title or summary

    @property
    def state(self) -> State:
        """State of the job's process."""
        return self.job.state

    @property
    def verbs(self) -> tuple[str, ...]:
        """Verb of the job, and of its current step if there are several."""
        return (self.verb,) if self.step is None else (self.verb, self.step[0])

    @property
    def active(self) -> bool:
        """True if the job is running."""
        return not self.job.ended

    @property
    def watching(self) -> bool:
        """True if the job only shows cameras and changes nothing in the session."""
        if not self.active or self.verb != "record" or not self.job.spec.params.get("preview_only"):
            return False
        return self.status.get("state", "watching") == "watching" and not self.status.get("saving")

    @property
    def resumable(self) -> bool:
        """True if the job has ended without a result and can be restarted."""
        return self.state in ("failed", "cancelled", "lost")

    @property
    def stuck(self) -> bool:
        """True if the job is still running some seconds after a cancel request."""
        requested = self.cancel_requested_s
        return self.active and requested is not None and time.monotonic() - requested > KILL_AFTER_S

    def apply(self, event: Event) -> None:
        """Update the state with one event."""
        match event:
            case Started():
                self.started_s, self.ended_s = event.time, None
                self.failure, self.fraction, self.text, self.cancel_requested_s = None, None, "", None
                self.step, self.status = None, {}
            case StatusChanged(values={"step": str(verb), "number": int(number), "steps": int(steps)}):
                self.step = verb, number, steps
            case StatusChanged():
                self.status = dict(event.values)
            case Progressed():
                self.fraction = min(1.0, event.done / event.total) if event.total > 0 else None
                self.text, self.time_left_s = event.text, event.time_left_s
            case Metric():
                self.metrics.append(event)
            case Noted():
                self.notes.append(event)
            case Finished():
                self.result, self.ended_s, self.fraction = event.result, event.time, 1.0
            case Failed():
                self.failure, self.ended_s = event, event.time
            case Cancelled():
                self.ended_s = event.time
