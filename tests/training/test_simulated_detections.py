"""Simulated detections of the synthetic stages: each kind of error by itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.models.config import HeatmapConfig, ModelConfig
from core.models.scene import CaptureScene
from core.synthetic.rigs import random_rig, ring_rig
from core.training.rng import DeviceRng
from core.training.simulated_detections import kept_views, simulate_detections
from core.training.stages.config import NoiseConfig, RootStageConfig
from core.training.synthetic import _people, root_scenes
from core.types.volume import CaptureVolume

PEOPLE = 2


@pytest.fixture(scope="module")
def scene() -> CaptureScene:
    volume = CaptureVolume.between(np.array([-1500.0, -1500, -100]), np.array([1500.0, 1500, 2000]), 120.0)
    return CaptureScene(
        ring_rig(4), volume, ModelConfig(heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0)), torch.device("cpu")
    )


def simulate(scene: CaptureScene, count: int = 64, **noise: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return exact and detected joints (B, V, P, J, 2), and scores, with only these errors."""
    rng = DeviceRng(np.random.default_rng(0), torch.device("cpu"))
    xyz = _people(scene, count, PEOPLE, 300, rng)
    exact = scene.projector(xyz.flatten(1, 2))[0].view(count, 4, PEOPLE, -1, 2)
    config = dataclasses.replace(NoiseConfig.none(), **noise)
    xy, score = simulate_detections(exact, torch.ones(exact.shape[:-1], dtype=torch.bool), scene, config, rng)
    return exact, xy, score


def independent(scene: CaptureScene, values: Tensor) -> Tensor:
    """Return the joints of (B, V, P, J, ...) that are not the mean of others."""
    joints = [j for j, name in enumerate(scene.skeleton.joints) if name not in ("neck", "mid_hip")]
    return values[:, :, :, joints]


def test_without_errors_detections_are_exact(scene: CaptureScene) -> None:
    exact, xy, score = simulate(scene)
    assert (independent(scene, xy - exact).norm(dim=-1) < 1e-2).all() and (score > 0).all()


def test_jitter_is_relative_to_the_person_and_resolution_to_the_image(scene: CaptureScene) -> None:
    exact, xy, score = simulate(scene, jitter=(0.01, 0.01))
    size = (exact.amax(3) - exact.amin(3)).amax(-1)[..., None]
    relative = independent(scene, (xy - exact).norm(dim=-1) / size)
    assert 0.008 < float(relative.median()) < 0.02
    hip, knee = (
        relative[..., [n for n in scene.skeleton.joints if n not in ("neck", "mid_hip")].index(j)]
        for j in ("left_hip", "left_knee")
    )
    assert hip.median() > 1.4 * knee.median()
    good = independent(scene, score) > 0.7
    assert relative[good].median() < 0.7 * relative[~good].median()
    exact, xy, _ = simulate(scene, resolution=(0.002, 0.002))
    px = independent(scene, (xy - exact).norm(dim=-1)).median()
    assert float(px) == pytest.approx(0.002 * 1920 * 0.98, rel=0.25)


def test_borrowed_joints_belong_to_the_other_person(scene: CaptureScene) -> None:
    exact, xy, _ = simulate(scene, borrow=1.0)
    moved = independent(scene, (xy - exact).norm(dim=-1)) > 1.0
    assert 0.3 < float(moved.any(-1).float().mean()) <= 1.0 and float(moved.float().mean()) < 0.3
    both = torch.stack([exact.flip(2), exact.flip(2)[..., list(scene.skeleton.mirror), :]])
    apart = independent(scene, (both - xy).norm(dim=-1).amin(0))
    assert (apart[moved] < 1e-2).all()
    hips, root = scene.skeleton.indices("left_hip", "right_hip"), scene.skeleton.index("mid_hip")
    torch.testing.assert_close(xy[..., root, :], xy[..., hips, :].mean(-2))


def test_swapped_sides_are_those_of_the_same_person(scene: CaptureScene) -> None:
    exact, xy, _ = simulate(scene, swap=0.5)
    moved = independent(scene, (xy - exact).norm(dim=-1)) > 1e-2
    assert 0.35 < float(moved.any(-1).float().mean()) < 0.65
    apart = independent(scene, (exact[..., list(scene.skeleton.mirror), :] - xy).norm(dim=-1))
    assert (apart[moved] < 1e-2).all()
    assert float((moved.any(-1) & ~moved.all(-1)).float().mean()) > 0.1  # arms or legs only


def test_a_wrong_rig_shifts_whole_views(scene: CaptureScene) -> None:
    exact, xy, _ = simulate(scene, count=200, rig_deg=0.5)
    shift = independent(scene, xy - exact)
    common = shift.mean((2, 3), keepdim=True)
    right = (common.norm(dim=-1) < 1e-2).all(1).flatten()
    assert 0.3 < float(right.float().mean()) < 0.7
    wrong = common[~right].norm(dim=-1)
    assert 3 < float(wrong.median()) < 15 and float((shift - common)[~right].std()) < 0.25 * float(wrong.mean())


def test_some_scenes_have_few_views_and_never_fewer_than_two() -> None:
    rng = DeviceRng(np.random.default_rng(0), torch.device("cpu"))
    kept = kept_views(4000, 6, NoiseConfig(few_views=0.5), rng).sum(1)
    assert int(kept.min()) == 2 and int(kept.max()) == 6
    assert float((kept < 6).float().mean()) == pytest.approx(0.5 * 4 / 5, abs=0.03)
    assert (kept_views(50, 2, NoiseConfig(few_views=1.0), rng) == 1).all()


def test_roots_have_low_peaks_and_missing_views_too(scene: CaptureScene) -> None:
    rng = np.random.default_rng(0)
    batch = root_scenes(scene, 64, RootStageConfig(common_height=False), rng)
    peak = batch.views.peak[batch.views.peak > 0]
    assert float(peak.quantile(0.05)) < 0.3 and float(peak.median()) > 0.5
    assert set(batch.views.view_weight.sum(1).tolist()) == {2.0, 3.0, 4.0}
    published = root_scenes(scene, 8, RootStageConfig(noise=NoiseConfig.none(), peak=(1.0, 1.0), false_peaks=0.0), rng)
    assert set(published.views.peak.unique().tolist()) <= {0.0, 1.0}


def test_eyes_and_ears_have_errors_too(scene: CaptureScene) -> None:
    config = ModelConfig(skeleton="coco19", heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0))
    whole = CaptureScene(scene.rig, scene.volume, config, torch.device("cpu"))
    exact, xy, score = simulate(whole, jitter=(0.01, 0.01), measured=0.5, swap=0.1, borrow=0.1)
    ears = whole.skeleton.indices("left_ear", "right_ear")
    assert ((xy - exact)[..., ears, :].norm(dim=-1).median() > 0.5) and (score[..., ears] > 0).float().mean() > 0.8


def test_far_rigs_see_small_people() -> None:
    rng = np.random.default_rng(0)
    rigs = [random_rig(rng, 4, radius_mm=(20_000.0, 25_000.0), seen_mm=(5000.0, 20_000.0)) for _ in range(20)]
    width = np.array([np.linalg.norm(c.centre_mm) * max(c.size_px) / c.K[0, 0] for rig in rigs for c in rig])
    assert 4500 < width.min() < 9000 < np.median(width) < 15_000 < width.max() < 22_000
