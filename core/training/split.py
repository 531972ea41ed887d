"""Which moments are held out of training: blocks of time, never single frames."""

from __future__ import annotations

import numpy as np

from core.training.config import SplitConfig


def held_out(n_frames: int, config: SplitConfig) -> np.ndarray:
    """(T,) bool: moments to measure on, in `blocks` stretches spread evenly over the take.

    A take too short to have at least one moment a block keeps fewer blocks; one moment is held out at least when
    there are two or more.
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


def trained_on(n_frames: int, config: SplitConfig) -> np.ndarray:
    """(T,) bool: moments to train on, at least `guard` away from every held-out one."""
    out = held_out(n_frames, config)
    for _ in range(config.guard):
        out[1:] |= out[:-1].copy()
        out[:-1] |= out[1:].copy()
    return np.asarray(~out)
