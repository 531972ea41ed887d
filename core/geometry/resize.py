"""A camera's calibration for images of another size than it was made at."""

from __future__ import annotations

import numpy as np

from core.errors import CoreError
from core.types.camera import Camera

CODEC_BLOCK_PX = 16
"""Video codecs store whole blocks of this size; players cut what is too much at the right and the bottom."""

_ASPECT_TOLERANCE = 0.002


def at_size(camera: Camera, size_px: tuple[int, int]) -> Camera:
    """The same camera for images of `size_px`.

    Either the image is the calibrated one in another resolution, and K is scaled about the image's corner (pixel
    centres move: c' + 1/2 = s (c + 1/2)); or it lacks, at the right and the bottom, less than a block of the codec.

    Raises:
        CoreError: Neither is the case: a turned or cropped image.
    """
    width, height = size_px
    rig_width, rig_height = camera.size_px
    if size_px == camera.size_px:
        return camera
    scale = np.array([width / rig_width, height / rig_height])
    if abs(scale[0] / scale[1] - 1) < _ASPECT_TOLERANCE:
        K = camera.K.copy()
        K[:2] *= scale[:, None]
        K[:2, 2] = scale * (camera.K[:2, 2] + 0.5) - 0.5
        return camera.replace(K=K, size_px=size_px)
    if 0 <= rig_width - width < CODEC_BLOCK_PX and 0 <= rig_height - height < CODEC_BLOCK_PX:
        return camera.replace(size_px=size_px)
    message = f"the images are {width}x{height}, but camera {camera.name} was calibrated at {rig_width}x{rig_height}"
    if (height, width) == camera.size_px:
        raise CoreError(
            f"{message}: they look turned by 90 degrees.",
            "Save the video upright, as the calibration saw it (a video editor can rotate it), or calibrate again.",
        )
    raise CoreError(f"{message}.", "Use the video or the calibration that belongs to it; cropping needs a new one.")


def resize_note(camera: Camera, size_px: tuple[int, int]) -> str:
    """What `at_size` assumes, in a sentence; empty where the sizes are equal."""
    if size_px == camera.size_px:
        return ""
    fitted = at_size(camera, size_px)
    calibrated = f"{camera.size_px[0]}x{camera.size_px[1]}"
    told = f"{camera.name}: the images are {size_px[0]}x{size_px[1]}, calibrated at {calibrated}"
    if np.array_equal(fitted.K, camera.K):
        return f"{told}; taken to lack the right or lower edge. Look at the floor grid on the Calibrate page."
    return f"{told}; the calibration was scaled. Look at the floor grid on the Calibrate page."
