"""USB and built-in cameras on Linux, with stable addresses."""

from __future__ import annotations

import contextlib
import errno
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import av

from core.capture.controls import Control
from core.capture.images import JpegStream, VideoImage, raw_image
from core.capture.jpeg import jpeg_size
from core.capture.modes import CameraMode, ModeRequest, best_mode
from core.capture.source import FoundCamera, SourceOptions
from core.capture.sources.v4l2 import V4l2Device, V4l2Image
from core.errors import CoreError
from core.types.frame import Frame

OPEN_S, READ_S = 8.0, 5.0
"""Timeouts in s for the first image and for the next one."""

_POLL_S = 0.5
_MAX_AGE_NS, _MIN_AGE_NS = 10 * 10**9, -(10**8)  # some drivers stamp the future end of the exposure
_LINKS = Path("/dev/v4l")


class V4l2Source:
    """V4L2 camera; see `core.capture.source.Source` and `core.capture.controls.Controllable`.

    Images have the kernel's time stamps and the driver's sequence numbers.

    Args:
        address: Device file, or the kernel's bus information of the camera.
        request: Requested mode.
        options: Settings of the source.

    Raises:
        CoreError: The camera cannot be opened, has no such mode, or sends no image.
    """

    template: av.VideoStream | None = None

    def __init__(self, address: str, request: ModeRequest, options: SourceOptions) -> None:
        self._shown, self._options = f"v4l2:{address}", options
        self._interrupted = False
        self.damaged, self._to_shared_ns = 0, _kernel_to_shared_ns(options)
        try:
            self._device = V4l2Device(_device_file(address))
        except OSError as error:
            raise CoreError(f"{self._shown} cannot be opened: {_reason(error)}.", _hint(error)) from error
        self._jpeg: JpegStream | None = None
        try:
            modes = self._device.modes()
            if not modes:
                raise CoreError(
                    f"{self._shown} offers no format that can be read.", "Choose another device file of the camera."
                )
            self._mode = self._device.configure(best_mode(modes, request, self._shown))
            self._device.start()
            self._pending = self._next(OPEN_S)
            if self._mode.format == "mjpeg":
                self._jpeg = JpegStream(self._pending.data)
                self.template = self._jpeg.template
        except OSError as error:
            self.close()
            raise CoreError(f"{self._shown} cannot be started: {_reason(error)}.", _hint(error)) from error
        except CoreError:
            self.close()
            raise
        self.size_px, self.fps = self._mode.size_px, self._mode.fps

    @property
    def mode(self) -> CameraMode:
        """Current mode."""
        return self._mode

    def frames(self) -> Iterator[Frame]:
        """See `Source.frames`."""
        index, last_ns = 0, -1
        pending: V4l2Image | None = self._pending
        while True:
            image, pending = pending or self._next(READ_S), None
            time_ns = self._time_ns(image)
            if time_ns <= last_ns:
                continue
            last_ns = time_ns
            packet = None if self._jpeg is None else self._jpeg.packet(image.data)
            yield Frame(
                camera=self._options.camera,
                index=index,
                time_ns=time_ns,
                data=VideoImage(partial(self._decode, packet or image.data)),
                packet=packet,
                source_time_ns=image.time_ns,
                sequence=image.sequence,
            )
            index += 1

    def interrupt(self) -> None:
        """End `frames`, even while no image arrives."""
        self._interrupted = True

    def controls(self) -> tuple[Control, ...]:
        """See `Controllable.controls`."""
        return self._device.controls()

    def set_control(self, name: str, value: float | None) -> Control:
        """See `Controllable.set_control`."""
        return self._device.set_control(name, value)

    def close(self) -> None:
        """See `Source.close`."""
        self._device.close()
        if self._jpeg is not None:
            self._jpeg.close()

    def _next(self, timeout_s: float) -> V4l2Image:
        """Return the next undamaged image."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self._interrupted:
            try:
                image = self._device.read(_POLL_S)
            except (OSError, ValueError) as error:
                raise CoreError(f"{self._shown} was lost: {_reason(error)}.", "Plug it in again.") from error
            if image is None:
                continue
            if not image.damaged and self._whole(image.data):
                return image
            self.damaged += 1
        if self._interrupted:
            raise CoreError(f"{self._shown} was stopped.", "Start it again.")
        raise CoreError(
            f"{self._shown} sent no image for {timeout_s:.0f} s.",
            "Plug it in again; connect fewer cameras to one hub, or choose a smaller mode.",
        )

    def _whole(self, data: bytes) -> bool:
        if self._mode.format == "mjpeg":
            return jpeg_size(data) == self._mode.size_px
        return len(data) >= self._device.bytes_per_image

    def _time_ns(self, image: V4l2Image) -> int:
        """Return the kernel's time stamp on the shared clock; the time of arrival if there is none."""
        if image.time_ns is None or not _MIN_AGE_NS < time.monotonic_ns() - image.time_ns < _MAX_AGE_NS:
            return self._options.clock.now_ns()
        return image.time_ns + self._to_shared_ns

    def _decode(self, image: av.Packet | bytes) -> av.VideoFrame:
        if isinstance(image, bytes):
            return raw_image(image, self._mode.size_px, self._mode.format, self._device.bytes_per_line)
        assert self._jpeg is not None
        return self._jpeg.decode(image, self._shown)


