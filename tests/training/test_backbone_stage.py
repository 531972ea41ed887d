"""The backbone stage: targets, weights, metric, and learning."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from core.datasets.augmented_views import warp_labels
from core.datasets.footage import Footage, PseudoLabels
from core.datasets.images import StoredImages
from core.models.config import BackboneConfig
from core.models.geometry.render import render_heatmaps, render_max
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.config import TrainConfig
from core.training.stages import backbone as backbone_stage
from core.training.stages.backbone import SUFFICIENT_SHARE, BackboneTraining, advice, peaks_near
from core.training.stages.config import BackboneStageConfig

from .conftest import World

SIZE = (24, 32)


class TestRenderMax:
    def test_published_golden_values(self) -> None:
        xy, peak = torch.tensor([[[10.0, 12.0]]]), torch.ones(1, 1)
        target = render_max(xy, peak, SIZE, 3.0)[0]
        assert float(target[12, 13]) == pytest.approx(0.6065, abs=1e-4)
        assert float(target[12, 19]) == pytest.approx(0.0111, abs=1e-4)
        assert float(target[12, 10]) == 1

    def test_each_person_keeps_a_peak_where_a_sum_merges_them(self) -> None:
        xy = torch.tensor([[[10.0, 12.0]], [[15.0, 12.0]]])
        best, summed = (f(xy, torch.ones(2, 1), SIZE, 3.0)[0, 12] for f in (render_max, render_heatmaps))
        middle = float(torch.exp(torch.tensor(-(2.0**2) / 18)))
        assert float(best[12]) == pytest.approx(middle) and float(best[10]) == float(best[15]) == 1
        assert float(summed[12]) == 1

    def test_missing_joints_are_not_rendered_wherever_they_are(self) -> None:
        xy = torch.tensor([[[float("nan"), 3.0]], [[4.0, 5.0]]])
        one = render_max(xy, torch.tensor([[0.0], [1.0]]), SIZE, 2.0)
        assert torch.equal(one, render_max(xy[1:], torch.ones(1, 1), SIZE, 2.0))
        assert not render_max(xy, torch.zeros(2, 1), SIZE, 2.0).any()
        assert render_max(xy[:0], torch.zeros(0, 1), SIZE, 2.0).shape == (1, *SIZE)


class TestPeaksNear:
    def test_counts_peaks_within_two_px_of_known_joints(self) -> None:
        peaks_px = torch.tensor([[10.0, 12.0], [20.0, 12.0], [5.0, 5.0], [1.0, 1.0]])  # one per joint
        labels = peaks_px + torch.tensor([[0.0, 0.0], [1.2, -1.2], [2.4, 0.0], [0.0, 0.0]])
        heatmaps = render_heatmaps(peaks_px[None], torch.ones(1, 4), SIZE, 1.5)[None, None]
        weight = torch.tensor([1.0, 0.3, 1.0, 0.0])
        assert peaks_near(heatmaps, labels[None, None, None], weight[None, None, None]) == (2, 3)
        # Low maxima do not count as peaks.
        assert peaks_near(0.05 * heatmaps, labels[None, None, None], weight[None, None, None]) == (0, 3)

    def test_each_of_two_people_has_a_separate_peak(self) -> None:
        people = torch.tensor([[[8.0, 10.0]], [[22.0, 10.0]]])
        heatmaps = render_heatmaps(people, torch.tensor([[1.0], [0.6]]), SIZE, 1.5)[None, None]
        assert peaks_near(heatmaps, people[None, None], torch.ones(1, 1, 2, 1)) == (2, 2)

    def test_advice_is_given_below_a_share_of_four_fifths(self) -> None:
        assert advice(SUFFICIENT_SHARE) == "" and "79 %" in advice(0.79) and "model.backbone.weights" in advice(0.1)


@pytest.fixture(scope="module")
def config(tiny: TrainConfig) -> TrainConfig:
    model = dataclasses.replace(
        tiny.model,
        heatmap=dataclasses.replace(tiny.model.heatmap, source="backbone"),
        backbone=BackboneConfig(depth=18, width=0.125, deconv_channels=16, stride=2),
    )
    return dataclasses.replace(tiny, model=model)


@pytest.fixture(scope="module")
def footage(world: World, scene: CaptureScene) -> Footage:
    """Return footage with images of the people: a dot per joint, in a colour per joint."""
    rng = np.random.default_rng(0)
    colours = rng.integers(60, 255, (15, 3))
    videos = []
    for v, camera in enumerate(world.rig):
        width, height = (side // 10 for side in camera.size_px)
        video = np.zeros((len(world.footage.inputs), height, width, 3), np.uint8)
        at = np.rint(world.footage.labels.xy_px[:, v] / 10).astype(int)  # (T, L, J, 2)
        for t, person, joint in np.argwhere(world.footage.labels.weight[:, v] > 0):
            x, y = at[t, person, joint]
            video[t, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = colours[joint]
        videos.append(video)
    return dataclasses.replace(world.footage, images=StoredImages(videos, world.rig, 2))


def stage_of(
    config: TrainConfig, scene: CaptureScene, footage: Footage, stage: BackboneStageConfig
) -> BackboneTraining:
    torch.manual_seed(0)
    return BackboneTraining(stage, Networks(config.model), scene, footage)


class TestStage:
    def test_stage_is_skipped_without_a_backbone_or_footage(
        self, tiny: TrainConfig, config: TrainConfig, scene: CaptureScene, footage: Footage
    ) -> None:
        assert stage_of(tiny, scene, footage, BackboneStageConfig()).steps == 0
        empty = Footage.empty(footage.rig, scene.skeleton)
        assert stage_of(config, scene, empty, BackboneStageConfig()).steps == 0
        assert stage_of(config, scene, footage, BackboneStageConfig()).steps == 20_000

    def test_the_loss_compares_with_targets_rendered_from_the_labels(
        self, config: TrainConfig, scene: CaptureScene, footage: Footage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sub-pixel targets as output give zero loss and whole-pixel ones do not; with `floor_targets` vice versa."""
        stage = stage_of(config, scene, footage, BackboneStageConfig(batch=2))
        floored = stage_of(config, scene, footage, BackboneStageConfig(batch=2, floor_targets=True))

        def perfect_output(floor: bool):  # type: ignore[no-untyped-def]
            def perfect(
                networks: Networks,
                footage: Footage,
                scene: CaptureScene,
                frames: np.ndarray,
                affine: Tensor,
                **_: object,
            ):  # type: ignore[no-untyped-def]
                xy, weight = warp_labels(footage, scene, frames, affine)
                heatmaps = render_max(xy.floor() if floor else xy, (weight > 0).float(), scene.size_hw, scene.sigma_px)
                return type("Version", (), {"heatmaps": heatmaps})

            return perfect

        for floor, exact, other in [(False, stage, floored), (True, floored, stage)]:
            monkeypatch.setattr(backbone_stage, "augmented_views", perfect_output(floor))
            assert float(exact.losses(np.random.default_rng(0), 0)["loss"]) == 0
            assert float(other.losses(np.random.default_rng(0), 0)["loss"]) > 1e-4

    def test_joints_without_a_label_carry_no_gradient(
        self, config: TrainConfig, scene: CaptureScene, footage: Footage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        weight = footage.labels.weight.copy()
        weight[:, 1, :, 4] = 0
        labels = PseudoLabels(footage.labels.xy_px, weight)
        stage = stage_of(config, scene, dataclasses.replace(footage, labels=labels), BackboneStageConfig())
        output = torch.full((1, len(scene.rig), len(scene.skeleton), *scene.size_hw), 0.2, requires_grad=True)
        monkeypatch.setattr(
            backbone_stage, "augmented_views", lambda *_, **__: type("Version", (), {"heatmaps": output})
        )
        stage.losses(np.random.default_rng(0), 0)["loss"].backward()
        assert output.grad is not None
        moved = output.grad.abs().amax((0, 3, 4)) > 0
        assert not moved[1, 4] and moved[1, 5] and moved[0, 4]

    def test_a_low_background_weight_reduces_the_penalty_on_unlabelled_people(
        self, config: TrainConfig, scene: CaptureScene, footage: Footage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gradients = []
        for background in (1.0, 0.1):
            output = torch.full((1, len(scene.rig), len(scene.skeleton), *scene.size_hw), 0.2, requires_grad=True)
            monkeypatch.setattr(
                backbone_stage, "augmented_views", lambda *_, a=output, **__: type("V", (), {"heatmaps": a})
            )
            stage = stage_of(config, scene, footage, BackboneStageConfig(background_weight=background))
            stage.losses(np.random.default_rng(0), 0)["loss"].backward()
            gradients.append(output.grad)
        full, reduced = gradients
        assert full is not None and reduced is not None
        ratio = reduced[full != 0] / full[full != 0]
        light = torch.isclose(ratio, torch.tensor(0.1))
        assert (light | torch.isclose(ratio, torch.tensor(1.0))).all() and 0.5 < float(light.float().mean()) < 1

    @pytest.mark.slow
    @pytest.mark.parametrize("augment", [False, True])
    def test_the_loss_falls(self, augment: bool, config: TrainConfig, scene: CaptureScene, footage: Footage) -> None:
        stage = stage_of(config, scene, footage, BackboneStageConfig(batch=2, augment=augment, photometric=augment))
        optimizer = torch.optim.Adam(stage.module().parameters(), lr=3e-3)
        stage.module().train()
        losses = []
        for step in range(30):
            loss = stage.losses(np.random.default_rng([0, step]), step)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])

    def test_the_metric_is_computed_on_held_out_frames(
        self, config: TrainConfig, scene: CaptureScene, footage: Footage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage, frames_used = stage_of(config, scene, footage, BackboneStageConfig(batch=4)), []

        def perfect(
            networks: Networks, footage: Footage, scene: CaptureScene, frames: np.ndarray, affine: Tensor, **_: object
        ):  # type: ignore[no-untyped-def]
            frames_used.extend(frames.tolist())
            xy, weight = warp_labels(footage, scene, frames, affine)
            heatmaps = render_max(xy, (weight > 0).float(), scene.size_hw, scene.sigma_px)
            return type("Version", (), {"heatmaps": heatmaps})

        monkeypatch.setattr(backbone_stage, "augmented_views", perfect)
        share = stage.metrics(np.random.default_rng(0))["peaks_near"]
        # Joints of two people less than two px apart share one peak.
        assert share > 0.97
        assert sorted(frames_used) == footage.held_out.tolist()
        nothing_held_out = dataclasses.replace(footage, held_out=np.empty(0, int))
        assert stage_of(config, scene, nothing_held_out, BackboneStageConfig()).metrics(np.random.default_rng(0)) == {}
