import dataclasses

import numpy as np
import pytest

from core.errors import CoreError
from core.evaluation import compare, loco
from core.evaluation.compare import (
    blocks_of_time,
    common_masks,
    coverage_fraction,
    coverage_masks,
    error_metrics,
    overall_metrics,
    paired_bootstrap,
    paired_overall,
    shared_joints,
)
from core.evaluation.loco import LocoConfig, collect_observations, loco_errors, reprojection_errors
from core.evaluation.report import BASELINE_KEY, RTS_KEY, TRAINED_KEY, MethodResult, build_report
from core.progress import NullReporter
from core.reconstruction.triangulated import Triangulator
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.types import COCO17, PANOPTIC15
from core.types.skeleton import convert

FRAMES = np.arange(20, 80)


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    truth, rig = people.walkers(2, 100, rng), rigs.ring_rig(4)
    return truth, rig, observe(rig, truth, 4.0, 0.05, rng)


def measure(scene, sequence):
    truth, rig, poses2d = scene
    seen = collect_observations(poses2d, rig.names, FRAMES)
    return loco_errors(rig, seen, truth.time_s, lambda _: sequence, NullReporter())


def noisy(truth, noise_mm, seed=1):
    off = np.random.default_rng(seed).normal(0, noise_mm, truth.xyz_mm.shape)
    return dataclasses.replace(truth, xyz_mm=truth.xyz_mm + off)


def test_the_error_of_the_ground_truth_is_the_noise_of_the_2d_joints(scene):
    result = measure(scene, scene[0])
    found = error_metrics(result, coverage_masks(result))
    # Rayleigh median of 4 px per axis is 4.7; only confident joints count, which are better than the rest.
    assert 2.5 < found.median_px < 4.7
    assert coverage_fraction(result) > 0.99
    assert found.observations > 0.8 * 60 * 2 * 4 * 13
    size = np.nanmedian(np.concatenate([s.ravel() for s in result.observations.size_px.values()]))
    assert found.percent_height == pytest.approx(100 * found.median_px / size, rel=0.3)


def test_only_the_selected_frames_are_measured_whatever_the_method_returns(scene):
    truth = scene[0]
    part = dataclasses.replace(
        truth, time_s=truth.time_s[FRAMES], xyz_mm=truth.xyz_mm[FRAMES], score=truth.score[FRAMES]
    )
    whole, some = measure(scene, truth), measure(scene, part)
    for name in whole.error_px:
        assert whole.error_px[name].shape[0] == len(FRAMES)
        np.testing.assert_array_equal(whole.error_px[name], some.error_px[name])


def in_panoptic15(truth):
    xyz, score = convert(truth.xyz_mm, truth.score, COCO17, PANOPTIC15)
    return dataclasses.replace(truth, skeleton=PANOPTIC15, xyz_mm=xyz, score=score)


def test_joints_that_a_joint_set_lacks_are_neither_compared_nor_counted_as_misses(scene):
    whole, other = measure(scene, scene[0]), measure(scene, in_panoptic15(scene[0]))
    assert whole.observations.skeleton.name == "coco17"
    shared = shared_joints(whole, other)
    assert [j for j, has in zip(COCO17.joints, shared, strict=True) if not has] == list(COCO17.joints[1:5])
    for name in whole.error_px:
        # The assignment of a detection by its body alone may differ from that with its head.
        same = np.isclose(whole.error_px[name], other.error_px[name]) | ~np.isfinite(whole.error_px[name])
        assert same[..., shared].mean() > 0.99
    assert coverage_fraction(other) == pytest.approx(coverage_fraction(whole), abs=0.01)
    assert overall_metrics(whole).observations > overall_metrics(other).observations
    assert overall_metrics(whole, shared).observations == overall_metrics(other, shared).observations


def test_the_report_names_the_joints_that_are_not_compared(scene):
    methods = {
        BASELINE_KEY: result_of(scene, scene[0]),
        TRAINED_KEY: dataclasses.replace(result_of(scene, in_panoptic15(scene[0])), run="fast"),
    }
    report = build_report("walk", len(FRAMES), methods)
    assert report["joints_left_out"] == ["left_eye", "right_eye", "left_ear", "right_ear"]
    assert "left eye, right eye, left ear, right ear" in report["details"]
    baseline, trained = report["methods"].values()
    assert baseline["observations_all"] == trained["observations_all"]
    assert trained["covered"] > 0.99


