"""Images as input of the backbone: their position in it, black areas, and the cache on disk."""

from __future__ import annotations

import dataclasses
import os

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from core.datasets import take_images as module
from core.datasets.heatmaps import BackboneHeatmaps
from core.datasets.images import StoredImages, normalise, reduced_size
from core.datasets.take_images import cached_images, streamed_images
from core.errors import CancelledError, CoreError
from core.models.backbone import PoseResNet
from core.models.config import BackboneConfig, HeatmapConfig, ModelConfig
from core.models.geometry.affine import augment_affines, fit_affine, fit_rig_affines, heatmap_size
from core.models.view_batch import float_tensor
from core.progress import NullReporter, RecordingReporter
from core.session import Session, Take
from core.session.video import VideoReader
from core.types.camera import Camera, CameraRig
from core.types.skeleton import PANOPTIC15

pytestmark = pytest.mark.slow


CPU = torch.device("cpu")
MEAN, STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
SMALL = ModelConfig(heatmap=HeatmapConfig(source="backbone", long_side_px=48), backbone=BackboneConfig(depth=18))


def rig_of(*sizes_px: tuple[int, int]) -> CameraRig:
    K = np.array([[900.0, 0, 500], [0, 900.0, 300], [0, 0, 1]])
    return CameraRig(cameras=tuple(Camera(name=f"c{v}", size_px=size, K=K) for v, size in enumerate(sizes_px)))


def colours(images: Tensor) -> Tensor:
    """Undo the normalisation: images (..., 3, h, w) in 0..255."""
    return (images * STD[:, None, None] + MEAN[:, None, None]) * 255


def blob(size_px: tuple[int, int], xy_px: np.ndarray, sigma_px: float) -> np.ndarray:
    """Render an image (H, W, 3) with one bright Gaussian at a point."""
    x, y = np.arange(size_px[0]), np.arange(size_px[1])[:, None]
    gaussian = np.exp(-((x - xy_px[0]) ** 2 + (y - xy_px[1]) ** 2) / (2 * sigma_px**2))
    return np.repeat((250 * gaussian).round().astype(np.uint8)[..., None], 3, 2)


def centroid(image: Tensor) -> np.ndarray:
    """Return the centroid (2,) of the brightness of one image (3, h, w) in 0..255."""
    grey = image.mean(0).double()
    x, y = torch.arange(grey.shape[1]), torch.arange(grey.shape[0])
    return np.array([float((grey.sum(0) * x).sum() / grey.sum()), float((grey.sum(1) * y).sum() / grey.sum())])


