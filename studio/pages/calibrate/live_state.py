"""What a recording that runs tells of itself, read from its folder. No widgets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.capture.source import name_and_address
from core.errors import CoreError
from core.files import read_json
from core.session import RunLayout
from core.types.arrays import F64, I64

DEMO = tuple(f"cam{i:02d}=demo:cam{i:02d}" for i in range(1, 5))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveCamera:
    """One camera now.

    Attributes:
        size_px: Width and height of its images; None until it runs.
        frames: Images so far.
        words: For its caption.
        problem: Why it does not run; empty if it does.
        corners_px: (n, 2) of the board in the newest image.
        cells: Points seen in each part of the image so far.
        image: File of the newest image.
    """

    size_px: tuple[int, int] | None
    frames: int
    words: str
    problem: str
    corners_px: F64
    cells: I64
    image: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveState:
    """All cameras now.

    Attributes:
        seconds: Since the recording began.
        advice: What to show the cameras next.
        cameras: By name.
    """

    seconds: float
    advice: str
    cameras: dict[str, LiveCamera]


def read_live(run: Path) -> LiveState | None:
    """What a run tells; None as long as it says nothing."""
    try:
        layout = RunLayout(run)
        told: Any = read_json(layout.live_state)
        cameras = {name: _camera(name, one, layout.live_image(name)) for name, one in told["cameras"].items()}
        return LiveState(seconds=float(told["seconds"]), advice=str(told["advice"]), cameras=cameras)
    except (CoreError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _camera(name: str, told: Any, image: Path) -> LiveCamera:
    size = told["size_px"]
    words = f"{name} · {told['fps']:.0f} fps" + (f" · board in {told['share']:.0%}" if told["share"] else "")
    return LiveCamera(
        size_px=(int(size[0]), int(size[1])) if len(size) == 2 else None,
        frames=int(told["frames"]),
        words=words if told["frames"] else name,
        problem=str(told["problem"]),
        corners_px=np.asarray(told["corners"], float).reshape(-1, 2),
        cells=np.asarray(told["cells"], np.int64).reshape(len(told["cells"]), -1),
        image=image,
    )


def named(address: str, taken: tuple[str, ...]) -> str:
    """A camera as "name=address": as it was typed, or with the first free name."""
    name, where = name_and_address(address)
    names = {name_and_address(one)[0] for one in taken}
    free = next(f"cam{i:02d}" for i in range(1, 1000) if f"cam{i:02d}" not in names)
    return f"{name or free}={where}"
