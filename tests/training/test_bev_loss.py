"""Exact values of the bird's-eye-view loss, so that the scales of map and height columns are pinned."""

from __future__ import annotations

import pytest
import torch

from core.models.config import RootNetConfig, VolumeNetConfig
from core.models.heads.plane_nets import BevOutput, BevRootNet
from core.training.losses.roots import bev_loss


def test_map_and_height_columns_are_weighted_against_each_other() -> None:
    """Without training the head returns its input: the map is the maximum over z, the heights the column itself."""
    net = BevRootNet(RootNetConfig(head="planes", net=VolumeNetConfig(width=0.25))).eval()
    volume = torch.zeros(1, 8, 8, 8)
    volume[0, 3, 4, :4] = 0.8
    output = BevOutput(volume.amax(-1), volume, net)
    cells = torch.tensor([[[3, 4], [0, 0]]])
    target = volume.clone()
    target[0, 3, 4, 2] = 1.0
    # The map misses 0.2 in one of 64 cells; the column of the visible person 0.2 in one of 8 levels.
    visible = torch.tensor([[True, False]])
    expected = 0.04 / 64 + 0.1 * 0.04 / 8
    assert float(bev_loss(output, target, cells, visible).detach()) == pytest.approx(expected, rel=1e-5)
    # The empty column of the second person halves the mean over people.
    visible = torch.tensor([[True, True]])
    expected = 0.04 / 64 + 0.1 * 0.04 / 16
    assert float(bev_loss(output, target, cells, visible).detach()) == pytest.approx(expected, rel=1e-5)
