"""Commands to a job while it runs, through a file in its folder: JSON lines that any process appends.

The camera job (verb `record`, `core.pipelines.record`) reads this file several times a second. A page sends, for
example, `send_command(run.root, StartTake(name="walk", kind="motion", countdown_s=3))`, and follows the job's `status`
events, whose values are:

- `state`: "watching", "countdown", "recording"; `saving`: names of the takes that are being saved.
- `take`: name of the take that is recorded or counted down to; `takes`: names of the takes of this job so far.
- `sound`: true if the take stores the sound of cameras.
- `seconds`: length of the take so far, or of watching; `countdown_s`: time left until the take begins.
- `markers`: the markers of the take so far, each with `time_s` and `text`.
- `disk_minutes`: time until the disk is full at the present rate, which ends the take; null while unknown.
- `live`: true if live 3D is on; `people`: its `ring` of people (`core.live.stream`; empty until it runs), `fps`,
  `latency_ms`, number of `people`, and the `problem` that has ended it (empty if it runs).
- `advice`: how to move the board next.
- `cameras`: by name: `state` ("starting", "running", "lost", "ended"), `problem`, `size_px`, `fps`, `frames` (since
  the camera was opened), `recorded` (images of the take), `dropped`, `damaged`, `lost` (images that could not be stored
  in time), `reconnects`, `skew_ms` (against the frame set), `drift_ppm` (of the camera's clock; null while unknown),
  `queue` (images that wait to be stored), `bytes_per_s`, `codec`, `sound` (empty for none), `controls` (a list of
  `core.capture.controls.Control` as mappings), `ring` (of previews), and the board's `cells`, `share` and `board`.

Images of the rings are at most 640 px wide or high. Their info has `index` (of the frame set; -1 before the first),
`time_ns` (of this image), `size_px` (of the full image) and `corners` (of the board, px of the full image).

A command that cannot be executed, such as for a missing camera, becomes a note of the job with level "warning".
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.config import from_mapping, to_mapping
from core.disk import saying_why
from core.errors import CoreError

COMMANDS_FILE = "commands.jsonl"
_MAX_LINE = 1 << 16
_MAX_TEXT = 1000
_MAX_S = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTake:
    """Begin a take.

    Attributes:
        name: Name of the take; empty for the first free one. An existing name gets the next free number.
        kind: Subject of the take.
        note: Note that is stored with the take.
        countdown_s: Time until the take begins, s.
        duration_s: Length of the take in s; 0 for no limit.
        sound: Store the sound of cameras that provide it.
    """

    name: str = ""
    kind: Literal["board", "floor", "motion"] = "motion"
    note: str = ""
    countdown_s: float = 0.0
    duration_s: float = 0.0
    sound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTake:
    """End the take, or its countdown; the cameras keep running.

    Attributes:
        discard: Remove what was recorded.
    """

    discard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMarker:
    """Mark the current time of the take.

    Attributes:
        text: Note beside the marker.
    """

    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetControl:
    """Set a control of a camera; the next status contains the value that was read back.

    Attributes:
        camera: Name of the camera.
        control: Name of the control.
        value: New value; null lets the camera choose it.
    """

    camera: str
    control: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLive:
    """Switch live 3D on or off.

    Attributes:
        on: True to run it.
        vmc_port: UDP port for sending people by the VMC protocol; 0 for none.
        body_model: Name of the body model that is fitted to the people; empty for none.
    """

    on: bool
    vmc_port: int = 0
    body_model: str = "free"


Command = StartTake | StopTake | AddMarker | SetControl | SetLive
_COMMANDS: dict[str, type[Command]] = {
    "start": StartTake,
    "stop": StopTake,
    "marker": AddMarker,
    "control": SetControl,
    "live": SetLive,
}
_WORDS = {cls: name for name, cls in _COMMANDS.items()}


def send_command(folder: Path, command: Command) -> None:
    """Append a command to the file of a running job.

    Args:
        folder: Folder of the job.
        command: The command.

    Raises:
        CoreError: The file cannot be written.
    """
    line = json.dumps({"command": _WORDS[type(command)], **to_mapping(command)}).encode() + b"\n"
    with saying_why(folder):
        handle = os.open(folder / COMMANDS_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line)  # in one call: several programs may send at the same time
        finally:
            os.close(handle)


def parse_command(text: str) -> Command:
    """Return the command in a line of JSON.

    Raises:
        CoreError: The line is not a command, or one of its values is out of range.
    """
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CoreError(f"Not a command: {text[:80]!r}.", "Send one object of JSON a line.") from error
    if (
        not isinstance(values, dict)
        or not isinstance(word := values.pop("command", None), str)
        or word not in _COMMANDS
    ):
        raise CoreError(f"Not a command: {text[:80]!r}.", f"Commands: {', '.join(_COMMANDS)}.")
    command = from_mapping(_COMMANDS[word], values, f"{word}.")
    for entry in dataclasses.fields(command):
        value = getattr(command, entry.name)
        if isinstance(value, float) and not (math.isfinite(value) and (entry.name == "value" or 0 <= value <= _MAX_S)):
            raise CoreError(f"{word}.{entry.name} is {value}.", f"Use 0 to {_MAX_S:.0f}.")
        if isinstance(value, str) and len(value) > _MAX_TEXT:
            raise CoreError(f"{word}.{entry.name} has {len(value)} characters.", f"Use at most {_MAX_TEXT}.")
    return command


class CommandReader:
    """Reads the commands that are appended to a job's file.

    Args:
        folder: Folder of the job.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / COMMANDS_FILE
        self._offset = 0
        self._rest = b""

    def read(self) -> tuple[list[Command], list[CoreError]]:
        """Return the commands since the last call, and an error for each invalid line."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read(_MAX_LINE)
        except FileNotFoundError:
            return [], []
        self._offset += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._rest = self._rest[: 2 * _MAX_LINE]  # the start of an endless line suffices to reject it
        commands, errors = [], []
        for line in filter(bytes.strip, lines):
            try:
                commands.append(parse_command(line.decode("utf-8", "replace")))
            except CoreError as error:
                errors.append(error)
        return commands, errors
