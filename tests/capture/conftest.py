"""Servers that several tests of cameras use."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def rtsp() -> Iterator[str]:
    """Address of a real RTSP server, where GStreamer is installed."""
    python = shutil.which("python3", path="/usr/bin")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if python is None:
        pytest.skip("the system has no Python")
    script = Path(__file__).with_name("rtsp_server.py")
    with subprocess.Popen(
        [python, str(script), str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        if server.stdout.readline().strip() != "ready":
            pytest.skip("GStreamer's RTSP server (gir1.2-gst-rtsp-server-1.0, python3-gi) is not installed")
        yield f"rtsp://127.0.0.1:{port}"
        server.kill()