def _kernel_to_shared_ns(options: SourceOptions) -> int:
    """Return the shared clock minus CLOCK_MONOTONIC in ns, from the fastest of several readings."""
    readings = []
    for _ in range(5):
        before_ns, shared_ns, after_ns = time.monotonic_ns(), options.clock.now_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, shared_ns - (before_ns + after_ns) // 2))
    duration_ns, offset_ns = min(readings)
    return 0 if abs(offset_ns) <= duration_ns else offset_ns  # on Linux both are the same clock


def discover_linux() -> list[FoundCamera]:
    """Return the plugged-in cameras with their modes."""
    found: list[tuple[Path, V4l2Device, tuple[CameraMode, ...]]] = []
    for file in sorted(Path("/dev").glob("video*"), key=lambda path: (len(path.name), path.name)):
        try:
            with contextlib.closing(V4l2Device(str(file))) as device:
                if modes := tuple(device.modes()):
                    found.append((file, device, modes))
        except OSError:
            continue  # a node for metadata or output, or one that belongs to another user
    serials = {file: _serial(file) for file, *_ in found}
    counts, buses = Counter(serials.values()), Counter(device.bus for _, device, _ in found)
    cameras = []
    for file, device, modes in found:
        place = _link("by-path", file) or (device.bus if buses[device.bus] == 1 else str(file))
        # Identical cameras without a serial number share one by-id link, which may change owner at a reboot.
        named = _link("by-id", file) if serials[file] and counts[serials[file]] == 1 else ""
        cameras.append(
            FoundCamera(address=f"v4l2:{named or place}", title=f"{device.name} ({device.bus})", modes=modes)
        )
    return cameras


def _device_file(address: str) -> str:
    """Return the device file of an address.

    Raises:
        OSError: No camera has this bus information.
    """
    if address.startswith("/"):
        return address
    for file in sorted(Path("/dev").glob("video*")):
        with contextlib.suppress(OSError), contextlib.closing(V4l2Device(str(file))) as device:
            if device.bus == address:
                return str(file)
    raise FileNotFoundError(errno.ENOENT, "no camera is plugged in there")


def _link(folder: str, file: Path) -> str:
    """Return udev's stable link to a device file; empty if there is none."""
    with contextlib.suppress(OSError):
        for link in sorted((_LINKS / folder).iterdir()):
            if link.resolve() == file:
                return str(link)
    return ""


def _serial(file: Path) -> str:
    """Return vendor, product and serial number of a USB device; empty if it has no serial number."""
    usb = Path("/sys/class/video4linux") / file.name / "device" / ".."
    with contextlib.suppress(OSError):
        return "/".join(
            (usb / name).read_text(encoding="ascii").strip() for name in ("idVendor", "idProduct", "serial")
        )
    return ""


def _reason(error: Exception) -> str:
    text = str(getattr(error, "strerror", "") or error)
    return text[:1].lower() + text[1:]


def _hint(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "Add your user to the group 'video', and log in again."
    if error.errno == errno.EBUSY:
        return "Close other programs that use the camera."
    if error.errno == errno.ENOSPC:
        return "The USB bus is full: choose a smaller mode or MJPEG, or use another controller."
    return "Check that it is plugged in, and its address."
