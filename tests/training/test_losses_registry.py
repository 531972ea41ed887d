"""The registry of losses: adding one, and refusing unknown ones."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

import pytest
import torch

from core.config import from_mapping, to_mapping, with_overrides
from core.errors import CoreError
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.config import TrainConfig
from core.training.losses.table import LOSSES, LossEntry, stage_losses
from core.training.presets import PRESETS, preset
from core.training.stages.config import PoseStageConfig, PoseSyntheticStageConfig
from core.training.stages.registry import STAGES, build_stages
from core.training.state import step_rng

MODULE = """
def spread(step):
    return (step.xyz_mm - step.xyz_mm.mean(1, keepdim=True)).square().mean() / 1e6
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Register a loss of the pose network on synthetic people, with one file and one line."""
    (tmp_path / "added_loss.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    monkeypatch.setitem(LOSSES, "pose_synthetic/spread", LossEntry("added_loss:spread", 0.5))
    yield "spread"
    sys.modules.pop("added_loss", None)


def test_an_added_loss_is_trained_with(added: str, tiny: TrainConfig, world: object, scene: CaptureScene) -> None:
    def losses(config: PoseSyntheticStageConfig) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        settings = dataclasses.replace(tiny, pose_synthetic=config)
        footage = world.footage  # type: ignore[attr-defined]
        stage = build_stages(settings, Networks(tiny.model), scene, footage)[list(STAGES).index("pose_synthetic")]
        return stage.losses(step_rng(0, 0, 0), 0)

    config = PoseSyntheticStageConfig(steps=1, batch=2)
    assert config.weights[added] == 0.5, "its default weight is a setting of the stage"
    on = losses(config)
    off = losses(dataclasses.replace(config, weights={**config.weights, added: 0.0}))
    doubled = losses(from_mapping(PoseSyntheticStageConfig, {"steps": 1, "batch": 2, "weights": {added: 1.0}}))
    assert added in on and added not in off and float(on[added].detach()) > 0
    share = float(on[added].detach())
    assert float((on["loss"] - off["loss"]).detach()) == pytest.approx(0.5 * share, rel=1e-4)
    assert float((doubled["loss"] - off["loss"]).detach()) == pytest.approx(share, rel=1e-4)
    assert doubled["loss"].requires_grad


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CoreError, match="no loss named 'anchr'") as caught:
        PoseStageConfig(weights={"anchr": 1.0})
    assert "anchor" in str(caught.value.hint)
    with pytest.raises(CoreError, match="no loss named 'spread'"):
        from_mapping(PoseSyntheticStageConfig, {"weights": {"spread": 1.0}})
    with pytest.raises(CoreError, match=r"Unknown setting 'pose\.weights\.spread'"):
        with_overrides(preset("quick"), ["pose.weights.spread=1"])


@pytest.mark.parametrize("weight", [-1.0, float("nan"), "much", True])
def test_a_weight_is_a_number_that_is_not_negative(weight: object) -> None:
    with pytest.raises(CoreError, match="weight of loss 'anchor'"):
        from_mapping(PoseStageConfig, {"weights": {"anchor": weight}})


def test_a_weight_can_be_set_on_the_command_line() -> None:
    config = with_overrides(preset("quick"), ["pose.weights.anchor=0.7"])
    assert config.pose.weights["anchor"] == 0.7
    assert {k: v for k, v in config.pose.weights.items() if k != "anchor"} == {
        k: v for k, v in preset("quick").pose.weights.items() if k != "anchor"
    }


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_lists_the_weight_of_every_loss(name: str) -> None:
    printed = to_mapping(preset(name))
    for stage in STAGES:
        of = "pose" if stage == "finetune" else stage
        assert printed[stage]["weights"].keys() == stage_losses(of).keys()


def test_every_loss_belongs_to_a_stage_and_can_be_imported() -> None:
    for key, entry in LOSSES.items():
        module, _, name = entry.function.partition(":")
        assert key.partition("/")[0] in STAGES and callable(getattr(importlib.import_module(module), name))
