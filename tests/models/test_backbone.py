"""The 2D networks: published size, weights from files, pictures in every version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.errors import CoreError
from core.models.affine import fit_rig, heatmap_size
from core.models.backbone import COCO_CHANNELS, BackboneMaps, PoseResNet, attention_net, heatmaps_of
from core.models.config import BackboneConfig
from core.models.pictures import StoredPictures, normalise, stored_size
from core.synthetic.rigs import PORTRAIT, ring_rig

SMALL = BackboneConfig(depth=18, width=0.125, deconv_channels=16)


class TestPoseResNet:
    def test_published_sizes(self) -> None:
        def millions(network: torch.nn.Module) -> float:
            return sum(p.numel() for p in network.parameters()) / 1e6

        assert millions(PoseResNet(BackboneConfig(), 15)) == pytest.approx(34.00, abs=0.005)
        assert millions(attention_net(15)) == pytest.approx(15.38, abs=0.005)

    @pytest.mark.parametrize("stride", [2, 4])
    def test_output_is_a_stride_smaller(self, stride: int) -> None:
        network = PoseResNet(BackboneConfig(depth=18, width=0.125, deconv_channels=8, stride=stride), 15)  # type: ignore[arg-type]
        assert network(torch.zeros(2, 3, 16 * stride, 24 * stride)).shape == (2, 15, 16, 24)

    def test_attention_starts_at_one_half(self) -> None:
        assert torch.allclose(attention_net(3).eval()(torch.rand(1, 3, 64, 64)), torch.tensor(0.5), atol=1e-3)

    @pytest.mark.parametrize("depth", [18, 50])
    def test_folding_changes_nothing(self, depth: int) -> None:
        torch.manual_seed(0)
        network = PoseResNet(BackboneConfig(depth=depth, width=0.125, deconv_channels=8), 4)  # type: ignore[arg-type]
        pictures = torch.randn(2, 3, 64, 64)
        network.train()
        network(pictures)  # running statistics that are not the initial ones
        network.eval()
        before = network(pictures)
        network.fold()
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
        torch.testing.assert_close(network(pictures), before, atol=1e-5, rtol=1e-4)


class TestInitialWeights:
    def test_coco_head_is_reordered(self, tmp_path: Path) -> None:
        assert COCO_CHANNELS == [5, 0, 11, 5, 7, 9, 11, 13, 15, 6, 8, 10, 12, 14, 16]
        theirs = PoseResNet(SMALL, 17).state_dict()
        theirs["final_layer.bias"] = torch.arange(17.0)
        torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.items()}}, tmp_path / "coco.pth")
        ours = PoseResNet(SMALL, 15)
        assert ours.load_initial(tmp_path / "coco.pth") == []
        assert ours.final_layer.bias.tolist() == [float(c) for c in COCO_CHANNELS]
        assert torch.equal(ours.layer2[0].conv1.weight, theirs["layer2.0.conv1.weight"])  # type: ignore[index]

    def test_plain_resnet_leaves_the_head(self, tmp_path: Path) -> None:
        trunk = {k: v for k, v in PoseResNet(SMALL, 15).state_dict().items() if not k.startswith(("deconv", "final"))}
        save_file({**trunk, "fc.weight": torch.zeros(1000, 8)}, tmp_path / "resnet.safetensors")
        lacking = PoseResNet(SMALL, 15).load_initial(tmp_path / "resnet.safetensors")
        assert lacking and all(name.startswith(("deconv", "final")) for name in lacking)

    def test_another_network_is_refused(self, tmp_path: Path) -> None:
        save_file(PoseResNet(BackboneConfig(depth=18, width=0.25), 15).state_dict(), tmp_path / "wide.safetensors")
        with pytest.raises(CoreError, match="does not fit"):
            PoseResNet(SMALL, 15).load_initial(tmp_path / "wide.safetensors")

    def test_code_in_a_file_is_not_run(self, tmp_path: Path) -> None:
        class Harm:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return (Path(tmp_path / "harmed").write_text, ("x",))

        torch.save({"conv1.weight": Harm()}, tmp_path / "bad.pth")
        with pytest.raises(CoreError, match="does not hold weights"):
            PoseResNet(SMALL, 15).load_initial(tmp_path / "bad.pth")
        assert not (tmp_path / "harmed").exists()
        (tmp_path / "text.pth").write_text("no weights")
        with pytest.raises(CoreError, match="does not hold weights"):
            PoseResNet(SMALL, 15).load_initial(tmp_path / "text.pth")
        with pytest.raises(CoreError, match="There is no file"):
            PoseResNet(SMALL, 15).load_initial(tmp_path / "none.pth")


class TestPictures:
    def test_golden_affine_of_the_paper(self) -> None:
        rig = ring_rig(2)
        assert heatmap_size(rig, 240) == (136, 240) or heatmap_size(rig, 240) == (128, 240)
        affine = 4 * fit_rig(rig, (128, 240))[0]
        assert affine[0] == pytest.approx([0.4740741, 0, 24.8889], abs=1e-4)
        assert affine[1] == pytest.approx([0, 0.4740741, 0], abs=1e-4)

    def test_a_dot_lands_where_the_affine_says(self) -> None:
        rig, hw = ring_rig(1, size_px=(320, 240)), (32, 40)
        height, width = stored_size((320, 240), (4 * hw[0], 4 * hw[1]))
        assert (height, width) == (120, 160)
        whole = np.zeros((1, 240, 320, 3), np.float32)
        whole[0, 100:102, 200:202] = 255  # two by two camera px around (200.5, 100.5): one stored px
        stored = whole.reshape(1, 120, 2, 160, 2, 3).mean((2, 4)).astype(np.uint8)
        pictures = StoredPictures([stored], rig, 4)
        affine = torch.tensor(fit_rig(rig, hw)[None], dtype=torch.float32)
        seen = pictures.version(np.array([0]), affine, hw)[0, 0, 0]
        row, column = divmod(int(seen.argmax()), seen.shape[1])
        expected = 4 * (affine[0, 0, :, :2] @ torch.tensor([200.5, 100.5]) + affine[0, 0, :, 2])
        assert abs(column - float(expected[0])) <= 1 and abs(row - float(expected[1])) <= 1

    def test_missing_cameras_and_outside_are_black(self) -> None:
        rig, hw = ring_rig(2, size_px=PORTRAIT), (40, 24)
        white = np.full((2, 160, 90, 3), 255, np.uint8)
        pictures = StoredPictures([white, None], rig, 2)
        affine = torch.tensor(fit_rig(rig, hw)[None], dtype=torch.float32)
        seen = pictures.version(np.array([1]), affine, hw)
        black = normalise(torch.zeros(3, 1, 1))
        assert seen.shape == (1, 2, 3, 80, 48)
        torch.testing.assert_close(seen[0, 1], black.expand(3, 80, 48))
        torch.testing.assert_close(seen[0, 0, :, 40, 24], normalise(torch.full((3, 1, 1), 255.0))[:, 0, 0])
        torch.testing.assert_close(seen[0, 0, :, 40, 0], black[:, 0, 0])  # beside an upright picture

    def test_gradient_reaches_the_backbone(self) -> None:
        network = PoseResNet(SMALL, 15).train()
        heatmaps_of(network, torch.rand(2, 2, 3, 64, 64)).sum().backward()
        assert network.conv1.weight.grad is not None and network.conv1.weight.grad.abs().sum() > 0

    def test_provider_gives_all_joints_in_range(self) -> None:
        rig, hw = ring_rig(2, size_px=(320, 240)), (16, 24)
        pictures = StoredPictures([np.zeros((3, 48, 64, 3), np.uint8)] * 2, rig, 4)
        maps = BackboneMaps(PoseResNet(SMALL, 15).eval(), pictures)
        affine = torch.tensor(np.stack([fit_rig(rig, hw)] * 2), dtype=torch.float32)
        seen = maps.version(np.array([0, 2]), affine, hw)
        assert maps.joints == tuple(range(15)) and seen.shape == (2, 2, 15, 16, 24)
        assert float(seen.detach().min()) >= 0 and float(seen.detach().max()) <= 1
