"""Settings of a training that takes seconds, for tests of what comes before and after it."""

from __future__ import annotations

from core.datasets.config import SplitConfig
from core.models.config import HeatmapConfig, ModelConfig, PoseNetConfig, RootNetConfig, VolumeNetConfig
from core.training.config import TrainConfig
from core.training.stages.config import PoseStageConfig, PoseSyntheticStageConfig, RootStageConfig


def tiny_training() -> TrainConfig:
    """Return settings that train in seconds."""
    net = VolumeNetConfig(width=0.25, front_kernel=3)
    return TrainConfig(
        device="cpu",
        model=ModelConfig(
            heatmap=HeatmapConfig(long_side_px=64, sigma_px=1.5),
            root=RootNetConfig(net=net, spacing_mm=400.0),
            pose=PoseNetConfig(net=net, voxels=16),
        ),
        split=SplitConfig(share=0.34, blocks=1, guard_s=0.0),
        root=RootStageConfig(steps=2, batch=1),
        pose_synthetic=PoseSyntheticStageConfig(steps=2, batch=1),
        pose=PoseStageConfig(steps=2, batch=1),
        measure_frames=1,
    )
