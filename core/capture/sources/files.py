"""Video files played as if they were cameras."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from core.capture.source import FoundCamera, Source, SourceOptions, parse_camera
from core.capture.sources.ffmpeg import FFmpegSource
from core.errors import CoreError
from core.files import resource
from core.session.footage.sources import find_footage

_LOOP = "?loop"


class VideoFiles:
    """Video files played at their recorded speed; see `core.capture.source.SourceKind`.

    A file whose address ends with `?loop` restarts at its end.
    """

    title = "Video file"
    example = "the path of a video"
    simulated = True

    def accepts(self, address: str) -> bool:
        """Return whether an address is the path of an existing file."""
        return Path(address).is_file() or Path(address.removesuffix(_LOOP)).is_file()

    def discover(self) -> list[FoundCamera]:
        """Return nothing: files are chosen by path."""
        return []

    def open(self, address: str, options: SourceOptions) -> Source:
        """Open a video file."""
        loop = not Path(address).is_file()
        return FFmpegSource(str(Path(address.removesuffix(_LOOP) if loop else address)), options, paced=True, loop=loop)


KIND = VideoFiles()


def expand_folders(cameras: Sequence[str]) -> tuple[str, ...]:
    """Replace each folder among cameras by its videos, named after their files.

    Args:
        cameras: Cameras, each as an address or as "name=address"; a folder may end with `?loop`.

    Raises:
        CoreError: A folder has no videos.
    """
    out: list[str] = []
    for camera in cameras:
        name, address = parse_camera(camera)
        folder = Path(address.removesuffix(_LOOP)).expanduser()
        if name or not folder.is_dir():
            out.append(camera)
            continue
        videos = [footage.path for footage in find_footage([folder])[0] if footage.kind == "video"]
        if not videos:
            raise CoreError(f"The folder {folder} has no videos to play.", "Choose a folder with one video per camera.")
        end = _LOOP if address.endswith(_LOOP) else ""
        out += [f"{re.sub(r'[^0-9A-Za-z_-]', '_', video.stem)}={video}{end}" for video in videos]
    return tuple(out)


def sample_cameras() -> tuple[str, ...]:
    """Return the videos of the bundled sample as cameras that play them in a loop."""
    return expand_folders([f"{resource('sample')}{_LOOP}"])
