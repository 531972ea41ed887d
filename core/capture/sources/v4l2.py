"""Video4Linux2, the capture interface of the Linux kernel: device, modes, controls and buffers.

Numbers and structures are those of the kernel's API (https://docs.kernel.org/userspace-api/media/v4l/v4l2.html) on
64-bit systems. The only maintained binding, linuxpy, is under the GPL.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import select
from collections.abc import Iterator
from ctypes import c_char, c_int32, c_long, c_uint32
from dataclasses import dataclass
from typing import Any

from core.capture.controls import EXPOSURE, FOCUS, GAIN, WHITE_BALANCE, Control
from core.capture.modes import CameraMode
from core.errors import CoreError

FORMATS = {
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "YVYU": "yvyu422",
    "NV12": "nv12",
    "YU12": "yuv420p",
    "422P": "yuv422p",
    "GREY": "gray",
    "Y16 ": "gray16le",
    "RGB3": "rgb24",
    "BGR3": "bgr24",
}
"""FFmpeg's names of the supported formats by the kernel's four-character codes."""

_N_BUFFERS = 8
_CAPTURE, _MMAP = 1, 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_MMAP
_CAN_CAPTURE, _CAN_STREAM, _HAS_DEVICE_CAPS = 0x1, 0x04000000, 0x80000000
_DISCRETE = 1
_FLAG_ERROR, _TIMESTAMP_MASK, _TIMESTAMP_MONOTONIC = 0x40, 0xE000, 0x2000
_CONTROL_DISABLED, _CONTROL_READ_ONLY = 0x1, 0x4
_STEPWISE_SIZES = ((640, 480), (1280, 720), (1920, 1080))
_STEPWISE_FPS = (15.0, 30.0, 60.0)
_EXPOSURE_AUTO_PRIORITY = 0x009A0903
_MAX_LISTED = 256


class _Capability(ctypes.Structure):
    _fields_ = (
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class _Format(ctypes.Structure):
    """Description of a pixel format."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("code", c_uint32),
        ("bus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class _Size(ctypes.Structure):
    _fields_ = (
        ("index", c_uint32),
        ("code", c_uint32),
        ("type", c_uint32),
        ("values", c_uint32 * 6),  # width, height; or minimum, maximum and step of both
        ("reserved", c_uint32 * 2),
    )


class _Interval(ctypes.Structure):
    _fields_ = (
        ("index", c_uint32),
        ("code", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("values", c_uint32 * 6),  # numerator and denominator; or those of minimum, maximum and step
        ("reserved", c_uint32 * 2),
    )


class _ImageFormat(ctypes.Structure):
    """Size and pixel format; `pix` begins with width, height, code, field, bytes per line and per image."""

    _fields_ = (
        ("type", c_long),  # 32 bits and padding, on little-endian systems
        ("pix", c_uint32 * 50),
    )


class _Parameters(ctypes.Structure):
    _fields_ = (
        ("type", c_uint32),
        ("capability", c_uint32),
        ("mode", c_uint32),
        ("numerator", c_uint32),
        ("denominator", c_uint32),
        ("rest", c_uint32 * 46),
    )


class _Request(ctypes.Structure):
    _fields_ = (("count", c_uint32), ("type", c_uint32), ("memory", c_uint32), ("rest", c_uint32 * 2))


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("used", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("seconds", c_long),
        ("microseconds", c_long),
        ("timecode", c_uint32 * 4),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("offset", c_uint32 * 2),
        ("length", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class _Query(ctypes.Structure):
    _fields_ = (
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("minimum", c_int32),
        ("maximum", c_int32),
        ("step", c_int32),
        ("default", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class _Value(ctypes.Structure):
    _fields_ = (("id", c_uint32), ("value", c_int32))


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


_READ, _WRITE, _BOTH = 2, 1, 3
REQUESTS: dict[str, tuple[int, type[ctypes.Structure]]] = {
    name: (_request(direction, number, ctypes.sizeof(kind)), kind)
    for name, direction, number, kind in (
        ("QUERYCAP", _READ, 0, _Capability),
        ("ENUM_FMT", _BOTH, 2, _Format),
        ("S_FMT", _BOTH, 5, _ImageFormat),
        ("REQBUFS", _BOTH, 8, _Request),
        ("QUERYBUF", _BOTH, 9, _Buffer),
        ("QBUF", _BOTH, 15, _Buffer),
        ("DQBUF", _BOTH, 17, _Buffer),
        ("S_PARM", _BOTH, 22, _Parameters),
        ("G_CTRL", _BOTH, 27, _Value),
        ("S_CTRL", _BOTH, 28, _Value),
        ("QUERYCTRL", _BOTH, 36, _Query),
        ("ENUM_FRAMESIZES", _BOTH, 74, _Size),
        ("ENUM_FRAMEINTERVALS", _BOTH, 75, _Interval),
    )
}
"""Request code and structure by ioctl name."""

_STREAM_ON, _STREAM_OFF = _request(_WRITE, 18, 4), _request(_WRITE, 19, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ControlIds:
    """Identifiers of a control and of its automatic mode, with the values of the latter."""

    id: int
    automatic: int
    manual: int
    chosen: tuple[int, ...]
    unit: str = ""
    scale: int = 1


_CONTROLS = {
    EXPOSURE: _ControlIds(id=0x009A0902, automatic=0x009A0901, manual=1, chosen=(3, 0), unit="us", scale=100),
    GAIN: _ControlIds(id=0x00980913, automatic=0x00980912, manual=0, chosen=(1,)),
    WHITE_BALANCE: _ControlIds(id=0x0098091A, automatic=0x0098090C, manual=0, chosen=(1,), unit="K"),
    FOCUS: _ControlIds(id=0x009A090A, automatic=0x009A090C, manual=0, chosen=(1,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class V4l2Image:
    """Image as delivered by the driver.

    Attributes:
        data: Encoded image or pixels.
        time_ns: Time on CLOCK_MONOTONIC in ns; None if the driver uses another clock.
        sequence: Sequence number of the driver; a gap is a drop.
        damaged: True if the driver marks it as damaged.
    """

    data: bytes
    time_ns: int | None
    sequence: int
    damaged: bool


class V4l2Device:
    """Open capture device.

    Args:
        path: Device file.

    Raises:
        OSError: It cannot be opened, or is not a capture device.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._buffers: list[mmap.mmap] = []
        try:
            caps = self._ask("QUERYCAP")
            can = caps.device_caps if caps.capabilities & _HAS_DEVICE_CAPS else caps.capabilities
            if not (can & _CAN_CAPTURE and can & _CAN_STREAM):
                raise OSError(errno.ENOTTY, "not a camera")
        except OSError:
            os.close(self._file)
            raise
        self.name = caps.card.decode(errors="replace")
        self.bus = caps.bus.decode(errors="replace")
        self.bytes_per_line = self.bytes_per_image = 0

    def modes(self) -> list[CameraMode]:
        """Return the modes with a supported format."""
        return [
            CameraMode(size_px=size_px, fps=fps, format=FORMATS[code])
            for code in self._codes()
            for size_px in self._sizes(code)
            for fps in self._rates(code, size_px)
        ]

    def configure(self, mode: CameraMode) -> CameraMode:
        """Set a mode, and return the one that the driver chose.

        Raises:
            OSError: The device is in use.
            CoreError: The driver chose an unsupported format.
        """
        code = next(code for code in self._codes() if FORMATS[code] == mode.format)
        image = _ImageFormat(type=_CAPTURE)
        image.pix[0], image.pix[1], image.pix[2] = *mode.size_px, _number(code)
        self._ask("S_FMT", image)
        self._set_exposure_priority()
        parameters = _Parameters(type=_CAPTURE, numerator=1000, denominator=round(1000 * mode.fps))
        with contextlib.suppress(OSError):  # cameras with a single rate refuse
            self._ask("S_PARM", parameters)
        now = _text(image.pix[2])
        if now not in FORMATS:
            raise CoreError(f"{self.name} sends images as {now}, which cannot be read.", "Choose another format.")
        self.bytes_per_line, self.bytes_per_image = image.pix[4], image.pix[5]
        fps = parameters.denominator / parameters.numerator if parameters.numerator else mode.fps
        return CameraMode(size_px=(image.pix[0], image.pix[1]), fps=fps, format=FORMATS[now])

    def start(self) -> None:
        """Start streaming.

        Raises:
            OSError: The device is in use, or the bus has no bandwidth left.
        """
        request = self._ask("REQBUFS", _Request(count=_N_BUFFERS, type=_CAPTURE, memory=_MMAP))
        for index in range(request.count):
            buffer = self._ask("QUERYBUF", _Buffer(index=index, type=_CAPTURE, memory=_MMAP))
            self._buffers.append(mmap.mmap(self._file, buffer.length, offset=buffer.offset[0]))
            self._ask("QBUF", buffer)
        fcntl.ioctl(self._file, _STREAM_ON, c_int32(_CAPTURE))

    def read(self, timeout_s: float) -> V4l2Image | None:
        """Return the next image; None after the timeout.

        Raises:
            OSError: The device was unplugged.
        """
        if not select.select([self._file], [], [], timeout_s)[0]:
            return None
        try:
            buffer = self._ask("DQBUF", _Buffer(type=_CAPTURE, memory=_MMAP))
        except BlockingIOError:
            return None
        data = self._buffers[buffer.index][: buffer.used]
        time_ns = buffer.seconds * 10**9 + buffer.microseconds * 1000
        image = V4l2Image(
            data=data,
            time_ns=time_ns if buffer.flags & _TIMESTAMP_MASK == _TIMESTAMP_MONOTONIC else None,
            sequence=buffer.sequence,
            damaged=bool(buffer.flags & _FLAG_ERROR),
        )
        self._ask("QBUF", buffer)
        return image

    def close(self) -> None:
        """Stop streaming, and release the device."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._file, _STREAM_OFF, c_int32(_CAPTURE))
        for buffer in self._buffers:
            buffer.close()
        self._buffers.clear()
        os.close(self._file)
        self._file = -1

    def controls(self) -> tuple[Control, ...]:
        """Return the controls of the device with their values."""
        found = (self._control(name) for name in _CONTROLS)
        return tuple(control for control in found if control is not None)

    def set_control(self, name: str, value: float | None) -> Control:
        """See `core.capture.controls.Controllable.set_control`."""
        control = self._control(name)
        if control is None:
            offered = ", ".join(other.name for other in self.controls())
            raise CoreError(f"{self.name} has no control '{name}'.", f"It offers: {offered or 'none'}.")
        ids = _CONTROLS[name]
        if value is None:
            if control.automatic is None or not any(self._try_set(ids.automatic, chosen) for chosen in ids.chosen):
                raise CoreError(f"{self.name} has no automatic {name}.", "Set a value.")
        else:
            if not control.minimum <= value <= control.maximum:
                limits = f"{control.minimum:g} to {control.maximum:g} {control.unit}".rstrip()
                raise CoreError(f"{name} cannot be {value:g}.", f"{self.name} accepts {limits}.")
            if control.automatic is not None:
                self._try_set(ids.automatic, ids.manual)
            steps = round((value - control.minimum) / control.step) if control.step else 0
            raw = round(value if not control.step else control.minimum + steps * control.step) // ids.scale
            if not self._try_set(ids.id, raw):
                raise CoreError(f"{self.name} refuses {name} {value:g}.", "Try another value.")
        return self._control(name) or control

    def _control(self, name: str) -> Control | None:
        ids = _CONTROLS.get(name)
        query = None if ids is None else self._query(ids.id)
        if ids is None or query is None or query.flags & _CONTROL_READ_ONLY:
            return None
        value, automatic = self._get(ids.id), self._get(ids.automatic)
        if value is None:
            return None
        return Control(
            name=name,
            value=value * ids.scale,
            minimum=query.minimum * ids.scale,
            maximum=query.maximum * ids.scale,
            step=query.step * ids.scale,
            automatic=None if automatic is None else automatic != ids.manual,
            unit=ids.unit,
        )

    def _query(self, number: int) -> Any:
        try:
            query = self._ask("QUERYCTRL", _Query(id=number))
        except OSError:
            return None
        return None if query.flags & _CONTROL_DISABLED else query

    def _get(self, number: int) -> int | None:
        try:
            return int(self._ask("G_CTRL", _Value(id=number)).value)
        except OSError:
            return None

    def _try_set(self, number: int, value: int) -> bool:
        try:
            self._ask("S_CTRL", _Value(id=number, value=value))
        except OSError:
            return False
        return True

    def _set_exposure_priority(self) -> None:
        """Keep the frame rate constant, because some cameras lower it in the dark."""
        self._try_set(_EXPOSURE_AUTO_PRIORITY, 0)

    def _codes(self) -> list[str]:
        codes = [_text(found.code) for found in self._listed("ENUM_FMT", type=_CAPTURE)]
        return [code for code in codes if code in FORMATS]

    def _sizes(self, code: str) -> list[tuple[int, int]]:
        sizes = []
        for found in self._listed("ENUM_FRAMESIZES", code=_number(code)):
            values = found.values
            if found.type == _DISCRETE:
                sizes.append((values[0], values[1]))
            else:
                within = [
                    s for s in _STEPWISE_SIZES if values[0] <= s[0] <= values[1] and values[3] <= s[1] <= values[4]
                ]
                return [*within, (values[1], values[4])]
        return sizes

    def _rates(self, code: str, size_px: tuple[int, int]) -> list[float]:
        rates = []
        listed = self._listed("ENUM_FRAMEINTERVALS", code=_number(code), width=size_px[0], height=size_px[1])
        for found in listed:
            values = found.values
            if found.type == _DISCRETE:
                rates.append(values[1] / max(1, values[0]))
            else:
                largest, least = values[1] / max(1, values[0]), values[3] / max(1, values[2])
                return [*(fps for fps in _STEPWISE_FPS if least <= fps < largest), largest]
        return rates or [0.0]

    def _listed(self, name: str, **fields: int) -> Iterator[Any]:
        for index in range(_MAX_LISTED):
            try:
                yield self._ask(name, REQUESTS[name][1](index=index, **fields))
            except OSError:
                return

    def _ask(self, name: str, argument: Any = None) -> Any:
        number, kind = REQUESTS[name]
        argument = kind() if argument is None else argument
        fcntl.ioctl(self._file, number, argument)
        return argument


def _number(code: str) -> int:
    return int.from_bytes(code.encode("ascii"), "little")


def _text(number: int) -> str:
    return number.to_bytes(4, "little").decode("ascii", errors="replace")
