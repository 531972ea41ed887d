"""People whom the views do not support are dropped."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from core.datasets.poses2d import MultiviewPoses2D
from core.models.config import ModelConfig
from core.models.inference import _middle_size, select_supported
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch, float_tensor, render_view_batch
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types import PANOPTIC15, CaptureVolume

VOLUME = CaptureVolume(centre_mm=(0, 0, 900), size_mm=(5000, 5000, 2000), voxels=(16, 16, 8))


def scene_of_two() -> tuple[CaptureScene, ViewBatch, torch.Tensor]:
    """Return a scene of four cameras, their views of two people in one frame, and the people (2, J, 3)."""
    rng = np.random.default_rng(3)
    rig = ring_rig(4)
    people = walkers(2, 1, rng, skeleton=PANOPTIC15)
    poses2d = MultiviewPoses2D.stack(rig, observe(rig, people, 3.0, 0.0, rng), PANOPTIC15)
    device = torch.device("cpu")
    scene = CaptureScene(rig, VOLUME, ModelConfig(), device)
    views = render_view_batch(
        float_tensor(poses2d.xy_px, device),
        float_tensor(poses2d.score, device),
        scene.affine[None],
        float_tensor(poses2d.view_weight, device),
        scene.size_hw,
        scene.sigma_px,
        PANOPTIC15,
    )
    return scene, views, float_tensor(people.xyz_mm[0], device)


def supported(scene: CaptureScene, views: ViewBatch, xyz_mm: torch.Tensor, score: list[float]) -> list[bool]:
    sample = torch.zeros(len(xyz_mm), dtype=torch.long)
    per_joint = torch.tensor(score)[:, None].expand(-1, len(PANOPTIC15))
    return select_supported(scene, views.select(sample), xyz_mm, per_joint, sample, min_views=2).tolist()


def test_each_detection_supports_one_person_only() -> None:
    scene, views, people = scene_of_two()
    duplicate = people[:1] + torch.tensor([60.0, 0.0, 0.0])
    assert supported(scene, views, torch.cat([duplicate, people]), [0.2, 0.6, 0.6]) == [False, True, True]
    assert supported(scene, views, people, [0.6, 0.6]) == [True, True]


def test_people_without_matching_detections_are_dropped() -> None:
    scene, views, people = scene_of_two()
    ghost = people.mean(0, keepdim=True)
    assert supported(scene, views, torch.cat([people, ghost]), [0.6, 0.6, 0.9]) == [True, True, False]


def test_a_person_needs_two_cameras_of_the_take() -> None:
    scene, views, people = scene_of_two()
    for cameras, expected in ((2, True), (1, False)):
        weight = torch.zeros_like(views.view_weight)
        weight[:, :cameras] = 1
        assert supported(scene, dataclasses.replace(views, view_weight=weight), people, [0.6, 0.6]) == [expected] * 2


def test_covariances_of_known_joints_have_the_middle_size() -> None:
    own = torch.diag(torch.tensor([1.0, 2.0, 3.0])).expand(1, 2, 3, 3).clone()
    known = torch.stack([16 * torch.eye(3) * 2, torch.full((3, 3), torch.nan)])[None]
    scaled = _middle_size(own, known)
    torch.testing.assert_close(scaled[0, 0], 4 * own[0, 0])  # traces 6 and 96: 24 between them
    assert torch.equal(scaled[0, 1], own[0, 1])
    assert _middle_size(torch.full_like(own, torch.nan), known).isnan().all()
