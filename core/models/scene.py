"""A rig and its capture volume on a device."""

from __future__ import annotations

from functools import cached_property

import torch

from core.models.config import ModelConfig
from core.models.geometry.affine import fit_rig_affines, heatmap_size
from core.models.geometry.projection import RigProjector
from core.models.geometry.unproject import ProjectedGrid, VolumeUnprojector
from core.models.view_batch import float_tensor
from core.types.camera import CameraRig
from core.types.skeleton import skeleton
from core.types.volume import CaptureVolume

_MAX_GRID_MIB = 1024.0
"""Largest memory of a projected grid."""


class CaptureScene:
    """A rig and its capture volume on a device, with everything that is computed once and used at every step.

    Args:
        rig: V posed cameras.
        volume: Capture volume of the root network.
        config: Settings of the networks.
        device: Device of the buffers.
    """

    def __init__(self, rig: CameraRig, volume: CaptureVolume, config: ModelConfig, device: torch.device) -> None:
        self.rig, self.volume, self.device = rig, volume, device
        self.skeleton = skeleton(config.skeleton)
        self.projector = RigProjector(rig).to(device)
        self.size_hw = heatmap_size(rig, config.heatmap.long_side_px)
        self.base_affine = fit_rig_affines(rig, self.size_hw)
        self.affine = float_tensor(self.base_affine, device)
        self.sigma_px = config.heatmap.sigma_px
        self._cube = (config.pose.cube_mm, config.pose.voxels)
        self._grid: ProjectedGrid | None = None

    @cached_property
    def unprojector(self) -> VolumeUnprojector:
        """Unprojection into the capture volume; built at first use, since some stages never need it."""
        return VolumeUnprojector(self.projector, self.volume)

    @property
    def cubes(self) -> RigProjector | ProjectedGrid:
        """Source of people's cubes: a projected grid, built at first use, or the rig if the grid would be too large."""
        if self._grid is None and ProjectedGrid.size_mib(len(self.rig), self.volume, *self._cube) <= _MAX_GRID_MIB:
            self._grid = ProjectedGrid(self.projector, self.volume, *self._cube)
        return self.projector if self._grid is None else self._grid
