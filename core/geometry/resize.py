"""Intrinsics for images whose size differs from the calibrated one."""

from __future__ import annotations

import numpy as np

from core.errors import CoreError
from core.types.camera import Camera

CODEC_BLOCK_PX = 16
"""Block size of video codecs in px; decoders crop the excess at the right and at the bottom."""

_ASPECT_TOLERANCE = 0.002


def at_size(camera: Camera, size_px: tuple[int, int]) -> Camera:
    """Return the camera for images of `size_px`.

    An image of the same aspect ratio is treated as the calibrated image at another resolution: K is scaled about the
    image corner, so that pixel centres move by c' + 1/2 = s (c + 1/2). An image that is smaller by less than a codec
    block is treated as cropped at the right and at the bottom: K is unchanged.

    Raises:
        CoreError: The size is any other, such as that of a rotated or cropped image.
    """
    width, height = size_px
    rig_width, rig_height = camera.size_px
    if size_px == camera.size_px:
        return camera
    scale = np.array([width / rig_width, height / rig_height])
    if abs(scale[0] / scale[1] - 1) < _ASPECT_TOLERANCE:
        return scaled(camera, size_px)
    if 0 <= rig_width - width < CODEC_BLOCK_PX and 0 <= rig_height - height < CODEC_BLOCK_PX:
        return camera.replace(size_px=size_px)
    message = f"the images are {width}x{height}, but camera {camera.name} was calibrated at {rig_width}x{rig_height}"
    if (height, width) == camera.size_px:
        raise CoreError(
            f"{message}: they seem to be rotated by 90 degrees.",
            "Rotate the video to the orientation of the calibration, or calibrate again.",
        )
    raise CoreError(
        f"{message}.", "Use the video that belongs to this calibration; cropped images need a new calibration."
    )


def scaled(camera: Camera, size_px: tuple[int, int]) -> Camera:
    """Return the camera for its images scaled to another size, such as that of a preview."""
    scale = np.array(size_px) / camera.size_px
    K = camera.K.copy()
    K[:2] *= scale[:, None]
    K[:2, 2] = scale * (camera.K[:2, 2] + 0.5) - 0.5
    return camera.replace(K=K, size_px=size_px)


def resize_note(camera: Camera, size_px: tuple[int, int]) -> str:
    """Return a sentence on the assumption of `at_size`, or an empty string if the sizes are equal."""
    if size_px == camera.size_px:
        return ""
    fitted = at_size(camera, size_px)
    calibrated = f"{camera.size_px[0]}x{camera.size_px[1]}"
    sizes = f"{camera.name}: the images are {size_px[0]}x{size_px[1]}, calibrated at {calibrated}"
    if np.array_equal(fitted.K, camera.K):
        return f"{sizes}; assumed to be cropped at the right or bottom. Check the floor grid on the Calibrate page."
    return f"{sizes}; the calibration was scaled. Check the floor grid on the Calibrate page."
