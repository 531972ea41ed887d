"""Settings of 2D pose estimation, free of torch and onnxruntime since the window reads them."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import CoreError

DEFAULT_ESTIMATOR = "movenet_multipose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DConfig:
    """Settings of the 2D pose estimator.

    Attributes:
        estimator: Name of the model card; `movenet_multipose` ships with the program.
        long_side_px: Longer side in pixels to which MoveNet scales images; heatmaps are stored at a quarter of it.
            Increase it for people who are small in the image.
        person_threshold: Minimum score of a person, from 0 to 1.
        joint_threshold: Minimum score of a joint, from 0 to 1; joints below it are stored as missing.
        max_people: Maximum number of people per image; those with the highest scores are kept.
        heatmaps: Store joint heatmaps, for training with `model.heatmap.source=estimator`.
        provider: Execution provider of onnxruntime: "auto", "cpu", "cuda", "coreml" or "directml"; "auto" takes the
            fastest one available.
    """

    estimator: str = DEFAULT_ESTIMATOR
    long_side_px: int = 512
    person_threshold: float = 0.25
    joint_threshold: float = 0.1
    max_people: int = 10
    heatmaps: bool = True
    provider: str = "auto"

    def __post_init__(self) -> None:
        limits = {
            "long_side_px": (self.long_side_px, 32, 4096),
            "person_threshold": (self.person_threshold, 0, 1),
            "joint_threshold": (self.joint_threshold, 0, 1),
            "max_people": (self.max_people, 1, 1000),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise CoreError(f"{name} is {value}, expected {least} to {most}.", "Set it to a value in this range.")
