"""Settings of the data sets. Torch-free: the window reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """Which frames are kept out of training, to measure on.

    Attributes:
        share: Of all frames.
        blocks: Stretches of time that the held-out frames form, spread evenly.
        guard: Frames beside each block that belong to neither part: neighbours are near-copies.
        camera: Camera that held-out frames are also measured in without the networks seeing it; "auto" chooses one in
            rigs of four or more, empty measures in none.
        train_on_camera: Whether the networks train on what it shows in the other frames. Without, it is left out of
            the labels, of what the labels are cleaned with, and of all steps on the footage: the strictest measure,
            at the price of a camera.
    """

    share: float = 0.2
    blocks: int = 2
    guard: int = 2
    camera: str = "auto"
    train_on_camera: bool = True
