"""Split into training and held-out frames, in blocks of time instead of single frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.datasets.config import SplitConfig
from core.errors import CoreError
from core.types.arrays import F64

_ENOUGH_CAMERAS = 4
_FEWEST_CAMERAS = 3
_TIME_EPS_S = 1e-6


def held_out(n_frames: int, config: SplitConfig) -> np.ndarray:
    """Return (T,) bool, the held-out frames: `blocks` intervals spread evenly over the take.

    A take too short for one frame per block has fewer blocks; at least one frame is held out if there are two or more.
    """
    out = np.zeros(n_frames, bool)
    wanted = round(config.share * n_frames)
    if config.share > 0 and n_frames >= 2:
        wanted = max(1, wanted)
    blocks = max(1, min(config.blocks, wanted))
    for b in range(blocks):
        length = wanted // blocks + (b < wanted % blocks)
        middle = (b + 0.5) * n_frames / blocks
        start = min(max(0, round(middle - length / 2)), n_frames - length)
        out[start : start + length] = True
    return out


def training_frames(time_s: F64, config: SplitConfig) -> np.ndarray:
    """Return (T,) bool, the training frames: those more than `guard_s` away from every held-out one.

    Args:
        time_s: (T,) increasing times.
        config: Settings of the split.
    """
    out = held_out(len(time_s), config)
    if not out.any():
        return ~out
    edges = np.concatenate([[-np.inf], time_s[out], [np.inf]])
    after = np.searchsorted(edges, time_s)
    distance = np.minimum(edges[after] - time_s, time_s - edges[after - 1])
    return np.asarray(~out & (distance > config.guard_s + _TIME_EPS_S))


def held_out_camera(names: Sequence[str], config: SplitConfig) -> int | None:
    """Return the index of the held-out camera; None without one.

    Raises:
        CoreError: The camera to exclude from training is not in the rig, or too few cameras would remain.
    """
    wanted = config.camera
    if wanted == "auto":
        wanted = names[len(names) // 2] if len(names) >= _ENOUGH_CAMERAS else ""
    found = list(names).index(wanted) if wanted in names else None
    if not config.train_on_camera and (found is None or len(names) < _FEWEST_CAMERAS):
        raise CoreError(
            f"Camera {config.camera!r} cannot be excluded from training in a rig of {', '.join(names)}.",
            "Set split.camera to a camera of a rig of three or more, or split.train_on_camera to true.",
        )
    return found
