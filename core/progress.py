"""How long work tells of itself and is told to stop, without knowing who listens."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from core.errors import CancelledError

Level = Literal["info", "warning"]
T = TypeVar("T")
_NUMBER = re.compile(r"\d+")


class Reporter(Protocol):
    """What a pipeline calls. The terminal, the job file and the tests plug in here."""

    def progress(self, done: float, total: float, text: str = "") -> None:
        """`done` of `total` units of the current stage; `text` names the stage in a few words."""

    def metric(self, name: str, value: float, step: int) -> None:
        """One figure worth plotting, such as a loss at a training step."""

    def note(self, text: str, level: Level = "info") -> None:
        """One sentence the person should be able to read afterwards."""

    def status(self, values: Mapping[str, Any]) -> None:
        """Replace the job's current state, JSON values that its watchers show; at most a few times a second."""

    def cancelled(self) -> bool:
        """Whether the person asked to stop. Cheap: may be called often."""


def check(reporter: Reporter) -> None:
    """Raises CancelledError if the person asked to stop; call it between units of work."""
    if reporter.cancelled():
        raise CancelledError


class NullReporter:
    """Listens to nothing; never cancels."""

    def progress(self, done: float, total: float, text: str = "") -> None: ...

    def metric(self, name: str, value: float, step: int) -> None: ...

    def note(self, text: str, level: Level = "info") -> None: ...

    def status(self, values: Mapping[str, Any]) -> None: ...

    def cancelled(self) -> bool:
        return False


@dataclass
class RecordingReporter(NullReporter):
    """Keeps what it is told, for tests and for summaries; cancels once `cancel_after` progress calls were made."""

    cancel_after: int | None = None
    progresses: list[tuple[float, float, str]] = field(default_factory=list)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    notes: list[tuple[str, Level]] = field(default_factory=list)
    statuses: list[Mapping[str, Any]] = field(default_factory=list)

    def progress(self, done: float, total: float, text: str = "") -> None:
        self.progresses.append((done, total, text))

    def metric(self, name: str, value: float, step: int) -> None:
        self.metrics.append((name, value, step))

    def note(self, text: str, level: Level = "info") -> None:
        self.notes.append((text, level))

    def status(self, values: Mapping[str, Any]) -> None:
        self.statuses.append(values)

    def cancelled(self) -> bool:
        return self.cancel_after is not None and len(self.progresses) >= self.cancel_after


@dataclass
class StageReporter:
    """One part of a longer work: maps its own progress into `start..start+share` of the parent's 0..1."""

    parent: Reporter
    start: float
    share: float
    prefix: str = ""

    def progress(self, done: float, total: float, text: str = "") -> None:
        fraction = done / total if total else 1.0
        self.parent.progress(self.start + self.share * fraction, 1.0, text or self.prefix)

    def metric(self, name: str, value: float, step: int) -> None:
        self.parent.metric(name, value, step)

    def note(self, text: str, level: Level = "info") -> None:
        self.parent.note(text, level)

    def status(self, values: Mapping[str, Any]) -> None:
        self.parent.status(values)

    def cancelled(self) -> bool:
        return self.parent.cancelled()


def track(items: Iterable[T], reporter: Reporter, text: str, total: int | None = None) -> Iterator[T]:
    """Iterates, reporting before and after each item and stopping between items when cancelled."""
    count = total if total is not None else (len(items) if isinstance(items, Sized) else 0)
    reporter.progress(0, count, text)
    for done, item in enumerate(items, start=1):
        check(reporter)
        yield item
        reporter.progress(done, max(count, done), text)


def stage_of(text: str) -> str:
    """The stage that a progress text tells of: "step 3 of 240" and "step 4 of 240" are one stage."""
    return _NUMBER.sub("#", text)


class TimeLeft:
    """Seconds left of a piece of work, from its pace since the current stage began; None until it can be said honestly.

    A stage that starts half way, such as a resumed training, counts only what was done since.

    Args:
        settle_s: Nothing is said in the first seconds, when one-time costs dominate.
    """

    def __init__(self, settle_s: float = 2.0) -> None:
        self._settle_s = settle_s
        self._started = time.monotonic()
        self._stage = ""
        self._already = 0.0

    def update(self, done: float, total: float, text: str = "") -> float | None:
        now, stage = time.monotonic(), stage_of(text)
        if stage != self._stage or done < self._already:
            self._stage, self._started, self._already = stage, now, done
        elapsed, advanced = now - self._started, done - self._already
        if total <= 0 or advanced <= 0 or elapsed < self._settle_s:
            return None
        return elapsed * max(total - done, 0.0) / advanced
