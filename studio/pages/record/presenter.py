"""Contents of the Record page, without widgets."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtGui import QImage

from core.calibration.sync.certificate import SyncCertificate
from core.capture.controls import EXPOSURE, Control
from core.capture.source import SOURCES, FoundCamera, SourceOptions, open_source, parse_camera
from core.clock import SYSTEM_CLOCK
from core.errors import CoreError
from core.files import safe_name
from core.session import Session, Take
from core.session.clocks import describe_drift
from core.session.footage.sources import STREAM_SUFFIXES, VIDEO_SUFFIXES
from core.session.naming import cameras_of_files
from core.session.store import TakeKind, TakeManifest
from studio.state.live_status import LiveCamera, LiveStatus
from studio.widgets.images.image_view import Lines, first_thumbnail, to_image

VIDEO_FILES = f"Videos ({' '.join('*' + s for s in VIDEO_SUFFIXES + STREAM_SUFFIXES)});;All files (*)"
KINDS: tuple[tuple[str, TakeKind], ...] = (("People", "motion"), ("Board", "board"), ("Board on the floor", "floor"))
"""Kinds of takes with their titles."""
CAMERA_HEADERS = ("Camera", "File", "Resolution", "Images", "Frame rate", "Dropped")


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeCard:
    """Description of a take.

    Attributes:
        name: Name of the take.
        summary: Cameras, length, frame rate and date.
        rows: One row per camera with the columns of `CAMERA_HEADERS`.
        dropped: (row, column) of the cells with dropped images.
        notes: Irregularities found at import.
        error: Reason why the take cannot be read, in which case the other attributes are empty.
        take: The take; None if it cannot be read.
        certificate: Sync certificate; None if there is none.
        unchecked: Sentence if the synchronisation can be checked, but was not; empty otherwise.
        certifiable: True if it can be checked as things are.
    """

    name: str
    summary: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    dropped: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
    take: Take | None = None
    certificate: SyncCertificate | None = None
    unchecked: str = ""
    certifiable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeResult:
    """Description of a new take.

    Attributes:
        name: Name of the take.
        kind: Kind of take.
        level: "ok" or "warning".
        sentence: Summary.
        details: Irregularities, and the sync certificate.
        certifiable: True if it has no sync certificate, but can get one.
        certify: True if it is certified automatically: people or a board in front of calibrated cameras.
    """

    name: str
    kind: TakeKind
    level: str
    sentence: str
    details: str
    certifiable: bool
    certify: bool


def take_result(session: Session, name: str) -> TakeResult:
    """Return the description of a new take.

    Raises:
        CoreError: The take cannot be read.
    """
    take = session.take(name)
    manifest, dropped = take.manifest, _dropped(take)
    missing = {camera: count for camera, count in dropped.items() if count}
    seconds = length_s(manifest)
    cameras = f"{len(manifest.cameras)} camera{'s' if len(manifest.cameras) != 1 else ''}"
    count = sum(missing.values())
    drops = f"{count:,} dropped image{'s' if count != 1 else ''}" if count else "no dropped images"
    heard = sum(bool(camera.sound) for camera in manifest.cameras)
    sound = f", sound of {heard}" if heard else ""
    text = f"{name}: {cameras}{sound}, {elapsed_text(seconds)} at {manifest.fps:.4g} fps, {drops}."
    notes = list(manifest.notes) or [f"{camera} dropped {n:,}." for camera, n in missing.items()]
    certificate = certificate_of(take)
    if certificate is not None and (not certificate.good or certificate.notes):
        notes += [certificate.summary, *certificate.notes]
    unchecked, certifiable = _unchecked(session, take, certificate)
    found = [certificate.summary] if certificate is not None and certificate.good else []
    return TakeResult(
        name=name,
        kind=manifest.kind,
        level="warning" if notes else "ok",
        sentence=text,
        details=" ".join(found + notes),
        certifiable=certifiable,
        certify=bool(unchecked) and _calibrated(session, take),
    )


def _calibrated(session: Session, take: Take) -> bool:
    """Return whether the session's rig has all cameras of a take; False if the rig is damaged."""
    try:
        rig = session.rig
    except CoreError:
        return False  # reported by the Calibrate page
    return rig is not None and set(take.cameras) <= set(rig.names)


def _unchecked(session: Session, take: Take, certificate: SyncCertificate | None) -> tuple[str, bool]:
    """Return a sentence if the synchronisation of a take was not checked, and whether it can be as things are."""
    if certificate is not None or len(take.cameras) < 2 or take.manifest.kind == "floor":
        return "", False
    if take.manifest.kind == "board" or _calibrated(session, take):
        return "The synchronisation was not checked.", True
    return "The synchronisation was not checked: people show it once the cameras are calibrated.", False


