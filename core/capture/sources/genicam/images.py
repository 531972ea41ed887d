"""Conversion of images of industrial cameras (pixel formats by PFNC names) to FFmpeg's formats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from core.errors import CoreError

if TYPE_CHECKING:
    import viva_genicam as vg

_BAYER = {
    "RG": cv2.COLOR_BayerRGGB2RGB,
    "GR": cv2.COLOR_BayerGRBG2RGB,
    "GB": cv2.COLOR_BayerGBRG2RGB,
    "BG": cv2.COLOR_BayerBGGR2RGB,
}
_YUYV = ("YUV422_8", "YCbCr422_8")
_UYVY = ("YUV422_8_UYVY", "YUV422Packed", "YCbCr422_8_CbYCrY")
"""Formats that FFmpeg converts ten times as fast as the library."""


def require_readable(camera: str, pixel_format: str) -> None:
    """Check that a pixel format is supported.

    Raises:
        CoreError: It is not.
    """
    import viva_genicam as vg

    try:
        if pixel_format in (*_YUYV, *_UYVY):
            return
        vg.Frame.from_bytes(bytes(128), 4, 4, pixel_format).to_rgb8()
    except vg.GenicamError as error:
        raise CoreError(
            f"{camera} sends images as {pixel_format}, which are not supported.",
            "Set its pixel format to Mono8, BayerRG8, RGB8 or YUV422_8 with the vendor's program or viva-camctl.",
        ) from error


def video_frame(block: vg.Frame) -> av.VideoFrame:
    """Return the image of a complete block: grey for monochrome cameras, else RGB or YUV, with 8 bits per channel."""
    name = block.pixel_format
    if name in (*_YUYV, *_UYVY):
        rows = np.frombuffer(block.payload(), np.uint8)[: block.height * (2 * block.width + block.padding_x)]
        packed = rows.reshape(block.height, -1)[:, : 2 * block.width].reshape(block.height, block.width, 2)
        packed = np.ascontiguousarray(packed if name in _YUYV else packed[..., ::-1])
        frame = av.VideoFrame.from_ndarray(packed, format="yuyv422")
        frame.color_range = ColorRange.JPEG  # PFNC: full range
        return frame
    if not name.startswith(("Mono", "Bayer")):
        return av.VideoFrame.from_ndarray(block.to_rgb8(), format="rgb24")
    sent = block.to_numpy()
    excess = int(re.findall(r"\d+", name)[0]) - 8 if sent.dtype == np.uint16 else 0
    pixels = np.asarray(sent >> excess if excess else sent, np.uint8)
    if name.startswith("Mono"):
        return av.VideoFrame.from_ndarray(pixels, format="gray")
    return av.VideoFrame.from_ndarray(np.asarray(cv2.cvtColor(pixels, _BAYER[name[5:7]]), np.uint8), format="rgb24")
