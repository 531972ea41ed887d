"""Networks converted to another joint set or given another root network."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from core.files import resource
from core.models.checkpoint import Checkpoint
from core.training.presets import preset
from core.types import COCO19, PANOPTIC15

CPU = torch.device("cpu")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = Path(__file__).resolve().parents[2] / "scripts"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("tested_convert_networks", folder / "convert_networks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_shared_joints_keep_their_weights_and_new_ones_start_from_their_heatmaps(script: ModuleType) -> None:
    saved = script.with_skeleton(Checkpoint.load(resource("weights", "networks_fast")), "panoptic15")
    wide, narrow = script.with_skeleton(saved, "coco19").build(CPU), saved.build(CPU)
    assert wide.skeleton is COCO19 and narrow.skeleton is PANOPTIC15
    shared = COCO19.indices(*PANOPTIC15.joints)
    new = [j for j in range(len(COCO19)) if j not in shared]
    maps = torch.rand(2, len(COCO19), 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = wide.pose.planes.net(maps)  # type: ignore[union-attr]
        expected = narrow.pose.planes.net(maps[:, shared])  # type: ignore[union-attr]
    torch.testing.assert_close(found[:, shared], expected)
    assert expected.abs().max() > 0.01 and not found[:, new].any()
    nose, ear = PANOPTIC15.index("nose"), COCO19.index("left_ear")
    assert torch.equal(wide.ray_refiner.name[ear], narrow.ray_refiner.name[nose])  # type: ignore[union-attr]
    # The ear is beside the nose, not in its place.
    assert wide.pose.prior.mean_mm[ear, 2] == pytest.approx(float(narrow.pose.prior.mean_mm[nose, 2]), abs=60)


def test_the_shipped_presets_share_the_root_network(script: ModuleType) -> None:
    """That of `quick` was a volume network that suppressed real people."""
    quick, fast = (Checkpoint.load(resource("weights", f"networks_{name}")) for name in ("quick", "fast"))
    assert preset("quick").model == quick.config and preset("fast").model == fast.config
    again = script.with_root(quick, fast)
    assert again.config == quick.config and again.volume.voxels == quick.volume.voxels
    assert again.weights.keys() == quick.weights.keys()
    assert all(torch.equal(again.weights[k], v) for k, v in quick.weights.items())
