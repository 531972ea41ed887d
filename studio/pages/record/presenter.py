"""What the Record page shows, without widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtGui import QImage

from core.errors import CoreError
from core.files import safe_name
from core.session import Session, Take
from core.session.ingest import VIDEO_SUFFIXES
from core.session.naming import cameras_of_files
from studio.widgets.image_view import Lines, first_image

VIDEO_FILES = f"Videos ({' '.join('*' + s for s in VIDEO_SUFFIXES)});;All files (*)"
CAMERA_HEADERS = ("Camera", "File", "Image", "Images", "Rate", "Dropped")


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeCard:
    """A take as it was really recorded.

    Attributes:
        name: Its name.
        facts: Length, rate and origin in one line.
        rows: One a camera, in the columns of `CAMERA_HEADERS`.
        dropped: (row, column) of cells that tell of dropped images.
        notes: What was odd when it was brought in.
        error: Why it cannot be read; the rest is empty then.
    """

    name: str
    facts: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    dropped: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""


def take_cards(session: Session) -> list[TakeCard]:
    """Every take of the session."""
    return [_card(session, name) for name in session.take_names()]


def image(take: Take, camera: str) -> tuple[QImage, list[Lines]]:
    """The first image of one camera.

    Raises:
        CoreError: The video cannot be read.
    """
    return first_image(take, camera), []


def proposed_name(session: Session, videos: Sequence[Path]) -> str:
    """A take name that is free: the folder of the videos, or a number."""
    base = videos[0].parent.name if videos else ""
    try:
        name = safe_name(base)
    except CoreError:
        name = "take"
    taken = set(session.take_names())
    return name if name not in taken else next(n for i in range(2, 10_000) if (n := f"{name}_{i}") not in taken)


def proposed_cameras(session: Session, videos: Sequence[Path]) -> list[str]:
    """A camera for every video: one of the rig where the file names tell, else the file's own name."""
    stems = [v.stem for v in videos]
    rig = session.rig
    if rig is not None:
        try:
            return cameras_of_files(stems, rig.names)
        except CoreError:
            return [""] * len(stems)  # the person says which is which
    return stems


def objection(name: str, cameras: Sequence[str], session: Session) -> str:
    """Why these answers cannot be imported yet; empty if they can."""
    try:
        plain = safe_name(name)
    except CoreError as error:
        return str(error)
    if plain in session.take_names():
        return f"There is a take '{plain}' already. Choose another name."
    if any(not camera.strip() for camera in cameras):
        return "Say for every video which camera filmed it."
    doubled = {c for c in cameras if cameras.count(c) > 1}
    if doubled:
        return f"Two videos cannot both be of camera {min(doubled)}."
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
    facts = [
        f"{len(manifest.cameras)} camera{'s' if len(manifest.cameras) != 1 else ''}",
        f"{manifest.n_frames:,} frames",
        f"{manifest.fps:.4g} fps",
        f"{seconds:.1f} s",
    ]
    if manifest.created:
        facts.append(f"imported {manifest.created[:10]}")
    return TakeCard(name=name, facts=" · ".join(facts), rows=rows, dropped=bad, notes=manifest.notes)


def _dropped(take: Take) -> dict[str, int]:
    """Frames of the take that each camera has no image of."""
    timeline = take.timeline()
    missing = np.asarray(timeline.frame_index < 0).sum(axis=0)
    return {name: int(n) for name, n in zip(timeline.cameras, missing, strict=True)}