def test_the_skeleton_of_the_error_is_a_setting(scene):
    truth, rig, poses2d = scene
    common = [COCO17.index(joint) for joint in PANOPTIC15.joints if COCO17.has(joint)]
    named = [j for j, joint in enumerate(PANOPTIC15.joints) if COCO17.has(joint)]
    seen = collect_observations(poses2d, rig.names, FRAMES, LocoConfig(skeleton="panoptic15"))
    panoptic = reprojection_errors(rig, seen, truth, truth.time_s)
    coco = measure(scene, truth)
    for name, error in coco.error_px.items():
        assert error.shape[-1] == 17
        both = np.isfinite(error[..., common]) & np.isfinite(panoptic.error_px[name][..., named])
        assert both.mean() > 0.5
        np.testing.assert_allclose(error[..., common][both], panoptic.error_px[name][..., named][both])


@pytest.mark.slow
def test_the_left_out_camera_is_not_used(scene):
    truth, rig, poses2d = scene
    left_out_cameras = []

    def fit(camera):
        left_out_cameras.append(camera)
        blind = {n: p for n, p in poses2d.items() if n != camera}
        return Triangulator().reconstruct(rig, blind, truth.time_s, NullReporter(), exclude_camera=camera)

    seen = collect_observations(poses2d, rig.names, FRAMES)
    result = loco_errors(rig, seen, truth.time_s, fit, NullReporter())
    assert left_out_cameras == list(rig.names)
    left_out = error_metrics(result, coverage_masks(result))
    sequence = Triangulator().reconstruct(rig, poses2d, truth.time_s, NullReporter())
    fitted = reprojection_errors(rig, seen, sequence, truth.time_s)
    assert error_metrics(fitted, coverage_masks(fitted)).median_px < left_out.median_px < 12.0
    assert coverage_fraction(result) > 0.95


def test_missing_people_lower_the_coverage_and_are_excluded_from_the_common_observations(scene):
    truth = scene[0]
    xyz = truth.xyz_mm.copy()
    xyz[:, 1] = np.nan
    half = measure(scene, dataclasses.replace(truth, xyz_mm=xyz, score=np.where(np.isfinite(xyz[..., 0]), 1.0, 0.0)))
    whole = measure(scene, truth)
    assert 0.3 < coverage_fraction(half) < 0.7
    common = common_masks(half, whole)
    assert error_metrics(half, common).observations == error_metrics(whole, common).observations
    # Somebody near a missing person may be taken for them: a few large errors, hardly a change in the median.
    assert error_metrics(half, common).median_px == pytest.approx(error_metrics(whole, common).median_px, rel=0.03)


def test_two_cameras_are_refused(scene):
    truth, rig, poses2d = scene
    pair = rig.subset(rig.names[:2])
    with pytest.raises(CoreError, match="three cameras"):
        loco_errors(
            pair, collect_observations(poses2d, pair.names, FRAMES), truth.time_s, lambda _: truth, NullReporter()
        )


def result_of(scene, sequence, **named):
    fitted = measure(scene, sequence)
    return MethodResult.of(lambda: sequence, lambda _: 1.0, loco=fitted, **named)


def without(truth, missing):
    """Return the truth without the joints (T, P, J) that are missing."""
    xyz = np.where(missing[..., None], np.nan, truth.xyz_mm)
    return dataclasses.replace(truth, xyz_mm=xyz, score=np.where(missing, 0.0, truth.score))


def compared(scene, baseline, trained, rts=None):
    """Return the report on three results, of which the first two are triangulation."""
    methods = {BASELINE_KEY: result_of(scene, baseline)}
    if rts is not None:
        methods[RTS_KEY] = result_of(scene, rts, smoothing="rts")
    methods[TRAINED_KEY] = result_of(scene, trained, run="quick")
    return build_report("walk", len(FRAMES), methods)


