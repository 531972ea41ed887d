"""Settings of the networks. Torch-free: the window reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.errors import CoreError
from core.types.skeleton import skeleton


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapConfig:
    """Network input: heatmaps with one channel per joint.

    Attributes:
        source: Source of the heatmaps. "joints" renders a Gaussian for each 2D joint, with its score as the height.
            "estimator" uses the heatmaps stored by the 2D estimator; joints without a channel, the root network's input
            and synthetic people stay rendered. "backbone" uses those of a network that is trained on the footage's
            pseudo labels.
        long_side_px: Longer side of a heatmap; the image of a view is fitted into it at its aspect ratio.
        sigma_px: Standard deviation of a joint's Gaussian, in heatmap px.
    """

    source: Literal["joints", "estimator", "backbone"] = "joints"
    long_side_px: int = 240
    sigma_px: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """2D network that computes heatmaps from images, with `heatmap.source` "backbone".

    Attributes:
        depth: Depth of the residual network: 50 for the paper's backbone, 18 for its attention network.
        width: Factor on the number of channels of every residual stage; 1 is the paper's network.
        deconv_channels: Channels of the three transposed convolutions.
        stride: Image px of the network's input per heatmap px: 4 as in the paper, or 2 for images of half the size.
        weights: File with initial weights of a Pose-ResNet or ResNet, with their usual parameter names. If empty,
            weights are random.
    """

    depth: Literal[18, 50] = 50
    width: float = 1.0
    deconv_channels: int = 256
    stride: Literal[2, 4] = 4
    weights: str = ""

    def __post_init__(self) -> None:
        if self.width <= 0 or self.deconv_channels < 1:
            raise CoreError(
                f"A backbone of width {self.width} with {self.deconv_channels} deconvolution channels is invalid.",
                "Use positive numbers.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeNetConfig:
    """Encoder-decoder (V2V) of the root and pose network.

    Attributes:
        width: Factor on all numbers of channels; 1 is the paper's network.
        front_kernel: Kernel size of the first convolution. The paper's 7 accounts for a quarter of the pose
            network's cost; 3 is cheaper.
    """

    width: float = 1.0
    front_kernel: int = 7

    def __post_init__(self) -> None:
        if self.width <= 0 or self.front_kernel % 2 == 0:
            raise CoreError(
                f"A volume network of width {self.width} with a front kernel of {self.front_kernel} is invalid.",
                "Use a positive width and an odd kernel.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RootNetConfig:
    """Root network: a confidence for every voxel of the capture volume, and its peaks.

    Attributes:
        head: Architecture of the head. "volume" is the paper's 3D network. "planes" finds people in bird's-eye view and
            then their height, after Faster-VoxelPose (ECCV 2022), with two orders of magnitude fewer operations.
        net: Settings of the encoder-decoder.
        spacing_mm: Approximate voxel spacing; the number of voxels is rounded to multiples of 4.
        sigma_mm: Standard deviation of the target around a root.
        max_people: Largest number of proposals per frame.
        threshold: Smallest confidence of a proposal.
        merge_mm: Distance below which only the best of several proposals is kept.
        heatmap_skip: Add the fused heatmaps to the network's output, times a trained factor (a departure from the
            paper). The network then only learns which ray intersections are ghosts.
    """

    head: Literal["volume", "planes"] = "volume"
    net: VolumeNetConfig = field(default_factory=VolumeNetConfig)
    spacing_mm: float = 101.0
    sigma_mm: float = 200.0
    max_people: int = 10
    threshold: float = 0.3
    merge_mm: float = 300.0
    heatmap_skip: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RayRefinerConfig:
    """Refinement of joints by a network that weights the views and has a learned prior of bodies.

    Attributes:
        enabled: Refine joints with the network.
        channels: Number of channels.
        layers: Number of blocks.
        heads: Number of heads of each attention layer.
        rounds: Number of passes of the network; each linearises the cameras at the current joints.
        window_sigmas: Search radius, in sigmas around the projection, for heatmap peaks in a view without detections.
        max_std_mm: Largest expected error of a joint along any axis. Joints above it are reported as missing, unless
            the rig does not allow a smaller error there; 0 reports all.
    """

    enabled: bool = False
    channels: int = 64
    layers: int = 3
    heads: int = 4
    rounds: int = 2
    window_sigmas: float = 2.5
    max_std_mm: float = 60.0

    def __post_init__(self) -> None:
        if self.channels % self.heads:
            raise CoreError(
                f"{self.channels} channels cannot be divided among {self.heads} heads.",
                "Use a multiple of the number of heads.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalRefinerConfig:
    """Smoothing over time by a network; a departure from the paper, which treats each frame independently.

    Attributes:
        enabled: Smooth over time; requires the ray refiner, whose covariances it uses.
        channels: Number of channels.
        layers: Number of blocks.
        heads: Number of heads of each attention layer.
        frames: Number of frames in a window.
    """

    enabled: bool = False
    channels: int = 64
    layers: int = 3
    heads: int = 4
    frames: int = 32

    def __post_init__(self) -> None:
        if self.channels % self.heads or self.frames < 4:
            raise CoreError(
                f"A temporal refiner of {self.channels} channels, {self.heads} heads, {self.frames} frames is invalid.",
                "Use a multiple of the number of heads as channels, and at least four frames.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseNetConfig:
    """Pose network: the joints of one person in a cube around the root.

    Attributes:
        head: Architecture of the head. "volume" is the paper's 3D network. "planes" projects the cube onto three planes
            for a shared 2D network, after Faster-VoxelPose (ECCV 2022).
        net: Settings of the encoder-decoder.
        voxels: Number of points along an edge of the cube, including both ends; a multiple of 4.
        cube_mm: Edge length of the cube.
        beta: Inverse temperature of the soft-argmax.
        heatmap_skip: Add `gain` times the fused heatmaps to the network's output (a departure from the paper). The
            untrained network is then a soft-argmax of the fused heatmaps.
        gain: Initial value of the factor of `heatmap_skip`, which is trained per joint.
        evidence_floor: Floor e of the fusion of views. With e > 0 views are fused after h -> log(1 + h/e) / log(1 +
            1/e), so that their mean is a log-likelihood with a floor for outliers; 0 fuses plain heatmaps as in the
            paper.
        merge_mm: Mean joint distance below which only the better of two skeletons is kept.
        gate: Restrict the input of the network to detections that fit the root, and remove people without exclusive
            detections (a departure from the paper: heatmaps do not encode which joints belong together).
        min_views: Smallest number of views with a detection that fits the root better than any other. It permits a low
            threshold of the root network, since false proposals have no exclusive detections.
        ray_refiner: Settings of the refinement of joints.
    """

    head: Literal["volume", "planes"] = "volume"
    net: VolumeNetConfig = field(default_factory=VolumeNetConfig)
    voxels: int = 64
    cube_mm: float = 2000.0
    beta: float = 100.0
    heatmap_skip: bool = True
    gain: float = 0.4
    evidence_floor: float = 0.02
    merge_mm: float = 150.0
    gate: bool = True
    min_views: int = 2
    ray_refiner: RayRefinerConfig = field(default_factory=RayRefinerConfig)

    def __post_init__(self) -> None:
        if self.voxels < 4 or self.voxels % 4:
            raise CoreError(
                f"A pose cube of {self.voxels} voxels cannot be halved twice.", "Use a multiple of 4, such as 32 or 64."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """All networks and their input.

    Attributes:
        skeleton: Name of the predicted joint set: "panoptic15", "coco17" or "coco19".
        heatmap: Settings of the network input.
        backbone: Settings of the 2D network, with `heatmap.source` "backbone".
        attention_net: Add the paper's attention network to the backbone; for training only.
        root: Settings of the root network.
        pose: Settings of the pose network.
        temporal: Settings of the temporal refiner.
    """

    skeleton: str = "panoptic15"
    heatmap: HeatmapConfig = field(default_factory=HeatmapConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    attention_net: bool = False
    root: RootNetConfig = field(default_factory=RootNetConfig)
    pose: PoseNetConfig = field(default_factory=PoseNetConfig)
    temporal: TemporalRefinerConfig = field(default_factory=TemporalRefinerConfig)

    def __post_init__(self) -> None:
        _ = skeleton(self.skeleton).root_joints  # raises for an unknown name, and for joints without a root
