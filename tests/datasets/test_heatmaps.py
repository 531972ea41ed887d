"""Heatmaps of the estimator as input of the networks: resampling, channels, and gating by person."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from core.datasets.heatmaps import StoredHeatmaps
from core.datasets.poses2d import MultiviewPoses2D, make_view_batch
from core.errors import CoreError
from core.models.geometry.affine import augment_affines, fit_affine
from core.models.geometry.projection import RigProjector, to_heatmap
from core.models.geometry.render import render_heatmaps
from core.models.geometry.resample import resampled
from core.models.heads.body_prior import BodyPrior
from core.models.view_batch import ViewBatch
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types.arrays import F32
from core.types.skeleton import COCO17, PANOPTIC15, Skeleton, convert

IMAGE, SHAPE, SIZE = (1200, 1920), (128, 80), (128, 80)
SCALE = np.array([80 / 1200, 128 / 1920])
OFFSET = (SCALE - 1) / 2


class MemoryReader:
    """Heatmaps of a camera in memory; counts the frames read."""

    def __init__(self, maps: F32, scale: np.ndarray, offset: np.ndarray, skeleton: Skeleton = COCO17) -> None:
        self.skeleton, self.scale, self.offset = skeleton, scale, offset
        self.maps, self.frames_read = maps, 0

    def read(self, indices: np.ndarray) -> F32:
        self.frames_read += len(indices)
        return self.maps[indices]


def gaussians(xy: np.ndarray, shape: tuple[int, int], sigma: float) -> F32:
    """Render a Gaussian (K, h, w) per point (K, 2)."""
    points = torch.tensor(xy, dtype=torch.float32)[None]
    return render_heatmaps(points, torch.ones(1, len(xy)), shape, sigma).numpy()


def stored_px(affine: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Convert heatmap px (N, 2) to stored px by way of image px."""
    image = np.linalg.solve(affine[:, :2], (xy - affine[:, 2]).T).T
    return np.asarray(image * SCALE + OFFSET)


class TestResampling:
    grid = torch.tensor(np.column_stack([np.diag(SCALE), OFFSET]), dtype=torch.float32)

    @pytest.mark.slow
    def test_resampling_to_the_same_grid_is_the_identity(self) -> None:
        maps = torch.rand(2, 3, *SHAPE, generator=torch.Generator().manual_seed(0))
        same = self.grid.expand(2, -1, -1)
        # Coordinates are rounded to 1e-5 of a pixel, and neighbours differ by 1 at most.
        torch.testing.assert_close(resampled(maps, self.grid, same, SHAPE), maps, atol=1e-4, rtol=0)

    @pytest.mark.parametrize(("rotation", "zoom"), [(0.0, 0.0), (0.6, 0.2), (-0.4, -0.15)])
    def test_a_gaussian_is_moved_by_the_affine(self, rotation: float, zoom: float) -> None:
        base = fit_affine(IMAGE, (160, 104))[None]
        affine = augment_affines(base, (160, 104), np.array([rotation]), np.array([zoom]))[0, 0]
        xy = np.array([[30.2, 50.7], [41.5, 70.0], [47.9, 61.3]])
        maps = torch.tensor(gaussians(xy, SHAPE, 3.0))[None]
        target_affine = torch.tensor(affine, dtype=torch.float32)[None]
        resampled_maps = resampled(maps, self.grid, target_affine, (160, 104))
        # Interpolation flattens a peak between two stored pixels, but does not move its centroid.
        assert float(resampled_maps.amax((2, 3)).min()) > 0.95
        pixels = np.stack(np.meshgrid(np.arange(104), np.arange(160)), -1)
        weight = resampled_maps[0].double().numpy()
        centroid_px = np.einsum("khw,hwi->ki", weight, pixels) / weight.sum((1, 2))[:, None]
        assert np.abs(stored_px(affine, centroid_px) - xy).max() < 0.01

    def test_heatmaps_are_zero_outside_of_the_stored_map(self) -> None:
        shifted = self.grid.clone()
        shifted[:, 2] -= torch.tensor([40.0, 0.0])
        resampled_maps = resampled(torch.ones(1, 1, *SHAPE), self.grid, shifted[None], SIZE)[0, 0]
        torch.testing.assert_close(resampled_maps[:, :39], torch.ones(128, 39), atol=1e-4, rtol=0)
        assert float(resampled_maps[:, 41:].max()) == 0


