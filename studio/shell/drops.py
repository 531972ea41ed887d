"""Classification of files and folders dropped on the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import CoreError
from core.rig_io.importers import rig_suffixes
from core.session.footage.sources import STREAM_SUFFIXES, VIDEO_SUFFIXES

DropKind = Literal["session", "videos", "rig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Dropped files.

    Attributes:
        kind: Session, videos of a take, or calibration.
        paths: Folder of the session, videos, or file of the calibration.
    """

    kind: DropKind
    paths: tuple[Path, ...]


def classify_drop(paths: Sequence[Path]) -> Drop:
    """Classify dropped files; a folder is a session or contains videos.

    Raises:
        CoreError: The files cannot be opened, or not together.
    """
    if len(paths) == 1:
        folder = paths[0] if paths[0].is_dir() else paths[0].parent
        if (folder / "session.yaml").is_file() and (paths[0].is_dir() or paths[0].name == "session.yaml"):
            return Drop(kind="session", paths=(folder,))
    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    videos = tuple(sorted(file for file in files if file.suffix.lower() in VIDEO_SUFFIXES + STREAM_SUFFIXES))
    others = [file for file in files if file not in videos]
    if videos and (not others or any(path.is_dir() for path in paths)):
        return Drop(kind="videos", paths=videos)
    rigs = tuple(file for file in files if file.suffix.lower() in rig_suffixes())
    if len(rigs) == 1 and len(paths) == 1 and not paths[0].is_dir():
        return Drop(kind="rig", paths=rigs)
    raise CoreError(
        f"{paths[0].name} cannot be opened." if len(paths) == 1 else "These files cannot be opened together.",
        "Drop the folder of a session, the videos of one take together, or the calibration file of another program.",
    )
