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
    """The rigs that synthetic people are seen by.

    Attributes:
        random: Made-up rigs as well as the footage's own: networks that serve rigs they never saw.
        own_share: Chance that a step plays in the footage's own rig all the same.
        count: Number of made-up rigs.
        held: Of these in memory at once.
        cameras: Least and largest number of cameras.
    """

    random: bool = False
    own_share: float = 0.2
    count: int = 1000
    held: int = 24
    cameras: tuple[int, int] = (2, 10)

    def __post_init__(self) -> None:
        if not 2 <= self.cameras[0] <= self.cameras[1] or self.count < 1 or self.held < 1:
            raise CoreError(
                f"Rigs of {self.cameras[0]} to {self.cameras[1]} cameras, {self.count} of them, cannot be made.",
                "Use two cameras or more, and at least one rig.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Training of the root and pose networks.

    Attributes:
        name: Of the preset that these settings come from: says which shipped networks belong to them.
        seed: The randomness of a step depends on this, the stage and the step alone, so that a resumed run is exact.
        device: "auto", "cuda", "mps" or "cpu".
        precision: What the networks compute in: "auto" is bf16 where the device gains by it.
        model: The networks.
        split: What is held out.
        start: Networks to start from: "shipped" are those that come with the program for these settings, trained on
            synthetic people in made-up rigs; a folder is that of a checkpoint; empty starts from noise.
        volume_mm: Lowest and highest corner of the box that the root network looks into, x y z x y z in the world; empty
            derives it from the rig and the people in the takes.
        labels: What training aims at: "clean" are 2D joints that all views agree on, with confidences; "raw" are the
            estimator's own, all of them, as published.
        rigs: Where synthetic people are seen.
        backbone: Heatmaps from images.
        root: Where people are.
        pose_synthetic: Bodies, from synthetic people.
        ray_refiner: The learned correction.
        temporal: The learned smoother.
        pose: Bodies, from the footage.
        finetune: The same on confident labels.
        warmup: Share of a stage in which the learning rate rises; it falls along a cosine afterwards.
        clip_gradient: Largest norm of the gradient.
        measure_every: Steps between two held-out figures.
        measure_frames: Most held-out frames a figure is measured on.
        checkpoint_s: Seconds between two checkpoints.
        max_minutes: A safety for slow machines: a stage that used up its part of this time ends early, with a note.
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
