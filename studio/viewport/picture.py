"""Screenshots of a canvas at a higher resolution than on the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.types.arrays import F32, U8
from studio.viewport.palette import RGBA
from studio.viewport.scene_view import ViewCanvas

_SAMPLES = 2  # small pictures are drawn this many times larger and averaged: a framebuffer has no multisampling
_MOST_SAMPLED = 2
_MOST_PX = 8192  # side of a framebuffer that any OpenGL driver of the last decade supports


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPicture:
    """Drawn canvas at a multiple of the resolution of the picture.

    Attributes:
        drawn: (H, W, 3) uint8 RGB over the background; or over black, and over white, for a transparent one.
        samples: Drawn pixels across a pixel of the picture.
    """

    drawn: tuple[U8, ...]
    samples: int

    def image(self) -> U8:
        """Return the picture (H, W, 3) uint8 RGB, or (H, W, 4) RGBA; touches no widget: a thread may call it."""
        reduced = [self._reduced(image) for image in self.drawn]
        if len(reduced) == 1:
            return np.asarray(reduced[0] + np.float32(0.5), np.uint8)
        # The difference between the pictures over black and over white yields the opacity, also of blended edges.
        black, white = reduced
        opacity = np.clip(255 - (white - black).mean(-1, keepdims=True), 0, 255)
        colour = np.clip(255 * black / np.maximum(opacity, 1), 0, 255)
        return np.asarray(np.concatenate([colour, opacity], -1) + np.float32(0.5), np.uint8)

    def _reduced(self, image: U8) -> F32:
        height, width, samples = image.shape[0], image.shape[1], self.samples
        blocks = image.reshape(height // samples, samples, width // samples, samples, 3)
        return np.asarray(blocks.mean((1, 3), dtype=np.float32))


def draw_picture(canvas: ViewCanvas, scale: int, background: RGBA | None, draw_all: Callable[[], None]) -> DrawnPicture:
    """Draw a canvas off the screen.

    Args:
        canvas: The canvas.
        scale: Pixels of the picture per pixel of the screen.
        background: (4,) background; None for a transparent one.
        draw_all: Redraws all content of the canvas, for another number of pixels.

    Raises:
        CoreError: The driver cannot draw a picture of this size.
    """
    ratio = max(1, round(canvas.pixel_scale)) * scale
    small = scale <= _MOST_SAMPLED and _SAMPLES * ratio * max(canvas.size) <= _MOST_PX
    samples = _SAMPLES if small else 1
    canvas.picture_scale = ratio * samples
    colours = [background] if background is not None else [np.full(4, level, np.float32) for level in (0, 1)]
    try:
        draw_all()
        return DrawnPicture(tuple(_drawn(canvas, colour) for colour in colours), samples)
    finally:
        canvas.picture_scale = 0
        draw_all()


def _drawn(canvas: ViewCanvas, background: RGBA) -> U8:
    """Return the image (H, W, 3) over an opaque background."""
    width, height = canvas.physical_size
    colour = (*(float(c) for c in background[:3]), 1.0)
    try:
        image: U8 = canvas.render(size=(width, height), bgcolor=colour, alpha=False)
    except RuntimeError as error:
        raise CoreError(
            f"The graphics driver cannot draw a picture of {width}x{height} px.", "Choose a smaller size."
        ) from error
    return image[..., :3]
