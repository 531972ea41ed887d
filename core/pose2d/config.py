"""Settings of 2D pose estimation, without imports of torch and onnxruntime for a fast start of the window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.errors import CoreError

DEFAULT_ESTIMATOR = "movenet_multipose"
DEFAULT_LONG_SIDE_PX = 512
LARGE_LONG_SIDE_PX = 1024
"""Longer side of the network input for people who are small in the image."""


SCALING_RUNNERS = frozenset({"movenet"})
"""Runners with a free input size; the others scale images to the training size of their network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DConfig:
    """Settings of the 2D pose estimator.

    Attributes:
        estimator: Name of the model card; `movenet_multipose` ships with the program.
        long_side_px: Longer side in pixels to which MoveNet scales images; heatmaps are stored at a quarter of it. 0
            chooses 1024 if the people in a few images of the take are small, and 512 otherwise.
        person_threshold: Minimum score of a person, from 0 to 1.
        joint_threshold: Minimum score of a joint, from 0 to 1; joints below it are stored as missing.
        max_people: Maximum number of people per image; those with the highest scores are kept.
        upright: "auto" tests a few images of each camera in all four orientations, and rotates the images of cameras
            mounted on their side or upside down; "off" uses all images without rotation.
        second_look: Refine the joints of people on crops at full resolution near their triangulation: "on", "off", or
            "auto" if people are small in MoveNet's input. Needs calibrated cameras.
        heatmaps: Store joint heatmaps, for training with `model.heatmap.source=estimator`.
        provider: Execution provider of onnxruntime: "auto", "cpu", "cuda", "coreml" or "directml"; "auto" uses the
            fastest one available.
    """

    estimator: str = DEFAULT_ESTIMATOR
    long_side_px: int = 0
    person_threshold: float = 0.25
    joint_threshold: float = 0.1
    max_people: int = 10
    upright: Literal["auto", "off"] = "auto"
    second_look: Literal["auto", "on", "off"] = "auto"
    heatmaps: bool = True
    provider: str = "auto"

    def __post_init__(self) -> None:
        limits = {
            "long_side_px": (self.input_px, 32, 4096),
            "person_threshold": (self.person_threshold, 0, 1),
            "joint_threshold": (self.joint_threshold, 0, 1),
            "max_people": (self.max_people, 1, 1000),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise CoreError(f"{name} is {value}, expected {least} to {most}.", "Set it to a value in this range.")

    @property
    def input_px(self) -> int:
        """Longer side of the network input in pixels; the default if the size has not been chosen yet."""
        return self.long_side_px or DEFAULT_LONG_SIDE_PX


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChoice:
    """Input size chosen for a take.

    Attributes:
        long_side_px: Longer side of the network input.
        person_px: Median longer side of the people's boxes in pixels of an input of the default size; None if no
            people were found.
    """

    long_side_px: int
    person_px: float | None

    @property
    def message(self) -> str:
        """Sentence about the choice, its reason and its cost."""
        default, large = DEFAULT_LONG_SIDE_PX, LARGE_LONG_SIDE_PX
        cost = f"about {round((large / default) ** 2)} times as long"
        if self.long_side_px == large:
            people = "nobody is found" if self.person_px is None else f"people are only {self.person_px:.0f} px tall"
            return f"Images are scaled to {large} px, since {people} at {default} px; this takes {cost}."
        people = "nobody was found" if self.person_px is None else f"people are {self.person_px:.0f} px tall there"
        return f"Images are scaled to {default} px, as {people}; {large} px would take {cost}."
