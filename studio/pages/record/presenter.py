"""Contents of the Record page, without widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtGui import QImage

from core.errors import CoreError
from core.files import safe_name
from core.session import Session, Take
from core.session.footage.sources import STREAM_SUFFIXES, VIDEO_SUFFIXES
from core.session.naming import cameras_of_files
from core.session.store import TakeKind
from studio.widgets.images.image_view import Lines, first_thumbnail

VIDEO_FILES = f"Videos ({' '.join('*' + s for s in VIDEO_SUFFIXES + STREAM_SUFFIXES)});;All files (*)"
KINDS: tuple[tuple[str, TakeKind], ...] = (("People", "motion"), ("Board", "board"), ("Board on the floor", "floor"))
"""What a take may show."""
CAMERA_HEADERS = ("Camera", "File", "Resolution", "Images", "Frame rate", "Dropped")


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeCard:
    """Take as it was recorded.

    Attributes:
        name: Name of the take.
        summary: Cameras, length, frame rate and date in one line.
        rows: One row per camera, in the columns of `CAMERA_HEADERS`.
        dropped: (row, column) of the cells with dropped images.
        notes: Irregularities found at import.
        error: Why the take cannot be read; the other attributes are empty then.
        take: The take; None if it cannot be read.
    """

    name: str
    summary: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    dropped: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
    take: Take | None = None


def take_cards(session: Session) -> list[TakeCard]:
    """Describe all takes of the session."""
    return [_card(session, name) for name in session.take_names()]


def first_frame(take: Take, camera: str) -> tuple[QImage, list[Lines]]:
    """Return a small copy of a camera's first image, without lines over it.

    Raises:
        CoreError: The video cannot be read.
    """
    return first_thumbnail(take, camera), []


def proposed_name(session: Session, videos: Sequence[Path]) -> str:
    """Return a free name for a take: that of the videos' folder, with a number if it is taken."""
    base = ""
    if videos:
        base = videos[0].name if videos[0].is_dir() else videos[0].parent.name
    try:
        name = safe_name(base)
    except CoreError:
        name = "take"
    taken = set(session.take_names())
    return name if name not in taken else next(n for i in range(2, 10_000) if (n := f"{name}_{i}") not in taken)


def proposed_cameras(session: Session, names: Sequence[str]) -> list[str]:
    """Return a camera for each video: one of the rig matched by file name, or without a rig the file name itself."""
    stems = list(names)
    rig = session.rig
    if rig is not None:
        try:
            return cameras_of_files(stems, rig.names)
        except CoreError:
            return [""] * len(stems)  # the user assigns them
    return stems


def import_problem(name: str, cameras: Sequence[str], session: Session) -> str:
    """Return why videos cannot be imported under these names; empty if they can."""
    try:
        plain = safe_name(name)
    except CoreError as error:
        return str(error)
    if plain in session.take_names():
        return f"A take named '{plain}' already exists. Choose another name."
    if any(not camera.strip() for camera in cameras):
        return "Select a camera for every video."
    repeated = {c for c in cameras if cameras.count(c) > 1}
    if repeated:
        return f"Camera {min(repeated)} is assigned to two videos."
    return ""


def _card(session: Session, name: str) -> TakeCard:
    try:
        take = session.take(name)
        dropped = _dropped(take)
    except CoreError as error:
        return TakeCard(name=name, error=str(error))
    manifest = take.manifest
    rows = tuple(
        (
            camera.name,
            camera.file,
            f"{camera.size_px[0]} × {camera.size_px[1]}" + (f" ↻ {camera.rotation_deg}°" * bool(camera.rotation_deg)),
            f"{camera.n_frames:,}",
            f"{camera.fps:.4g} fps",
            str(dropped[camera.name]) if dropped[camera.name] else "none",
        )
        for camera in manifest.cameras
    )
    bad = tuple((row, 5) for row, camera in enumerate(manifest.cameras) if dropped[camera.name])
    seconds = manifest.n_frames / manifest.fps if manifest.fps > 0 else 0.0
    parts = [
        f"{len(manifest.cameras)} camera{'s' if len(manifest.cameras) != 1 else ''}",
        f"{manifest.n_frames:,} frames",
        f"{manifest.fps:.4g} fps",
        f"{seconds:.1f} s",
    ]
    if manifest.created:
        parts.append(f"imported {manifest.created[:10]}")
    return TakeCard(name=name, summary=" · ".join(parts), rows=rows, dropped=bad, notes=manifest.notes, take=take)


def _dropped(take: Take) -> dict[str, int]:
    """Return the number of frames without an image, by camera."""
    timeline = take.timeline()
    missing = np.asarray(timeline.frame_index < 0).sum(axis=0)
    return {name: int(n) for name, n in zip(timeline.cameras, missing, strict=True)}
