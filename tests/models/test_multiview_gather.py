"""Gathering the mean over views in one pass agrees with sampling view by view."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import core.models.geometry.multiview_gather as gather
from core.models.geometry.affine import augment_affines, fit_rig_affines
from core.models.geometry.multiview_gather import BilinearCorners, can_gather, multiview_gather
from core.models.geometry.projection import RigProjector, to_heatmap
from core.models.geometry.unproject import CubeUnprojector, ProjectedGrid, VolumeUnprojector, fuse_views
from core.synthetic.rigs import ring_rig
from core.types.volume import CaptureVolume

SIZE = (40, 64)
VOLUME = CaptureVolume(centre_mm=np.array([0.0, 0, 900]), size_mm=np.array([6000.0, 5000, 2000]), voxels=(12, 8, 4))


@pytest.fixture
def projector() -> RigProjector:
    return RigProjector(ring_rig(4, radius_mm=4000.0))


def affines(versions: int) -> Tensor:
    """Return affines (versions, 4, 2, 3), rotated and zoomed so that content leaves the maps."""
    rng = np.random.default_rng(0)
    base = fit_rig_affines(ring_rig(4, radius_mm=4000.0), SIZE)
    return torch.tensor(
        augment_affines(base, SIZE, rng.uniform(-0.8, 0.8, versions), rng.uniform(-0.2, 0.3, versions)),
        dtype=torch.float32,
    )


def test_mean_of_two_views_computed_by_hand() -> None:
    """Two views, one point between four pixels of the first and on the last pixel of the second."""
    heatmaps = torch.zeros(2, 3, 5)
    heatmaps[0, 1, 2], heatmaps[0, 2, 3], heatmaps[1, 2, 4] = 0.4, 0.8, 1.0
    x, y = torch.tensor([[2.25, 4.0]]), torch.tensor([[1.5, 2.0]])
    every = torch.ones(1, 2, dtype=torch.bool)
    first = 0.4 * 0.75 * 0.5 + 0.8 * 0.25 * 0.5

    def mean(visible: Tensor, weight: list[int]) -> float:
        corners = BilinearCorners.around(x, y, visible, (3, 5), torch.tensor(weight, dtype=torch.float32), 2.0)
        return float(corners.mean(heatmaps.view(-1, 1)))

    assert mean(every, [1, 1]) == pytest.approx((first + 1) / 2)
    assert mean(every, [3, 1]) == pytest.approx((3 * first + 1) / 4)
    assert mean(every, [0, 1]) == pytest.approx(1 / 2)  # the value of a single view is halved
    assert mean(torch.tensor([[True, False]]), [1, 1]) == pytest.approx(first / 2)


@pytest.mark.parametrize("outside", [-0.01, 4.01])
def test_points_outside_of_a_map_contribute_nothing(outside: float) -> None:
    corners = BilinearCorners.around(
        torch.tensor([[outside]]), torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool), (3, 5), torch.ones(1), 2.0
    )
    assert float(corners.mean(torch.ones(15, 1))) == 0


def test_agrees_with_sampling_view_by_view(projector: RigProjector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_AT_ONCE", 100)  # several chunks, the last one shorter
    torch.manual_seed(0)
    volume = VolumeUnprojector(projector, VOLUME)
    heatmaps, weight = torch.rand(3, 4, 5, *SIZE), torch.tensor([[1.0, 1, 1, 1], [0, 1, 1, 0], [0.5, 1, 0, 2]])
    affine = affines(3)
    xy_px, visible = volume.xy_px.expand(3, -1, -1, -1), volume.on_image.expand(3, -1, -1)
    gathered = multiview_gather(heatmaps, affine, xy_px, visible, weight, 2.0)
    expected = fuse_views(heatmaps, to_heatmap(affine, xy_px), visible, weight)
    assert float((expected == 0).float().mean()) > 0.05  # there is something to mask
    torch.testing.assert_close(gathered, expected, atol=2e-4, rtol=0)


def test_the_root_volume_never_reuses_a_cache_that_does_not_apply(projector: RigProjector) -> None:
    """Whatever is cached, the volume is that of the given affines, weights and sizes."""
    torch.manual_seed(0)
    volume = VolumeUnprojector(projector, VOLUME)
    one = affines(1).expand(2, -1, -1, -1)
    ones, some = torch.ones(2, 4), torch.tensor([[1.0, 0, 1, 1]]).expand(2, -1)
    calls = [(one, ones, SIZE), (one, ones, SIZE), (affines(2), ones, SIZE), (one, some, SIZE), (one, ones, (24, 64))]
    for affine, weight, size in calls:
        heatmaps = torch.rand(2, 4, 1, *size)
        expected = fuse_views(
            heatmaps, to_heatmap(affine, volume.xy_px[None]), volume.on_image.expand(2, -1, -1), weight
        )
        gathered = volume(heatmaps, affine, weight)
        torch.testing.assert_close(gathered, expected.view(2, 1, *VOLUME.voxels), atol=2e-4, rtol=0)


@pytest.mark.parametrize("precomputed", [True, False])
def test_cubes_agree_with_grid_sample(
    projector: RigProjector, precomputed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    source = ProjectedGrid(projector, VOLUME, 1600.0, 8) if precomputed else projector
    cubes, roots = CubeUnprojector(1600.0, 8), torch.tensor([[300.0, -800.0, 900.0], [-2900.0, 2400.0, 500.0]])
    parts = (torch.rand(2, 4, 5, *SIZE), affines(2), torch.ones(2, 4), roots)
    gathered, middle = cubes(source, *parts)
    monkeypatch.setattr("core.models.geometry.unproject.can_gather", lambda heatmaps: False)
    expected, same = cubes(source, *parts)
    assert torch.equal(middle, same)
    torch.testing.assert_close(gathered, expected, atol=2e-4, rtol=0)


def test_maps_that_require_a_gradient_are_sampled_differentiably(projector: RigProjector) -> None:
    heatmaps = torch.rand(1, 4, 2, *SIZE, requires_grad=True)
    assert not can_gather(heatmaps) and can_gather(heatmaps.detach())
    with torch.no_grad():
        assert can_gather(heatmaps)
    VolumeUnprojector(projector, VOLUME)(heatmaps, affines(1), torch.ones(1, 4)).sum().backward()
    assert heatmaps.grad is not None and float(heatmaps.grad.abs().sum()) > 0