@pytest.mark.slow
def test_a_clear_difference_is_significant_and_within_its_interval(scene):
    truth = scene[0]
    good, bad = noisy(truth, 5.0), noisy(truth, 40.0)
    for gap in (
        paired_bootstrap(measure(scene, good), measure(scene, bad)),
        paired_overall(measure(scene, good), measure(scene, bad)),
    ):
        assert gap.significant
        assert gap.low <= gap.value <= gap.high < 0
    report = compared(scene, bad, good)
    assert report["verdict"].startswith("The trained networks are better than triangulation:")
    assert report["comparison"]["better"] == TRAINED_KEY
    report = compared(scene, good, bad)
    assert report["verdict"].startswith("Triangulation is better than the trained networks:")
    assert report["comparison"]["better"] == BASELINE_KEY


@pytest.mark.slow
def test_equal_methods_have_no_significant_difference(scene):
    first, second = (noisy(scene[0], 15.0, seed) for seed in (2, 3))
    report = compared(scene, first, second)
    assert report["comparison"]["better"] == ""
    assert report["verdict"].startswith("No significant difference between the trained networks and triangulation")


@pytest.mark.slow
def test_the_networks_are_compared_with_the_better_triangulation(scene):
    truth = scene[0]
    rough, smooth = noisy(truth, 40.0), noisy(truth, 10.0)
    report = compared(scene, rough, noisy(truth, 20.0), rts=smooth)
    assert report["verdict"].startswith("Triangulation with RTS smoothing is better than the trained networks")
    assert (report["comparison"]["first"], report["comparison"]["second"]) == (TRAINED_KEY, RTS_KEY)
    report = compared(scene, smooth, noisy(truth, 20.0), rts=rough)
    assert report["comparison"]["second"] == BASELINE_KEY


def test_networks_that_were_not_trained_here_are_called_shipped(scene):
    fast = result_of(scene, scene[0], run="fast", shipped=True)
    report = build_report(
        "walk", len(FRAMES), {BASELINE_KEY: result_of(scene, noisy(scene[0], 40.0)), TRAINED_KEY: fast}
    )
    assert report["methods"][TRAINED_KEY]["label"] == "Shipped networks"
    assert report["verdict"].startswith("The shipped networks are better than triangulation:")


def test_a_report_of_triangulation_alone_says_what_smoothing_brings(scene):
    methods = {
        BASELINE_KEY: result_of(scene, noisy(scene[0], 40.0)),
        RTS_KEY: result_of(scene, noisy(scene[0], 10.0), smoothing="rts"),
    }
    report = build_report("walk", len(FRAMES), methods)
    assert report["verdict"].startswith("Triangulation with RTS smoothing is better than triangulation:")
    assert report["verdict"].endswith("No trained run was compared.")
    assert report["frames"] == 100
    assert report["held_out_frames"] == 60
    assert report["people_per_frame"] == {"2": 100}


def test_a_method_that_predicts_a_few_joints_very_well_loses(scene):
    """A method with 8 % of the joints was once said to be as good as one with 46 %."""
    truth = scene[0]
    chance = np.random.default_rng(5).random(truth.score.shape)
    # At least three joints of a person, or nobody can be matched.
    few = without(truth, (chance < 0.5) | (np.arange(100) % 6 > 0)[:, None, None])
    many = noisy(without(truth, chance < 0.4), 25.0)
    report = compared(scene, many, few)
    covered = report["comparison"]["covered"]
    assert covered[0] < 0.12 and covered[1] > 0.5
    assert report["comparison"]["better"] == BASELINE_KEY
    assert report["comparison"]["reason"] == "coverage"
    assert report["verdict"].startswith(
        f"Triangulation is better: the trained networks predict only {100 * covered[0]:.0f} % of the observed joints, "
        f"triangulation {100 * covered[1]:.0f} %."
    )
    found = report["methods"]
    assert found["trained"]["loco_px_median"] < found["baseline"]["loco_px_median"]
    assert found["trained"]["loco_percent_height_all"] > found["baseline"]["loco_percent_height_all"]
    assert found["trained"]["within_10_percent"] < found["baseline"]["within_10_percent"]


def test_joints_predicted_at_random_do_not_win_by_coverage(scene):
    truth = scene[0]
    known = without(truth, np.random.default_rng(5).random(truth.score.shape) < 0.5)
    wild = np.random.default_rng(6).normal(0, 900.0, truth.xyz_mm.shape)
    guessed = np.where(np.isfinite(known.xyz_mm), known.xyz_mm, truth.xyz_mm + wild)
    report = compared(scene, known, dataclasses.replace(truth, xyz_mm=guessed))
    assert report["comparison"]["better"] == ""
    assert "Triangulation predicts only" in report["verdict"]