def certificate_of(take: Take) -> SyncCertificate | None:
    """Return the sync certificate of a take; None if there is none.

    Raises:
        CoreError: It cannot be read.
    """
    return SyncCertificate.load(take.layout.sync) if take.layout.sync.is_file() else None


def take_cards(session: Session) -> list[TakeCard]:
    """Return the descriptions of all takes."""
    return [_card(session, name) for name in session.take_names()]


def first_frame(take: Take, camera: str) -> tuple[QImage, list[Lines]]:
    """Return a small copy of a camera's first image, without lines.

    Raises:
        CoreError: The video cannot be read.
    """
    return first_thumbnail(take, camera), []


def proposed_name(session: Session, videos: Sequence[Path]) -> str:
    """Return an unused name for a take: that of the videos' folder, with a number if it is taken."""
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
    """Return a camera for each video: one of the rig matched by file name or, without a rig, the file name."""
    stems = list(names)
    rig = session.rig
    if rig is not None:
        try:
            return cameras_of_files(stems, rig.names)
        except CoreError:
            return [""] * len(stems)  # the user assigns them
    return stems


def counted_name(text: str, taken: Sequence[str]) -> str:
    """Return a name for the next take: the text with the next unused number, such as "walk_03".

    Args:
        text: Name with or without a number.
        taken: Existing names.
    """
    try:
        name = safe_name(text)
    except CoreError:
        name = "take"
    found = re.fullmatch(r"(.*?)_?(\d{1,6})", name)
    base, number = (found[1] or "take", int(found[2])) if found else (name, 1)
    folded = {one.casefold() for one in taken}
    return next(n for i in range(number, 10_000_000) if (n := f"{base}_{i:02d}").casefold() not in folded)


def elapsed_text(seconds: float, *, up: bool = False) -> str:
    """Return a duration as minutes and seconds.

    Args:
        seconds: Duration.
        up: Round up, for countdowns.
    """
    whole = math.ceil(seconds) if up else int(seconds)
    hours, rest = divmod(whole, 3600)
    return (f"{hours}:" if hours else "") + f"{rest // 60:0{2 if hours else 1}d}:{rest % 60:02d}"


def recording_facts(status: LiveStatus) -> list[str]:
    """Return short facts on the recording of all cameras."""
    parts = [f"Saving {', '.join(status.saving)}…"] if status.saving else []
    if status.missing:
        parts.append(f"{status.missing:,} dropped")
    if status.sound and status.heard:
        parts.append("with sound")
    if status.skew_ms is not None:
        parts.append(f"skew {status.skew_ms:.0f} ms")
    if status.disk_minutes is not None:
        minutes = status.disk_minutes
        parts.append(f"disk {minutes:.0f} min" if minutes < 600 else f"disk {minutes / 60:.0f} h")
    if status.markers:
        parts.append(f"{status.markers} marker{'s' if status.markers != 1 else ''}")
    return parts


def sound_tip(status: LiveStatus | None) -> str:
    """Return the tooltip of the sound option; empty if no camera has sound."""
    heard = () if status is None else status.heard
    if not heard:
        return ""
    return (
        f"Store the sound of {', '.join(heard)} in the videos of the take. Off by default, since "
        "voices are personal data: inform people before you record them."
    )


def fact_rows(camera: LiveCamera | None) -> tuple[tuple[str, str], ...]:
    """Return facts on a camera as (title, value)."""
    if camera is None:
        return (("State", "Off"),)
    rows = [("State", {"lost": "Reconnecting"}.get(camera.phase, camera.phase.capitalize()))]
    if camera.problem:
        rows.append(("Problem", camera.problem))
    if camera.size_px is not None:
        rows.append(("Size", f"{camera.size_px[0]} × {camera.size_px[1]}"))
    if camera.frames > 1:
        rows.append(("Rate", f"{camera.fps:.2f} fps"))
    if camera.skew_ms is not None:
        rows.append(("Skew", f"{camera.skew_ms:+.1f} ms"))
    if camera.drift_ppm is not None:
        rows.append(("Drift", describe_drift(camera.drift_ppm)))
    if camera.utc_error_ms is not None:
        rows.append(("Wall clock", f"{camera.utc_error_ms:+.0f} ms"))
    for title, count in (("Dropped", camera.dropped), ("Damaged", camera.damaged), ("Not stored", camera.lost)):
        if count or title == "Dropped":
            rows.append((title, f"{count:,}"))
    if camera.codec:
        rows.append(("Stored as", camera.codec))
    if camera.sound:
        rows.append(("Sound", camera.sound))
    return tuple(rows)


_CONTROL_HELP = {
    "trigger": "Free-running cameras expose up to half a frame apart. A cable from a pulse generator (Line…) or a "
    "command of this computer (Software, Action…) makes them expose simultaneously.",
    "ptp": "PTP synchronises the clocks of cameras, not their exposures. Use a trigger for these, or action commands, "
    "which PTP makes exact.",
}


