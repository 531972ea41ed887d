"""Settings of training. Torch-free: the window reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.datasets.config import SplitConfig
from core.errors import CoreError
from core.models.config import ModelConfig
from core.training.stages.config import (
    BackboneStageConfig,
    PoseStageConfig,
    PoseSyntheticStageConfig,
    RayRefinerStageConfig,
    RootStageConfig,
    TemporalStageConfig,
    finetune_stage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RigsConfig:
    """Settings of the rigs for synthetic people.

    Attributes:
        random: Draw random rigs besides the rig of the takes, for networks that generalise to unseen rigs.
        own_share: Probability that a step uses the rig of the takes instead of a random one.
        count: Number of random rigs.
        cache_size: Number of random rigs in memory at once.
        cameras: Minimum and maximum number of cameras of a random rig.
        distance_mm: Minimum and maximum distance of the cameras from the people.
    """

    random: bool = False
    own_share: float = 0.2
    count: int = 1000
    cache_size: int = 24
    cameras: tuple[int, int] = (2, 10)
    distance_mm: tuple[float, float] = (3000.0, 30_000.0)

    def __post_init__(self) -> None:
        if not 2 <= self.cameras[0] <= self.cameras[1] or self.count < 1 or self.cache_size < 1:
            raise CoreError(
                f"{self.count} random rigs of {self.cameras[0]} to {self.cameras[1]} cameras are not possible.",
                "Use at least one rig with at least two cameras.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of training.

    Attributes:
        name: Name of the preset of the settings, by which shipped networks are found.
        seed: Seed of the random numbers. Those of a step depend only on seed, stage and step, so that a resumed run
            gives the same result.
        device: Device to train on: "auto", "cuda", "mps" or "cpu".
        precision: Number format of the networks; "auto" selects bf16 on devices that benefit from it, otherwise fp32.
        model: Settings of the networks.
        split: Settings of the split into training and validation frames.
        start: Initial networks: "shipped" for those included with the program for these settings, trained on synthetic
            people in random rigs, or the folder of a checkpoint. If empty, weights are random.
        volume_mm: Lowest and highest corner of the capture volume in world coordinates, six numbers x y z x y z. If
            empty, it is derived from the rig and the people in the takes.
        labels: Kind of pseudo labels: "clean" for 2D joints on which all views agree, with confidences, or "raw" for
            all joints of the 2D estimator, as published.
        rigs: Settings of the rigs for synthetic people.
        backbone: Stage that trains the 2D network, which computes heatmaps from images.
        root: Stage that trains the root network.
        pose_synthetic: Stage that trains the pose network on synthetic people.
        ray_refiner: Stage that trains the ray refiner.
        temporal: Stage that trains the temporal refiner.
        pose: Stage that trains the pose network on the takes.
        finetune: Stage that trains the pose network on the takes with confident labels only.
        warmup: Fraction of a stage in which the learning rate rises; afterwards it decays along a cosine.
        clip_gradient: Maximum norm of the gradient; larger gradients are scaled down.
        measure_every: Number of steps between two validations.
        measure_frames: Maximum number of frames per validation.
        checkpoint_s: Time in s between two checkpoints.
        max_minutes: Maximum time of training, for slow machines; a stage that exceeds its part of it ends early, with a
            note.
    """

    name: str = ""
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    model: ModelConfig = field(default_factory=ModelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    start: str = ""
    volume_mm: tuple[float, ...] = ()
    labels: Literal["clean", "raw"] = "clean"
    rigs: RigsConfig = field(default_factory=RigsConfig)
    backbone: BackboneStageConfig = field(default_factory=BackboneStageConfig)
    root: RootStageConfig = field(default_factory=RootStageConfig)
    pose_synthetic: PoseSyntheticStageConfig = field(default_factory=PoseSyntheticStageConfig)
    ray_refiner: RayRefinerStageConfig = field(default_factory=RayRefinerStageConfig)
    temporal: TemporalStageConfig = field(default_factory=TemporalStageConfig)
    pose: PoseStageConfig = field(default_factory=PoseStageConfig)
    finetune: PoseStageConfig = field(default_factory=finetune_stage)
    warmup: float = 0.05
    clip_gradient: float = 1.0
    measure_every: int = 50
    measure_frames: int = 16
    checkpoint_s: float = 30.0
    max_minutes: float = 600.0

    def __post_init__(self) -> None:
        if self.volume_mm and (
            len(self.volume_mm) != 6 or any(a >= b for a, b in zip(self.volume_mm[:3], self.volume_mm[3:], strict=True))
        ):
            raise CoreError(
                f"training.volume_mm is {list(self.volume_mm)}.",
                "Give six numbers, the lowest corner and then the highest: x y z x y z in mm.",
            )
