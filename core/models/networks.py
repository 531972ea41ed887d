"""All networks of a run in one module."""

from __future__ import annotations

import torch
from torch import nn

from core.models.backbone import PoseResNet, attention_net
from core.models.config import ModelConfig
from core.models.engine import openvino_engine
from core.models.heads.plane_nets import BevRootNet
from core.models.heads.pose_net import PoseNet
from core.models.heads.root_net import RootNet
from core.models.refiners.ray_refiner import RayRefiner
from core.models.refiners.temporal_refiner import TemporalRefiner
from core.models.volume_net import VolumeNet
from core.types.skeleton import Skeleton, skeleton


class Networks(nn.Module):
    """Root and pose network, with ray refiner, temporal refiner, backbone and attention network as configured.

    Args:
        config: Settings of the networks.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        joints = len(self.skeleton)
        self.root = BevRootNet(config.root) if config.root.head == "planes" else RootNet(config.root)
        self.pose = PoseNet(joints, config.pose)
        self.ray_refiner = RayRefiner(joints, config.pose.ray_refiner) if config.pose.ray_refiner.enabled else None
        smooths = config.temporal.enabled and config.pose.ray_refiner.enabled
        self.temporal = TemporalRefiner(joints, config.temporal) if smooths else None
        looks = config.heatmap.source == "backbone"
        self.backbone = PoseResNet(config.backbone, joints) if looks else None
        self.attention = attention_net(joints) if looks and config.attention_net else None

    @property
    def skeleton(self) -> Skeleton:
        """Joints that the networks predict."""
        return skeleton(self.config.skeleton)

    def fold(self) -> None:
        """Fold batch norms into convolutions; for inference only."""
        self.root.fold()
        self.pose.fold()
        if self.backbone is not None:
            self.backbone.fold()

    def freeze(self, dtype: torch.dtype | None) -> None:
        """Prepare for inference: fold batch norms and convert convolutions to `dtype`; None is float32."""
        self.eval()
        self.fold()
        self.requires_grad_(False)
        for part in self.modules():
            if isinstance(part, VolumeNet | PoseResNet):
                part.engine = openvino_engine(part, dtype)
                if part.engine is not None:
                    continue
                part.to(dtype=dtype or torch.float32)
