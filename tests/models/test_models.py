"""Parts of the networks: exact values, agreement with the numpy geometry, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.errors import CoreError
from core.geometry import inside, project_rig
from core.models import volume_net
from core.models.config import PoseNetConfig, RootNetConfig, VolumeNetConfig
from core.models.device import describe_device, pick_device, pick_precision
from core.models.geometry.affine import augment_affines, fit_affine, fit_rig_affines, heatmap_size
from core.models.geometry.peaks import nearest_peaks
from core.models.geometry.projection import RigProjector, to_heatmap
from core.models.geometry.render import render_heatmaps
from core.models.geometry.unproject import CubeUnprojector, ProjectedGrid, VolumeUnprojector, fuse_views, grid_points
from core.models.heads.body_prior import BodyPrior
from core.models.heads.pose_net import PoseNet, joint_support, merge_skeletons, soft_argmax
from core.models.heads.root_net import RootNet, extract_proposals, suppress_neighbours
from core.models.view_batch import ViewBatch
from core.models.volume_net import VolumeNet
from core.types.camera import Camera, CameraRig
from core.types.volume import CaptureVolume

TINY = VolumeNetConfig(width=0.25, front_kernel=3)
PANOPTIC_VOLUME = CaptureVolume(
    centre_mm=np.array([0.0, -500, 800]), size_mm=np.array([8000.0, 8000, 2000]), voxels=(80, 80, 20)
)


def look_at(name: str, centre: np.ndarray, **changes: object) -> Camera:
    """Return an upright camera at `centre` that looks at the middle of the volume."""
    forward = np.array([0.0, 0, 1000]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[1000.0, 0, 640], [0, 1005.0, 360], [0, 0, 1]])
    values: dict[str, object] = {"size_px": (1280, 720), "K": K, "R": R, "t_mm": -R @ centre, **changes}
    return Camera(name=name, **values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    """Return cameras of every distortion model and of two image sizes."""
    at = [np.array([4000 * np.cos(a), 4000 * np.sin(a), 2200.0]) for a in np.arange(5) * 2 * np.pi / 5]
    tilted = np.array([-0.1, 0.02, 1e-3, -5e-4, 0.01, 0.02, -0.01, 0.001, 1e-4, 2e-4, -1e-4, 1e-4, 0.02, -0.01])
    return CameraRig(
        cameras=(
            look_at("plain", at[0]),
            look_at("five", at[1], distortion=np.array([-0.25, 0.1, 1e-3, -5e-4, 0.01])),
            look_at("full", at[2], distortion=tilted),
            look_at("fish", at[3], distortion_model="fisheye", distortion=np.array([0.02, -0.01, 0.003, -0.001])),
            look_at("upright", at[4], size_px=(720, 1280), distortion=np.array([-0.3, 0.08, 0, 0, 0.0])),
        )
    )


def views_of(rig: CameraRig, people_mm: np.ndarray, size_hw: tuple[int, int], sigma: float) -> ViewBatch:
    """Render exact heatmaps of people (P, J, 3)."""
    affine = torch.tensor(fit_rig_affines(rig, size_hw), dtype=torch.float32)
    uv, visible = RigProjector(rig)(torch.tensor(people_mm, dtype=torch.float32))
    xy = to_heatmap(affine, uv).movedim(0, 1)  # (V, P, J, 2)
    heatmaps = render_heatmaps(xy, visible.movedim(0, 1).float(), size_hw, sigma)
    peak = visible.movedim(0, 1).float()
    return ViewBatch(heatmaps[None], heatmaps[None, :, 0], affine[None], torch.ones(1, len(rig)), xy[None], peak[None])


class TestProjection:
    def test_agrees_with_the_numpy_projection(self, rig: CameraRig) -> None:
        points = np.random.default_rng(0).uniform(-6000, 6000, (4, 500, 3))
        expected = np.moveaxis(project_rig(rig, points), 0, 1)
        pixels, visible = RigProjector(rig)(torch.tensor(points, dtype=torch.float32))
        known = np.isfinite(expected).all(-1)
        assert 0.2 < known.mean() < 0.9
        # Points within rounding of the mask's edge may fall on either side.
        assert (visible.numpy() != known).mean() < 1e-3
        both = known & visible.numpy()
        on_image = np.stack([inside(c, expected[:, v]) for v, c in enumerate(rig)], 1) & both
        assert on_image.sum() > 500
        # float32 keeps 1e-7 of lengths of 1e4 mm: 1e-3 mm, and the nearest point on an image is some 300 mm away.
        assert np.abs(pixels.numpy() - expected)[on_image].max() < 0.02
        assert torch.isfinite(pixels).all()

    def test_inside_agrees_with_the_numpy_function(self, rig: CameraRig) -> None:
        xy = np.random.default_rng(1).uniform(-200, 1500, (len(rig), 300, 2))
        expected = np.stack([inside(c, xy[v]) for v, c in enumerate(rig)])
        assert (RigProjector(rig).inside(torch.tensor(xy)).numpy() == expected).all()

    def test_gradient_matches_finite_differences(self, rig: CameraRig) -> None:
        projector = RigProjector(rig).double()
        points = torch.tensor([[200.0, -300, 900], [-500.0, 100, 1500]], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda p: projector(p)[0], (points,), eps=1e-3, atol=1e-5)

    def test_no_gradient_from_behind_a_camera(self, rig: CameraRig) -> None:
        behind = torch.tensor(rig[0].centre_mm * 1.5, dtype=torch.float32)[None].requires_grad_()
        pixels, visible = RigProjector(rig.subset(["plain"]))(behind)
        pixels.sum().backward()
        assert not visible.any() and behind.grad is not None and (behind.grad == 0).all()


class TestAffine:
    def test_published_values(self) -> None:
        t0 = fit_affine((1920, 1080), (512, 960))
        assert t0 == pytest.approx(np.array([[0.4740741, 0, 24.8889], [0, 0.4740741, 0]]), abs=1e-4)
        assert t0 @ [960, 540, 1] == pytest.approx([480, 256])
        assert t0 @ [0, 0, 1] == pytest.approx([24.889, 0], abs=1e-3)
        assert fit_affine((1920, 1080), (512, 960), 0.35)[0, 0] == pytest.approx(0.351166, abs=1e-6)
        assert fit_affine((1920, 1080), (512, 960), -0.175)[0, 0] == pytest.approx(0.574635, abs=1e-6)

    def test_augmentation_keeps_the_centre_and_zooms(self) -> None:
        base = fit_affine((1920, 1080), (512, 960))[None]
        rotated = augment_affines(base, (512, 960), np.radians([0.0, 90.0]), np.array([0.35, 0.0]))
        assert rotated[0, 0] == pytest.approx(fit_affine((1920, 1080), (512, 960), 0.35))
        assert rotated[:, 0] @ [960, 540, 1] == pytest.approx(np.array([[480, 256]] * 2))
        # The box rotates by r, so its content rotates by -r: a point right of the centre lands above it.
        assert rotated[1, 0] @ [1060, 540, 1] == pytest.approx([480, 256 - 47.40741])

    def test_size_of_a_mixed_rig_is_square(self, rig: CameraRig) -> None:
        assert heatmap_size(rig, 128) == (128, 128)
        assert heatmap_size(rig.subset(["plain", "five"]), 240) == (136, 240)


class TestRender:
    def test_value_is_the_gaussian(self) -> None:
        xy = torch.tensor([[[10.25, 7.5]]])
        out = render_heatmaps(xy, torch.tensor([[0.8]]), (20, 24), 3.0)
        x, y = torch.meshgrid(torch.arange(24.0), torch.arange(20.0), indexing="xy")
        expected = 0.8 * torch.exp(-((x - 10.25) ** 2 + (y - 7.5) ** 2) / 18)
        torch.testing.assert_close(out[0], expected)

    def test_published_values(self) -> None:
        out = render_heatmaps(torch.tensor([[[12.0, 12.0]]]), torch.ones(1, 1), (24, 24), 3.0)[0]
        assert float(out[12, 15]) == pytest.approx(0.6065, abs=1e-4)
        assert float(out[21, 12]) == pytest.approx(0.0111, abs=1e-4)

    def test_people_are_summed_and_clipped_and_missing_ones_ignored(self) -> None:
        xy = torch.tensor([[[8.0, 8.0]], [[8.5, 8.0]], [[float("nan")] * 2]])
        out = render_heatmaps(xy, torch.tensor([[1.0], [1.0], [0.0]]), (16, 16), 2.0)
        assert torch.isfinite(out).all() and float(out.max()) == 1.0

    def test_gradient_moves_the_joint_towards_the_target(self) -> None:
        target = render_heatmaps(torch.tensor([[[11.0, 8.0]]]), torch.ones(1, 1), (17, 20), 3.0)
        xy = torch.tensor([[[9.0, 8.0]]], requires_grad=True)
        ((render_heatmaps(xy, torch.ones(1, 1), (17, 20), 3.0) - target) ** 2).sum().backward()
        assert xy.grad is not None and xy.grad[0, 0, 0] < 0 and abs(float(xy.grad[0, 0, 1])) < 1e-4


class TestUnproject:
    def test_root_grid_has_the_published_corners(self) -> None:
        points = grid_points(torch.tensor(PANOPTIC_VOLUME.size_mm), PANOPTIC_VOLUME.voxels) + torch.tensor(
            PANOPTIC_VOLUME.centre_mm
        )
        grid = points.view(80, 80, 20, 3)
        assert grid[0, 0, 0].tolist() == pytest.approx([-4000, -4500, -200])
        assert grid[79, 79, 19].tolist() == pytest.approx([4000, 3500, 1800])
        assert PANOPTIC_VOLUME.spacing_mm == pytest.approx([101.2658, 101.2658, 105.2632], abs=1e-4)

    def test_pose_cube_spacing(self) -> None:
        points = CubeUnprojector(2000.0, 64).offsets_mm.view(64, 64, 64, 3)
        assert float(points[1, 0, 0, 0] - points[0, 0, 0, 0]) == pytest.approx(31.746, abs=1e-3)
        assert float(points[31, 0, 0, 0] + points[32, 0, 0, 0]) == pytest.approx(0, abs=1e-3)

    def test_fusion_is_the_mean_over_the_views_that_see_a_point(self) -> None:
        heatmaps = torch.zeros(1, 3, 1, 8, 8)
        heatmaps[0, :, 0, 3, 4] = torch.tensor([0.9, 0.3, 0.6])
        xy = torch.tensor([4.0, 3.0]).expand(1, 3, 1, 2)
        every = torch.ones(1, 3, 1, dtype=torch.bool)
        ones = torch.ones(1, 3)
        assert float(fuse_views(heatmaps, xy, every, ones)) == pytest.approx(0.6)
        two = every.clone()
        two[0, 2] = False
        assert float(fuse_views(heatmaps, xy, two, ones)) == pytest.approx(0.6)
        assert float(fuse_views(heatmaps, xy, every, torch.tensor([[1.0, 0, 1]]))) == pytest.approx(0.75)
        # The value of a single view is halved, as no other view confirms it.
        assert float(fuse_views(heatmaps, xy, every, torch.tensor([[1.0, 0, 0]]))) == pytest.approx(0.45)
        # Pushed out of the heatmap by an augmentation: unknown, not absent.
        away = xy.clone()
        away[0, 1] = -3
        assert float(fuse_views(heatmaps, away, every, ones)) == pytest.approx(0.75)

    def test_a_person_peaks_in_the_right_voxel(self, rig: CameraRig) -> None:
        volume = CaptureVolume(centre_mm=np.array([0.0, 0, 900]), size_mm=np.full(3, 1500.0), voxels=(16, 16, 16))
        at = volume.low_mm + volume.spacing_mm * [4, 9, 6]
        views = views_of(rig, at[None, None], (128, 128), 3.0)
        projector = RigProjector(rig)
        confidence = VolumeUnprojector(projector, volume)(views.heatmaps, views.affine, views.view_weight)[0, 0]
        assert torch.unravel_index(confidence.argmax(), confidence.shape) == (4, 9, 6)
        assert float(confidence.max()) > 0.95
        # The same box as a person's cube gives the same volume.
        centre = torch.tensor(volume.centre_mm[None], dtype=torch.float32)
        cube, middle = CubeUnprojector(1500.0, 16)(projector, views.heatmaps, views.affine, views.view_weight, centre)
        torch.testing.assert_close(cube[0, 0], confidence, atol=1e-3, rtol=0)
        assert torch.equal(middle, centre)

    def test_a_cube_of_the_precomputed_grid_agrees_with_projecting_it(self, rig: CameraRig) -> None:
        volume = CaptureVolume(centre_mm=np.array([0.0, 0, 900]), size_mm=np.full(3, 1500.0), voxels=(16, 16, 16))
        projector, cubes = RigProjector(rig), CubeUnprojector(1000.0, 8)
        grid = ProjectedGrid(projector, volume, 1000.0, 8)
        roots = torch.tensor([[100.0, -333.0, 950.0], [740.0, 749.0, 151.0]])
        views = views_of(rig, roots.numpy()[None, :1], (128, 128), 3.0).select(torch.tensor([0, 0]))
        parts = (views.heatmaps, views.affine, views.view_weight)
        cropped, middle = cubes(grid, *parts, roots)
        projected, _ = cubes(projector, *parts, middle)
        torch.testing.assert_close(cropped, projected, atol=2e-3, rtol=0)
        assert float((middle - roots).abs().max()) <= 1000 / 7 / 2 + 0.01
        assert ProjectedGrid.size_mib(len(rig), volume, 1000.0, 8) == pytest.approx(grid.seen.numel() * 9 / 2**20)


class TestVolumeNet:
    def test_zero_in_zero_out_at_initialisation(self) -> None:
        net = VolumeNet(2, 3, VolumeNetConfig(width=0.25)).eval()
        out = net(torch.zeros(1, 2, 8, 8, 4))
        assert out.shape == (1, 3, 8, 8, 4) and (out == 0).all()

    def test_published_size(self) -> None:
        def millions(inputs: int, outputs: int) -> float:
            return sum(p.numel() for p in VolumeNet(inputs, outputs, VolumeNetConfig()).parameters()) / 1e6

        assert millions(1, 1) == pytest.approx(3.24, abs=0.01)
        assert millions(15, 15) == pytest.approx(3.32, abs=0.01)

    def test_folding_changes_nothing_but_rounding(self) -> None:
        torch.manual_seed(0)
        net = VolumeNet(1, 1, TINY)
        for _ in range(3):
            net(torch.rand(2, 1, 8, 8, 8))
        net.eval()
        x = torch.rand(2, 1, 8, 8, 8)
        before = net(x)
        net.fold()
        torch.testing.assert_close(net(x), before, rtol=1e-4, atol=1e-6)

    def test_training_with_exchanged_axes_gives_the_same_gradients(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch.manual_seed(0)
        net = VolumeNet(2, 3, VolumeNetConfig(width=0.25)).train()
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        volume, upstream = torch.randn(2, 2, 8, 12, 4), torch.randn(2, 3, 8, 12, 4)

        def gradients() -> list[torch.Tensor]:
            x = volume.clone().requires_grad_()
            out = net(x)
            grads = torch.autograd.grad((out * upstream).sum(), [x, *net.parameters()])
            return [out.detach(), *grads]

        assert volume_net.swaps_axes(net, volume)
        swapped = gradients()
        monkeypatch.setattr(volume_net, "swaps_axes", lambda module, x: False)
        for a, b in zip(swapped, gradients(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("voxels", [(4, 16, 8), (8, 8, 16), (12, 8, 4)])
    def test_small_volumes_have_correct_gradients_in_low_precision(self, voxels: tuple[int, int, int]) -> None:
        if pick_precision(torch.device("cpu")) is None:
            pytest.skip("this processor does not compute in bf16")
        torch.manual_seed(0)
        net = VolumeNet(1, 1, VolumeNetConfig(width=0.5)).train()
        volume, upstream = torch.randn(2, 1, *voxels), torch.randn(2, 1, *voxels)
        norms = []
        for precision in (None, torch.bfloat16):
            net.precision = precision
            grads = torch.autograd.grad((net(volume) * upstream).sum(), list(net.parameters()))
            norms.append([float(g.norm()) for g in grads])
        assert np.allclose(norms[0], norms[1], rtol=0.5, atol=0.02 * max(norms[0]))

    def test_an_even_kernel_is_refused(self) -> None:
        with pytest.raises(CoreError, match="is invalid"):
            VolumeNetConfig(front_kernel=4)


class TestRootNet:
    def test_peaks_are_found_to_a_fraction_of_a_voxel(self) -> None:
        volume = PANOPTIC_VOLUME
        points = grid_points(torch.tensor(volume.size_mm, dtype=torch.float32), volume.voxels)
        points = (points + torch.tensor(volume.centre_mm)).view(*volume.voxels, 3)
        roots = torch.tensor([[130.0, -740, 870], [-2222.0, 1111, 555]])
        squared_mm = (points[..., None, :] - roots).square().sum(-1)
        confidence = (torch.tensor([0.9, 0.6]) * torch.exp(-squared_mm / (2 * 200.0**2))).amax(-1)[None].float()
        proposals = extract_proposals(confidence, volume, RootNetConfig())
        assert proposals.valid[0].tolist() == [True, True] + [False] * 8
        # A parabola through a sampled Gaussian of two voxels' sigma is off by at most 2 % of a voxel.
        assert (proposals.xyz_mm[0, :2] - roots).norm(dim=-1).max() < 5
        xyz, sample, score = proposals.flat()
        assert xyz.shape == (2, 3) and sample.tolist() == [0, 0] and score[0] > score[1]

    def test_the_best_of_nearby_proposals_is_kept(self) -> None:
        points = torch.tensor([[[0.0, 0, 0], [200, 0, 0], [400, 0, 0], [900, 0, 0]]])
        valid = torch.tensor([[True, True, True, False]])
        # The first suppresses the second; the third is close only to the second, which is suppressed.
        assert suppress_neighbours(points, valid, 300).tolist() == [[True, False, True, False]]

    def test_forward_shape(self, rig: CameraRig) -> None:
        volume = CaptureVolume(centre_mm=np.array([0.0, 0, 900]), size_mm=np.full(3, 2000.0), voxels=(8, 8, 4))
        views = views_of(rig, np.zeros((1, 1, 3)), (64, 64), 2.0)
        net = RootNet(RootNetConfig(net=TINY)).eval()
        unprojector = VolumeUnprojector(RigProjector(rig), volume)
        assert net(unprojector, views.root, views.affine, views.view_weight).shape == (1, 8, 8, 4)


class TestPoseNet:
    def test_soft_argmax_published_weight(self) -> None:
        logits = torch.zeros(1, 1, 64, 64, 64)
        logits[0, 0, 40, 3, 9] = 0.2
        points = torch.zeros(64**3, 3)
        points[int(logits.flatten().argmax())] = 1.0
        assert soft_argmax(logits, points, 100.0)[0][0, 0].tolist() == pytest.approx(
            [0.99946] * 3, abs=5e-5
        )  # a float32 sum

    def test_untrained_network_is_a_soft_argmax_of_the_views(self, rig: CameraRig) -> None:
        rng = np.random.default_rng(2)
        people = rng.uniform([-600, -600, 300], [600, 600, 1500], (1, 15, 3))
        views = views_of(rig, people, (128, 128), 2.0)
        net = PoseNet(15, PoseNetConfig(net=TINY, voxels=32)).eval()
        root = torch.tensor([[0.0, 0, 900]])
        with torch.no_grad():
            joints = net(RigProjector(rig), views, root)[0][0]
        error = (joints - torch.tensor(people[0])).norm(dim=-1)
        assert error.mean() < 15  # a quarter of the voxel spacing of 65 mm

    def test_score_is_high_on_a_person_and_low_off_the_person(self, rig: CameraRig) -> None:
        people = np.array([[[0.0, 0, 900], [100, 0, 1400]]])
        views = views_of(rig, people, (128, 128), 2.0)
        on = joint_support(RigProjector(rig), views, torch.tensor(people, dtype=torch.float32))
        off = joint_support(RigProjector(rig), views, torch.tensor(people + 400, dtype=torch.float32))
        assert on.min() > 0.9 and off.max() < 0.1

    def test_merging_keeps_the_better_of_two_and_people_of_other_frames(self) -> None:
        xyz = torch.zeros(4, 15, 3)
        xyz[1] += 50
        xyz[2] += 400
        keep = merge_skeletons(xyz, torch.tensor([0.5, 0.9, 0.4, 0.3]), torch.tensor([0, 0, 0, 1]), 150.0)
        assert keep.tolist() == [False, True, True, True]


class TestPeaks:
    def test_sub_pixel_peak_of_a_gaussian_is_exact(self) -> None:
        xy = torch.tensor([[[10.3, 7.8]]])
        maps = render_heatmaps(xy, torch.tensor([[0.7]]), (20, 24), 2.0)[None, None]
        peak, height = nearest_peaks(maps, torch.tensor([[[[12.0, 9.0]]]]), 5.0)
        assert peak[0, 0, 0].tolist() == pytest.approx([10.3, 7.8], abs=1e-3)
        assert float(height) == pytest.approx(0.7, abs=0.02)
        assert float(nearest_peaks(maps, torch.tensor([[[[22.0, 17.0]]]]), 4.0)[1]) == 0


class TestDevice:
    def test_the_automatic_device_is_a_known_one_with_a_description(self) -> None:
        device = pick_device()
        assert device.type in ("cuda", "mps", "cpu") and len(describe_device(device)) > 3

    def test_unknown_name_is_refused(self) -> None:
        with pytest.raises(CoreError, match="no device named"):
            pick_device("cdua")


class TestBodyPrior:
    def test_gate_keeps_the_detections_of_its_own_person(self, rig: CameraRig) -> None:
        """Of two people a metre apart, each keeps their own joints, even where the other has more views."""
        rng = np.random.default_rng(5)
        body = rng.normal(0, 1, (15, 3)) * [90, 90, 300] + [0, 0, 900]
        body[2] = [0, 0, 900]
        people = np.stack([body, body + [1000, 0, 0]])
        views = views_of(rig, people, (128, 128), 2.0)
        prior = BodyPrior(15)
        rotated = [
            body @ np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]]) for a in range(40)
        ]
        prior.fit(torch.tensor(np.stack(rotated) - [0, 0, 900], dtype=torch.float32))
        roots = torch.tensor(people[:, 2], dtype=torch.float32)
        gated = prior.gate(RigProjector(rig), views, roots, torch.zeros(2, dtype=torch.long), 2.0)
        visible = views.peak[0, :, :, 2] > 0  # (V, D)
        kept = gated.peak[:, :, :, 2]  # (P, V, D)
        assert kept[0, :, 0][visible[:, 0]].mean() > 0.8 and kept[1, :, 1][visible[:, 1]].mean() > 0.8
        assert kept[0, :, 1].mean() < 0.3 and kept[1, :, 0].mean() < 0.3

    def test_an_unfitted_prior_has_no_effect(self, rig: CameraRig) -> None:
        views = views_of(rig, np.array([[[0.0, 0, 900]] * 15]), (64, 64), 2.0)
        prior = BodyPrior(15)
        assert (prior.log_density(torch.randn(7, 3) * 500) == 0).all()
        gated = prior.gate(RigProjector(rig), views, torch.zeros(1, 3), torch.zeros(1, dtype=torch.long), 2.0)
        torch.testing.assert_close(gated.peak, views.peak, atol=5e-3, rtol=0)
