"""Presets of training settings. Torch-free: the window reads them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from core.errors import CoreError
from core.models.config import (
    HeatmapConfig,
    ModelConfig,
    PoseNetConfig,
    RayRefinerConfig,
    RootNetConfig,
    TemporalRefinerConfig,
    VolumeNetConfig,
)
from core.registry import closest
from core.training.config import TrainConfig
from core.training.stages.config import (
    BackboneStageConfig,
    NoiseConfig,
    PoseStageConfig,
    PoseSyntheticStageConfig,
    RayRefinerStageConfig,
    RootStageConfig,
    finetune_stage,
    paper_stage,
)


def quick() -> TrainConfig:
    """Return settings that take minutes on two cores: half-width networks, coarse volumes, few steps."""
    net = VolumeNetConfig(width=0.5, front_kernel=3)
    return TrainConfig(
        name="quick",
        start="shipped",
        model=ModelConfig(
            skeleton="coco19",
            heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0),
            root=_plane_root(net),
            pose=PoseNetConfig(net=net, voxels=32, ray_refiner=RayRefinerConfig(enabled=True)),
            temporal=TemporalRefinerConfig(enabled=True),
        ),
        root=RootStageConfig(steps=100, batch=4, learning_rate=5e-4, common_height=False, heatmap_noise=0.002),
        pose_synthetic=PoseSyntheticStageConfig(steps=160, batch=8, learning_rate=1e-3),
        ray_refiner=RayRefinerStageConfig(
            steps=0
        ),  # further training in one rig made the shipped refiner worse with few cameras
        pose=PoseStageConfig(steps=70, batch=2, learning_rate=3e-4, joint_from=0.3),
        max_minutes=14.0,
    )


def fast() -> TrainConfig:
    """Return settings of the lightest networks, for live use: plane heads and a ray refiner on 2D joints."""
    net = VolumeNetConfig(width=0.5, front_kernel=3)
    return TrainConfig(
        name="fast",
        start="shipped",
        model=ModelConfig(
            skeleton="coco19",
            heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0),
            root=_plane_root(net),
            pose=PoseNetConfig(head="planes", net=net, voxels=32, ray_refiner=RayRefinerConfig(enabled=True, rounds=1)),
            temporal=TemporalRefinerConfig(enabled=True),
        ),
        root=RootStageConfig(steps=3000, batch=4, learning_rate=1e-3, common_height=False, heatmap_noise=0.002),
        pose_synthetic=PoseSyntheticStageConfig(steps=3000, batch=8, learning_rate=1e-3, bodies=100_000),
        ray_refiner=RayRefinerStageConfig(steps=0),  # as in `quick`
        pose=PoseStageConfig(steps=2000, batch=2, learning_rate=1e-4, joint_from=0.3),
    )


def _plane_root(net: VolumeNetConfig) -> RootNetConfig:
    """Return the root network of `quick` and `fast`. Volume heads of this size suppressed real people."""
    return RootNetConfig(head="planes", net=net, spacing_mm=100.0, threshold=0.12)


def paper() -> TrainConfig:
    """Return SelfPose3d as published, without its defects: backbone, 3D networks, no synthetic bodies, no priors.

    Requires a GPU, and initial weights of the backbone; see `model.backbone.weights`.
    """
    return TrainConfig(
        name="paper",
        model=ModelConfig(
            heatmap=HeatmapConfig(source="backbone"),
            attention_net=True,
            root=RootNetConfig(heatmap_skip=False, merge_mm=0.0),
            pose=PoseNetConfig(
                heatmap_skip=False,
                evidence_floor=0.0,
                gate=False,
                merge_mm=0.0,
            ),
        ),
        labels="raw",
        backbone=BackboneStageConfig(),
        root=RootStageConfig(noise=NoiseConfig.none(), peak=(1.0, 1.0), false_peaks=0.0, area_per_person_m2=1.0),
        pose_synthetic=PoseSyntheticStageConfig(steps=0),
        ray_refiner=RayRefinerStageConfig(steps=0),
        pose=paper_stage(),
        finetune=dataclasses.replace(finetune_stage(), steps=15_000),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetCard:
    """Description of a preset.

    Attributes:
        title: Short name.
        what: Sentence on the networks that it trains.
        needs: Requirements; empty for none.
    """

    title: str
    what: str
    needs: str = ""


PRESETS = {"quick": quick, "fast": fast, "paper": paper}
"""Functions that return the settings, by name."""
SHIPPED_PRESETS = tuple(name for name, settings in PRESETS.items() if settings().start == "shipped")
"""Presets whose networks the program ships."""
CARDS = {
    "quick": PresetCard(
        title="Quick",
        what="Small networks that start from the shipped ones: the coarsest, in some minutes on any computer.",
    ),
    "fast": PresetCard(
        title="Fast",
        what="The lightest networks, trained for long: finer than Quick, and fast enough for live use. Hours without a "
        "GPU, minutes with one.",
    ),
    "paper": PresetCard(
        title="Paper",
        what="SelfPose3d as published: looks at the images themselves and depends least on the 2D poses. The largest "
        "networks, and the longest training.",
        needs="A GPU with 12 GB, and a ResNet or Pose-ResNet file to start the backbone from.",
    ),
}
"""Descriptions by name; every preset has one."""


def preset(name: str) -> TrainConfig:
    """Return the settings of a preset.

    Raises:
        CoreError: The name is unknown.
    """
    if name not in PRESETS:
        raise CoreError(f"There is no training preset named '{name}'.", closest(name, list(PRESETS)))
    return PRESETS[name]()
