"""Images in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.types.arrays import U8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One image of one camera.

    Attributes:
        camera: Camera name.
        index: Frame number in the camera's own file.
        time_ns: Recorded time in the camera's clock.
        image: (H, W, 3) uint8 RGB.
    """

    camera: str
    index: int
    time_ns: int
    image: U8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameSet:
    """Images that belong to one frame.

    Attributes:
        index: Frame's number in the take.
        time_s: Seconds from the take's start.
        frames: By camera name; a camera that dropped this frame is absent.
        skew_s: Latest minus earliest recorded time of the set.
    """

    index: int
    time_s: float
    frames: Mapping[str, Frame]
    skew_s: float
