"""A take's pictures at the size that the backbone looks at, decoded once into a file that is mapped, not read."""

from __future__ import annotations

import numpy as np

from core.files import replacing
from core.models.affine import heatmap_size
from core.models.config import ModelConfig
from core.models.pictures import StoredPictures, stored_size
from core.progress import Reporter, check
from core.session import Take
from core.session.video import VideoReader
from core.types.arrays import U8
from core.types.camera import CameraRig


def take_pictures(take: Take, rig: CameraRig, config: ModelConfig, reporter: Reporter) -> StoredPictures:
    """Pictures of a take for networks with a backbone; the files are made where they are missing.

    Memory does not grow with the length of the take: the system maps what a batch asks for.

    Args:
        take: Imported, so that its videos are in the session.
        rig: V cameras, the order of all views.
        config: Gives the size.
        reporter: Told of progress; asked whether to stop.

    Raises:
        CoreError: A video cannot be read.
        CancelledError: Asked to stop; the cameras that were done stay done.
    """
    rows, columns = heatmap_size(rig, config.heatmap.long_side_px)
    stride = config.backbone.stride
    pictures: list[np.ndarray | None] = []
    for camera in rig:
        if camera.name not in take.cameras:
            pictures.append(None)
            continue
        height, width = stored_size(camera.size_px, (rows * stride, columns * stride))
        path = take.layout.reduced_pictures(camera.name, width, height)
        video = take.video_path(camera.name)
        if not path.is_file() or path.stat().st_mtime < video.stat().st_mtime:
            with replacing(path) as temporary:
                mapped = np.lib.format.open_memmap(
                    temporary, mode="w+", dtype=np.uint8, shape=(take.manifest.n_frames, height, width, 3)
                )
                _reduce(take, camera.name, mapped, reporter)
                mapped.flush()
                del mapped
        pictures.append(np.load(path, mmap_mode="r"))
    return StoredPictures(pictures, rig, stride)


def _reduce(take: Take, camera: str, out: U8, reporter: Reporter) -> None:
    """Fills (T, h, w, 3) with a camera's pictures; moments that it dropped stay black."""
    import cv2

    timeline = take.timeline()
    index = timeline.frame_index[:, timeline.cameras.index(camera)]
    height, width = out.shape[1:3]
    with VideoReader(take.video_path(camera), take.camera(camera).rotation_deg) as video:
        for moment in np.flatnonzero(index >= 0):
            check(reporter)
            out[moment] = cv2.resize(video.read(int(index[moment])), (width, height), interpolation=cv2.INTER_AREA)
            reporter.progress(int(moment) + 1, len(index), f"Reducing the pictures of {camera}")
