"""Settings of 2D pose estimation. Torch-free and onnxruntime-free: the window reads it."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import CoreError

DEFAULT_ESTIMATOR = "movenet_multipose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DConfig:
    """How people are found in images.

    Attributes:
        estimator: Name of a model card.
        long_side_px: Longer side of the network's input; raise it for small people.
        person_threshold: Least score of a person.
        joint_threshold: Joints below this score are stored as missing.
        max_people: Most people kept per image, best first.
        heatmaps: Whether joint heatmaps are stored for training, where the estimator has them.
        provider: "auto", "cpu", "cuda", "coreml" or "directml".
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
                raise CoreError(f"{name} is {value}.", f"Give it a value from {least} to {most}.")
