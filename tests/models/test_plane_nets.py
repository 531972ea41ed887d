"""The plane heads: untrained they locate clean input, folding keeps their output, and gradients reach them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.models.config import ModelConfig, PoseNetConfig, RootNetConfig, VolumeNetConfig
from core.models.geometry.peaks import parabola_peak
from core.models.heads.plane_nets import PLANES, BevOutput, BevRootNet
from core.models.heads.root_net import extract_proposals
from core.models.inference import predict_joints
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.synthetic.rigs import ring_rig
from core.training.losses.roots import bev_loss, root_consistency_loss
from core.training.stages.config import NoiseConfig, PoseSyntheticStageConfig, RootStageConfig
from core.training.stages.root import _cells
from core.training.synthetic import pose_scenes, root_scenes, root_target
from core.types.volume import CaptureVolume

EXACT = NoiseConfig.none()
NET = VolumeNetConfig(width=0.25, front_kernel=3)
CONFIG = ModelConfig(
    root=RootNetConfig(head="planes", net=NET, spacing_mm=100.0), pose=PoseNetConfig(head="planes", net=NET, voxels=32)
)


@pytest.fixture(scope="module")
def scene() -> CaptureScene:
    volume = CaptureVolume(
        centre_mm=np.array([0.0, 0, 900]), size_mm=np.array([3600.0, 3600, 2200]), voxels=(36, 36, 24)
    )
    return CaptureScene(ring_rig(4), volume, CONFIG, torch.device("cpu"))


class TestRoots:
    def test_untrained_head_finds_clean_roots(self, scene: CaptureScene) -> None:
        networks = Networks(CONFIG).eval()
        stage = RootStageConfig(noise=EXACT, heatmap_noise=0, false_peaks=0, max_points=1, peak=(1.0, 1.0))
        batch = root_scenes(scene, 8, stage, np.random.default_rng(0))
        with torch.no_grad():
            bev = networks.root(scene.unprojector, batch.views.root, batch.views.affine, batch.views.view_weight)
            proposals = extract_proposals(bev, scene.volume, CONFIG.root)
        near = torch.cdist(batch.roots_mm, proposals.xyz_mm)[:, 0].amin(-1)[batch.visible[:, 0]]
        assert isinstance(bev, BevOutput) and len(near) >= 6 and float(near.median()) < 60

    def test_loss_is_smallest_for_the_target_itself(self, scene: CaptureScene) -> None:
        net = BevRootNet(CONFIG.root)
        roots = torch.tensor([[[500.0, -300, 900], [-800.0, 900, 400]]])
        visible = torch.ones(1, 2, dtype=torch.bool)
        target = root_target(scene.volume, roots, visible, 200.0)
        cells = _cells(scene.volume, roots)
        right = BevOutput(target.amax(-1), target, net)
        wrong = BevOutput(target.amax(-1).flip(1), target.flip(3), net)
        with torch.no_grad():
            assert (
                float(bev_loss(right, target, cells, visible)) < 1e-9 < float(bev_loss(wrong, target, cells, visible))
            )
        assert float(root_consistency_loss(right, right)) == 0 < float(root_consistency_loss(right, wrong))

    def test_gradient_reaches_both_networks(self, scene: CaptureScene) -> None:
        networks = Networks(CONFIG).train()
        for net in (networks.root.net, networks.root.line):  # type: ignore[union-attr]
            torch.nn.init.normal_(net.out.weight)
        batch = root_scenes(scene, 2, RootStageConfig(), np.random.default_rng(0))
        bev = networks.root(scene.unprojector, batch.views.root, batch.views.affine, batch.views.view_weight)
        target = root_target(scene.volume, batch.roots_mm, batch.visible, 200.0)
        bev_loss(bev, target, _cells(scene.volume, batch.roots_mm), batch.visible).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in networks.root.parameters() if p.ndim > 1)


class TestPoses:
    def test_untrained_head_locates_clean_joints(self, scene: CaptureScene) -> None:
        networks = Networks(CONFIG).eval()
        stage = PoseSyntheticStageConfig(noise=EXACT, neighbours=0, root_error_mm=20, bodies=500)
        batch = pose_scenes(scene, 6, stage, np.random.default_rng(1))
        with torch.no_grad():
            joints, _ = predict_joints(networks, scene, batch.views, batch.root_mm, torch.arange(6))
        observed = batch.views_of >= 3
        assert float((joints - batch.exact_mm).norm(dim=-1)[observed].median()) < 80

    def test_folding_keeps_the_output(self) -> None:
        torch.manual_seed(0)
        pose = Networks(CONFIG).pose
        assert pose.planes is not None
        torch.nn.init.normal_(pose.planes.net.out.weight, std=0.1)
        volume = torch.rand(2, 15, 32, 32, 32)
        pose.train()
        pose.locate(volume)
        pose.eval()
        with torch.no_grad():
            before, _ = pose.locate(volume)
            pose.fold()
            after, _ = pose.locate(volume)
        torch.testing.assert_close(before, after, atol=0.05, rtol=1e-4)

    def test_joints_lie_between_the_estimates_of_their_planes(self, scene: CaptureScene) -> None:
        """In world coordinates, each coordinate of a joint lies between the estimates of its two planes."""
        networks = Networks(CONFIG).eval()
        stage = PoseSyntheticStageConfig(noise=EXACT, neighbours=0, root_error_mm=20, bodies=500)
        batch = pose_scenes(scene, 4, stage, np.random.default_rng(2))
        with torch.no_grad():
            joints, planes = predict_joints(networks, scene, batch.views, batch.root_mm, torch.arange(4))
        assert planes is not None
        for coordinate in range(3):
            both = [planes[:, p, :, axes.index(coordinate)] for p, axes in enumerate(PLANES) if coordinate in axes]
            low, high = torch.minimum(*both) - 0.01, torch.maximum(*both) + 0.01
            assert ((low <= joints[..., coordinate]) & (joints[..., coordinate] <= high)).all()

    def test_planes_agree_on_a_clean_peak(self) -> None:
        pose = Networks(CONFIG).pose.eval()
        peak = torch.tensor([20, 9, 26])
        axis = torch.arange(32)
        grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
        volume = torch.exp(-(grid - peak).square().sum(-1) / 4).expand(1, 15, -1, -1, -1)
        with torch.no_grad():
            joints, spread, planes = pose.from_planes(volume)
        exact = (peak / 31 - 0.5) * 2000
        assert float((joints - exact).abs().max()) < 40 and (spread > 0).all()
        torch.testing.assert_close(planes[0, 0, :, 0], planes[0, 1, :, 0], atol=5, rtol=0)


def test_parabola_finds_a_gaussian_between_cells() -> None:
    x = torch.arange(9.0)
    line = torch.exp(-((x - 4.3) ** 2) / 8)[None]
    offset = parabola_peak(line, torch.tensor([[[4]]]))
    assert float(offset) == pytest.approx(0.3, abs=0.05)
    assert float(parabola_peak(line, torch.tensor([[[0]]]))) == 0
