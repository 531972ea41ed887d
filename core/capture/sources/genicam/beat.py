"""Triggers that the computer sends to all cameras that wait for them, at an even rate."""

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
    """Keys by which cameras know the action commands that are meant for them (GigE Vision).

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
    """A camera that waits for the computer's trigger.

    Attributes:
        fps: Rate that it can follow.
        fire: Sends a software trigger; None for a camera that acts on action commands.
        destination: Address for action commands.
        keys: Keys of the action commands.
        ticks: Returns the camera's clock at a time of `time.monotonic_ns`; None unless it is aligned by PTP.
    """

    fps: float
    fire: Callable[[], None] | None = None
    destination: str = ""
    keys: ActionKeys = ActionKeys()
    ticks: Callable[[int], int | None] = lambda time_ns: None


class TriggerBeat:
    """Triggers its cameras at the rate of the slowest one, in a thread that lives while there are any.

    Action commands reach all cameras of a network as one datagram. Where PTP aligns their clocks, the command names the
    time of the exposure, so that not even its way through the network matters; cameras that cannot wait act at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cameras: dict[Hashable, Triggered] = {}
        self._unheard = 0  # scheduled commands in a row that not all cameras acknowledged
        self._pool = ThreadPoolExecutor(8, "software trigger")
        self._thread: threading.Thread | None = None

    def join(self, key: Hashable, camera: Triggered) -> None:
        """Trigger a camera from now on."""
        with self._lock:
            self._cameras[key] = camera
            self._unheard = 0
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trigger", daemon=True)
                self._thread.start()

    def leave(self, key: Hashable) -> None:
        """Stop triggering a camera, if it was."""
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
                        waiting[key] = self._pool.submit(_quietly, camera.fire)
                _send(actions, None, period_ns)
            due_ns = max(due_ns + period_ns, time.monotonic_ns())

    def _schedule(self, actions: list[Triggered], due_ns: int, period_ns: int) -> bool:
        """Have cameras act at a time to come; return False if that is not possible, or others are to be triggered."""
        ticks = [camera.ticks(due_ns) for camera in actions]
        if self._unheard >= _PATIENCE or None in ticks or not ticks or len(actions) < len(self._cameras):
            return False
        heard = _send(actions, ticks[0], period_ns) >= len(actions)
        self._unheard = 0 if heard else self._unheard + 1
        return True


BEAT = TriggerBeat()


def _send(actions: list[Triggered], ticks: int | None, period_ns: int) -> int:
    """Send an action command to each network; return how many cameras acknowledged it."""
    import viva_genicam as vg

    acknowledged = 0
    for destination, keys in {(camera.destination, camera.keys) for camera in actions}:
        with contextlib.suppress(vg.GenicamError):  # a network that is down; its cameras say that they are lost
            sent = vg.send_action(
                keys.device, keys.group, keys.mask, ticks, destination, timeout_ms=max(1, period_ns // 4_000_000)
            )
            acknowledged += sent.acks
    return acknowledged


def _quietly(fire: Callable[[], None]) -> None:
    import viva_genicam as vg

    with contextlib.suppress(vg.GenicamError):  # a camera that is lost says so itself
        fire()


def broadcast_address(ip: str) -> str:
    """Return the address that reaches all cameras in the network of one; its own where there is no other."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and address.netmask and address.broadcast:
                network = ipaddress.ip_network(f"{address.address}/{address.netmask}", strict=False)
                if ipaddress.ip_address(ip) in network:
                    return str(address.broadcast)
    return ip
