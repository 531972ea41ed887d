"""Settings of the training data, free of torch since the window reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """Settings of the split into training and validation frames.

    Attributes:
        share: Share of the frames that is held out for validation.
        blocks: Number of evenly spaced blocks of consecutive frames that are held out.
        guard: Number of frames on both sides of a block that are in neither split, since they are near-duplicates.
        camera: Camera that is withheld from the networks in validation, to measure the error in it; "auto" chooses one
            in rigs of four or more cameras, and an empty name withholds none.
        train_on_camera: Train on the withheld camera in the training frames. Otherwise it is excluded from the labels,
            their cleaning, and all training steps on the takes: the strictest validation, at the cost of a camera.
    """

    share: float = 0.2
    blocks: int = 2
    guard: int = 2
    camera: str = "auto"
    train_on_camera: bool = True
