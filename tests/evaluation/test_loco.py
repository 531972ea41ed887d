import dataclasses

import numpy as np
import pytest

from core.errors import CoreError
from core.evaluation.compare import common_masks, coverage_fraction, coverage_masks, error_metrics, paired_bootstrap
from core.evaluation.loco import LocoConfig, collect_observations, loco_errors, reprojection_errors
from core.evaluation.report import BASELINE_KEY, TRAINED_KEY, MethodResult, build_report
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


def test_the_skeleton_of_the_result_does_not_matter(scene):
    truth = scene[0]
    xyz, score = convert(truth.xyz_mm, truth.score, COCO17, PANOPTIC15)
    other = dataclasses.replace(truth, skeleton=PANOPTIC15, xyz_mm=xyz, score=score)
    first, second = measure(scene, truth), measure(scene, other)
    for name in first.error_px:
        np.testing.assert_array_equal(first.error_px[name], second.error_px[name])


def test_the_skeleton_of_the_error_is_a_setting(scene):
    truth, rig, poses2d = scene
    common = [COCO17.index(joint) for joint in PANOPTIC15.joints if COCO17.has(joint)]
    named = [j for j, joint in enumerate(PANOPTIC15.joints) if COCO17.has(joint)]
    seen = collect_observations(poses2d, rig.names, FRAMES, LocoConfig(skeleton="coco17"))
    coco = reprojection_errors(rig, seen, truth, truth.time_s)
    panoptic = measure(scene, truth)
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


def result_of(scene, sequence):
    fitted = measure(scene, sequence)
    return MethodResult(sequence=sequence, reprojection=fitted, loco=fitted)


@pytest.mark.slow
def test_a_clear_difference_is_significant_and_within_its_interval(scene):
    truth = scene[0]
    good, bad = result_of(scene, noisy(truth, 5.0)), result_of(scene, noisy(truth, 40.0))
    gap = paired_bootstrap(good.loco, bad.loco)
    assert gap.significant
    assert gap.low_px <= gap.px <= gap.high_px < 0
    report = build_report("walk", len(FRAMES), {BASELINE_KEY: bad, TRAINED_KEY: good})
    assert "trained networks are better" in report["verdict"]
    report = build_report("walk", len(FRAMES), {BASELINE_KEY: good, TRAINED_KEY: bad})
    assert "without training is better" in report["verdict"]


@pytest.mark.slow
def test_equal_methods_have_no_significant_difference(scene):
    truth = scene[0]
    first, second = (result_of(scene, noisy(truth, 15.0, seed)) for seed in (2, 3))
    assert not paired_bootstrap(first.loco, second.loco).significant
    report = build_report("walk", len(FRAMES), {BASELINE_KEY: first, TRAINED_KEY: second})
    assert report["verdict"].startswith("No significant difference")


def test_a_report_of_the_baseline_alone(scene):
    report = build_report("walk", len(FRAMES), {BASELINE_KEY: result_of(scene, scene[0])})
    assert set(report["methods"]) == {BASELINE_KEY}
    assert "no trained run" in report["verdict"]
    assert report["frames"] == 100
    assert report["held_out_frames"] == 60
    assert report["people_per_frame"] == {"2": 100}


def test_a_low_coverage_is_mentioned(scene):
    truth = scene[0]
    xyz = truth.xyz_mm.copy()
    xyz[:, 1] = np.nan
    half = dataclasses.replace(truth, xyz_mm=xyz, score=np.where(np.isfinite(xyz[..., 0]), 1.0, 0.0))
    report = build_report("walk", 60, {BASELINE_KEY: result_of(scene, truth), TRAINED_KEY: result_of(scene, half)})
    assert "of the observed joints" in report["verdict"]
