"""Training data: the split, the footage, synthetic people."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import yaml

from core.association.config import AssociationConfig
from core.config import from_mapping, to_mapping
from core.datasets.config import SplitConfig
from core.datasets.footage import ConcatHeatmaps, Footage, PseudoLabels
from core.datasets.poses2d import MultiviewPoses2D
from core.datasets.split import held_out, training_frames
from core.errors import CoreError
from core.geometry import project_rig
from core.models.scene import CaptureScene
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.training.config import TrainConfig
from core.training.presets import PRESETS, preset
from core.training.rng import DeviceRng
from core.training.stages.config import NoiseConfig, PoseSyntheticStageConfig, RootStageConfig
from core.training.synthetic import keep_two_views, pose_scenes, root_points, root_scenes, root_target
from core.types.skeleton import PANOPTIC15
from core.types.volume import CaptureVolume

EXACT = NoiseConfig.none()


class TestSplit:
    @pytest.mark.parametrize("fps", [1.0, 30.0, 240.0])
    @pytest.mark.parametrize("n", [1, 2, 7, 24, 100, 1001])
    def test_blocks_of_time_with_a_guard(self, n: int, fps: float) -> None:
        config, time_s = SplitConfig(share=0.2, blocks=2, guard_s=0.07), np.arange(n) / fps
        held_out_mask, kept = held_out(n, config), training_frames(time_s, config)
        assert held_out_mask.sum() == (max(1, round(0.2 * n)) if n > 1 else 0)
        assert (np.diff(held_out_mask.astype(int)) == 1).sum() + held_out_mask[0] <= 2
        near = np.abs(time_s[held_out_mask][:, None] - time_s[kept])
        assert near.size == 0 or near.min() > 0.07
        # Four blocks' ends at most, with the frames of 0.07 s each.
        assert kept.sum() >= n - held_out_mask.sum() - 4 * np.floor(0.07 * fps + 1e-6)

    def test_nothing_held_out(self) -> None:
        config = SplitConfig(share=0.0)
        assert not held_out(50, config).any() and training_frames(np.arange(50) / 30, config).all()


class TestPresets:
    @pytest.mark.parametrize("name", list(PRESETS))
    def test_settings_survive_writing_and_reading(self, name: str) -> None:
        text = yaml.safe_dump(to_mapping(preset(name)))
        assert from_mapping(TrainConfig, yaml.safe_load(text)) == preset(name)

    def test_unknown_name(self) -> None:
        with pytest.raises(CoreError, match="quick"):
            preset("quik")


class TestFootage:
    def test_takes_are_concatenated_and_labels_cleaned(self) -> None:
        rng = np.random.default_rng(0)
        rig, config = ring_rig(4), SplitConfig(share=0.2, blocks=1, guard_s=0.04)
        people = walkers(2, 20, rng, half_size_mm=1000, skeleton=PANOPTIC15)
        poses2d = observe(rig, people, 2.0, 0.1, rng)
        labels = PseudoLabels.clean(rig, poses2d, people, PANOPTIC15)
        inputs = MultiviewPoses2D.stack(rig, poses2d, PANOPTIC15)
        footage = Footage.build(rig, [inputs, inputs], [labels, labels], [people.time_s] * 2, config)
        assert footage.inputs.xy_px.shape[0] == 40 and len(footage.held_out) == 8
        assert not set(footage.train) & set(footage.held_out)
        # Columns are identities: a label is within the cleaning gate of the projection of its person.
        exact = np.moveaxis(project_rig(rig, people.xyz_mm), 0, 1)
        known = labels.weight > 0
        assert known.mean() > 0.8
        error = np.linalg.norm(labels.xy_px - exact, axis=-1)[known]
        assert error.max() < 2 * AssociationConfig().label_gate_px and np.median(error) < 5

    def test_a_camera_without_poses_has_zero_weight(self) -> None:
        rng = np.random.default_rng(1)
        rig = ring_rig(3)
        poses2d = observe(rig, walkers(1, 5, rng, skeleton=PANOPTIC15), 1.0, 0.0, rng)
        removed = poses2d.pop(rig.names[1])
        stacked = MultiviewPoses2D.stack(rig, poses2d, PANOPTIC15, np.array([1, 3]))
        assert stacked.view_weight.tolist() == [[1, 0, 1]] * 2 and not stacked.score[:, 1].any()
        with pytest.raises(CoreError, match="2D poses"):
            MultiviewPoses2D.stack(rig, {"other": removed}, PANOPTIC15)

    def test_footage_without_people_is_refused(self) -> None:
        empty = MultiviewPoses2D(
            np.zeros((8, 2, 1, 15, 2), np.float32), np.zeros((8, 2, 1, 15), np.float32), np.ones((8, 2)), PANOPTIC15
        )
        with pytest.raises(CoreError, match="two views"):
            Footage.build(
                ring_rig(2), [empty], [PseudoLabels(empty.xy_px, empty.score)], [np.arange(8) / 30], SplitConfig()
            )

    @pytest.mark.parametrize(
        ("n", "fps", "people_at", "cause"),
        [
            (5, 60.0, slice(None), "too few to hold some out"),
            (100, 60.0, slice(20, 28), "8 of 100 frames"),
            (100, 60.0, slice(0, 0), "No person was triangulated"),
        ],
    )
    def test_takes_without_frames_to_train_on_are_refused_with_the_cause(
        self, n: int, fps: float, people_at: slice, cause: str
    ) -> None:
        xy, score = np.zeros((n, 2, 1, 15, 2), np.float32), np.ones((n, 2, 1, 15), np.float32)
        inputs, weight = MultiviewPoses2D(xy, score, np.ones((n, 2)), PANOPTIC15), np.zeros_like(score)
        weight[people_at] = 1
        with pytest.raises(CoreError, match=cause):
            Footage.build(ring_rig(2), [inputs], [PseudoLabels(xy, weight)], [np.arange(n) / fps], SplitConfig())

    @pytest.mark.parametrize(
        ("n", "fps", "people_at"), [(1, 25.0, [0]), (3, 1.0, [0, 1, 2]), (720, 60.0, [0, 300, 700])]
    )
    def test_few_frames_are_enough(self, n: int, fps: float, people_at: list[int]) -> None:
        xy, score = np.zeros((n, 2, 1, 15, 2), np.float32), np.zeros((n, 2, 1, 15), np.float32)
        score[people_at] = 1
        inputs = MultiviewPoses2D(xy, score, np.ones((n, 2)), PANOPTIC15)
        footage = Footage.build(ring_rig(2), [inputs], [PseudoLabels(xy, score)], [np.arange(n) / fps], SplitConfig())
        assert len(footage.train) and set(footage.train) <= set(people_at)


class TestConcatHeatmaps:
    def test_each_frame_is_read_from_its_take(self) -> None:
        class Numbered:
            """A take whose heatmaps hold the number of the take and of the frame."""

            joints = (1, 3)

            def __init__(self, number: int) -> None:
                self.number = number

            def warp(self, frames: np.ndarray, affine: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
                value = 100.0 * self.number + torch.as_tensor(frames)[:, None] + affine[:, :, 0, 2]
                return value[:, :, None, None, None].expand(-1, -1, 2, *size_hw)

        concatenated = ConcatHeatmaps([Numbered(1), Numbered(2)], [4, 6])
        affine = torch.zeros(4, 3, 2, 3)
        affine[:, :, 0, 2] = torch.arange(4)[:, None] / 10
        heatmaps = concatenated.warp(np.array([7, 0, 3, 4]), affine, (2, 5))
        assert concatenated.joints == (1, 3) and heatmaps.shape == (4, 3, 2, 2, 5)
        torch.testing.assert_close(heatmaps[:, 2, 1, 1, 4], torch.tensor([203.0, 100.1, 103.2, 200.3]))


class TestSyntheticRoots:
    def test_points_stay_inside_and_share_a_height(self) -> None:
        volume = CaptureVolume(
            centre_mm=np.array([0, -500, 800.0]), size_mm=np.array([8000.0, 8000, 2000]), voxels=(8, 8, 8)
        )
        rng = DeviceRng(np.random.default_rng(0), torch.device("cpu"))
        points, exists_mask = root_points(volume, 500, 9, rng, RootStageConfig())
        xyz, exists = points.numpy(), exists_mask.numpy()
        assert volume.contains(xyz).mean() > 0.999
        assert set(exists.sum(1)) == set(range(1, 10))
        assert np.std(xyz[..., 2] - xyz[..., 2].mean(1, keepdims=True)) == pytest.approx(50 * np.sqrt(8 / 9), rel=0.05)
        low, high = xyz[..., 2].mean(1).min(), xyz[..., 2].mean(1).max()
        assert 0 < low < 150 and 1400 < high < 1550  # 50..1500, within the deviation of a mean of nine

    def test_heights_can_be_drawn_per_person(self) -> None:
        volume = CaptureVolume(
            centre_mm=np.array([0, 0, 800.0]), size_mm=np.array([8000.0, 8000, 2000]), voxels=(8, 8, 8)
        )
        rng = DeviceRng(np.random.default_rng(0), torch.device("cpu"))
        z = root_points(volume, 500, 9, rng, RootStageConfig(common_height=False))[0][..., 2]
        assert 50 <= float(z.min()) < 60 and 1490 < float(z.max()) <= 1500
        assert float(z.std(1).mean()) > 350

    def test_target_is_the_published_gaussian(self) -> None:
        volume = CaptureVolume(centre_mm=np.zeros(3), size_mm=np.full(3, 2800.0), voxels=(8, 8, 8))  # 400 mm apart
        at = torch.tensor([[[200.0 - 200, 200, 200]]])
        target = root_target(volume, at, torch.ones(1, 1, dtype=torch.bool), 200.0)[0]
        assert float(target[3, 4, 4]) == pytest.approx(0.6065, abs=1e-4)  # 200 mm away
        assert float(target[2, 4, 4]) == pytest.approx(0.0111, abs=1e-4)  # 600 mm: the edge of the support
        assert float(target[1, 4, 4]) == 0
        assert not root_target(volume, at, torch.zeros(1, 1, dtype=torch.bool), 200.0).any()

    def test_target_is_the_maximum_over_visible_roots(self) -> None:
        volume = CaptureVolume(
            centre_mm=np.array([100.0, -200, 800]), size_mm=np.array([2000.0, 1200, 800]), voxels=(12, 8, 4)
        )
        rng = np.random.default_rng(2)
        roots = torch.tensor(rng.uniform(volume.low_mm, volume.high_mm, (2, 3, 3)), dtype=torch.float32)
        visible = torch.tensor([[True, True, False], [True, True, True]])
        axes = [np.linspace(a, b, n) for a, b, n in zip(volume.low_mm, volume.high_mm, volume.voxels, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        offset = grid - roots.numpy()[:, :, None, None, None]
        value = np.exp(-(offset**2).sum(-1) / (2 * 200.0**2)) * (np.abs(offset) <= 600).all(-1)
        expected = (value * visible.numpy()[..., None, None, None]).max(1)
        assert root_target(volume, roots, visible, 200.0).numpy() == pytest.approx(expected, abs=1e-5)

    def test_heatmaps_peak_where_the_roots_project(self, scene: CaptureScene) -> None:
        stage = RootStageConfig(noise=EXACT, heatmap_noise=0, false_peaks=0, max_points=1)
        batch = root_scenes(scene, 6, stage, np.random.default_rng(3))
        volume = scene.unprojector(batch.views.heatmaps, batch.views.affine, batch.views.view_weight)[:, 0]
        target = root_target(scene.volume, batch.roots_mm, batch.visible, 200.0)
        at = [torch.stack(torch.unravel_index(v.flatten(1).argmax(1), v.shape[1:]), -1) for v in (volume, target)]
        assert batch.visible.any() and ((at[0] - at[1]).abs()[batch.visible[:, 0]] <= 1).all()

    def test_the_same_seed_gives_the_same_scenes(self, scene: CaptureScene) -> None:
        a, b = (root_scenes(scene, 2, RootStageConfig(), np.random.default_rng(5)) for _ in range(2))
        assert torch.equal(a.views.heatmaps, b.views.heatmaps) and torch.equal(a.roots_mm, b.roots_mm)


class TestSyntheticPeople:
    def test_without_noise_the_detections_are_the_projections(self, scene: CaptureScene) -> None:
        stage = PoseSyntheticStageConfig(noise=EXACT, neighbours=0, root_error_mm=0)
        batch = pose_scenes(scene, 4, stage, np.random.default_rng(0))
        exact = np.moveaxis(project_rig(scene.rig, batch.exact_mm.numpy()), 0, 1)  # (B, V, J, 2)
        expected = exact @ scene.base_affine[:, :, :2].transpose(0, 2, 1) + scene.base_affine[:, None, :, 2]
        known = batch.views.peak[:, :, 0].numpy() > 0
        assert known.mean() > 0.9
        error = np.linalg.norm(batch.views.joints[:, :, 0].numpy() - expected, axis=-1)
        derived = PANOPTIC15.indices("neck", "mid_hip")  # in 2D the mean of two joints, as in inference
        assert error[..., derived][known[..., derived]].max() < 0.2
        known[..., derived] = False
        assert error[known].max() < 1e-2
        torch.testing.assert_close(batch.root_mm, batch.exact_mm[:, PANOPTIC15.index("mid_hip")])

    def test_misses_have_the_configured_rates(self, scene: CaptureScene) -> None:
        noise = dataclasses.replace(EXACT, miss_view=0.3, miss_joint=0.2)
        batch = pose_scenes(scene, 200, PoseSyntheticStageConfig(noise=noise, neighbours=0), np.random.default_rng(1))
        detected = (batch.views.peak[:, :, 0] > 0).float()
        in_view = detected.amax(-1)
        # 0.3 of the views, and those in which the person is outside the image.
        assert 0.55 < float(in_view.mean()) < 0.72
        assert float(detected.sum() / in_view.sum() / 15) == pytest.approx(0.8, abs=0.04)

    def test_two_views_are_always_kept(self) -> None:
        rng = np.random.default_rng(0)
        kept = keep_two_views(rng.random((300, 5)) > 0.9, rng)
        assert kept.sum(1).min() == 2
        among = np.broadcast_to(np.arange(5) != 2, (300, 5))
        kept = keep_two_views(among & (rng.random((300, 5)) > 0.9), rng, among)
        assert kept.sum(1).min() == 2 and not kept[:, 2].any()
