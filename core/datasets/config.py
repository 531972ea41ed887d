"""Settings of the training data, free of torch since the window reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """Frames and camera that are held out of training to measure on.

    Attributes:
        share: Share of all frames that are held out.
        blocks: Number of time intervals that the held-out frames form, spread evenly.
        guard_s: Seconds next to each block in neither part: neighbours are near-copies.
        camera: Camera that held-out frames are also measured in without the networks seeing it. "auto" chooses one in
            rigs of four or more cameras, empty none.
        train_on_camera: Train on this camera in the other frames. Otherwise it is excluded from the labels, from
            cleaning them, and from all steps on the footage: the strictest measure, at the cost of a camera.
    """

    share: float = 0.2
    blocks: int = 2
    guard_s: float = 0.07
    camera: str = "auto"
    train_on_camera: bool = True