class TestWarp:
    def test_published_golden_values(self) -> None:
        T0 = 4 * fit_affine((1920, 1080), (128, 240))
        np.testing.assert_allclose(T0, [[0.4740741, 0, 24.8889], [0, 0.4740741, 0]], atol=5e-5)
        np.testing.assert_allclose(T0 @ [960, 540, 1], [480, 256])
        out, into = (4 * fit_affine((1920, 1080), (128, 240), zoom) for zoom in (0.35, -0.175))
        assert out[0, 0] == pytest.approx(0.351166, abs=1e-6) and into[0, 0] == pytest.approx(0.574635, abs=1e-6)
        assert reduced_size((1920, 1080), (512, 960)) == (512, 910)
        assert reduced_size((320, 240), (512, 960)) == (240, 320)  # never enlarged

    @pytest.mark.parametrize("stride", [2, 4])
    @pytest.mark.parametrize("size_px", [(960, 540), (540, 960)])
    @pytest.mark.parametrize(("rotation", "zoom"), [(0.0, 0.0), (0.6, 0.2)])
    def test_heatmap_px_times_the_stride_is_input_px(
        self, stride: int, size_px: tuple[int, int], rotation: float, zoom: float
    ) -> None:
        rig, size_hw = rig_of(size_px), (120, 120)
        xy_px = np.array([0.52 * size_px[0] + 3.3, 0.45 * size_px[1] + 1.7])
        height, width = reduced_size(size_px, (120 * stride, 120 * stride))
        reduced = cv2.resize(blob(size_px, xy_px, 14.0), (width, height), interpolation=cv2.INTER_AREA)
        affine = augment_affines(fit_rig_affines(rig, size_hw), size_hw, np.array([rotation]), np.array([zoom]))
        warped = StoredImages([reduced[None]], rig, stride).warp(np.array([0]), float_tensor(affine, CPU), size_hw)
        assert warped.shape == (1, 1, 3, 120 * stride, 120 * stride)
        centre = centroid(colours(warped[0, 0]).clamp_min(0))
        expected = affine[0, 0] @ [*xy_px, 1]
        assert np.abs(centre / stride - expected).max() < 0.03

    def test_input_is_black_outside_of_the_image_and_without_one(self) -> None:
        rig, size_hw = rig_of((96, 48), (96, 48)), (24, 24)
        grey = np.full((1, 48, 96, 3), 100, np.uint8)
        affine = float_tensor(fit_rig_affines(rig, size_hw), CPU)[None]
        warped = colours(StoredImages([grey, None], rig, 4).warp(np.array([0]), affine, size_hw))
        torch.testing.assert_close(warped[0, 0, :, 25:71], torch.full((3, 46, 96), 100.0), atol=1e-2, rtol=0)
        assert float(warped[0, 0, :, :23].abs().max()) < 1e-3 and float(warped[0, 0, :, 73:].abs().max()) < 1e-3
        assert float(warped[0, 1].abs().max()) < 1e-3

    def test_colours_are_normalised_as_for_imagenet(self) -> None:
        one = torch.tensor([255.0, 0.0, 0.406 * 255])[:, None, None]
        assert normalise(one).flatten().tolist() == pytest.approx([0.515 / 0.229, -0.456 / 0.224, 0.0], abs=1e-6)

    def test_photometric_changes_come_before_the_warp(self) -> None:
        rig, size_hw = rig_of((32, 32), (32, 32)), (8, 8)
        images = StoredImages([np.zeros((3, 32, 32, 3), np.uint8)] * 2, rig, 4)
        affine = float_tensor(fit_rig_affines(rig, size_hw), CPU).expand(3, -1, -1, -1)
        shapes = []

        def change(flat: Tensor) -> Tensor:
            shapes.append(tuple(flat.shape))
            return flat + 10.0 * torch.arange(len(flat))[:, None, None, None]

        warped = colours(images.warp(np.arange(3), affine, size_hw, change))
        assert shapes == [(6, 3, 32, 32)]
        assert warped[:, :, 0, 0, 0].flatten().tolist() == pytest.approx([0, 10, 20, 30, 40, 50], abs=1e-3)


