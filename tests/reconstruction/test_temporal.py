"""The temporal refiner on whole takes: windows, gaps, short presences, noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.models.config import TemporalRefinerConfig
from core.models.refiners.temporal_refiner import TemporalRefiner
from core.reconstruction.temporal import _windows, refine_tracks
from core.types.arrays import F64

J, FRAMES = 4, 12


@pytest.fixture(scope="module")
def network() -> TemporalRefiner:
    torch.manual_seed(0)
    return TemporalRefiner(J, TemporalRefinerConfig(enabled=True, channels=16, layers=1, heads=2, frames=FRAMES)).eval()


def circle(T: int) -> F64:
    """Two people (T, 2, J, 3) on a slow circle."""
    angle = np.arange(T)[:, None, None] / 30 + np.arange(J) / 3
    one = np.stack([500 * np.cos(angle), 500 * np.sin(angle), 900 + 0 * angle], -1)
    return np.concatenate([one, one + 2000], 1)


def covariance(xyz: F64, mm: float = 12.0) -> F64:
    return np.where(np.isfinite(xyz)[..., None], mm**2 * np.eye(3), np.nan)


@pytest.mark.parametrize("n", [3, 11, 12, 13, 18, 19, 40, 101])
def test_window_weights_add_up_to_one(n: int) -> None:
    total = np.zeros(n + 5)
    for start, end, weight in _windows(5, 5 + n, FRAMES):
        assert 3 <= end - start <= FRAMES and (weight > 0).all()
        total[start:end] += weight
    np.testing.assert_allclose(total[5:], 1)


def test_noise_is_reduced(network: TemporalRefiner) -> None:
    exact = circle(60)
    noisy = exact + np.random.default_rng(0).normal(0, 12, exact.shape)
    refined = refine_tracks(network, np.arange(60) / 30, noisy, covariance(noisy), 0.5)
    before, after = (np.sqrt(((a - exact) ** 2).mean()) for a in (noisy, refined.xyz_mm))
    assert after < 0.7 * before
    predicted = np.sqrt(np.trace(refined.covariance_mm2, axis1=-2, axis2=-1).mean() / 3)
    assert 0.6 < after / predicted < 1.2


def test_gaps_short_and_long(network: TemporalRefiner) -> None:
    """Short gaps are filled in; long ones, and presences of two frames, are left as they are."""
    exact = circle(60)
    seen = exact.copy()
    seen[20:24, 0] = np.nan
    seen[10:50, 1] = np.nan
    seen[30:32, 1] = exact[30:32, 1]
    refined = refine_tracks(network, np.arange(60) / 30, seen, covariance(seen), 0.5)
    present = np.isfinite(refined.xyz_mm).all((-1, -2))
    assert present[:, 0].all()
    assert np.abs(refined.xyz_mm - exact)[:, 0].max() < 8
    assert np.flatnonzero(present[:, 1]).tolist() == [*range(10), 30, 31, *range(50, 60)]
    np.testing.assert_array_equal(refined.xyz_mm[30:32, 1], seen[30:32, 1])
    assert (np.isfinite(refined.covariance_mm2).all((-1, -2, -3)) == present).all()


def test_a_long_take_has_no_seams(network: TemporalRefiner) -> None:
    """There is no more jerk where windows overlap than elsewhere."""
    exact = circle(200)
    noisy = exact + np.random.default_rng(1).normal(0, 12, exact.shape)
    refined = refine_tracks(network, np.arange(200) / 30, noisy, covariance(noisy), 0.5).xyz_mm
    jerk = np.linalg.norm(np.diff(refined, n=3, axis=0), axis=-1).mean((1, 2))
    assert jerk[5:-5].max() < 4 * np.median(jerk)


def test_no_people(network: TemporalRefiner) -> None:
    xyz = np.full((7, 1, J, 3), np.nan)
    assert not np.isfinite(refine_tracks(network, np.arange(7) / 30, xyz, covariance(xyz), 0.5).xyz_mm).any()
    empty = np.zeros((0, 0, J, 3))
    assert refine_tracks(network, np.zeros(0), empty, np.zeros((0, 0, J, 3, 3)), 0.5).xyz_mm.shape == empty.shape
