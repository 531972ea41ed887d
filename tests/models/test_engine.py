"""Inference with OpenVINO agrees with torch, which is used where OpenVINO is not installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from core.models import engine as frozen
from core.models.backbone import PoseResNet
from core.models.config import BackboneConfig, ModelConfig, PoseNetConfig, RootNetConfig, VolumeNetConfig
from core.models.networks import Networks
from core.models.volume_net import VolumeNet

TINY = VolumeNetConfig(width=0.25, front_kernel=3)
LIGHT = BackboneConfig(depth=18, width=0.25, deconv_channels=16, stride=2)
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "volume": (lambda: VolumeNet(2, 3, VolumeNetConfig(width=0.25)), (2, 8, 12, 4)),
    "plane": (lambda: VolumeNet(2, 3, TINY, dims=2), (2, 16, 8)),
    "line": (lambda: VolumeNet(1, 1, TINY, dims=1), (1, 20)),
    "ResNet-50": (lambda: PoseResNet(BackboneConfig(width=0.25, deconv_channels=16), 5), (3, 64, 96)),
    "ResNet-18": (lambda: PoseResNet(LIGHT, 5, sigmoid=True), (3, 32, 64)),
    "odd image": (lambda: PoseResNet(LIGHT, 5), (3, 40, 72)),
}


@pytest.fixture
def needs_openvino() -> Iterator[None]:
    if frozen.openvino() is None:
        pytest.skip("OpenVINO is not installed")
    yield


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "openvino", lambda: None)


def folded(make: Callable[[], nn.Module]) -> nn.Module:
    """Build a network with random weights and batch norm statistics, folded."""
    torch.manual_seed(0)
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        elif hasattr(module, "kernel_size") and hasattr(module, "weight"):
            nn.init.kaiming_normal_(module.weight)
    network.eval().requires_grad_(False)
    network.fold()  # type: ignore[operator]
    return network


@pytest.mark.usefixtures("needs_openvino")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_output_agrees_with_torch(name: str, batch_size: int) -> None:
    make, shape = CASES[name]
    network = folded(make)
    x = torch.randn(batch_size, *shape)
    expected = network(x)
    assert float(expected.std()) > 1e-3
    engine = frozen.openvino_engine(network, None)
    network.engine = engine  # type: ignore[assignment]
    output = network(x)
    assert output.dtype == torch.float32 and engine is not None
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    other = x.flip(-1)  # the same shape: the compiled model is used again, its output is not
    torch.testing.assert_close(network(other), folded(make)(other), rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.usefixtures("needs_openvino")
def test_input_of_any_memory_layout_and_size() -> None:
    network = folded(CASES["volume"][0])
    engine = frozen.OpenVinoNetwork(network, None)
    for shape in ((2, 2, 8, 8, 8), (1, 2, 4, 8, 12), (2, 2, 8, 8, 8)):
        x = torch.randn(shape).contiguous(memory_format=torch.channels_last_3d)
        torch.testing.assert_close(engine(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("needs_openvino")
@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU does not compute in bf16")
def test_bf16_is_close_to_float32() -> None:
    network = folded(CASES["volume"][0])
    x = torch.rand(2, 2, 16, 16, 16)
    expected = network(x)
    output = frozen.OpenVinoNetwork(network, torch.bfloat16)(x)
    assert 0 < float((output - expected).norm() / expected.norm()) < 2e-2


@pytest.mark.usefixtures("needs_openvino")
def test_an_unsupported_operation_is_an_error() -> None:
    class Unsupported(nn.Module):
        def _forward(self, x: Tensor) -> Tensor:
            return torch.sin(x)

    with pytest.raises(NotImplementedError, match="sin"):
        frozen.OpenVinoNetwork(Unsupported(), None)(torch.zeros(1, 1, 4))


def config() -> ModelConfig:
    return ModelConfig(root=RootNetConfig(net=TINY), pose=PoseNetConfig(net=TINY, voxels=8))


@pytest.mark.usefixtures("needs_openvino")
def test_frozen_networks_use_openvino_and_training_does_not() -> None:
    networks = Networks(config())
    parts = [m for m in networks.modules() if isinstance(m, VolumeNet)]
    assert len(parts) == 2 and all(m.engine is None for m in parts)
    networks.freeze(None)
    assert all(isinstance(m.engine, frozen.OpenVinoNetwork) for m in parts)
    assert frozen.engine_name(torch.device("cpu")).startswith("OpenVINO 20")


@pytest.mark.usefixtures("without_openvino")
def test_torch_runs_the_networks_without_openvino() -> None:
    networks = Networks(config())
    networks.freeze(None)
    assert all(m.engine is None for m in networks.modules() if isinstance(m, VolumeNet))
    assert frozen.engine_name(torch.device("cpu")) == f"torch {torch.__version__}"


@pytest.mark.usefixtures("needs_openvino")
def test_importing_openvino_loads_no_telemetry() -> None:
    code = (
        "import sys; from core.models.engine import openvino; assert openvino() is not None\n"
        "loaded = [name for name, module in sys.modules.items() if name.startswith('openvino_telemetry') and module]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
