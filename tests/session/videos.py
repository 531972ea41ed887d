"""Small videos in which each image shows its number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 12
CELL = 16


def image(number: int, width: int = BITS * CELL, height: int = 64) -> np.ndarray:
    """(H, W, 3) uint8 image: the number in binary as black and white bars in the upper half, grey below."""
    pixels = np.full((height, width, 3), 96, np.uint8)
    for bit in range(BITS):
        pixels[: height // 2, bit * CELL : (bit + 1) * CELL] = 235 if number >> bit & 1 else 16
    return pixels


def number_in(pixels: np.ndarray) -> int:
    """The number shown in an upright image."""
    height = pixels.shape[0]
    bars = pixels[height // 8 : height // 4, CELL // 2 : BITS * CELL : CELL].mean((0, 2)) > 128
    return int((bars << np.arange(BITS)).sum())


def write_video(
    path: Path,
    n: int = 30,
    fps: float = 30,
    *,
    times_s: Sequence[float] | None = None,
    size_px: tuple[int, int] = (BITS * CELL, 64),
    turn_deg: int = 0,
    gop: int = 10,
    first: int = 0,
    b_frames: int = 2,
    created: str = "",
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write H.264 with B-frames. `turn_deg` is the clockwise rotation that players are asked to apply."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tick = Fraction(1, 90000)
    with av.open(str(path), "w", options=options or {}) as container:
        if created:
            container.metadata["creation_time"] = created
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = size_px
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = tick
        stream.options = {"g": str(gop), "preset": "ultrafast", "bf": str(b_frames), "crf": "18", "threads": "1"}
        stream.options |= codec_options or {}
        if turn_deg:
            stream.set_display_rotation(-turn_deg)
        for i in range(n):
            pixels = image(first + i, *(size_px if turn_deg % 180 == 0 else size_px[::-1]))
            # Stored with the opposite rotation, so that it is upright after the player's.
            pixels = np.ascontiguousarray(np.rot90(pixels, turn_deg // 90))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round((i / fps if times_s is None else times_s[i]) / tick)
            frame.time_base = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
