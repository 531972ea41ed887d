"""Fake industrial cameras on the loopback interface, one at a time on this computer."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
import viva_genicam as vg

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


def start_aravis(*options: str) -> subprocess.Popen:
    """Start Aravis' fake camera, and wait until it answers; skips the test where it is not installed."""
    program = shutil.which(ARAVIS)
    if program is None:
        pytest.skip(f"{ARAVIS} (Debian: aravis-tools) is not installed")
    command = [program, "-i", "127.0.0.1", "-s", ARAVIS_SERIAL, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found_aravis()
    return process


def found_aravis() -> vg.GigeDeviceInfo:
    """Return Aravis' fake camera as soon as it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for info in vg.discover(timeout_ms=100, all=True):
            if info.manufacturer == "Aravis":
                return info
    pytest.fail("Aravis' fake camera does not answer")


def enumeration(name: str, address: int, *entries: str) -> str:
    """Return GenICam's description of a choice that is kept in the memory of Aravis' camera."""
    values = "".join(f'<EnumEntry Name="{e}"><Value>{i}</Value></EnumEntry>' for i, e in enumerate(entries))
    return f'<Enumeration Name="{name}">{values}<pValue>{name}Reg</pValue></Enumeration>' + _register(name, address)


def integer(name: str, address: int) -> str:
    """Return GenICam's description of a signed number in its memory."""
    return f'<Integer Name="{name}"><pValue>{name}Reg</pValue></Integer>' + _register(name, address)


def selected_float(name: str, address: int, selector: str) -> str:
    """Return GenICam's description of a number in its memory, one for each entry of a selector."""
    return (
        f'<FloatReg Name="{name}"><Address>{address:#x}</Address><pIndex Offset="8">{selector}Reg</pIndex>'
        "<Length>8</Length><AccessMode>RW</AccessMode><pPort>Device</pPort><Endianess>BigEndian</Endianess></FloatReg>"
    )


def _register(name: str, address: int) -> str:
    return (
        f'<IntReg Name="{name}Reg"><Address>{address:#x}</Address><Length>4</Length><AccessMode>RW</AccessMode>'
        "<pPort>Device</pPort><Sign>Signed</Sign><Endianess>BigEndian</Endianess></IntReg>"
    )
