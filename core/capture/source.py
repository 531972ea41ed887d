"""What a running camera is to the program, and how one is opened by its address.

An address is what a person types: `rtsp://…`, `http://…`, the path of a video, `v4l2:/dev/video0`, `dshow:Name of the
camera`, `avfoundation:0`. Images keep the packets that the camera sent, so that they can be stored as they are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import av.error

from core.errors import CoreError

OPEN_S, READ_S = 8.0, 5.0
_DEVICES = {"v4l2": "linux", "dshow": "win32", "avfoundation": "darwin"}
_NETWORK = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shot:
    """One image of a camera.

    Attributes:
        time_ns: When it came, of the computer's monotonic clock; of the camera's own clock where that is known.
        frame: The image, decoded.
        packet: As the camera sent it; None where there is none.
    """

    time_ns: int
    frame: av.VideoFrame
    packet: av.Packet | None = None


class Source(Protocol):
    """A camera that is running. Used by one thread.

    Attributes:
        size_px: Width and height.
        fps: As announced; 0 if unknown.
        template: Stream that packets can be copied from; None where images have to be encoded.
    """

    size_px: tuple[int, int]
    fps: float
    template: av.VideoStream | None

    def shots(self) -> Iterator[Shot]:
        """Images as they come, until the camera ends or is closed.

        Raises:
            CoreError: The camera went away.
        """

    def close(self) -> None:
        """Lets go of the camera."""


Opener = Callable[[str], Source]


def name_and_address(text: str) -> tuple[str, str]:
    """Parts of "name=address"; the name is empty where there is none."""
    name, _, address = (part.strip() for part in text.partition("="))
    if address and name.replace("_", "").replace("-", "").isalnum():
        return name, address
    return "", text.strip()


def open_source(address: str) -> Source:
    """Starts a camera.

    Raises:
        CoreError: There is none at this address, or it sends nothing; with the remedy.
    """
    scheme = address.partition(":")[0].lower()
    if scheme in _DEVICES:
        return _device(scheme, address.partition(":")[2])
    if scheme in _NETWORK:
        return Stream(address, options=_LIVE | ({"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {}))
    path = Path(address)
    if path.is_file():
        return Stream(str(path), paced=True)
    raise CoreError(
        f"There is no camera at '{address}'.",
        "Give an address such as rtsp://…, http://…, v4l2:/dev/video0, demo:cam01, or the path of a video.",
    )


_LIVE = {"fflags": "nobuffer", "flags": "low_time_offset", "probesize": "500000", "analyzeduration": "500000"}


def _device(kind: str, name: str) -> Source:
    if not sys.platform.startswith(_DEVICES[kind]):
        raise CoreError(f"This system has no {kind} cameras.", "Choose a camera that was found on this computer.")
    options = {"input_format": "mjpeg"} if kind == "v4l2" else {}
    target = f"video={name}" if kind == "dshow" else name
    try:
        return Stream(target, container=kind, options=options)
    except CoreError:
        if not options:
            raise
        return Stream(target, container=kind)  # cameras that send raw images only


def found_devices() -> list[str]:
    """Addresses of cameras that are plugged in."""
    kind = next((k for k, system in _DEVICES.items() if sys.platform.startswith(system)), "")
    if not kind:
        return []
    try:
        devices: Any = av.enumerate_input_devices(kind)
    except (AttributeError, av.error.FFmpegError, OSError, ValueError):
        return []
    return [f"{kind}:{device.name}" for device in devices if "video" in getattr(device, "media_types", ["video"])]


class Stream:
    """A camera that ffmpeg's libraries can read: network streams, devices, and video files played at their own speed.

    Args:
        target: What ffmpeg opens.
        container: Its format, where it does not say so itself.
        options: For ffmpeg.
        paced: Whether images wait for their time, as those of a file must.

    Raises:
        CoreError: It cannot be opened, or has no images.
    """

    def __init__(
        self, target: str, *, container: str | None = None, options: dict[str, str] | None = None, paced: bool = False
    ) -> None:
        self._target, self._paced = target, paced
        begin = time.monotonic()
        try:
            self._container = av.open(target, format=container, options=options or {}, timeout=(OPEN_S, READ_S))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            # What is cut off while it is looked at comes as invalid data.
            slow = time.monotonic() - begin >= OPEN_S
            words = "it sent nothing in time" if slow else _words(error)
            raise CoreError(f"{target} cannot be opened: {words}.", _TOO_SLOW if slow else _remedy(error)) from error
        if not self._container.streams.video:
            self._container.close()
            raise CoreError(f"{target} has no images.", "Choose another address of the camera.")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "SLICE"  # frame threads would hold images back
        self.size_px = (self._stream.codec_context.width, self._stream.codec_context.height)
        self.fps = float(self._stream.average_rate or self._stream.base_rate or 0)
        raw = self._stream.codec_context.name.startswith("raw")
        self.template: av.VideoStream | None = None if raw else self._stream

    def shots(self) -> Iterator[Shot]:
        """See `Source.shots`."""
        start_ns, first_s = time.monotonic_ns(), None
        try:
            for packet in self._container.demux(self._stream):
                came_ns = time.monotonic_ns()
                if packet.pts is not None and self._stream.time_base is not None and self._paced:
                    at_s = float(packet.pts * self._stream.time_base)
                    first_s = at_s if first_s is None else first_s
                    due_ns = start_ns + round(1e9 * (at_s - first_s))
                    time.sleep(max(0.0, (due_ns - came_ns) / 1e9))
                    came_ns = due_ns
                for frame in packet.decode():
                    yield Shot(time_ns=came_ns, frame=frame, packet=packet if packet.size else None)
        except (av.error.FFmpegError, OSError) as error:
            if not isinstance(error, av.error.EOFError):
                raise CoreError(f"{self._target} went away: {_words(error)}.", "Check its cable or network.") from error

    def close(self) -> None:
        """See `Source.close`."""
        self._container.close()


_TOO_SLOW = "Check that it is switched on, in the same network, and that no other program uses it."


def _words(error: Exception) -> str:
    text = str(getattr(error, "strerror", "") or error)
    return text[:1].lower() + text[1:]


def _remedy(error: Exception) -> str:
    if isinstance(error, PermissionError | av.error.PermissionError):
        return "Close other programs that use the camera, and see that you may use it."
    if isinstance(error, ConnectionRefusedError | av.error.ConnectionRefusedError):
        return "Nothing answers there: check address and port, and that the camera streams."
    if isinstance(error, TimeoutError | av.error.TimeoutError | av.error.ExitError):
        return _TOO_SLOW
    return "Check the address; the camera's own page or app tells it."
