"""Calibration from walking people: against exact truth, and on the embedded footage."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walking_people import TIME_OFFSETS_S, moved

from core.calibration.checks import check_rig
from core.calibration.people.calibrate import calibrate_from_people, repair_from_people
from core.calibration.people.check import check_people
from core.calibration.people.config import PeopleConfig
from core.calibration.people.simulate import compare_rigs, simulate_calibration, true_stature_mm
from core.errors import CancelledError, CoreError
from core.files import resource
from core.pose2d.config import Pose2DConfig
from core.pose2d.estimators.movenet import MoveNet
from core.progress import RecordingReporter
from core.rig_io.importers import read_rig
from core.session.video import VideoReader
from core.synthetic.observe import boxes
from core.synthetic.people_scene import record_people
from core.synthetic.rigs import random_rig
from core.types import COCO17, CameraRig, Pose2D, Pose3DSequence

pytestmark = pytest.mark.slow


# Calibration


def test_a_rig_from_one_walker_is_right_to_a_tenth_of_a_degree_and_its_time_offsets_to_milliseconds(
    rig, recording
) -> None:
    bare = CameraRig(cameras=tuple(c.replace(R=None, t_mm=None) for c in rig))
    found = calibrate_from_people(
        bare, recording.poses2d, recording.time_s, PeopleConfig(stature_mm=true_stature_mm(recording))
    )
    deviation = compare_rigs(found.rig, rig)
    assert np.median(deviation.rotation_deg) < 0.1
    assert np.median(deviation.position) < 0.003
    assert np.median(deviation.upright_deg) < 0.3
    assert np.median(deviation.upright) < 0.01
    error_s = np.array([c.time_offset_s for c in found.rig]) - TIME_OFFSETS_S
    assert np.abs(error_s - np.median(error_s)).max() < 0.003
    assert found.missing == {}
    assert all(f.level == "ok" for f in found.findings), found.findings
    assert check_rig(found.rig).level == "ok"
    # Standard errors are of the magnitude of the errors.
    errors = np.array([found.rotation_sd_deg[n] for n in rig.names])
    assert (deviation.rotation_deg < 5 * errors).all()
    assert errors.max() < 0.2
    assert min(found.inlier_share.values()) > 0.9
    sequence = Pose3DSequence(
        skeleton=COCO17,
        time_s=found.time_s,
        xyz_mm=found.xyz_mm,
        score=np.isfinite(found.xyz_mm[..., 0]).astype(float),
        person_ids=tuple(range(found.xyz_mm.shape[1])),
    )
    assert all(f.level == "ok" for f in check_people(found.rig, sequence))


@pytest.mark.parametrize(("cameras", "people"), [(3, 1), (4, 2)])
def test_random_rigs_are_right_at_the_median(cameras: int, people: int) -> None:
    trials = [simulate_calibration(cameras, people, seed, seconds=12.0) for seed in range(3)]
    assert all(t["solved"] == cameras for t in trials)
    assert np.median([t["rotation_deg"] for t in trials]) < 0.15
    assert np.median([t["position_percent"] for t in trials]) < 0.4
    assert np.median([t["upright_percent"] for t in trials]) < 1.5
    assert np.median([t["time_offset_ms"] for t in trials]) < 3


def test_time_offsets_are_zero_without_evidence_or_when_not_estimated(rig, still_recording, recording) -> None:
    found = calibrate_from_people(rig, still_recording.poses2d, still_recording.time_s)
    assert max(abs(c.time_offset_s) for c in found.rig) < 0.003
    fixed = calibrate_from_people(rig, recording.poses2d, recording.time_s, PeopleConfig(time_offset=False))
    assert all(c.time_offset_s == 0 for c in fixed.rig)
    assert compare_rigs(found.rig, rig).position.max() < compare_rigs(fixed.rig, rig).position.max()


def test_the_source_of_the_scale_is_stated(rig, recording) -> None:
    def calibrated(**settings: object):
        return calibrate_from_people(rig, recording.poses2d, recording.time_s, PeopleConfig(**settings))

    assumed, given = calibrated(), calibrated(stature_mm=875.0)
    assert "assumed" in assumed.rig.source
    assert "1.75 m" in assumed.rig.source
    (scale,) = [f for f in assumed.findings if f.check == "scale"]
    assert "stature" in scale.remedy
    assert "given mean stature" in given.rig.source
    a, b = (np.linalg.norm(r.rig[0].centre_mm - r.rig[2].centre_mm) for r in (assumed, given))
    assert a / b == pytest.approx(2, rel=1e-6)
    distance = float(np.linalg.norm(rig[0].centre_mm - rig[2].centre_mm))
    measured = calibrated(distance_mm=distance, between=("cam01", "cam03")).rig
    assert np.linalg.norm(measured[0].centre_mm - measured[2].centre_mm) == pytest.approx(distance, rel=1e-9)
    assert compare_rigs(measured, rig).scale == pytest.approx(1, abs=0.003)
    with pytest.raises(CoreError, match="names 0 cameras, expected 2"):
        calibrated(distance_mm=1000.0)


def test_a_camera_that_sees_other_people_has_no_pose_and_is_reported(rig, recording) -> None:
    stranger = record_people(rig, people=1, seed=77, seconds=15.0)
    poses2d = recording.poses2d | {"cam04": stranger.poses2d["cam04"]}
    found = calibrate_from_people(rig, poses2d, recording.time_s)
    assert list(found.missing) == ["cam04"]
    assert not found.rig["cam04"].posed
    assert found.solved == ("cam01", "cam02", "cam03")
    (finding,) = [f for f in found.findings if f.check == "calibrated"]
    assert (finding.level, finding.camera) == ("error", "cam04")
    assert finding.remedy
    assert np.median(compare_rigs(found.rig, rig).rotation_deg) < 0.15


def test_people_on_one_spot_cover_too_small_an_area(rig) -> None:
    recording = record_people(rig, people=1, seed=1, seconds=6.0, half_size_mm=60.0)
    found = calibrate_from_people(rig, recording.poses2d, recording.time_s)
    (area,) = [f for f in found.findings if f.check == "area"]
    assert area.level == "error"
    assert "over all of the floor" in area.remedy


def test_empty_and_disjoint_takes_are_refused(rig, recording) -> None:
    def emptied(pose: Pose2D, keep: np.ndarray) -> Pose2D:
        xy = np.where(keep[:, None, None, None], pose.xy_px, np.nan)
        score = np.where(keep[:, None, None], pose.score, 0)
        return dataclasses.replace(pose, xy_px=xy, score=score)

    frames = np.arange(recording.poses2d["cam01"].n_frames)
    alternating = {n: emptied(p, frames // 112 == v) for v, (n, p) in enumerate(recording.poses2d.items())}
    with pytest.raises(CoreError, match="at the same time"):
        calibrate_from_people(rig, alternating, recording.time_s)
    without_people = {n: emptied(p, frames < 0) for n, p in recording.poses2d.items()}
    with pytest.raises(CoreError, match="at the same time in 0 frames"):
        calibrate_from_people(rig, without_people, recording.time_s)
    with pytest.raises(CoreError, match="cam02 has no 2D poses"):
        calibrate_from_people(rig, {"cam01": recording.poses2d["cam01"]}, recording.time_s)


def test_calibration_can_be_cancelled(rig, recording) -> None:
    with pytest.raises(CancelledError):
        calibrate_from_people(rig, recording.poses2d, recording.time_s, reporter=RecordingReporter(cancel_after=2))


# Repair


# Real footage


@pytest.fixture(scope="module")
def footage():
    """Every fourth image of the embedded sample: two people who hardly move, 1.7 s."""
    rig = read_rig(resource("sample", "Calib.qca.txt"))
    config = Pose2DConfig(heatmaps=False)
    estimator = MoveNet("movenet_multipose", {"pose": resource("weights", "movenet_multipose.onnx")}, config, 1)
    numbers = range(0, 100, 4)
    poses2d = {}
    for name in rig.names:
        with VideoReader(resource("sample", f"{name}.mp4")) as video:
            found = [estimator.estimate(list(video.frames(n, n + 1)))[0] for n in numbers]
        xy = np.full((len(numbers), config.max_people, 17, 2), np.nan)
        score = np.zeros(xy.shape[:-1])
        for t, people in enumerate(found):
            xy[t, : len(people)], score[t, : len(people)] = people.xy_px, people.score
        poses2d[name] = Pose2D(camera=name, skeleton=COCO17, xy_px=xy, score=score, box_px=boxes(xy))
    return rig, poses2d, dict.fromkeys(rig.names, np.array(numbers) / 60)


def test_real_people_register_all_cameras_near_their_measured_poses(footage) -> None:
    rig, poses2d, time_s = footage
    found = calibrate_from_people(rig, poses2d, time_s)
    assert found.missing == {}
    deviation = compare_rigs(found.rig, rig)
    # The measured rig has errors too, and so little motion leaves some degrees undetermined; a wrong pose has tens.
    assert deviation.rotation_deg.max() < 10
    assert deviation.position.max() < 0.15
    assert any(f.check in ("area", "error") and f.level != "ok" for f in found.findings)


def test_the_inaccurate_cameras_of_the_sample_are_found(footage) -> None:
    rig, poses2d, time_s = footage
    found = repair_from_people(rig, poses2d, time_s)
    assert found.solved == ("cam01", "cam03")


def test_random_rig_of_the_truth_is_not_its_own_deviation() -> None:
    rng = np.random.default_rng(0)
    rig = random_rig(rng, 4)
    same = compare_rigs(rig, rig)
    assert same.rotation_deg.max() < 1e-5
    assert same.upright.max() < 1e-9
    assert same.scale == pytest.approx(1)
    deviation = compare_rigs(moved(rig, 1, 2.0, 100.0), rig)
    assert 1.0 < deviation.rotation_deg[1] < 2.5
    assert deviation.position[1] > 0.01
