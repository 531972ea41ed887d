"""State and images of a running recording, read from its job's events and its rings of live images. No widgets."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.capture.ring import ImageRingReader
from core.capture.source import discover_cameras, parse_camera
from core.errors import CoreError
from core.jobs import Job, StatusChanged
from core.types.arrays import F64, I64, U8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveCamera:
    """Current state of a camera.

    Attributes:
        size_px: Width and height of its images; None until it runs.
        frames: Number of images so far.
        caption: Name, frame rate and share of the image that the board has covered.
        problem: Why it does not run; empty if it does.
        cells: Number of points seen in each part of the image so far.
        ring: Name of its ring of live images; empty until there is one.
    """

    size_px: tuple[int, int] | None
    frames: int
    caption: str
    problem: str
    cells: I64
    ring: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveState:
    """Current state of all cameras.

    Attributes:
        seconds: Duration of the recording so far.
        advice: How to move the board next.
        cameras: State by camera name.
    """

    seconds: float
    advice: str
    cameras: dict[str, LiveCamera]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preview:
    """A new image of a camera.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        corners_px: (n, 2) corners of the board, in px of `image`.
    """

    image: U8
    corners_px: F64


class LiveReader:
    """Follows a recording from another process; may attach at any time.

    Args:
        run: Folder of the recording's run.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._job: Job | None = None
        self._state: LiveState | None = None
        self._rings: dict[str, ImageRingReader] = {}

    def poll(self) -> LiveState | None:
        """Return the current state; None until the recording publishes one."""
        with contextlib.suppress(CoreError):
            self._job = self._job or Job(self._run)
            for event in self._job.poll():
                if isinstance(event, StatusChanged):
                    self._state = _state(event.values) or self._state
        return self._state

    def preview(self, name: str) -> Preview | None:
        """Return the newest image of a camera; None if there is none since the last call."""
        camera = self._state.cameras.get(name) if self._state is not None else None
        if camera is None or not camera.ring or camera.size_px is None:
            return None
        try:
            if camera.ring not in self._rings:
                self._rings[camera.ring] = ImageRingReader(camera.ring)
        except CoreError:
            return None  # the recording has just ended
        newest = self._rings[camera.ring].newest()
        if newest is None:
            return None
        corners = np.asarray(newest.info.get("corners", ()), float).reshape(-1, 2)
        scale = newest.image.shape[1] / camera.size_px[0]
        return Preview(image=newest.image, corners_px=(corners + 0.5) * scale - 0.5)

    def close(self) -> None:
        """Detach from the live images."""
        for ring in self._rings.values():
            ring.close()
        self._rings.clear()


def _state(values: Mapping[str, Any]) -> LiveState | None:
    """Return the state in an event's values; None if they are damaged or of another version."""
    try:
        cameras = {name: _camera(name, camera) for name, camera in values["cameras"].items()}
        return LiveState(seconds=float(values["seconds"]), advice=str(values["advice"]), cameras=cameras)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _camera(name: str, values: Mapping[str, Any]) -> LiveCamera:
    size = values["size_px"]
    share = f" · board in {values['share']:.0%}" if values["share"] else ""
    return LiveCamera(
        size_px=(int(size[0]), int(size[1])) if len(size) == 2 else None,
        frames=int(values["frames"]),
        caption=f"{name} · {values['fps']:.0f} fps{share}" if values["frames"] else name,
        problem=str(values["problem"]),
        cells=np.asarray(values["cells"], np.int64).reshape(len(values["cells"]), -1),
        ring=str(values["ring"]),
    )


def demo_addresses() -> tuple[str, ...]:
    """Return the simulated cameras as "name=address"."""
    addresses = [camera.address for camera in discover_cameras(simulated=True)]
    return tuple(f"cam{number:02d}={address}" for number, address in enumerate(addresses, 1))


def with_name(address: str, taken: tuple[str, ...]) -> str:
    """Return a camera as "name=address": with its own name if it has one, else with the first free one."""
    name, where = parse_camera(address)
    names = {parse_camera(one)[0] for one in taken}
    free = next(f"cam{i:02d}" for i in range(1, 1000) if f"cam{i:02d}" not in names)
    return f"{name or free}={where}"
