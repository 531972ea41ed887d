"""State of a running recording, read from its folder. No widgets."""

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
    """State of one camera.

    Attributes:
        size_px: Width and height of its images; None until the first image.
        frames: Number of images so far.
        caption: Name, frame rate, and share of images that show the board.
        problem: Why the camera does not run; empty if it does.
        corners_px: (n, 2) board corners in the newest image.
        cells: Number of corners seen so far in each cell of the image.
        image: File of the newest image.
    """

    size_px: tuple[int, int] | None
    frames: int
    caption: str
    problem: str
    cells: I64
    ring: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveState:
    """State of all cameras.

    Attributes:
        seconds: Time since the recording started.
        advice: How to move the board next.
        cameras: Cameras by name.
    """

    seconds: float
    advice: str
    cameras: dict[str, LiveCamera]


def read_live(run: Path) -> LiveState | None:
    """Read the live state of a run; None while there is none or it cannot be read."""
    try:
        layout = RunLayout(run)
        values: Any = read_json(layout.live_state)
        cameras = {name: _camera(name, one, layout.live_image(name)) for name, one in values["cameras"].items()}
        return LiveState(seconds=float(values["seconds"]), advice=str(values["advice"]), cameras=cameras)
    except (CoreError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _camera(name: str, values: Any, image: Path) -> LiveCamera:
    size = values["size_px"]
    caption = f"{name} · {values['fps']:.0f} fps" + (f" · board in {values['share']:.0%}" if values["share"] else "")
    return LiveCamera(
        size_px=(int(size[0]), int(size[1])) if len(size) == 2 else None,
        frames=int(values["frames"]),
        caption=caption if values["frames"] else name,
        problem=str(values["problem"]),
        corners_px=np.asarray(values["corners"], float).reshape(-1, 2),
        cells=np.asarray(values["cells"], np.int64).reshape(len(values["cells"]), -1),
        image=image,
    )


def with_name(address: str, taken: tuple[str, ...]) -> str:
    """Return a camera as "name=address": with its own name if it has one, else with the first free one."""
    name, where = name_and_address(address)
    names = {name_and_address(one)[0] for one in taken}
    free = next(f"cam{i:02d}" for i in range(1, 1000) if f"cam{i:02d}" not in names)
    return f"{name or free}={where}"
