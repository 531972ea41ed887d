"""The 2D networks: size, initialisation, weight files, and folding of the batch norms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from core.errors import CoreError
from core.models import backbone
from core.models.backbone import PoseResNet, attention_net, coco_channels, predict_heatmaps
from core.models.config import BackboneConfig
from core.types.skeleton import COCO17, PANOPTIC15

TINY = BackboneConfig(depth=18, width=0.125, deconv_channels=8)
TINY50 = BackboneConfig(depth=50, width=0.125, deconv_channels=8)
LIGHT = BackboneConfig(depth=18, width=0.125, deconv_channels=8, stride=2)


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_running_statistics(network: PoseResNet) -> PoseResNet:
    """Give a network running statistics as after some training, and set it to evaluation mode."""
    network.train()
    with torch.no_grad():
        for seed in range(3):
            network(2 * image(2, 3, 64, 64, seed=seed) + 0.3)
    return network.eval()


def on_meta(config: BackboneConfig, outputs: int) -> PoseResNet:
    """Build a network on the meta device, without values."""
    with torch.device("meta"):
        return PoseResNet(config, outputs)


def multiply_adds(config: BackboneConfig, size_hw: tuple[int, int]) -> tuple[float, tuple[int, ...]]:
    """Count the GMAC of one image on the meta device, and return them with the shape of its heatmaps."""
    network, count = on_meta(config, 15).eval(), 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        if isinstance(module, nn.ConvTranspose2d):
            count += inputs[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Conv2d):
            count += output.numel() * module.weight[0].numel()

    for module in network.modules():
        module.register_forward_hook(add)
    shape = network(torch.empty(1, 3, *size_hw, device="meta")).shape
    return count / 1e9, tuple(shape)


class TestArchitecture:
    @pytest.mark.slow
    @pytest.mark.parametrize(("depth", "million", "gmac"), [(50, 34.00, 54.25), (18, 15.38, 28.96)])
    def test_is_as_large_as_published(self, depth: int, million: float, gmac: float) -> None:
        config = BackboneConfig(depth=depth)  # type: ignore[arg-type]
        parameters = sum(p.numel() for p in on_meta(config, 15).parameters())
        assert parameters / 1e6 == pytest.approx(million, abs=0.005)
        operations, shape = multiply_adds(config, (512, 960))
        assert operations == pytest.approx(gmac, abs=0.005) and shape == (1, 15, 128, 240)

    def test_stride_2_gives_the_same_heatmap_for_less_than_half_of_the_operations(self) -> None:
        operations, shape = multiply_adds(BackboneConfig(stride=2), (256, 480))
        assert operations == pytest.approx(21.70, abs=0.005) and shape == (1, 15, 128, 240)

    def test_parameters_are_named_as_in_published_files(self) -> None:
        names = on_meta(BackboneConfig(), 15).state_dict().keys()
        assert {
            "conv1.weight",
            "bn1.running_var",
            "layer1.0.conv3.weight",
            "layer1.0.downsample.0.weight",
            "layer3.5.bn2.bias",
            "layer4.2.conv1.weight",
            "deconv_layers.0.weight",
            "deconv_layers.7.running_mean",
            "final_layer.bias",
        } <= names
        # 53 convolutions and norms of the trunk, 3 of the head, and the last layer's two; a norm has 5 tensors.
        assert len(names) == 6 * 53 + 6 * 3 + 2

    def test_stages_are_strided_in_their_3x3_convolutions(self) -> None:
        first = on_meta(BackboneConfig(), 15).layer2[0]
        assert (first.conv1.stride, first.conv2.stride, first.downsample[0].stride) == ((1, 1), (2, 2), (2, 2))

    def test_images_need_not_be_multiples_of_32(self) -> None:
        """Heatmap sizes are multiples of 8, so images at a stride of 2 are multiples of 16; padding shifts nothing."""
        network = with_running_statistics(PoseResNet(LIGHT, 15))
        with torch.no_grad():
            small, whole = (
                network(image(1, 3, 48, 112)),
                network(functional.pad(image(1, 3, 48, 112), (0, 16, 0, 16))),
            )
        assert small.shape == (1, 15, 24, 56)
        near = (..., slice(0, 8), slice(0, 40))
        difference = float((small[near] - whole[near]).abs().mean())
        assert difference < 0.2 * float((small[near] - whole[..., 0:8, 8:48]).abs().mean())

    @pytest.mark.parametrize("config", [TINY, TINY50, LIGHT])
    def test_every_parameter_receives_a_gradient(self, config: BackboneConfig) -> None:
        network = PoseResNet(config, 15)
        network(image(2, 3, 64, 96)).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


class TestInitialisation:
    def test_initial_attention_is_one_half_everywhere(self) -> None:
        network = attention_net(15)
        assert network.config.depth == 18
        with torch.no_grad():
            for training in (True, False):
                attention = network.train(training)(image(1, 3, 64, 96))
                assert attention.shape == (1, 15, 16, 24)
                assert float((attention - 0.5).abs().max()) < 0.02

    def test_trunk_keeps_the_variance_of_its_input_and_the_head_starts_near_zero(self) -> None:
        torch.manual_seed(0)
        network = PoseResNet(BackboneConfig(depth=18, width=0.5), 15)
        inner = network.layer2[1].conv1.weight.detach()  # (64, 64, 3, 3)
        assert float(inner.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
        assert float(network.final_layer.weight.detach().std()) == pytest.approx(0.001, rel=0.1)
        with torch.no_grad():
            assert float(network(image(1, 3, 64, 64)).abs().max()) < 0.1


class TestFold:
    @pytest.mark.parametrize("config", [TINY, TINY50, LIGHT])
    def test_output_in_evaluation_mode_is_unchanged(self, config: BackboneConfig) -> None:
        network = with_running_statistics(PoseResNet(config, 15))
        with torch.no_grad():
            before = network(image(1, 3, 64, 96))
            network.fold()
            after = network(image(1, 3, 64, 96))
        assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
        assert float(before.std()) > 0
        torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * float(before.std()))


class TestPredictHeatmaps:
    def test_recomputing_activations_changes_neither_gradients_nor_statistics(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images, states, gradients = image(2, 3, 3, 64, 64), [], []
        for max_kept_px in (10**9, 0):
            monkeypatch.setattr(backbone, "_MOST_KEPT_PX", max_kept_px)
            torch.manual_seed(0)
            network = PoseResNet(TINY, 15).train()
            predict_heatmaps(network, images).square().sum().backward()
            gradients.append([p.grad for p in network.parameters()])
            states.append([m for n, m in network.state_dict().items() if "running" in n])
            assert all(m.momentum == 0.1 for m in network.modules() if isinstance(m, nn.BatchNorm2d))
        for one, other in [*zip(*states, strict=True), *zip(*gradients, strict=True)]:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)

    def test_views_and_frames_keep_their_order(self) -> None:
        network, images = with_running_statistics(PoseResNet(TINY, 15)), image(2, 3, 3, 32, 32)
        with torch.no_grad():
            heatmaps = predict_heatmaps(network, images)
            alone = network(images[1, 2][None])[0]
        assert heatmaps.shape == (2, 3, 15, 8, 8)
        torch.testing.assert_close(heatmaps[1, 2], alone, rtol=1e-4, atol=1e-6)


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def coco_weights(config: BackboneConfig = TINY) -> dict[str, Tensor]:
    """Return the weights of a network of 17 joints; channel c of the last layer is c everywhere."""
    weights = with_running_statistics(PoseResNet(config, len(COCO17))).state_dict()
    weights["final_layer.weight"] = torch.arange(17.0)[:, None, None, None].expand(-1, 8, 1, 1).contiguous()
    weights["final_layer.bias"] = -torch.arange(17.0)
    return weights


class TestFiles:
    @pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.preact."])
    @pytest.mark.parametrize("wrapper", ["", "state_dict", "model"])
    def test_coco_weights_are_loaded_completely(self, prefix: str, wrapper: str, tmp_path: Path) -> None:
        weights = coco_weights()
        named = {prefix + name: value for name, value in weights.items()}
        torch.save({wrapper: named, "epoch": 3} if wrapper else named, tmp_path / "coco.pth")
        network = PoseResNet(TINY, len(PANOPTIC15))
        assert network.load_initial(tmp_path / "coco.pth", PANOPTIC15) == []
        loaded = network.state_dict()
        assert loaded["final_layer.bias"].neg().tolist() == [5, 0, 11, 5, 7, 9, 11, 13, 15, 6, 8, 10, 12, 14, 16]
        assert loaded["final_layer.weight"][:, 0, 0, 0].tolist() == coco_channels(PANOPTIC15)
        for name in loaded:
            if not name.startswith("final_layer."):
                assert torch.equal(loaded[name], weights[name]), name

    def test_plain_resnet_weights_lack_the_head(self, tmp_path: Path) -> None:
        trunk = {n: v for n, v in coco_weights().items() if not n.startswith(("deconv", "final"))}
        trunk |= {"fc.weight": torch.zeros(1000, 64), "fc.bias": torch.zeros(1000)}
        trunk = {n: v.contiguous() for n, v in trunk.items()}
        save_file(trunk, tmp_path / "resnet.safetensors")
        network = PoseResNet(TINY, 15)
        before = network.final_layer.weight.detach().clone()
        missing = network.load_initial(tmp_path / "resnet.safetensors", PANOPTIC15)
        assert len(missing) == 3 * 5 + 2 and all(n.startswith(("deconv_layers.", "final_layer.")) for n in missing)
        assert torch.equal(network.layer4[1].conv2.weight, trunk["layer4.1.conv2.weight"])
        assert torch.equal(network.final_layer.weight, before)

    def test_a_fourth_deconvolution_keeps_its_initial_weights(self, tmp_path: Path) -> None:
        torch.save(coco_weights(), tmp_path / "coco.pth")
        missing = PoseResNet(LIGHT, 15).load_initial(tmp_path / "coco.pth", PANOPTIC15)
        assert {name.rsplit(".", 1)[0] for name in missing} == {"deconv_layers.9", "deconv_layers.10"}

    def test_weights_of_another_network_are_refused_with_the_mismatch(self, tmp_path: Path) -> None:
        file = tmp_path / "file.pth"

        def refusal(weights: dict[str, Tensor], config: BackboneConfig = TINY) -> str:
            torch.save(weights, file)
            network = PoseResNet(config, 15)
            before = {n: v.clone() for n, v in network.state_dict().items()}
            with pytest.raises(CoreError) as caught:
                network.load_initial(file, PANOPTIC15)
            assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())
            return str(caught.value)

        good = coco_weights()
        assert "layer1.0.conv1.weight is 8x8x1x1, not 8x8x3x3" in refusal(coco_weights(TINY50))
        # A ResNet-34 has all parameters of a ResNet-18, and more: the common ones alone would not work.
        assert "layer1.2.conv1.weight has no place" in refusal(
            {**good, "layer1.2.conv1.weight": torch.zeros(8, 8, 3, 3)}
        )
        assert "layer4.1.conv2.weight is missing" in refusal(
            {n: v for n, v in good.items() if n != "layer4.1.conv2.weight"}
        )
        assert "final_layer.weight is 16x8x1x1" in refusal({**good, "final_layer.weight": torch.zeros(16, 8, 1, 1)})
        assert "and 97 more" in refusal({"stem.weight": torch.zeros(3)})

    def test_pickled_code_is_not_executed(self, tmp_path: Path) -> None:
        mark = tmp_path / "it-ran"
        torch.save({"state_dict": Trap(mark)}, tmp_path / "trap.pth")
        with pytest.raises(CoreError, match=r"trap\.pth does not hold weights"):
            PoseResNet(TINY, 15).load_initial(tmp_path / "trap.pth", PANOPTIC15)
        assert not mark.exists()
        torch.load(tmp_path / "trap.pth", weights_only=False)
        assert mark.exists()  # an unrestricted load runs the code

    @pytest.mark.parametrize("name", ["noise.pth", "noise.safetensors"])
    def test_a_file_without_weights_is_refused(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(b"\x00" * 64)
        with pytest.raises(CoreError, match="does not hold weights"):
            PoseResNet(TINY, 15).load_initial(tmp_path / name, PANOPTIC15)
        with pytest.raises(CoreError, match="There is no file"):
            PoseResNet(TINY, 15).load_initial(tmp_path / "absent.pth", PANOPTIC15)
