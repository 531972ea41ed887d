"""Fake industrial cameras on the loopback interface, one at a time on this computer."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

PORT = 3956  # of GigE Vision's control protocol; nobody else may answer there meanwhile
SERIAL = "VIVA-FAKE-001"
ARAVIS, ARAVIS_SERIAL = "arv-fake-gv-camera-0.8", "GV77"


@contextlib.contextmanager
def sole_fake() -> Iterator[None]:
    """Keep other test processes from running a fake camera; the TCP port of the same number is the lock."""
    with socket.socket() as lock:
        deadline = time.monotonic() + 300
        while True:
            try:
                lock.bind(("127.0.0.1", PORT))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield


def start_aravis(lost_per_mille: int = 0) -> subprocess.Popen:
    """Start Aravis' fake camera; skips the test where it is not installed."""
    program = shutil.which(ARAVIS)
    if program is None:
        pytest.skip(f"{ARAVIS} (Debian: aravis-tools) is not installed")
    return subprocess.Popen(
        [program, "-i", "127.0.0.1", "-s", ARAVIS_SERIAL, "-r", str(lost_per_mille)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
