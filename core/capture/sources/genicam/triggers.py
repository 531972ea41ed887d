"""Periodic triggers that the computer sends to industrial cameras."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import psutil

_LEAD_NS = 10_000_000  # between sending a scheduled action and its time
_PATIENCE = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActionKeys:
    """Keys by which cameras recognise action commands addressed to them (GigE Vision).

    Attributes:
        device: Device key.
        group: Group key.
        mask: Group mask.
    """

    device: int = 0x5350
    group: int = 1
    mask: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Triggered:
    """Camera that waits for triggers from the computer.

    Attributes:
        fps: Highest trigger rate.
        fire: Function that sends a software trigger; None for a camera that obeys action commands.
        destination: IP address for action commands.
        keys: Keys of the action commands.
        ticks: Function that converts a time of `time.monotonic_ns` to the camera's clock; None unless PTP synchronises
            it.
    """

    fps: float
    fire: Callable[[], None] | None = None
    destination: str = ""
    keys: ActionKeys = ActionKeys()
    ticks: Callable[[int], int | None] = lambda time_ns: None


class TriggerTimer:
    """Trigger of all added cameras at the rate of the slowest one; its thread runs while there are any.

    An action command reaches all cameras of a network as one datagram. If PTP synchronises their clocks, the command is
    scheduled, so that network delays have no effect; cameras without scheduling act on it at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cameras: dict[Hashable, Triggered] = {}
        self._unacknowledged = 0  # consecutive scheduled commands that not all cameras acknowledged
        self._pool = ThreadPoolExecutor(8, "software trigger")
        self._thread: threading.Thread | None = None

    def add(self, key: Hashable, camera: Triggered) -> None:
        """Add a camera."""
        with self._lock:
            self._cameras[key] = camera
            self._unacknowledged = 0
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trigger", daemon=True)
                self._thread.start()

    def remove(self, key: Hashable) -> None:
        """Remove a camera; do nothing if it was not added."""
        with self._lock:
            self._cameras.pop(key, None)

    def _run(self) -> None:
        waiting: dict[Hashable, Future[None]] = {}
        due_ns = time.monotonic_ns() + _LEAD_NS
        while True:
            with self._lock:
                cameras = dict(self._cameras)
                if not cameras:
                    self._thread = None
                    return
            period_ns = round(1e9 / min(camera.fps for camera in cameras.values()))
            lead_ns = min(_LEAD_NS, period_ns // 2)
            time.sleep(max(0, due_ns - lead_ns - time.monotonic_ns()) / 1e9)
            actions = [camera for camera in cameras.values() if camera.fire is None]
            if not self._schedule(actions, due_ns, period_ns):
                time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
                for key, camera in cameras.items():
                    if camera.fire is not None and (key not in waiting or waiting[key].done()):
                        waiting[key] = self._pool.submit(_fire, camera.fire)
                _send(actions, None, period_ns)
            due_ns = max(due_ns + period_ns, time.monotonic_ns())

    def _schedule(self, actions: list[Triggered], due_ns: int, period_ns: int) -> bool:
        """Schedule an action command; return False if impossible, or if some cameras need software triggers."""
        ticks = [camera.ticks(due_ns) for camera in actions]
        if self._unacknowledged >= _PATIENCE or None in ticks or not ticks or len(actions) < len(self._cameras):
            return False
        acknowledged = _send(actions, ticks[0], period_ns) >= len(actions)
        self._unacknowledged = 0 if acknowledged else self._unacknowledged + 1
        return True


TRIGGER_TIMER = TriggerTimer()


def _send(actions: list[Triggered], ticks: int | None, period_ns: int) -> int:
    """Send an action command to each network; return the number of cameras that acknowledged it."""
    import viva_genicam as vg

    acknowledged = 0
    for destination, keys in {(camera.destination, camera.keys) for camera in actions}:
        with contextlib.suppress(vg.GenicamError):  # the network is down; its cameras report their loss
            sent = vg.send_action(
                keys.device, keys.group, keys.mask, ticks, destination, timeout_ms=max(1, period_ns // 4_000_000)
            )
            acknowledged += sent.acks
    return acknowledged


def _fire(fire: Callable[[], None]) -> None:
    import viva_genicam as vg

    with contextlib.suppress(vg.GenicamError):  # a lost camera reports itself
        fire()


def broadcast_address(ip: str) -> str:
    """Return the broadcast address of the network of an IP address; the address itself if there is none."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and address.netmask and address.broadcast:
                network = ipaddress.ip_network(f"{address.address}/{address.netmask}", strict=False)
                if ipaddress.ip_address(ip) in network:
                    return str(address.broadcast)
    return ip
