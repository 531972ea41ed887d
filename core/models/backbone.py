"""2D networks: images to joint heatmaps, and images to attention.

Pose-ResNet ("Simple Baselines", Xiao et al., ECCV 2018): a residual trunk and three transposed convolutions. Parameters
have the names of the published files, so that weights trained on COCO can be loaded.

Legend: B batch, V view, N image, J joint, H W heatmap, h w image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from core.errors import CoreError
from core.models.config import BackboneConfig
from core.models.device import autocast_to
from core.types.skeleton import COCO17, DERIVED_JOINTS, Skeleton

_STAGES = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
_WIDTHS = (64, 128, 256, 512)
_QUIET_STD = 0.001
_MOST_KEPT_PX = 1_000_000
"""Heatmap pixels of a batch, over all views, above which activations are recomputed in the backward pass."""
_PREFIXES = ("module.", "backbone.", "preact.", "model.", "head.", "keypoint_head.")
_OWN = re.compile(r"(conv1|bn1|layer\d|deconv_layers|final_layer)\.")
_COUNTER = "num_batches_tracked"
_HEAD = ("deconv_layers", "final_layer")


class Basic(nn.Module):
    """Residual block of two 3x3 convolutions."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        out = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(out)) + self.downsample(x))


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions; the stride belongs to the 3x3 convolution."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(inputs, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        out = functional.relu(self.bn1(self.conv1(x)))
        out = functional.relu(self.bn2(self.conv2(out)))
        return functional.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class PoseResNet(nn.Module):
    """Network that maps images to heatmaps.

    Args:
        config: Depth, widths and stride. A stride of 2 appends a fourth transposed convolution: heatmaps of 240x128 px
            from images of 480x256 px cost 21.7 GMAC, against 54.3 for heatmaps of 960x512 px. (Omitting the pooling
            instead would cost 53.4.)
        outputs: Number of heatmaps.
        sigmoid: Apply a sigmoid to the output.
    """

    def __init__(self, config: BackboneConfig, outputs: int, *, sigmoid: bool = False) -> None:
        super().__init__()
        self.config, self.sigmoid = config, sigmoid
        self.precision: torch.dtype | None = None
        self.engine: Callable[[Tensor], Tensor] | None = None
        widths = [max(8, round(w * config.width)) for w in _WIDTHS]
        block: type[Basic] | type[Bottleneck] = Bottleneck if config.depth == 50 else Basic
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False), nn.BatchNorm2d(widths[0])
        channels = widths[0]
        for number, (count, width) in enumerate(zip(_STAGES[config.depth], widths, strict=True)):
            layers = []
            for place in range(count):
                layers.append(block(channels, width, 2 if number and not place else 1))
                channels = width * block.expansion
            setattr(self, f"layer{number + 1}", nn.Sequential(*layers))
        deconv: list[nn.Module] = []
        for _ in range({4: 3, 2: 4}[config.stride]):
            deconv += [
                nn.ConvTranspose2d(channels, config.deconv_channels, 4, 2, 1, bias=False),
                nn.BatchNorm2d(config.deconv_channels),
                nn.ReLU(),
            ]
            channels = config.deconv_channels
        self.deconv_layers = nn.Sequential(*deconv)
        self.final_layer = nn.Conv2d(channels, outputs, 1)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, 3, stride·H, stride·W) to heatmaps (N, J, H, W), float32."""
        if self.engine is not None:
            out = self.engine(images)
        else:
            with autocast_to(images.device, self.precision):
                out = self._forward(images.to(self.final_layer.weight.dtype)).float()
        # The trunk pads to multiples of 32 image px at the right and at the bottom: crop the padding.
        rows, columns = (side // self.config.stride for side in images.shape[-2:])
        out = out[..., :rows, :columns]
        return torch.sigmoid(out) if self.sigmoid else out

    def _forward(self, images: Tensor) -> Tensor:
        x = images.contiguous(memory_format=torch.channels_last)
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        out: Tensor = self.final_layer(self.deconv_layers(x))
        return out

    def fold(self) -> None:
        """Fold every batch norm into its convolution; for inference only."""
        for module in self.modules():
            for number in ("1", "2", "3"):
                conv, norm = getattr(module, f"conv{number}", None), getattr(module, f"bn{number}", None)
                if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d):
                    setattr(module, f"conv{number}", fuse_conv_bn_eval(conv, norm))
                    setattr(module, f"bn{number}", nn.Identity())
            if isinstance(module, nn.Sequential):
                _fold_pairs(module)

    def load_initial(self, path: Path, skeleton: Skeleton) -> list[str]:
        """Initialise from the weights in a file, where their shapes match.

        Reads Pose-ResNet and plain ResNet files, `.safetensors` or `.pth`, and reorders heads of 17 COCO joints.
        Executes no code in the file.

        Args:
            path: File with the weights.
            skeleton: Joints of the heatmaps.

        Returns:
            Names of the parameters that the file lacks, such as those of the head in a plain ResNet.

        Raises:
            CoreError: The file contains no weights, or those of another network, or COCO lacks one of the joints.
        """
        loaded = {_plain(name): value for name, value in _read(path).items()}
        head = loaded.get("final_layer.weight")
        if head is not None and len(head) == len(COCO17) and self.final_layer.out_channels == len(skeleton):
            channels = coco_channels(skeleton)
            loaded |= {n: v[channels] for n, v in loaded.items() if n.startswith("final_layer.")}
        own = self.state_dict()
        missing = sorted(n for n in own if n not in loaded and not n.endswith(_COUNTER))
        problems = [f"{n} is missing" for n in missing if not n.startswith(_HEAD)]
        for name, value in loaded.items():
            if name in own and value.shape != own[name].shape:
                problems.append(f"{name} is {_shape(value)}, not {_shape(own[name])}")
            elif name not in own and _OWN.match(name):
                problems.append(f"{name} has no place")
        if problems:
            more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise CoreError(
                f"{path.name} does not fit this backbone (depth {self.config.depth}, width {self.config.width:g}, "
                f"{self.config.deconv_channels} deconvolution channels): {'; '.join(problems[:3])}{more}.",
                "Choose a Pose-ResNet or ResNet file of this depth, or change `model.backbone`.",
            )
        self.load_state_dict({n: v for n, v in loaded.items() if n in own}, strict=False)
        return missing

    def _initialise(self) -> None:
        """Initialise the trunk after He et al. and the head close to zero; the attention network starts at 0.5."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                if self.sigmoid or name.startswith(_HEAD):
                    nn.init.normal_(module.weight, std=_QUIET_STD)
                else:
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def predict_heatmaps(network: nn.Module, images: Tensor) -> Tensor:
    """Apply the backbone or the attention network to images (B, V, 3, h, w), frame by frame: (B, V, J, H, W).

    With a gradient and large images, activations are recomputed in the backward pass (gradient checkpointing), since
    three versions of five views would not fit a GPU of 12 GB. Batch norm statistics still count every image once.
    """
    wanted = torch.is_grad_enabled() and any(p.requires_grad for p in network.parameters())
    size = images[:, :, 0].numel()
    if not (wanted and size > _MOST_KEPT_PX):
        return torch.stack([network(some) for some in images.unbind(0)]).float()

    def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), _uncounted(network)

    parts = [checkpoint(network, some, use_reentrant=False, context_fn=contexts) for some in images.unbind(0)]
    return torch.stack(parts).float()


