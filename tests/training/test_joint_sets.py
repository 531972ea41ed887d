"""Networks of another joint set than the default: built, trained, stored and applied like any other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core.datasets.footage import Footage
from core.datasets.heatmaps import BackboneHeatmaps
from core.datasets.poses2d import MultiviewPoses2D, make_view_batch
from core.errors import CoreError
from core.models.backbone import coco_channels
from core.models.checkpoint import META, Checkpoint, load_initial_weights
from core.models.config import ModelConfig, RayRefinerConfig, TemporalRefinerConfig
from core.models.inference import predict_joints, propose_roots
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.progress import NullReporter
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.training.config import TrainConfig
from core.training.presets import preset
from core.training.stages.config import RayRefinerStageConfig, TemporalStageConfig
from core.training.synthetic import root_relative_joints
from core.training.trainer import Trainer
from core.types import COCO17, COCO19, SHELF14, CaptureVolume
from core.types.skeleton import SKELETONS

from .conftest import World

CPU = torch.device("cpu")
VOLUME = CaptureVolume(centre_mm=(0, 0, 800), size_mm=(4000, 4000, 2000), voxels=(40, 40, 20))


@pytest.fixture(params=["coco17", "coco19"])
def coco(tiny: TrainConfig, request: pytest.FixtureRequest) -> TrainConfig:
    """Settings of networks that predict COCO joints, with every refiner, and one step for each stage."""
    model = dataclasses.replace(
        tiny.model,
        skeleton=request.param,
        pose=dataclasses.replace(tiny.model.pose, ray_refiner=RayRefinerConfig(enabled=True, channels=16, layers=1)),
        temporal=TemporalRefinerConfig(enabled=True, channels=16, layers=1, frames=8),
    )
    return dataclasses.replace(
        tiny,
        model=model,
        root=dataclasses.replace(tiny.root, steps=1),
        pose_synthetic=dataclasses.replace(tiny.pose_synthetic, steps=1),
        ray_refiner=RayRefinerStageConfig(steps=1, batch=2),
        temporal=TemporalStageConfig(steps=1, batch=2, frames=10, people=2),
    )


def test_untrained_networks_find_coco_people(coco: TrainConfig, world: World) -> None:
    """A root without a joint, as in COCO-17, is the mean of both hips; the skip connections place the joints."""
    rng = np.random.default_rng(2)
    networks = Networks(coco.model).eval()
    joints = networks.skeleton
    bodies = root_relative_joints(500, rng, joints)
    assert joints.root_position(bodies) == pytest.approx(0, abs=1e-6)
    networks.pose.prior.fit(torch.tensor(bodies, dtype=torch.float32))
    people = walkers(1, 1, rng, half_size_mm=1000, skeleton=joints)
    inputs = MultiviewPoses2D.stack(world.rig, observe(world.rig, people, 1.0, 0.0, rng, joint_miss=0.0), joints)
    scene = CaptureScene(world.rig, VOLUME, coco.model, CPU)
    views = make_view_batch(inputs, scene.affine[None], scene.size_hw, scene.sigma_px)
    root = torch.tensor(joints.root_position(people.xyz_mm[0]), dtype=torch.float32)
    roots, _ = propose_roots(networks, scene, views)
    assert float((roots - root).norm(dim=-1).min()) < 100  # voxel spacing
    with torch.no_grad():
        xyz, _ = predict_joints(networks, scene, views, root, torch.zeros(1, dtype=torch.long))
    assert xyz.shape == (1, len(joints), 3)
    assert float((xyz - torch.tensor(people.xyz_mm[0])).norm(dim=-1).mean()) < 133  # voxel spacing


@pytest.mark.slow
def test_every_stage_trains_coco_joints_and_the_checkpoint_keeps_them(
    coco: TrainConfig, world: World, tmp_path: Path
) -> None:
    footage = Footage.empty(world.rig, SKELETONS[coco.model.skeleton])
    trainer = Trainer(coco, footage, world.volume, tmp_path, CPU, NullReporter())
    before = {name: value.clone() for name, value in trainer.networks.state_dict().items()}
    assert trainer.run().steps_done == 4
    saved = Checkpoint.load(tmp_path / "best")
    for part in ("root.", "pose.", "ray_refiner.", "temporal."):
        assert any(not torch.equal(saved.weights[n], v) for n, v in before.items() if n.startswith(part)), part
    networks = saved.build(CPU)
    assert saved.config == coco.model and networks.skeleton.name == coco.model.skeleton
    for name, value in trainer.networks.state_dict().items():
        assert torch.equal(networks.state_dict()[name], value)


def test_a_checkpoint_whose_joints_contradict_its_settings_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    Checkpoint(Networks(tiny.model).state_dict(), tiny.model, VOLUME, {}, {}).save(tmp_path / "best")
    meta = json.loads((tmp_path / "best" / META).read_text())
    (tmp_path / "best" / META).write_text(json.dumps({**meta, "skeleton": "coco17"}))
    with pytest.raises(CoreError, match="trained for the joints 'coco17', and its settings name 'panoptic15'"):
        Checkpoint.load(tmp_path / "best")


def test_shipped_networks_of_other_joints_are_refused() -> None:
    quick = dataclasses.replace(preset("quick").model, skeleton="coco17")
    with pytest.raises(CoreError, match=r"trained for the joints 'coco19'.*ask for 'coco17'") as refusal:
        load_initial_weights(Networks(quick), "shipped", "quick")
    assert "model.skeleton=coco19" in refusal.value.hint


def test_footage_of_other_joints_is_refused(tiny: TrainConfig, world: World, tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="footage has the joints 'coco17'"):
        Trainer(tiny, Footage.empty(world.rig, COCO17), world.volume, tmp_path, CPU, NullReporter())


def test_an_unknown_skeleton_is_refused_with_those_known() -> None:
    with pytest.raises(CoreError, match="no skeleton named 'human36m'") as refusal:
        ModelConfig(skeleton="human36m")
    assert all(name in refusal.value.hint for name in SKELETONS)


def test_joints_that_the_training_data_lack_are_refused() -> None:
    with pytest.raises(CoreError, match="no joint 'head_bottom'"):
        root_relative_joints(3, np.random.default_rng(0), SHELF14)
    with pytest.raises(CoreError, match="no joint 'head_bottom'"):
        coco_channels(SHELF14)
    assert coco_channels(COCO17) == list(range(17))
    assert coco_channels(COCO19)[:17] == list(range(17))


@pytest.mark.parametrize("coco", ["coco17"], indirect=True)
def test_the_root_stays_rendered_where_the_backbone_has_no_channel_for_it(coco: TrainConfig, world: World) -> None:
    class Grey:
        def warp(self, frames: np.ndarray, affine: torch.Tensor, size_hw: tuple[int, int], *_: object) -> torch.Tensor:
            return torch.zeros(len(frames), affine.shape[1], 3, *size_hw)

    class Blank(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.new_zeros(len(images), 17, *images.shape[-2:])

    rng = np.random.default_rng(2)
    people = walkers(1, 1, rng, half_size_mm=1000, skeleton=COCO17)
    inputs = MultiviewPoses2D.stack(world.rig, observe(world.rig, people, 1.0, 0.0, rng, joint_miss=0.0), COCO17)
    scene = CaptureScene(world.rig, VOLUME, coco.model, CPU)
    rendered = make_view_batch(inputs, scene.affine[None], scene.size_hw, scene.sigma_px)
    maps = BackboneHeatmaps(Blank(), Grey(), COCO17)  # type: ignore[arg-type]
    views = make_view_batch(inputs, scene.affine[None], scene.size_hw, scene.sigma_px, maps, np.zeros(1, int))
    assert torch.equal(views.root, rendered.root) and float(views.root.max()) > 0.3
    assert views.heatmaps.shape == rendered.heatmaps.shape and not views.heatmaps.any()
