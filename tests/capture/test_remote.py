"""Remote start: real requests to real servers on loopback, among them those that have to be refused."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pythonosc.osc_message_builder import OscMessageBuilder

from core.capture.remote import RemoteControl, read_osc
from core.errors import CoreError
from core.jobs.commands import AddMarker, Command, CommandReader, StartTake, StopTake
from core.progress import RecordingReporter

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteControl]:
    with closing(RemoteControl(tmp_path, 0, RecordingReporter())) as running:
        yield running


def request(
    remote: RemoteControl, method: str, path: str, body: str | None = None, headers: dict[str, str] = JSON
) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", remote.port, timeout=20)
    connection.request(method, path, None if body is None else body.encode(), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def message(address: str, *texts: str | int) -> bytes:
    builder = OscMessageBuilder(address)
    for text in texts:
        builder.add_arg(text)
    return bytes(builder.build().dgram)


def test_takes_are_commanded_by_http_and_osc(tmp_path: Path, remote: RemoteControl) -> None:
    remote.status = {"state": "watching"}
    assert request(remote, "GET", "/status") == (200, {"state": "watching"})
    assert request(remote, "POST", "/start", '{"name": "släte 7", "kind": "motion"}')[0] == 200
    assert request(remote, "POST", "/marker", '{"text": "jump"}')[0] == 200
    assert request(remote, "POST", "/stop")[0] == 200
    reader, found = CommandReader(tmp_path), list[Command]()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as osc:
        for data in (message("/start", "walk"), b"\0garbage", message("/a/marker", 3, "x"), message("/format")):
            osc.sendto(data, ("127.0.0.1", remote.port))
        osc.sendto(message("/stop"), ("127.0.0.1", remote.port))
        while len(found) < 6:
            found += reader.read()[0]
    assert found == [
        *(StartTake(name="släte 7", kind="motion"), AddMarker(text="jump"), StopTake()),
        *(StartTake(name="walk"), AddMarker(text="x"), StopTake()),
    ]


@pytest.mark.parametrize(
    ("code", "method", "path", "body", "headers"),
    [
        (400, "POST", "/start", '{"name": 3}', JSON),
        (400, "POST", "/start", "[" * 10_000, JSON),
        (400, "POST", "/start", "[1]", JSON),
        (400, "POST", "/start", "x" * 20_000, JSON),
        (400, "POST", "/live", '{"on": true}', JSON),
        (400, "POST", "/control", "{}", JSON),
        (400, "POST", "/stop", "{}", {**JSON, "Content-Length": "-5"}),
        (415, "POST", "/stop", "{}", {"Content-Type": "text/plain"}),
        (403, "POST", "/stop", "{}", {**JSON, "Origin": "http://evil.example"}),
        (403, "GET", "/status", None, {"Host": "evil.example:80"}),
        (404, "GET", "/", None, {}),
    ],
)
def test_other_requests_are_refused(
    tmp_path: Path,
    remote: RemoteControl,
    code: int,
    method: str,
    path: str,
    body: str | None,
    headers: dict[str, str],
) -> None:
    found, answer = request(remote, method, path, body, headers)
    assert found == code and isinstance(answer, dict) and answer["error"]
    assert CommandReader(tmp_path).read() == ([], [])


def test_a_port_in_use_is_said(tmp_path: Path, remote: RemoteControl) -> None:
    with pytest.raises(CoreError, match=f"Port {remote.port} cannot be used"):
        RemoteControl(tmp_path, remote.port, RecordingReporter())


@pytest.mark.parametrize(
    "data", [b"", b"/start", b"start\0\0\0,\0\0\0", b"/a\0\0,b\0\0", b"/a\0\0,s\0\0", b"\xff\xfe\0\0"]
)
def test_what_is_no_osc_message_is_refused(data: bytes) -> None:
    with pytest.raises(CoreError):
        read_osc(data)
