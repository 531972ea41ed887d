"""Passwords of cameras are kept in one private file and hidden everywhere else."""

from __future__ import annotations

import logging
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from core.errors import CoreError
from core.jobs import Failed, JobSpec, Noted
from core.jobs.events import without_secrets
from core.passwords import HidingFormatter, keep_passwords, passwords_file, with_password, without_passwords
from core.session import Session

SECRET = "s3cr3t-Pass"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the passwords of the tests apart from those of the user."""
    for name in ("XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))


ADDRESSES = {
    f"rtsp://admin:{SECRET}@10.0.0.5:554/stream": "rtsp://admin:***@10.0.0.5:554/stream",
    f"http://admin:a@{SECRET}@host/video.mjpg": "http://admin:***@host/video.mjpg",
    f"RTSPS://u:{SECRET}/x@host/": "RTSPS://u:***@host/",
    f"rtsp://u:two words {SECRET}@host/": "rtsp://u:***@host/",
    f"rtsp://:{SECRET}@host/": "rtsp://:***@host/",
    f'rtsp://u:"{SECRET}"@host/': "rtsp://u:***@host/",
    f"http://host/cgi?user=admin&password={SECRET}&x=1": "http://host/cgi?user=admin&password=***&x=1",
    f"rtsp://host:554/user=a&password={SECRET}&channel=1": "rtsp://host:554/user=a&password=***&channel=1",
    f"http://host/v?PWD={SECRET}": "http://host/v?PWD=***",
    f"http://host/v?token={SECRET}": "http://host/v?token=***",
}
PLAIN = (
    "rtsp://host:554/stream@2",
    "rtsp://user@host/stream",
    "rtsp://[fe80::1]:554/a@b",
    "v4l2:/dev/video0",
    "demo:cam01",
    "C:/videos/a@b.mp4",
    "http://host/v?monkey=1",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_password_is_kept_and_comes_back_only_for_the_camera(address: str) -> None:
    shown = ADDRESSES[address]
    assert keep_passwords(f"left={address}") == f"left={shown}"
    assert keep_passwords({"cameras": [address, 3, None]}) == {"cameras": [shown, 3, None]}
    assert keep_passwords(shown) == shown
    assert with_password(shown) == address == with_password(address)
    assert SECRET not in without_passwords(f"The connection to {address} was lost.")
    if os.name != "nt":
        assert stat.S_IMODE(passwords_file().stat().st_mode) == 0o600
        assert stat.S_IMODE(passwords_file().parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("address", PLAIN)
def test_an_address_without_a_password_stays_as_it_is(address: str) -> None:
    assert keep_passwords(f"left={address}") == f"left={address}"
    assert without_passwords(f"Text with {address} in it.") == f"Text with {address} in it."
    assert with_password(address) == address
    assert not passwords_file().exists()


def test_several_addresses_of_one_setting_are_kept_one_by_one() -> None:
    text = f"cameras=[a=rtsp://u:{SECRET}@one/x,b=rtsp://v:{SECRET}2@two/y]"
    assert keep_passwords(text) == "cameras=[a=rtsp://u:***@one/x,b=rtsp://v:***@two/y]"
    assert with_password("rtsp://v:***@two/y") == f"rtsp://v:{SECRET}2@two/y"


def test_a_password_that_is_not_on_this_computer_is_asked_for() -> None:
    with pytest.raises(CoreError, match=r"password of rtsp://u:\*\*\*@host/ is not known") as caught:
        with_password("rtsp://u:***@host/")
    assert "Enter the address" in caught.value.hint


def test_logs_events_and_job_files_have_no_passwords(tmp_path: Path) -> None:
    address = f"rtsp://admin:{SECRET}@host/"
    record = logging.LogRecord("x", logging.INFO, "", 0, "lost %s", (address,), None)
    assert HidingFormatter("%(message)s").format(record) == "lost rtsp://admin:***@host/"
    assert SECRET not in str(without_secrets(Noted(text=address)))
    assert SECRET not in str(without_secrets(Failed(message=address, hint=address, trace=address)))
    spec = JobSpec(verb="record", params={"cameras": [f"left={address}"]}).save(tmp_path)
    assert spec.params == {"cameras": ["left=rtsp://admin:***@host/"]}
    assert SECRET not in (tmp_path / "job.json").read_text()


@pytest.mark.slow
def test_a_recording_leaves_its_password_nowhere(tmp_path: Path) -> None:
    """The camera accepts the connection and says nothing, so that the process can be looked at meanwhile."""
    session = Session.create(tmp_path / "session")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"rtsp://admin:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/stream"
        command = [sys.executable, "-m", "core.cli", "record", str(session.root), "--cameras", f"left={address}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not list(session.layout.runs.glob("*/events.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.05)
        if os.name != "nt":
            assert SECRET not in " ".join(psutil.Process(process.pid).cmdline())
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "rtsp://admin:***@127.0.0.1" in err
    assert SECRET not in out + err
    found = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert [path.name for path in found] == ["cameras.json"] and session.root not in found[0].parents