class TestStoredHeatmaps:
    affine = TestResampling.grid.expand(2, 2, -1, -1)

    def memory(self) -> MemoryReader:
        xy = np.stack([np.arange(17) * 4.0 + 8, np.arange(17) * 6.0 + 10], -1)
        return MemoryReader(np.stack([gaussians(xy + t, SHAPE, 1.5) for t in range(5)]), SCALE, OFFSET)

    def test_channels_are_matched_by_joint_name(self) -> None:
        maps = StoredHeatmaps([self.memory(), self.memory()], PANOPTIC15)
        names = [PANOPTIC15.joints[j] for j in maps.joints]
        assert set(PANOPTIC15.joints) - set(names) == {"neck", "mid_hip"}
        heatmaps = maps.warp(np.array([0, 3]), self.affine, SIZE)
        for k, name in enumerate(names):
            peak = heatmaps[1, 1, k].flatten().argmax()
            c = COCO17.index(name)
            assert (int(peak) % 80, int(peak) // 80) == (4 * c + 11, 6 * c + 13)

    def test_heatmaps_of_a_camera_without_a_recording_are_zero(self) -> None:
        heatmaps = StoredHeatmaps([None, self.memory()], PANOPTIC15).warp(np.array([0, 1]), self.affine, SIZE)
        assert not heatmaps[:, 0].any() and heatmaps[:, 1].any()
        with pytest.raises(CoreError, match="missing"):
            StoredHeatmaps([None, None], PANOPTIC15)

    def test_frames_are_read_once_and_shared_by_augmented_versions(self) -> None:
        reader = self.memory()
        maps = StoredHeatmaps([reader, None], PANOPTIC15)
        maps.warp(np.array([4, 1]), self.affine, SIZE)
        again = maps.warp(np.array([4, 1]), self.affine, SIZE)
        assert reader.frames_read == 2
        other = maps.warp(np.array([1, 4]), self.affine, SIZE)
        assert reader.frames_read == 4 and torch.equal(again[0], other[1])


def scene(people_apart_mm: float) -> tuple[MultiviewPoses2D, StoredHeatmaps, Tensor, RigProjector, Tensor]:
    """Return one frame of two people in the same pose: detections, heatmaps, affine, projector, joints (2, 15, 3)."""
    rng = np.random.default_rng(3)
    rig = ring_rig(4)
    body = walkers(1, 1, rng, half_size_mm=10, skeleton=COCO17).xyz_mm[:, :1]
    both = np.concatenate([body, body + [people_apart_mm, 0, 0]], 1)
    people = walkers(2, 1, rng, skeleton=COCO17)
    exact = type(people)(
        skeleton=COCO17, time_s=people.time_s, xyz_mm=both, score=np.ones(both.shape[:-1]), person_ids=(1, 2)
    )
    poses2d = observe(rig, exact, 0.0, 0.0, rng, joint_miss=0.0)
    readers = []
    for camera in rig:
        scale = np.array([0.1, 0.1])
        xy = poses2d[camera.name].xy_px[0] * 0.1 - 0.45
        shape = (round(camera.size_px[1] * 0.1), round(camera.size_px[0] * 0.1))
        known = torch.tensor(poses2d[camera.name].score[0] > 0).float()
        maps = render_heatmaps(torch.tensor(np.nan_to_num(xy)), 0.8 * known, shape, 1.5)
        readers.append(MemoryReader(maps[None].numpy(), scale, np.full(2, -0.45)))
    inputs = MultiviewPoses2D.stack(rig, poses2d, PANOPTIC15)
    joints, _ = convert(both[0], np.ones(both[0].shape[:-1]), COCO17, PANOPTIC15)
    size = (72, 128)
    affine = torch.tensor(np.stack([fit_affine(c.size_px, size) for c in rig]), dtype=torch.float32)[None]
    maps = StoredHeatmaps(readers, PANOPTIC15)
    return inputs, maps, affine, RigProjector(rig), torch.tensor(joints, dtype=torch.float32)


class TestViewBatch:
    def test_stored_channels_are_used_and_the_others_rendered(self) -> None:
        inputs, maps, affine, _, _ = scene(900)
        rendered = make_view_batch(inputs, affine, (72, 128), 2.0)
        stored = make_view_batch(inputs, affine, (72, 128), 2.0, maps, np.array([0]))
        assert rendered.stored == () and stored.stored == maps.joints
        rest = [j for j in range(15) if j not in maps.joints]
        assert torch.equal(stored.heatmaps[:, :, rest], rendered.heatmaps[:, :, rest])
        assert torch.equal(stored.root, rendered.root) and torch.equal(stored.peak, rendered.peak)
        own = list(maps.joints)
        assert torch.equal(stored.heatmaps[:, :, own], maps.warp(np.array([0]), affine, (72, 128)))
        assert stored.select(slice(0, 1)).stored == maps.joints


class TestGate:
    @pytest.mark.parametrize("apart_mm", [500.0, 1100.0])
    def test_peaks_of_other_people_are_removed_and_own_ones_kept(self, apart_mm: float) -> None:
        inputs, maps, affine, projector, people = scene(apart_mm)
        views = make_view_batch(inputs, affine, (72, 128), 2.0, maps, np.array([0]))
        prior = BodyPrior(15)
        prior.fit(torch.randn(200, 15, 3, generator=torch.Generator().manual_seed(0)) * 150)
        root = PANOPTIC15.index("mid_hip")
        prior.mean_mm.copy_(people[0] - people[0, root])
        sample = torch.zeros(2, dtype=torch.long)
        gated = prior.gate(projector, views, people[:, root], sample, 2.0)
        assert gated.stored == maps.joints
        own = list(maps.joints)
        uv, ahead = projector(people[:, own])
        xy = to_heatmap(affine, uv)  # (P, V, K, 2)
        known = (ahead & projector.inside(uv)).all(0)
        clear = known & ((xy[0] - xy[1]).norm(dim=-1) > 8)  # four sigmas: separate peaks
        assert int(clear.sum()) > 20
        height = sample_nearest(views, xy, own)
        for person in range(2):
            remaining = sample_nearest(gated, xy, own, person)
            assert float((remaining[person] / height[person])[clear].min()) > 0.75
            assert float((remaining[1 - person] / height[1 - person])[clear].max()) < 0.12


def sample_nearest(views: ViewBatch, xy: Tensor, joints: list[int], entry: int = 0) -> Tensor:
    """Sample the heatmaps of an entry at the pixels nearest to (P, V, K, 2); returns (P, V, K)."""
    maps = views.heatmaps[entry][:, joints]
    column = xy[..., 0].round().long().clamp(0, maps.shape[-1] - 1)
    row = xy[..., 1].round().long().clamp(0, maps.shape[-2] - 1)
    v, k = torch.arange(maps.shape[0])[:, None], torch.arange(len(joints))
    return maps[v, k, row, column]
