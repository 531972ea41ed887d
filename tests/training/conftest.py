"""A small rig with people whose 3D joints are known exactly, and settings with which training takes a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from core.datasets.config import SplitConfig
from core.datasets.footage import Footage, PseudoLabels
from core.datasets.poses2d import MultiviewPoses2D
from core.models.config import HeatmapConfig, ModelConfig, PoseNetConfig, RootNetConfig, VolumeNetConfig
from core.models.scene import CaptureScene
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.training.config import TrainConfig
from core.training.stages.config import PoseStageConfig, PoseSyntheticStageConfig, RootStageConfig
from core.types.camera import CameraRig
from core.types.skeleton import PANOPTIC15
from core.types.volume import CaptureVolume


@dataclass(frozen=True)
class World:
    """Exact people (T, P, J, 3), the footage generated from them, and their capture volume."""

    rig: CameraRig
    people_mm: np.ndarray
    footage: Footage
    volume: CaptureVolume


@pytest.fixture(scope="session")
def tiny() -> TrainConfig:
    return tiny_config()


def tiny_config() -> TrainConfig:
    net = VolumeNetConfig(width=0.25, front_kernel=3)
    return TrainConfig(
        device="cpu",
        model=ModelConfig(
            heatmap=HeatmapConfig(long_side_px=64, sigma_px=1.5),
            root=RootNetConfig(net=net, spacing_mm=250.0),
            pose=PoseNetConfig(net=net, voxels=16),
        ),
        split=SplitConfig(share=0.25, blocks=2, guard_s=0.04),
        root=RootStageConfig(steps=3, batch=2, learning_rate=2e-3),
        pose_synthetic=PoseSyntheticStageConfig(steps=3, batch=2, learning_rate=1e-3),
        pose=PoseStageConfig(steps=3, batch=1, learning_rate=1e-3),
        measure_every=3,
        measure_frames=1,
        checkpoint_s=1e9,
    )


@pytest.fixture(scope="session")
def world(tiny: TrainConfig) -> World:
    return tiny_world(tiny)


def tiny_world(tiny: TrainConfig) -> World:
    rng = np.random.default_rng(0)
    rig = ring_rig(4)
    people = walkers(2, 24, rng, half_size_mm=1200, skeleton=PANOPTIC15)
    inputs = MultiviewPoses2D.stack(rig, observe(rig, people, 3.0, 0.1, rng), PANOPTIC15)
    footage = Footage.build(rig, [inputs], [PseudoLabels(inputs.xy_px, inputs.score)], [people.time_s], tiny.split)
    volume = CaptureVolume(
        centre_mm=np.array([0.0, 0, 800]), size_mm=np.array([3600.0, 3600, 2000]), voxels=(16, 16, 8)
    )
    return World(rig, people.xyz_mm, footage, volume)


@pytest.fixture(scope="session")
def scene(tiny: TrainConfig, world: World) -> CaptureScene:
    return CaptureScene(world.rig, world.volume, tiny.model, torch.device("cpu"))
