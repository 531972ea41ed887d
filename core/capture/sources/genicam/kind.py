"""Industrial cameras (`genicam:`), and their discovery in the network and on USB."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.capture.modes import split_mode
from core.capture.source import FoundCamera, Source, SourceOptions
from core.capture.sources.genicam.source import GenicamSource, refused
from core.errors import CoreError

if TYPE_CHECKING:
    import viva_genicam as vg

SCHEME = "genicam"
_DISCOVERY_MS = 500
_FRESH_S = 2.0  # lifetime of a discovery, for cameras that are opened together
_SERIAL_AT, _SERIAL_BYTES = 0xD8, 16  # bootstrap register of GigE Vision
_NO_MAC = "000000000000"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Device:
    """Camera found by discovery.

    Attributes:
        info: Handle of the library.
        names: Names for addresses, the most stable one first: serial number, MAC, IP address or USB port.
        title: Display name.
    """

    info: vg.GigeDeviceInfo | vg.U3vDeviceInfo
    names: tuple[str, ...]
    title: str


class GenicamCameras:
    """Industrial cameras; see `core.capture.source.SourceKind`."""

    title = "Industrial camera"
    example = f"{SCHEME}:12345678 (its serial number)"
    simulated = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._devices: list[Device] = []
        self._at_s = -_FRESH_S
        self._serials: dict[tuple[str, str], str] = {}

    def accepts(self, address: str) -> bool:
        """Return whether an address begins with `genicam:`."""
        return address.partition(":")[0].lower() == SCHEME

    def discover(self) -> list[FoundCamera]:
        """Return the cameras that respond; empty if the package is not installed."""
        try:
            devices = self._search(0.0)
        except CoreError:
            return []
        return [FoundCamera(address=f"{SCHEME}:{device.names[0]}", title=device.title) for device in devices]

    def open(self, address: str, options: SourceOptions) -> Source:
        """Connect to a camera by serial number, MAC or IP address.

        Raises:
            CoreError: The package is missing, no camera has this name, or the camera cannot be opened.
        """
        camera, request = split_mode(address)
        name = camera.partition(":")[2].strip()
        for attempt in range(2):  # a datagram may be lost
            devices = self._search(0.0 if attempt else _FRESH_S)
            for device in devices:
                if name.lower() in (known.lower() for known in device.names):
                    ip = getattr(device.info, "ip", "")
                    return GenicamSource(_connected(device), device.title, options, ip, request)
        found = ", ".join(device.names[0] for device in devices)
        raise CoreError(
            f"There is no industrial camera '{name}'.",
            f"Cameras found: {found}." if found else "Check its power, its cable, and the firewall (UDP 3956).",
        )

    def _search(self, fresh_s: float) -> list[Device]:
        """Return the cameras found at most `fresh_s` ago, or else search again."""
        try:
            import viva_genicam as vg
        except ImportError as error:
            raise CoreError(
                "Industrial cameras need the package viva-genicam.",
                f'Install it with: {sys.executable} -m pip install "viva-genicam>=0.10,<0.11"',
            ) from error
        with self._lock:
            if time.monotonic() - self._at_s < fresh_s:
                return self._devices
            try:
                network = vg.discover(timeout_ms=_DISCOVERY_MS, all=True)
            except vg.GenicamError as error:
                raise CoreError(f"The network cannot be searched: {error}.", "Check the network's settings.") from error
            try:
                usb = vg.discover_u3v()
            except vg.GenicamError:
                usb = []  # a system without USB
            with ThreadPoolExecutor(8) as threads:
                devices = list(threads.map(self._network_device, network))
            self._devices = [*devices, *map(_usb_device, usb)]
            self._at_s = time.monotonic()
            return self._devices

    def _network_device(self, info: vg.GigeDeviceInfo) -> Device:
        key = (info.mac, info.ip)
        if key not in self._serials:
            self._serials[key] = _serial(info)
        mac = info.mac.replace(":", "").replace("-", "")
        names = (self._serials[key], "" if mac == _NO_MAC else mac, info.ip)
        return _device(info, names)


KIND = GenicamCameras()


def _usb_device(info: vg.U3vDeviceInfo) -> Device:
    return _device(info, (info.serial or "", f"{info.bus}-{info.address}"))


def _device(info: vg.GigeDeviceInfo | vg.U3vDeviceInfo, names: tuple[str, ...]) -> Device:
    names = tuple(name for name in names if name)
    title = " ".join(part for part in (info.manufacturer, info.model, names[0]) if part)
    return Device(info=info, names=names, title=title)


def _serial(info: vg.GigeDeviceInfo) -> str:
    """Return a camera's serial number without taking control of it; empty if it reports none."""
    import viva_genicam as vg

    try:
        with vg.connect_gige(info, monitor=True) as camera:
            serial = camera.read_register(_SERIAL_AT, _SERIAL_BYTES).partition(b"\0")[0].decode("ascii", "ignore")
            return serial.strip() or camera.get("DeviceSerialNumber").strip()
    except vg.GenicamError:
        return ""  # another program has exclusive access


def _connected(device: Device) -> vg.Camera:
    import viva_genicam as vg

    try:
        return vg.Camera.open(device.info)
    except vg.GenicamError as error:
        raise refused(device.title, error) from error
