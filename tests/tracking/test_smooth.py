import numpy as np
import pytest

from core.synthetic import people
from core.tracking import smooth as smoothing
from core.tracking.config import TrackingConfig
from core.tracking.smooth import one_euro, rts, smooth
from core.types import COCO17, Pose3DSequence

FILTERS = ["one_euro", "rts"]


def sequence(xyz, fps=30.0, covariance=None):
    return Pose3DSequence(
        skeleton=COCO17,
        time_s=np.arange(len(xyz)) / fps,
        xyz_mm=xyz,
        score=np.where(np.isfinite(xyz[..., 0]), 1.0, 0.0),
        person_ids=tuple(range(1, xyz.shape[1] + 1)),
        covariance_mm2=covariance,
        provenance={"method": "test"},
    )


@pytest.fixture(scope="module")
def truth():
    return people.walkers(2, 150, np.random.default_rng(0)).xyz_mm


def test_none_returns_the_sequence_itself(truth):
    original = sequence(truth)
    assert smooth(original, TrackingConfig()) is original


@pytest.mark.parametrize("name", FILTERS)
def test_a_constant_is_unchanged_and_noise_is_reduced(name):
    rng = np.random.default_rng(1)
    still = np.broadcast_to(rng.uniform(-1000, 1000, (1, 1, 17, 3)), (300, 1, 17, 3))
    config = TrackingConfig(smoothing=name)
    np.testing.assert_allclose(smooth(sequence(still), config).xyz_mm, still, atol=1e-6)
    noisy = still + rng.normal(0, 20, still.shape)
    left = smooth(sequence(noisy), config).xyz_mm[30:] - still[30:]
    assert left.std() < 13.0


def test_kalman_smoothing_reduces_the_error_of_moving_joints(truth):
    noisy = truth + np.random.default_rng(2).normal(0, 20, truth.shape)
    config = TrackingConfig(smoothing="rts", rts_noise_mm=20.0)
    left = smooth(sequence(noisy), config).xyz_mm - truth
    assert left.std() < 0.75 * 20
    # Smoothing looks ahead: no lag along the movement.
    speed = np.gradient(truth, 1 / 30, axis=0)
    assert abs((left * speed).sum() / (speed**2).sum()) < 0.005


@pytest.mark.parametrize("name", FILTERS)
def test_gaps_remain_and_the_filter_restarts_after_them(name, truth):
    gappy = truth.copy()
    gappy[40:90, 0] = np.nan
    gappy[100:103, 1, 4] = np.nan
    out = smooth(sequence(gappy), TrackingConfig(smoothing=name)).xyz_mm
    np.testing.assert_array_equal(np.isnan(out), np.isnan(gappy))
    alone = smooth(sequence(gappy[90:]), TrackingConfig(smoothing=name)).xyz_mm
    np.testing.assert_allclose(out[90:, 0], alone[:, 0], atol=1e-9)


@pytest.mark.parametrize("name", FILTERS)
def test_settings_are_recorded_in_the_provenance(name, truth):
    covariance = np.broadcast_to(np.eye(3) * 25.0, (*truth.shape, 3))
    out = smooth(sequence(truth, covariance=covariance), TrackingConfig(smoothing=name))
    assert out.provenance["method"] == "test"
    assert out.provenance["smoothing"]["smoothing"] == name
    assert out.covariance_mm2 is None


def test_measurement_covariance_is_used(truth):
    config = TrackingConfig(smoothing="rts")
    noisy = truth.copy()
    noisy[75] += 300.0
    covariance = np.tile(np.eye(3) * 100.0, (*truth.shape[:-1], 1, 1))
    covariance[75] *= 1e4
    times = np.arange(len(truth)) / 30
    without = np.abs(rts(times, noisy, None, config)[75] - truth[75]).mean()
    with_covariance = np.abs(rts(times, noisy, covariance, config)[75] - truth[75]).mean()
    assert with_covariance < 0.3 * without


def test_one_euro_is_causal(truth):
    config, times = TrackingConfig(), np.arange(len(truth)) / 30
    np.testing.assert_array_equal(one_euro(times, truth, config)[:50], one_euro(times[:50], truth[:50], config))


def test_smoothing_in_blocks_gives_the_same_values(truth, monkeypatch):
    rng = np.random.default_rng(5)
    noisy = truth + rng.normal(0, 20, truth.shape)
    noisy[rng.random(noisy.shape[:-1]) < 0.2] = np.nan
    noisy[60:90, 1] = np.nan
    config, time_s = TrackingConfig(smoothing="rts"), np.arange(len(truth)) / 30
    whole = rts(time_s, noisy, None, config)
    for frames in (1, 37, len(truth) - 1):
        monkeypatch.setattr(smoothing, "_BLOCK_FRAMES", frames)
        np.testing.assert_array_equal(rts(time_s, noisy, None, config), whole)
