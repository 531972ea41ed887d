"""Events of a job: a closed, typed union, stored as JSON lines in the job's folder.

The file is the source of truth and standard output only a log, so a window that closes loses nothing.
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.passwords import without_passwords
from core.progress import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The worker process has started."""

    time: float = field(default_factory=time.time)
    verb: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """Progress of the current stage; `time_left_s` is None while it is unknown."""

    time: float = field(default_factory=time.time)
    done: float
    total: float
    text: str = ""
    time_left_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One value of a metric at one step."""

    time: float = field(default_factory=time.time)
    name: str
    value: float = field(metadata={"finite": False})
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A message for the user."""

    time: float = field(default_factory=time.time)
    text: str
    level: Level = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged:
    """The current state of a running job, which replaces the previous one."""

    time: float = field(default_factory=time.time)
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Successful end, with a summary as JSON values."""

    time: float = field(default_factory=time.time)
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """End with an error; `trace` is empty if the error was expected."""

    time: float = field(default_factory=time.time)
    message: str
    hint: str
    trace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """End on request."""

    time: float = field(default_factory=time.time)


Event = Started | Progressed | Metric | Noted | StatusChanged | Finished | Failed | Cancelled
Ended = Finished | Failed | Cancelled
E = TypeVar("E", bound=Event)
_KINDS: dict[str, type[Event]] = {
    "started": Started,
    "progress": Progressed,
    "metric": Metric,
    "note": Noted,
    "status": StatusChanged,
    "finished": Finished,
    "failed": Failed,
    "cancelled": Cancelled,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}


def encode(event: Event) -> str:
    """Return an event as one line of JSON, without a line break."""
    return json.dumps({"event": _NAMES[type(event)], **to_mapping(event)})


def without_secrets(event: E) -> E:
    """Return a copy of an event with the passwords of cameras hidden."""
    if isinstance(event, Noted):
        return dataclasses.replace(event, text=without_passwords(event.text))
    if isinstance(event, Failed):
        message, hint, trace = map(without_passwords, (event.message, event.hint, event.trace))
        return dataclasses.replace(event, message=message, hint=hint, trace=trace)
    if isinstance(event, StatusChanged):
        return dataclasses.replace(event, values=_hidden(event.values))
    if isinstance(event, Finished):
        return dataclasses.replace(event, result=_hidden(event.result))
    return event


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, dict):
        return {key: _hidden(item) for key, item in value.items()}
    return [_hidden(item) for item in value] if isinstance(value, list | tuple) else value


def decode(line: str) -> Event:
    """Return the event in a line; unknown fields are ignored.

    Raises:
        CoreError: The line is not JSON, or an event that this version does not know.
    """
    try:
        values = json.loads(line)
        cls = _KINDS[values.pop("event")]
        known = {f.name for f in dataclasses.fields(cls)}
        return from_mapping(cls, {k: v for k, v in values.items() if k in known})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CoreError(f"Not an event: {line[:80]!r}.", "The job's event file is damaged. See its log.txt.") from error