def test_a_slightly_lower_coverage_keeps_a_more_accurate_method_from_being_called_better(scene):
    truth = scene[0]
    few = without(truth, np.random.default_rng(5).random(truth.score.shape) < 0.06)
    report = compared(scene, noisy(truth, 25.0), few)
    assert report["comparison"]["better"] == ""
    assert report["verdict"].startswith("Neither the trained networks nor triangulation is better in every respect")
    covered = report["comparison"]["covered"]
    assert (
        f"Predicted: {100 * covered[0]:.0f} % and {100 * covered[1]:.0f} % of the observed joints" in report["details"]
    )
    assert 0.9 < covered[0] < 0.97 < covered[1]


def test_a_missing_joint_counts_like_one_at_the_gate(scene):
    truth = scene[0]
    nobody = without(truth, np.ones(truth.score.shape, bool))
    found = overall_metrics(measure(scene, nobody))
    assert found.percent_height == pytest.approx(50.0)
    assert (found.within, found.coverage, found.people) == (0.0, 0.0, 0.0)
    half = overall_metrics(measure(scene, without(truth, np.arange(100)[:, None, None] % 2 + 0 * truth.score > 0)))
    whole = overall_metrics(measure(scene, truth))
    assert half.people == pytest.approx(whole.people / 2, abs=0.05)
    assert half.percent_height == pytest.approx((50 + whole.percent_height) / 2, abs=2.0)


@pytest.mark.parametrize(("fps", "frames", "blocks"), [(240, 2400, 20), (25, 250, 20), (1, 20, 20), (0.2, 15, 15)])
def test_blocks_are_half_a_second_at_every_frame_rate(fps, frames, blocks):
    block = blocks_of_time(np.arange(frames), np.arange(frames) / fps)
    assert len(np.unique(block)) == blocks
    assert np.ptp(np.bincount(block)) <= 1


def test_blocks_do_not_cross_gaps_and_are_shorter_in_a_short_take():
    frames = np.concatenate([np.arange(20, 30), np.arange(70, 80)])
    block = blocks_of_time(frames, frames / 25)
    assert len(np.unique(block)) == 8
    assert not set(block[:10]) & set(block[10:])
    np.testing.assert_array_equal(blocks_of_time(frames, frames / 60), np.repeat(np.arange(4), 5))
    assert len(np.unique(blocks_of_time(np.arange(5), np.arange(5) / 60))) == 1


def test_a_take_of_a_moment_has_no_verdict(scene):
    truth, rig, poses2d = scene
    seen = collect_observations(poses2d, rig.names, np.arange(6))
    loco = loco_errors(rig, seen, truth.time_s, lambda _: truth, NullReporter())
    one = MethodResult.of(lambda: truth, lambda _: 1.0, loco=loco)
    report = build_report("walk", 6, {BASELINE_KEY: one, TRAINED_KEY: dataclasses.replace(one, run="quick")})
    assert report["comparison"]["reason"] == "short"
    assert report["verdict"].startswith("The take is too short to say")


def test_errors_in_blocks_are_the_same(scene, monkeypatch):
    whole = measure(scene, scene[0])
    monkeypatch.setattr(loco, "_BLOCK_FRAMES", 7)
    for name, errors_px in measure(scene, scene[0]).error_px.items():
        np.testing.assert_array_equal(errors_px, whole.error_px[name])


def test_medians_of_resamples_are_exact(monkeypatch):
    rng = np.random.default_rng(0)
    error, block = rng.uniform(0, 9, 1000).astype(np.float32), rng.integers(0, 12, 1000)
    draws = rng.multinomial(12, np.full(12, 1 / 12), size=50)
    expected = []
    for times in draws:
        repeated = np.sort(np.repeat(error, times[block]))
        expected.append(repeated[(len(repeated) - 1) // 2])
    for size in (1, 64, 4096):
        monkeypatch.setattr(compare, "_BIN", size)
        np.testing.assert_array_equal(compare._medians(error, block, draws), expected)
