"""What a job has said so far, as the window shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from core.jobs import Cancelled, Event, Failed, Finished, Job, Metric, Noted, Progressed, Started, State
from core.pipelines.verbs import VERBS

END_NOW_AFTER_S = 6.0
"""A job that has not stopped this long after it was asked to may be ended by force."""


@dataclass(eq=False)
class TrackedJob:
    """A job and the sum of its events. Nothing is known here that is not in the job's folder.

    Attributes:
        job: The job.
        fraction: Share done of the current stage, None before the first progress.
        text: Current stage in a few words.
        time_left_s: Seconds left of the stage, None while it cannot be said.
        notes: Sentences for the person, in order.
        metrics: Every figure, in order.
        failure: Why it failed, if it did.
        result: What it returned.
        started_s: Unix time of the newest start, None before it.
        ended_s: Unix time of the end.
        cancel_asked_s: Monotonic time at which it was asked to stop.
    """

    job: Job
    fraction: float | None = None
    text: str = ""
    time_left_s: float | None = None
    notes: list[Noted] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    failure: Failed | None = None
    result: dict[str, Any] = field(default_factory=dict)
    started_s: float | None = None
    ended_s: float | None = None
    cancel_asked_s: float | None = None

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.job.folder.name

    @property
    def verb(self) -> str:
        return self.job.spec.verb

    @property
    def title(self) -> str:
        """What to call it."""
        summary = VERBS[self.verb].summary if self.verb in VERBS else self.verb
        return self.job.spec.title or summary

    @property
    def state(self) -> State:
        return self.job.state

    @property
    def active(self) -> bool:
        return not self.job.ended

    @property
    def resumable(self) -> bool:
        """Whether starting it again makes sense: it ended without a result."""
        return self.state in ("failed", "cancelled", "lost")

    @property
    def stuck(self) -> bool:
        """Whether it was asked to stop a while ago and still runs."""
        asked = self.cancel_asked_s
        return self.active and asked is not None and time.monotonic() - asked > END_NOW_AFTER_S

    def apply(self, event: Event) -> None:
        """Takes one event in."""
        match event:
            case Started():
                self.started_s, self.ended_s = event.time, None
                self.failure, self.fraction, self.text, self.cancel_asked_s = None, None, "", None
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
