"""Progress reports and cancellation of long-running work."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from core.errors import CancelledError

Level = Literal["info", "warning"]
T = TypeVar("T")
_LEAST_SHARE, _LONG_S = 0.05, 120.0  # fraction of the remaining work, or time in s, before an estimate
_NUMBER = re.compile(r"\d+")


class Reporter(Protocol):
    """Receiver of progress, metrics and notes of a pipeline: terminal, job file, window or test."""

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Report `done` of `total` units of the current stage, which `text` names in a few words."""

    def metric(self, name: str, value: float, step: int) -> None:
        """Report a value to plot, such as a loss at a training step."""

    def note(self, text: str, level: Level = "info") -> None:
        """Report a sentence that stays visible afterwards."""

    def status(self, values: Mapping[str, Any]) -> None:
        """Replace the job's current state with JSON values for its observers; at most a few times a second."""

    def cancelled(self) -> bool:
        """Return whether the user cancelled; cheap enough to call often."""


def check(reporter: Reporter) -> None:
    """Raise CancelledError if the user cancelled; called between units of work."""
    if reporter.cancelled():
        raise CancelledError


class NullReporter:
    """Reporter that discards everything and never cancels."""

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Discard the report."""

    def metric(self, name: str, value: float, step: int) -> None:
        """Discard the metric."""

    def note(self, text: str, level: Level = "info") -> None:
        """Discard the note."""

    def status(self, values: Mapping[str, Any]) -> None:
        """Discard the state."""

    def cancelled(self) -> bool:
        """Return False."""
        return False


@dataclass
class RecordingReporter(NullReporter):
    """Reporter that stores all reports; cancels after `cancel_after` progress reports.

    Attributes:
        cancel_after: Number of progress reports after which it cancels; None for never.
        progresses: Done, total and text of each progress report.
        metrics: Name, value and step of each metric.
        notes: Text and level of each note.
    """

    cancel_after: int | None = None
    progresses: list[tuple[float, float, str]] = field(default_factory=list)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    notes: list[tuple[str, Level]] = field(default_factory=list)
    statuses: list[Mapping[str, Any]] = field(default_factory=list)

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Store the report."""
        self.progresses.append((done, total, text))

    def metric(self, name: str, value: float, step: int) -> None:
        """Store the metric."""
        self.metrics.append((name, value, step))

    def note(self, text: str, level: Level = "info") -> None:
        """Store the note."""
        self.notes.append((text, level))

    def status(self, values: Mapping[str, Any]) -> None:
        """Store the state."""
        self.statuses.append(values)

    def cancelled(self) -> bool:
        """Return whether `cancel_after` progress reports were made."""
        return self.cancel_after is not None and len(self.progresses) >= self.cancel_after


@dataclass
class StageReporter:
    """Reporter of one stage, whose progress is mapped to `start` .. `start + share` of the parent's 0 .. 1.

    Attributes:
        parent: Reporter of all stages.
        start: Progress of the parent at the start of the stage.
        share: Fraction of the stage in the parent's progress.
        prefix: Text for progress reports without one.
    """

    parent: Reporter
    start: float
    share: float
    prefix: str = ""

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Report progress of the stage as progress of the parent."""
        fraction = done / total if total else 1.0
        self.parent.progress(self.start + self.share * fraction, 1.0, text or self.prefix)

    def metric(self, name: str, value: float, step: int) -> None:
        """Pass the metric on to the parent."""
        self.parent.metric(name, value, step)

    def note(self, text: str, level: Level = "info") -> None:
        """Pass the note on to the parent."""
        self.parent.note(text, level)

    def status(self, values: Mapping[str, Any]) -> None:
        """Pass the state on to the parent."""
        self.parent.status(values)

    def cancelled(self) -> bool:
        """Return whether the parent was cancelled."""
        return self.parent.cancelled()


def track(items: Iterable[T], reporter: Reporter, text: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress report before and after each item; raise CancelledError between items if cancelled."""
    count = total if total is not None else (len(items) if isinstance(items, Sized) else 0)
    reporter.progress(0, count, text)
    for done, item in enumerate(items, start=1):
        check(reporter)
        yield item
        reporter.progress(done, max(count, done), text)


def stage_of(text: str) -> str:
    """Return the stage of a progress text, with numbers masked: "step 3 of 240" and "step 4 of 240" are one stage."""
    return _NUMBER.sub("#", text)


class TimeLeft:
    """Estimate of the remaining time from the rate since the start of the current stage.

    In a stage that starts part-way, such as a resumed training, only the work since then counts. The first percent of a
    job says little about the other stages, so it gives no estimate.

    Args:
        settle_s: Time in s without an estimate at the start, when one-time costs dominate.
    """

    def __init__(self, settle_s: float = 2.0) -> None:
        self._settle_s = settle_s
        self._started = time.monotonic()
        self._stage = ""
        self._already = 0.0

    def update(self, done: float, total: float, text: str = "") -> float | None:
        """Return the remaining time in s after a progress report; None while there is no estimate."""
        now, stage = time.monotonic(), stage_of(text)
        if stage != self._stage or done < self._already:
            self._stage, self._started, self._already = stage, now, done
        elapsed, advanced = now - self._started, done - self._already
        left = max(total - done, 0.0)
        if total <= 0 or advanced <= 0 or elapsed < self._settle_s:
            return None
        if advanced < _LEAST_SHARE * left and elapsed < _LONG_S:
            return None
        return elapsed * left / advanced
