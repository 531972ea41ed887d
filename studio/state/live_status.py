"""State of running cameras as reported by their job."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from core.capture.controls import Control
from core.config import from_mapping
from core.errors import CoreError
from core.types.arrays import I64

CameraPhase = Literal["starting", "running", "lost", "ended"]
TakePhase = Literal["watching", "countdown", "recording"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveCamera:
    """State of a camera.

    Attributes:
        phase: Connection state.
        problem: Reason why it is not running; empty if it is.
        size_px: Width and height of its images; None until it runs.
        frames: Number of images so far.
        fps: Measured frame rate.
        dropped: Number of dropped images since the start, or in the take.
        damaged: Number of undecodable images.
        lost: Number of images of the take that could not be stored in time.
        skew_ms: Time of its latest image relative to the frame set; None while unknown.
        drift_ppm: Drift of its clock; None while unknown.
        utc_error_ms: Wall clock of the camera minus that of this computer; None if it reports none.
        codec: Codec of the stored images; empty while unknown.
        sound: Codec and sample rate of its sound; empty without sound.
        controls: Available controls.
        cells: Number of board points per cell of the image so far.
        share: Fraction of the image covered by the board.
        ring: Name of its ring of live images; empty until there is one.
    """

    phase: CameraPhase
    problem: str
    size_px: tuple[int, int] | None
    frames: int
    fps: float
    dropped: int
    damaged: int
    lost: int
    skew_ms: float | None
    drift_ppm: float | None
    utc_error_ms: float | None
    codec: str
    sound: str
    controls: tuple[Control, ...]
    cells: I64
    share: float
    ring: str

    @property
    def missing(self) -> int:
        """Total number of missing images of the camera."""
        return self.dropped + self.damaged + self.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleStatus:
    """State of live 3D.

    Attributes:
        ring: Name of the ring of people; empty until there is one.
        fps: Rate of results; 0 until there are any.
        latency_ms: Latency of results.
        people: Number of people.
        problem: Reason why it has ended; empty while it runs.
        body_problem: Reason why no bodies are fitted; empty if they are, or are switched off.
        disagreeing: Cameras that disagree with the others.
    """

    ring: str = ""
    fps: float = 0.0
    latency_ms: int = 0
    people: int = 0
    problem: str = ""
    body_problem: str = ""
    disagreeing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveStatus:
    """State of all cameras and of the take.

    Attributes:
        phase: Phase of the recording.
        take: Name of the current or next take; empty for none.
        sound: True if the sound of cameras is stored in the take.
        takes: Names of the takes recorded since the start of the cameras.
        saving: Names of takes that are being saved.
        seconds: Length of the take so far, or time since the start of the cameras.
        countdown_s: Time until the take begins.
        markers: Number of markers of the take.
        disk_minutes: Remaining minutes of recording by disk space; None while unknown.
        live: True if live 3D is running.
        people: State of live 3D.
        advice: How to move the board next.
        cameras: State by camera name.
    """

    phase: TakePhase
    take: str
    sound: bool
    takes: tuple[str, ...]
    saving: tuple[str, ...]
    seconds: float
    countdown_s: float
    markers: int
    disk_minutes: float | None
    live: bool
    people: PeopleStatus
    advice: str
    cameras: dict[str, LiveCamera]

    @property
    def missing(self) -> int:
        """Total number of missing images of all cameras."""
        return sum(camera.missing for camera in self.cameras.values())

    @property
    def heard(self) -> tuple[str, ...]:
        """Names of the cameras that send sound."""
        return tuple(name for name, camera in self.cameras.items() if camera.sound)

    @property
    def starting(self) -> bool:
        """True while cameras are being opened and none has sent an image."""
        return not any(c.frames for c in self.cameras.values()) and any(
            c.phase == "starting" for c in self.cameras.values()
        )

    @property
    def skew_ms(self) -> float | None:
        """Latest minus earliest time in the frame set; None while unknown."""
        skews = [c.skew_ms for c in self.cameras.values() if c.skew_ms is not None and c.frames > 1]
        return max(skews) - min(skews) if len(skews) > 1 else None


def since(status: LiveStatus, before: LiveStatus) -> LiveStatus:
    """Return a state whose missing images are counted from an earlier state."""
    cameras = {}
    for name, camera in status.cameras.items():
        first = before.cameras.get(name)
        if first is not None:
            dropped, damaged = camera.dropped - first.dropped, camera.damaged - first.damaged
            camera = dataclasses.replace(camera, dropped=max(0, dropped), damaged=max(0, damaged))
        cameras[name] = camera
    return dataclasses.replace(status, cameras=cameras)


def live_status(values: Mapping[str, Any]) -> LiveStatus | None:
    """Return the state in the values of a status event; None if they are invalid or of another version."""
    try:
        phase = values.get("state", "watching")
        return LiveStatus(
            phase=phase if phase in get_args(TakePhase) else "watching",
            take=str(values.get("take", "")),
            sound=bool(values.get("sound")),
            takes=tuple(map(str, values.get("takes", ()))),
            saving=tuple(map(str, values.get("saving", ()))),
            seconds=float(values["seconds"]),
            countdown_s=float(values.get("countdown_s") or 0.0),
            markers=len(values.get("markers", ())),
            disk_minutes=_number(values.get("disk_minutes")),
            live=bool(values.get("live")),
            people=from_mapping(PeopleStatus, values.get("people", {})),
            advice=str(values["advice"]),
            cameras={name: _camera(camera) for name, camera in values["cameras"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, CoreError):
        return None


def _camera(values: Mapping[str, Any]) -> LiveCamera:
    size, problem, cells = values["size_px"], str(values["problem"]), values["cells"]
    phase = values.get("state", "")
    return LiveCamera(
        phase=phase if phase in get_args(CameraPhase) else "ended" if problem else "running" if size else "starting",
        problem=problem,
        size_px=(int(size[0]), int(size[1])) if size else None,
        frames=int(values["frames"]),
        fps=float(values["fps"]),
        dropped=int(values["dropped"]),
        damaged=int(values.get("damaged", 0)),
        lost=int(values.get("lost", 0)),
        skew_ms=_number(values.get("skew_ms")),
        drift_ppm=_number(values.get("drift_ppm")),
        utc_error_ms=_number(values.get("utc_error_ms")),
        codec=str(values.get("codec") or ""),
        sound=str(values.get("sound") or ""),
        controls=tuple(from_mapping(Control, one) for one in values.get("controls", ())),
        cells=np.asarray(cells, np.int64).reshape(len(cells), -1 if cells else 0),
        share=float(values["share"]),
        ring=str(values["ring"]),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