@contextmanager
def _uncounted(network: nn.Module) -> Iterator[None]:
    """Freeze the running statistics of batch norms within the context."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


def coco_channels(skeleton: Skeleton) -> list[int]:
    """Return the channel of a COCO head that initialises each joint; a derived joint uses its first part.

    Raises:
        CoreError: A joint is neither a COCO joint nor derived from COCO joints.
    """
    return [COCO17.index(j if COCO17.has(j) else DERIVED_JOINTS.get(j, (j,))[0]) for j in skeleton.joints]


def attention_net(outputs: int) -> PoseResNet:
    """Build the attention network of SelfPose3d: confidence in each pixel of a label, initially 0.5 everywhere."""
    return PoseResNet(BackboneConfig(depth=18), outputs, sigmoid=True)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def _fold_pairs(layers: nn.Sequential) -> None:
    """Fold batch norms that follow a convolution in a sequence."""
    for place in range(len(layers) - 1):
        conv, norm = layers[place], layers[place + 1]
        if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
            layers[place] = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
            layers[place + 1] = nn.Identity()


def _plain(name: str) -> str:
    """Return a parameter's name without the prefixes that training programs add."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return _plain(name.removeprefix(prefix))
    return name


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a number"


def _read(path: Path) -> dict[str, Tensor]:
    """Read tensors by name; everything else in the file is ignored."""
    remedy = "Choose a .safetensors or .pth file with the weights of a Pose-ResNet or ResNet."
    if not path.is_file():
        raise CoreError(f"There is no file {path}.", remedy)
    try:
        content: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
        for wrapper in ("state_dict", "model", "network"):
            content = content[wrapper] if isinstance(content.get(wrapper), dict) else content
        return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    except Exception as error:
        raise CoreError(f"{path.name} does not hold weights: {error}.", remedy) from error
