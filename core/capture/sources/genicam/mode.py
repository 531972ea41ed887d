"""Image size and pixel format of an industrial camera, as chosen in its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.capture.modes import ModeRequest
from core.errors import CoreError

if TYPE_CHECKING:
    import viva_genicam as vg


def set_mode(camera: vg.Camera, title: str, request: ModeRequest) -> None:
    """Set image size and pixel format if requested.

    Raises:
        CoreError: The camera refuses them.
    """
    import viva_genicam as vg

    if request.format is not None:
        offered = camera.available_enum_entries("PixelFormat")
        chosen = next((name for name in offered if name.lower() == request.format.lower()), None)
        if chosen is None:
            raise CoreError(f"{title} does not send {request.format}.", f"It offers: {', '.join(offered)}.")
        camera.set_enum("PixelFormat", chosen)
    if request.size_px is None:
        return
    width, height = request.size_px
    try:
        roi = camera.roi()
        camera.set_roi(vg.Roi(x=0, y=0, width=roi.width, height=roi.height))  # offsets limit the size
        offsets = [_middle(camera, name, size) for name, size in (("Width", width), ("Height", height))]
        camera.set_roi(vg.Roi(x=offsets[0], y=offsets[1], width=width, height=height))
    except vg.GenicamError as error:
        raise CoreError(f"{title} refuses {width}x{height} px: {error}.", "Choose another size.") from error


def _middle(camera: vg.Camera, name: str, size: int) -> int:
    """Return the offset that centres an image of a given size on the sensor."""
    largest = camera.feature_state(name).range
    offset = camera.feature_state({"Width": "OffsetX", "Height": "OffsetY"}[name]).range
    step = int(offset.inc or 1) if offset is not None else 1
    return 0 if largest is None else max(0, (int(largest.max) - size) // 2 // step * step)
