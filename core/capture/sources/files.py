"""Video files played as if they were cameras."""

from __future__ import annotations

from pathlib import Path

from core.capture.source import FoundCamera, Source, SourceOptions
from core.capture.sources.ffmpeg import FFmpegSource


class VideoFiles:
    """Files played at their recorded speed from the start of the recording; see `core.capture.source.SourceKind`."""

    title = "Video file"
    example = "the path of a video"
    simulated = True

    def accepts(self, address: str) -> bool:
        """Return whether an address is the path of an existing file."""
        return Path(address).is_file()

    def discover(self) -> list[FoundCamera]:
        """Return nothing: files are chosen by path."""
        return []

    def open(self, address: str, options: SourceOptions) -> Source:
        """Open a video file."""
        return FFmpegSource(str(Path(address)), options, paced=True)


KIND = VideoFiles()
