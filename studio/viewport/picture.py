"""Pictures of a canvas, larger than it is on the screen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.errors import CoreError
from core.types.arrays import F32, U8
from studio.viewport.palette import RGBA
from studio.viewport.scene_view import ViewCanvas

_SAMPLES = 2  # drawn this many times larger and averaged, since a framebuffer has no multisampling
_MOST_PX = 8192  # side of a framebuffer that any OpenGL driver of the last decade has


def render_picture(canvas: ViewCanvas, scale: int, background: RGBA | None, draw_all: Callable[[], None]) -> U8:
    """Draw a canvas off the screen.

    Args:
        canvas: The canvas.
        scale: Pixels of the picture per pixel of the screen.
        background: (4,) background; None for a transparent one.
        draw_all: Gives the canvas all its content again, for another number of pixels.

    Returns:
        (H, W, 3) uint8 RGB, or (H, W, 4) RGBA with a transparent background.

    Raises:
        CoreError: The driver cannot draw a picture of this size.
    """
    ratio = max(1, round(canvas.pixel_scale)) * scale
    samples = _SAMPLES if _SAMPLES * ratio * max(canvas.size) <= _MOST_PX else 1
    canvas.picture_scale = ratio * samples
    try:
        draw_all()
        if background is not None:
            return np.asarray(_drawn(canvas, samples, background) + 0.5, np.uint8)
        # What is between a picture over black and one over white tells the opacity, also of blended edges.
        black, white = (_drawn(canvas, samples, np.full(4, level, np.float32)) for level in (0, 1))
    finally:
        canvas.picture_scale = 0
        draw_all()
    opacity = np.clip(255 - (white - black).mean(-1, keepdims=True), 0, 255)
    colour = np.clip(255 * black / np.maximum(opacity, 1), 0, 255)
    return np.asarray(np.concatenate([colour, opacity], -1) + 0.5, np.uint8)


def _drawn(canvas: ViewCanvas, samples: int, background: RGBA) -> F32:
    """Return the image (H, W, 3) in 0..255 over an opaque background."""
    width, height = canvas.physical_size
    colour = (*(float(c) for c in background[:3]), 1.0)
    try:
        image: U8 = canvas.render(size=(width, height), bgcolor=colour, alpha=False)
    except RuntimeError as error:
        raise CoreError(
            f"The graphics driver cannot draw a picture of {width}x{height} px.", "Choose a smaller size."
        ) from error
    blocks = image[..., :3].reshape(height // samples, samples, width // samples, samples, 3)
    return np.asarray(blocks.mean((1, 3), dtype=np.float32))
