"""Departures from the paper: losses with value, mask and gradient; synthetic rigs; initial weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.datasets.footage import Footage, PseudoLabels
from core.errors import CoreError
from core.models.checkpoint import load_initial_weights
from core.models.config import RayRefinerConfig, TemporalRefinerConfig
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.progress import RecordingReporter
from core.training.config import RigsConfig, TrainConfig
from core.training.losses.heatmaps import attention_loss, heatmap_loss, truncated_quadratic
from core.training.losses.joints import anchor_loss, consistency_loss
from core.training.presets import PRESETS, preset
from core.training.rigs import SyntheticRigs
from core.training.stages.config import PoseStageConfig, RayRefinerStageConfig, TemporalStageConfig, paper_stage
from core.training.stages.pose import PoseTraining
from core.training.stages.temporal import temporal_samples
from core.training.synthetic import root_relative_joints
from core.training.trainer import Trainer
from core.types.volume import CaptureVolume


class TestLosses:
    def test_attention_at_its_optimum_is_the_closed_form(self) -> None:
        """Golden values: e = 0.05 gives attention 0.75, e = 0.1 gives 0.5 and a loss of 0.075, e = 0.2 gives 0."""
        for e, best in ((0.05, 0.75), (0.1, 0.5), (0.2, 0.0), (0.4, 0.0)):
            attention = torch.linspace(0, 1, 2001)
            cost = attention * e + 0.1 * (attention - 1) ** 2
            assert float(attention[cost.argmin()]) == pytest.approx(best, abs=1e-3)
            assert float(cost.min()) == pytest.approx(float(truncated_quadratic(torch.tensor(e))), abs=1e-6)
        assert float(truncated_quadratic(torch.tensor(0.1))) == pytest.approx(0.075)
        assert float(attention_loss(torch.full((2, 3), 0.5))) == pytest.approx(0.025)

    def test_attention_weights_pixels(self) -> None:
        predicted, target = torch.ones(1, 1, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2)
        attention = torch.tensor([[1.0, 0.5], [0.0, 0.0]]).expand(1, 1, 1, 2, 2)
        whole = heatmap_loss(predicted, target, torch.ones(1, 1, 1), robust=False, attention=attention)
        assert float(whole) == pytest.approx(1.5 / 4)

    def test_background_weighs_less_without_a_label(self) -> None:
        target = torch.tensor([[1.0, 0.0]]).expand(1, 1, 1, 1, 2)
        wrong = heatmap_loss(torch.zeros_like(target) + 0.5, target, torch.ones(1, 1, 1), robust=False, background=0.1)
        assert float(wrong) == pytest.approx((0.25 + 0.025) / 2)

    def test_anchor_attracts_known_joints_within_its_radius(self) -> None:
        anchor = torch.zeros(1, 3, 3)
        predicted = torch.tensor([[[30.0, 0, 0], [0, 0, 60.0], [900.0, 0, 0]]], requires_grad=True)
        weight = torch.tensor([[1.0, 0.0, 1.0]])
        loss = anchor_loss(predicted, anchor, weight, 200.0)
        assert float(loss.detach()) == pytest.approx((10 + 200 / 3) / 2 / 1000)
        loss.backward()
        assert predicted.grad is not None
        assert predicted.grad[0, 0, 0] > 0 and not predicted.grad[0, 1].any() and not predicted.grad[0, 2].any()

    def test_consistency_loss_is_symmetric(self) -> None:
        one, other = torch.zeros(2, 3, 3), torch.full((2, 3, 3), 30.0)
        assert float(consistency_loss(one, other)) == float(consistency_loss(other, one)) == pytest.approx(0.03)


class TestPoseStage:
    def losses(
        self, config: PoseStageConfig, tiny: TrainConfig, world: object, scene: CaptureScene
    ) -> dict[str, torch.Tensor]:
        footage: Footage = world.footage  # type: ignore[attr-defined]
        people: np.ndarray = world.people_mm  # type: ignore[attr-defined]
        labels = dataclasses.replace(footage.labels, anchor_mm=people.astype(np.float32))
        stage = PoseTraining(config, Networks(tiny.model), scene, dataclasses.replace(footage, labels=labels))
        return stage.losses(np.random.default_rng(0), config.steps - 1)

    @pytest.mark.slow
    def test_every_switch_adds_its_term(self, tiny: TrainConfig, world: object, scene: CaptureScene) -> None:
        on = self.losses(PoseStageConfig(steps=4, batch=2, joint_from=0), tiny, world, scene)
        off = self.losses(
            PoseStageConfig(steps=4, batch=2, joint_from=0, weights={"anchor": 0, "consistency": 0}), tiny, world, scene
        )
        assert {"anchor", "consistency", "heatmap", "joint", "loss"} == on.keys()
        assert {"heatmap", "joint", "loss"} == off.keys()
        assert all(torch.isfinite(v) for v in on.values()) and float(on["anchor"].detach()) > 0

    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_losses(self, tiny: TrainConfig, world: object, tmp_path: Path) -> None:
        """This list shows whether a refactoring changed the results."""
        lists = []
        for number in range(2):
            reporter = RecordingReporter()
            footage: Footage = world.footage  # type: ignore[attr-defined]
            volume: CaptureVolume = world.volume  # type: ignore[attr-defined]
            steps = dataclasses.replace(tiny, pose=dataclasses.replace(tiny.pose, steps=20))
            Trainer(steps, footage, volume, tmp_path / str(number), torch.device("cpu"), reporter).run()
            lists.append([(name, value) for name, value, _ in reporter.metrics])
        assert lists[0] == lists[1] and len(lists[0]) > 20

    def test_only_confident_labels_are_used(self, tiny: TrainConfig, world: object, scene: CaptureScene) -> None:
        footage: Footage = world.footage  # type: ignore[attr-defined]
        stage = PoseTraining(PoseStageConfig(min_confidence=0.6), Networks(tiny.model), scene, footage)
        _, weight = stage._labels(footage.train[:4], scene.affine.expand(4, -1, -1, -1))
        assert (weight[weight > 0] >= 0.6).all() and (weight > 0).any()

    def test_frames_that_lose_a_person_are_drawn_again(
        self, tiny: TrainConfig, world: object, scene: CaptureScene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        footage: Footage = world.footage  # type: ignore[attr-defined]
        stage = PoseTraining(PoseStageConfig(redraw=True, batch=3), Networks(tiny.model), scene, footage)
        good = footage.train[5]
        monkeypatch.setattr(stage, "_accepted", lambda frames, affines: frames == good)
        frames, _ = stage._draw(np.random.default_rng(0))
        assert (frames == good).any()
        everything = {int(m) for s in range(40) for m in stage._draw(np.random.default_rng(s))[0]}
        assert max(everything) > footage.train[len(footage.train) // 2]  # not only the first part of the footage

    def test_paper_stage_has_the_departures_off(self) -> None:
        stage = paper_stage()
        assert not (stage.weights["anchor"] or stage.weights["consistency"] or stage.drop_view or stage.match_gate)
        assert stage.attention == "network" and stage.hard_attention and stage.redraw and not stage.train_ray_refiner


class TestRigs:
    @pytest.mark.slow
    def test_synthetic_rigs_differ_and_are_repeatable(self, tiny: TrainConfig, scene: CaptureScene) -> None:
        rigs = SyntheticRigs(scene, RigsConfig(random=True, own_share=0.25, count=6, cache_size=2), tiny.model, 3)
        drawn = [rigs.draw(np.random.default_rng(s)) for s in range(30)]
        assert any(s is scene for s in drawn) and len({s.rig.digest for s in drawn}) >= 5
        again = SyntheticRigs(scene, rigs.config, tiny.model, 3).draw(np.random.default_rng(0))
        assert again.rig.digest == drawn[0].rig.digest
        assert all(2 <= len(s.rig) <= 10 for s in drawn)

    def test_without_random_rigs_the_own_rig_is_used(self, tiny: TrainConfig, scene: CaptureScene) -> None:
        rigs = SyntheticRigs(scene, RigsConfig(), tiny.model, 0)
        assert all(rigs.draw(np.random.default_rng(s)) is scene for s in range(5))

    def test_impossible_rigs_are_refused(self) -> None:
        with pytest.raises(CoreError, match="two cameras"):
            RigsConfig(cameras=(1, 4))


class TestInitialWeights:
    @pytest.mark.parametrize("name", ["quick", "fast"])
    def test_shipped_weights_fit_their_preset(self, name: str) -> None:
        networks = Networks(preset(name).model)
        before = networks.pose.gain.clone()
        assert load_initial_weights(networks, "shipped", name) == ["root", "pose", "ray_refiner", "temporal"]
        assert not torch.equal(networks.pose.gain, before)

    def test_parts_that_do_not_fit_keep_their_initial_weights(self, tiny: TrainConfig) -> None:
        other_pose = dataclasses.replace(preset("quick").model, pose=tiny.model.pose, temporal=tiny.model.temporal)
        assert load_initial_weights(Networks(other_pose), "shipped", "quick") == ["root"]
        with pytest.raises(CoreError, match="No part of the networks"):
            load_initial_weights(Networks(dataclasses.replace(tiny.model, skeleton="coco19")), "shipped", "fast")
        with pytest.raises(CoreError, match="no checkpoint"):
            load_initial_weights(Networks(tiny.model), "shipped", "paper")

    def test_every_preset_has_a_card_and_its_name(self) -> None:
        from core.training.presets import CARDS

        assert CARDS.keys() == PRESETS.keys()
        assert all(preset(name).name == name for name in PRESETS)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["ray_refiner", "temporal"])
    def test_refiners_learn(self, name: str, tiny: TrainConfig, world: object, tmp_path: Path) -> None:
        """Some steps make the ray refiner better than triangulation, the temporal one than a Kalman smoother."""
        ray_refiner = dataclasses.replace(tiny.model.pose.ray_refiner, enabled=True, channels=16, layers=1, heads=2)
        temporal = TemporalRefinerConfig(enabled=True, channels=16, layers=1, heads=2, frames=12)
        model = dataclasses.replace(
            tiny.model, pose=dataclasses.replace(tiny.model.pose, ray_refiner=ray_refiner), temporal=temporal
        )
        stages: dict[str, Any] = {
            "ray_refiner": RayRefinerStageConfig(steps=60, batch=32, learning_rate=4e-3),
            "temporal": TemporalStageConfig(steps=60, batch=8, frames=16, scenes=4, learning_rate=4e-3),
        }
        off = {"root", "pose_synthetic", "pose"} | stages.keys() - {name}
        config = dataclasses.replace(
            tiny,
            model=model,
            **{stage: dataclasses.replace(getattr(tiny, stage), steps=0) for stage in off},
            **{name: stages[name]},
        )
        footage: Footage = world.footage  # type: ignore[attr-defined]
        volume: CaptureVolume = world.volume  # type: ignore[attr-defined]
        run = Trainer(config, footage, volume, tmp_path, torch.device("cpu"), RecordingReporter())
        stage = next(s for s in run.stages if s.name == name)

        def loss() -> float:
            with torch.no_grad():
                return float(np.mean([stage.losses(np.random.default_rng([9, k]), 0)["loss"] for k in range(6)]))

        before = loss()
        run.run()
        assert loss() < before - 0.03 * abs(before)


def test_temporal_samples_are_like_the_output_of_inference(tiny: TrainConfig, scene: CaptureScene) -> None:
    """Samples are inexact, mostly known, with constant bone lengths, and repeatable by seed."""
    pose = dataclasses.replace(tiny.model.pose, ray_refiner=RayRefinerConfig(enabled=True))
    networks = Networks(dataclasses.replace(tiny.model, pose=pose)).eval()
    bodies = root_relative_joints(500, np.random.default_rng(0), networks.skeleton)
    networks.pose.prior.fit(torch.tensor(bodies, dtype=torch.float32))
    stage = TemporalStageConfig(frames=10, people=2)
    samples = [temporal_samples(networks, scene, stage, np.random.default_rng(k)) for k in (1, 2, 1)]
    for sample in samples:
        assert sample.xyz_mm.shape == sample.exact_mm.shape == (len(sample.xyz_mm), 10, 15, 3)
        assert 0.6 < float(sample.known.float().mean()) <= 1.0
        error_mm = (sample.xyz_mm - sample.exact_mm).norm(dim=-1)[sample.known]
        assert 2 < float(error_mm.median()) < 60
        bones = (sample.exact_mm[:, :, 3] - sample.exact_mm[:, :, 4]).norm(dim=-1)
        torch.testing.assert_close(bones, bones[:, :1].expand_as(bones), atol=0.1, rtol=0)
    assert (
        torch.equal(samples[0].xyz_mm, samples[2].xyz_mm) and samples[0].xyz_mm.shape[1:] == samples[1].xyz_mm.shape[1:]
    )


def test_a_given_volume_is_validated() -> None:
    assert TrainConfig(volume_mm=(-1000, -1000, -200, 1000, 1000, 2000)).volume_mm[3] == 1000
    for wrong in ((1.0, 2.0), (0.0, 0, 0, 1000, 1000, -5)):
        with pytest.raises(CoreError, match="volume_mm"):
            TrainConfig(volume_mm=wrong)


def test_raw_labels_are_the_detections_of_the_estimator(world: object) -> None:
    footage: Footage = world.footage  # type: ignore[attr-defined]
    labels = PseudoLabels.raw(footage.inputs)
    assert labels.anchor_mm is None and np.array_equal(labels.xy_px, footage.inputs.xy_px)
    assert set(np.unique(labels.weight)) == {0.0, 1.0}
