"""Commands to running jobs: whole lines arrive once and in order, everything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CoreError
from core.jobs.commands import (
    COMMANDS_FILE,
    AddMarker,
    Command,
    CommandReader,
    SetControl,
    SetLive,
    StartTake,
    StopTake,
    parse_command,
    send_command,
)

ALL: list[Command] = [
    StartTake(name="walk", kind="motion", note="Anna, slow", countdown_s=3, duration_s=20),
    AddMarker(text="ü"),
    SetControl(camera="left", control="exposure", value=-5.5),
    SetLive(on=True),
    StopTake(),
]


def test_commands_arrive_once_and_in_order(tmp_path: Path) -> None:
    reader = CommandReader(tmp_path)
    assert reader.read() == ([], [])
    for command in ALL:
        send_command(tmp_path, command)
    assert reader.read() == (ALL, []) and reader.read() == ([], [])
    with (tmp_path / COMMANDS_FILE).open("ab") as file:
        file.write(b'{"command": "marker", ')
        file.flush()
        assert reader.read() == ([], [])  # the rest of the line is still to come
        file.write(b'"text": "x"}\n\xff\xfe\n[1]\n')
    commands, errors = reader.read()
    assert commands == [AddMarker(text="x")] and len(errors) == 2
    with (tmp_path / COMMANDS_FILE).open("ab") as file:
        file.write(b"y" * 1_000_000 + b"\n")
    send_command(tmp_path, StopTake(discard=True))
    found = [reader.read() for _ in range(20)]
    assert [c for commands, _ in found for c in commands] == [StopTake(discard=True)]
    assert sum(len(errors) for _, errors in found) == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        '{"command": ["start"]}',
        '{"command": "format"}',
        '{"command": "start", "kind": "cats"}',
        '{"command": "start", "duration_s": -1}',
        '{"command": "start", "countdown_s": NaN}',
        '{"command": "start", "duration_s": 1e400}',
        '{"command": "marker", "texts": "x"}',
        '{"command": "marker", "text": "' + "x" * 2000 + '"}',
        '{"command": "control", "camera": "a", "control": "gain", "value": "much"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_command_is_refused(line: str) -> None:
    with pytest.raises(CoreError):
        parse_command(line)
