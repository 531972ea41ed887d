"""Camera sources: interface and registry of the kinds of camera, and opening a camera by its address.

To add a kind, write a module in `core/capture/sources/` that defines a `SourceKind`, and list it in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import av

from core.board.pattern import Board
from core.capture.modes import CameraMode
from core.capture.sound import SoundTrack
from core.clock import SYSTEM_CLOCK, Clock
from core.errors import CoreError
from core.passwords import without_passwords
from core.registry import Registry
from core.types.frame import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Settings of a source; all but the camera's name are common to a recording.

    Attributes:
        camera: Name of the camera, stored in its frames.
        start_ns: Start of the recording on `clock`, in ns, at which files and simulated cameras begin.
        clock: Clock that stamps frames and paces sources.
        board: Calibration board that simulated cameras show; None for the default one.
    """

    camera: str
    start_ns: int
    clock: Clock = SYSTEM_CLOCK
    board: Board | None = None


class Source(Protocol):
    """Open camera, used by one thread.

    Optional members of a source:

    - `damaged`, the number of damaged images, which are skipped; see `damaged_images`.
    - `utc_offset_ns`, UTC minus `Frame.source_time_ns` in ns; None until the camera reports the time.
    - `sound`, the `SoundTrack` of its microphone; None without one.
    - The methods of `core.capture.controls.Controllable`.
    - `interrupt()`, which ends `frames` even while no image arrives.

    Attributes:
        size_px: Width and height in px.
        fps: Announced frame rate; 0 if unknown.
        template: Stream whose packets can be stored as they are; None if images have to be encoded.
    """

    size_px: tuple[int, int]
    fps: float
    template: av.VideoStream | None

    def frames(self) -> Iterator[Frame]:
        """Yield frames as they arrive, with increasing times; a file ends the iterator.

        Raises:
            CoreError: The connection was lost, or the camera has ended the stream; the caller reopens it.
        """

    def close(self) -> None:
        """Release the camera."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCamera:
    """Camera that can be opened.

    Attributes:
        address: Address for `open_source`.
        title: Display name.
        modes: Modes that can be chosen in its address; empty if unknown.
    """

    address: str
    title: str
    modes: tuple[CameraMode, ...] = ()


class SourceKind(Protocol):
    """Kind of camera.

    Attributes:
        title: Display name of the kind.
        example: Example of an address, for messages.
        simulated: True for cameras that exist only in software.
    """

    title: str
    example: str
    simulated: bool

    def accepts(self, address: str) -> bool:
        """Return whether an address belongs to this kind."""

    def discover(self) -> list[FoundCamera]:
        """Return the available cameras; empty if the system or the kind has no discovery."""

    def open(self, address: str, options: SourceOptions) -> Source:
        """Open a camera.

        Raises:
            CoreError: The camera does not respond, sends no images, or is not supported on this system.
        """


SOURCES: Registry[SourceKind] = Registry(
    "camera source",
    {
        "network": "core.capture.sources.network:KIND",
        "onvif": "core.capture.sources.onvif:KIND",
        "device": "core.capture.sources.devices:KIND",
        "genicam": "core.capture.sources.genicam:KIND",
        "demo": "core.capture.sources.demo:KIND",
        "file": "core.capture.sources.files:KIND",
    },
)


def open_source(address: str, options: SourceOptions, sources: Registry[SourceKind] = SOURCES) -> Source:
    """Open the camera at an address.

    Args:
        address: An address such as `rtsp://host/stream`, `v4l2:/dev/video0` or the path of a video file.
        options: Settings of the source.
        sources: Kinds of camera.

    Raises:
        CoreError: No kind accepts the address, or the camera cannot be opened.
    """
    for kind in map(sources.get, sources):
        if kind.accepts(address):
            return kind.open(address, options)
    examples = ", ".join(sources.get(name).example for name in sources)
    raise CoreError(f"There is no camera at '{without_passwords(address)}'.", f"Use an address such as {examples}.")


def is_simulated(address: str, sources: Registry[SourceKind] = SOURCES) -> bool:
    """Return whether an address is that of a simulated camera."""
    kind = next((kind for kind in map(sources.get, sources) if kind.accepts(address)), None)
    return kind is not None and kind.simulated


def discover_cameras(*, simulated: bool = False, sources: Registry[SourceKind] = SOURCES) -> list[FoundCamera]:
    """Return the available cameras of all kinds.

    Args:
        simulated: True for simulated cameras, False for real ones.
        sources: Kinds of camera.
    """
    kinds = map(sources.get, sources)
    return [camera for kind in kinds if kind.simulated == simulated for camera in kind.discover()]


def sound_of(source: Source) -> SoundTrack | None:
    """Return the sound of a source; None if it has none."""
    return getattr(source, "sound", None)


def damaged_images(source: Source) -> int:
    """Return the number of damaged images that a source has skipped."""
    return int(getattr(source, "damaged", 0))


def parse_camera(text: str) -> tuple[str, str]:
    """Split "name=address" into name and address; the name is empty if not given."""
    name, _, address = (part.strip() for part in text.partition("="))
    if address and name.replace("_", "").replace("-", "").isalnum():
        return name, address
    return "", text.strip()
