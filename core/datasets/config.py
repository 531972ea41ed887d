"""Settings of the training data. Torch-free: the window reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """Settings of the split into training frames, held-out frames and a held-out camera.

    Attributes:
        share: Fraction of all frames to hold out.
        blocks: Number of evenly spaced time intervals that form the held-out frames.
        guard_s: Time in s next to each held-out block that is excluded from training, since adjacent frames are
            near-copies.
        camera: Camera in which held-out frames are also measured without being network input. "auto" chooses one in
            rigs of four or more cameras; empty chooses none.
        train_on_camera: Use this camera in training frames. Otherwise it is excluded from the labels, from their
            cleaning and from all training on the footage: the strictest measure, at the cost of a camera.
    """

    share: float = 0.2
    blocks: int = 2
    guard_s: float = 0.07
    camera: str = "auto"
    train_on_camera: bool = True