class TestTake:
    @pytest.fixture
    def take(self, short_session: Session) -> Take:
        return short_session.take("two_people")

    @pytest.fixture
    def rig(self, short_session: Session, take: Take) -> CameraRig:
        return short_session.rig_for(take)

    @staticmethod
    def warped(images: StoredImages, rig: CameraRig, frames: list[int]) -> Tensor:
        size_hw = heatmap_size(rig, SMALL.heatmap.long_side_px)
        affine = float_tensor(fit_rig_affines(rig, size_hw), CPU).expand(len(frames), -1, -1, -1)
        return colours(images.warp(np.array(frames), affine, size_hw))

    def test_cached_and_streamed_images_are_those_of_the_video(self, take: Take, rig: CameraRig) -> None:
        stored = self.warped(cached_images(take, rig, SMALL, NullReporter()), rig, [4, 1])
        with streamed_images(take, rig, SMALL, NullReporter()) as streamed_source:
            streamed = self.warped(streamed_source, rig, [4, 1])
        assert torch.equal(stored, streamed)
        index = take.timeline().frame_index[:, 2]
        with VideoReader(take.video_path("cam03")) as video:
            whole = [cv2.resize(video.read(int(i)), (96, 169), interpolation=cv2.INTER_AREA) for i in index]
        alone = StoredImages([None, None, np.stack(whole), None], rig, 4)
        expected, swapped = self.warped(alone, rig, [4, 1])[:, 2], self.warped(alone, rig, [1, 4])[:, 2]
        # Another filter, and colours converted after resizing: one grey level, less than people's motion changes.
        assert float((stored[:, 2] - expected).abs().mean()) < 1.0
        assert float((stored[:, 2] - swapped).abs().mean()) > 1.2

    def test_the_cache_is_written_once_and_again_when_its_sources_changed(self, take: Take, rig: CameraRig) -> None:
        def images_written() -> int:
            reporter = RecordingReporter()
            cached_images(take, rig, SMALL, reporter)
            assert not reporter.progresses or reporter.progresses[-1][:2] == (reporter.progresses[-1][1],) * 2
            return len(reporter.progresses)

        assert [images_written(), images_written()] == [4 * 6, 0]
        files = sorted((take.layout.root / ".images").iterdir())
        assert len(files) == 4
        later = files[0].stat().st_mtime + 10
        os.utime(take.video_path("cam02"), (later, later))
        assert images_written() == 6
        files[3].write_bytes(files[3].read_bytes()[:-1000])
        assert images_written() == 6
        os.utime(take.layout.timestamps, (later + 10, later + 10))
        assert images_written() == 24

    def test_a_cancelled_reduction_leaves_complete_files_only(self, take: Take, rig: CameraRig) -> None:
        with pytest.raises(CancelledError):
            cached_images(take, rig, SMALL, RecordingReporter(cancel_after=8))
        assert len(list((take.layout.root / ".images").iterdir())) == 1
        reporter = RecordingReporter()
        cached_images(take, rig, SMALL, reporter)
        assert len(reporter.progresses) == 18

    def test_dropped_frames_and_other_cameras_are_black(
        self, take: Take, rig: CameraRig, short_session: Session
    ) -> None:
        times = take.timeline()
        index = times.frame_index.copy()
        index[2, 1] = -1
        short_session.write_take(take.manifest, dataclasses.replace(times, frame_index=index))
        fewer = dataclasses.replace(rig, cameras=(*rig.cameras, rig.cameras[0].replace(name="absent")))
        warped = self.warped(cached_images(take, fewer, SMALL, NullReporter()), fewer, [2, 3])
        empty = warped.abs().amax((2, 3, 4)) < 1e-3
        assert empty.tolist() == [[False, True, False, False, True], [False, False, False, False, True]]

    def test_time_offsets_are_applied_to_cached_and_streamed_images(self, take: Take, rig: CameraRig) -> None:
        step_s = float(np.diff(take.timeline().time_s).mean())
        offset_rig = dataclasses.replace(
            rig, cameras=tuple(c.replace(time_offset_s=2.1 * step_s * (v == 1)) for v, c in enumerate(rig))
        )
        plain = self.warped(cached_images(take, rig, SMALL, NullReporter()), rig, [1, 3, 5])
        warped = self.warped(cached_images(take, offset_rig, SMALL, NullReporter()), offset_rig, [1, 3, 5])
        with streamed_images(take, offset_rig, SMALL, NullReporter()) as streamed_source:
            assert torch.equal(self.warped(streamed_source, offset_rig, [1, 3, 5]), warped)
        assert torch.equal(warped[:, [0, 2, 3]], plain[:, [0, 2, 3]])
        assert torch.equal(warped[:2, 1], plain[1:, 1])
        assert float(warped[2, 1].abs().max()) < 1e-3  # beyond the end of the take

    def test_a_full_disk_is_reported_before_anything_is_written(
        self, take: Take, rig: CameraRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_RESERVED_BYTES", 1 << 62)
        with pytest.raises(CoreError, match=r"need 0\.0 GB"):
            cached_images(take, rig, SMALL, NullReporter())
        assert not (take.layout.root / ".images").exists()


class TestBackboneHeatmaps:
    def test_heatmaps_are_the_output_of_the_backbone_on_the_images(self) -> None:
        rig, size_hw = rig_of((64, 64), (64, 64)), (16, 16)
        rng = np.random.default_rng(0)
        images = StoredImages([rng.integers(0, 255, (2, 64, 64, 3), np.uint8) for _ in rig], rig, 4)
        network = PoseResNet(BackboneConfig(depth=18, width=0.125, deconv_channels=8), len(PANOPTIC15))
        torch.nn.init.normal_(network.final_layer.weight, std=0.3)
        for norm in network.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.momentum = 1.0
        with torch.no_grad():
            network(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        network.eval()
        maps = BackboneHeatmaps(network, images, PANOPTIC15)
        affine = float_tensor(fit_rig_affines(rig, size_hw), CPU).expand(2, -1, -1, -1)
        heatmaps = maps.warp(np.array([1, 0]), affine, size_hw)
        assert maps.joints == tuple(range(15)) and heatmaps.shape == (2, 2, 15, 16, 16)
        with torch.no_grad():
            alone = network(images.warp(np.array([0]), affine[:1], size_hw)[0])[1].clamp(0, 1)
        torch.testing.assert_close(heatmaps[1, 1].detach(), alone, atol=1e-5, rtol=1e-4)
        assert heatmaps.requires_grad and float(heatmaps.detach().std()) > 0.01
        with torch.no_grad():
            assert not maps.warp(np.array([1]), affine[:1], size_hw).requires_grad