def control_title(control: Control) -> str:
    """Return the display name of a control."""
    return control.name.replace("_", " ").capitalize().replace("Ptp", "PTP")


def control_help(control: Control) -> str:
    """Return an explanation of a control; empty if the name suffices."""
    return _CONTROL_HELP.get(control.name, "")


def control_text(control: Control) -> str:
    """Return the value of a control with its unit."""
    if control.choices:
        return control.choices[round(control.value)]
    if control.unit == "us":
        return f"{control.value / 1000:.3g} ms"
    return f"{control.value:.4g} {control.unit}".strip()


def control_position(control: Control) -> float:
    """Return the position of the value on a slider, 0 to 1; that of exposures is logarithmic."""
    low, high, value = control.minimum, control.maximum, min(max(control.value, control.minimum), control.maximum)
    if high <= low:
        return 0.0
    if control.name == EXPOSURE and low > 0:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def control_value(control: Control, position: float) -> float:
    """Return the value at a position of a slider; see `control_position`."""
    low, high = control.minimum, control.maximum
    if control.name == EXPOSURE and low > 0:
        value = low * math.exp(position * math.log(high / low))
    else:
        value = low + (high - low) * position
    if control.step > 0:
        value = low + control.step * round((value - low) / control.step)
    return min(max(value, low), high)


def address_problem(address: str, name: str) -> str:
    """Return why a camera cannot be added; empty if it can be."""
    text = address.strip()
    if not text:
        return "Enter an address."
    if name.strip() and parse_camera(f"{name.strip()}=x")[0] != name.strip():
        return "Use letters, digits, - and _ in the name."
    if not any(SOURCES.get(kind).accepts(text) for kind in SOURCES):
        return "This is neither a camera address nor a video file."
    return ""


def try_camera(address: str) -> tuple[QImage, str]:
    """Connect to a camera, and return its first image and a description; blocks.

    Raises:
        CoreError: The camera does not respond, or sends no image.
    """
    options = SourceOptions(camera="test", start_ns=SYSTEM_CLOCK.now_ns())
    with contextlib.closing(open_source(address, options)) as source:
        frame = next(iter(source.frames()), None)
        if frame is None:
            raise CoreError("The camera sends no image.", "Check that it is not used by another program.")
        image = to_image(frame.image)
        rate = f", {source.fps:.3g} fps" if source.fps > 0 else ""
    return image, f"The camera responds: {image.width()} × {image.height()}{rate}."


def found_text(found: Sequence[FoundCamera], *, searched: bool) -> str:
    """Return a sentence on connected cameras."""
    if not searched:
        return "Looking for cameras…"
    if not found:
        return "No camera is connected to this computer."
    titles = [camera.title for camera in found]
    shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
    return f"Found: {shown}."


def length_s(manifest: TakeManifest) -> float:
    """Return the length of a take in s from its number of frames and frame rate."""
    return manifest.n_frames / manifest.fps if manifest.fps > 0 else 0.0


def cut_problem(times_s: Sequence[float], length_s: float) -> str:
    """Return why a take cannot be cut at given times; empty if it can be.

    Args:
        times_s: Start and end of the part, or the time of the split.
        length_s: Length of the take.
    """
    if len(times_s) == 1:
        return "" if 0 < times_s[0] < length_s else "Choose a time within the take."
    if times_s[0] >= times_s[1]:
        return "The part has to start before it ends."
    whole = times_s[0] <= 0 and times_s[1] >= length_s
    return "Choose a later start or an earlier end." if whole else ""


def import_problem(name: str, cameras: Sequence[str], session: Session) -> str:
    """Return why videos cannot be imported with given names; empty if they can be."""
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
        dropped, certificate = _dropped(take), certificate_of(take)
    except CoreError as error:
        return TakeCard(name=name, error=str(error))
    manifest = take.manifest
    unchecked, certifiable = _unchecked(session, take, certificate)
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
    if heard := [camera.name for camera in manifest.cameras if camera.sound]:
        parts.append("with sound" if len(heard) == len(manifest.cameras) else f"sound of {', '.join(heard)}")
    if manifest.created:
        made = "recorded" if manifest.source == "recording" else "imported"
        parts.append(f"{made} {manifest.created[:10]}")
    return TakeCard(
        name=name,
        summary=" · ".join(parts),
        rows=rows,
        dropped=bad,
        notes=manifest.notes,
        take=take,
        certificate=certificate,
        unchecked=unchecked,
        certifiable=certifiable,
    )


def _dropped(take: Take) -> dict[str, int]:
    """Return the number of frames without an image, by camera."""
    timeline = take.timeline()
    missing = np.asarray(timeline.frame_index < 0).sum(axis=0)
    return {name: int(n) for name, n in zip(timeline.cameras, missing, strict=True)}
