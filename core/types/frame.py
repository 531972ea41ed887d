"""Images in time: one camera's frame, and the frame set of all cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from core.types.arrays import U8


class ImageData(Protocol):
    """An image in the form in which it arrived, converted on demand."""

    def rgb(self) -> U8:
        """Return the image as (H, W, 3) uint8 RGB."""


@dataclass(frozen=True, slots=True)
class ArrayImage:
    """An image in memory.

    Attributes:
        array: (H, W, 3) uint8 RGB.
    """

    array: U8

    def rgb(self) -> U8:
        """Return the image as (H, W, 3) uint8 RGB."""
        return self.array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One image of one camera.

    Attributes:
        camera: Camera name.
        index: Number of the image in the camera's own stream or file, from 0.
        time_ns: Recorded time in ns, on a clock that all cameras of a recording share.
        data: The image, decoded on first access.
        packet: The encoded packet as the camera sent it (`av.Packet`); None where there is none.
        source_time_ns: Time of the image on the camera's own clock in ns, from any origin; None where it has none.
        sequence: Number that the camera or its driver gave the image; a gap is a drop. None where it gives none.
    """

    camera: str
    index: int
    time_ns: int
    data: ImageData
    packet: Any = None
    source_time_ns: int | None = None
    sequence: int | None = None

    @property
    def image(self) -> U8:
        """(H, W, 3) uint8 RGB."""
        return self.data.rgb()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameSet:
    """All cameras' frames of one instant.

    Attributes:
        index: Frame index in the take.
        time_s: Seconds from the start of the take.
        frames: Frames by camera name; a camera that dropped this one is absent.
        skew_s: Latest minus earliest recorded time in the set, in s.
    """

    index: int
    time_s: float
    frames: Mapping[str, Frame]
    skew_s: float
