"""Calibration from walking people: against exact truth, and on the embedded footage."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from core.calibration.checks import check_rig
from core.calibration.people.bundle import (
    CameraPoses,
    TrackAssignment,
    adjust_people,
    sample_tracks,
    triangulate_joints,
)
from core.calibration.people.calibrate import calibrate_from_people, repair_from_people
from core.calibration.people.check import check_people
from core.calibration.people.config import PeopleConfig
from core.calibration.people.matching import assign_tracks, group_tracks
from core.calibration.people.simulate import compare_rigs, simulate_calibration, true_stature_mm
from core.calibration.people.tracks import Tracks, track_camera
from core.calibration.people.world import plausible_bone_share, world_from_people
from core.errors import CancelledError, CoreError
from core.files import resource
from core.geometry import essential_matrix, project, sampson_distance_px, undistort
from core.geometry.similarity import Similarity
from core.geometry.so3 import angle_rad, exp
from core.pipelines.ingest import note_poses2d
from core.pipelines.params import CalibratePeopleParams, TriangulateParams
from core.pipelines.rig.adopt import adopt_rig
from core.pipelines.rig.calibrate_people import run_calibrate_people
from core.pipelines.triangulate import run_triangulate
from core.pose2d.config import Pose2DConfig
from core.pose2d.estimators.movenet import MoveNet
from core.progress import NullReporter, RecordingReporter
from core.rig_io.importers import read_rig
from core.session import Session, TakeCamera, TakeManifest, Timeline
from core.session.video import VideoReader
from core.synthetic.observe import boxes
from core.synthetic.people import walkers
from core.synthetic.people_scene import record_people
from core.synthetic.rigs import random_rig, ring_rig
from core.types import COCO17, CameraRig, Pose2D, Pose3DSequence

pytestmark = pytest.mark.slow


TIME_OFFSETS_S = (0.0, 0.08, -0.05, 0.03)


@pytest.fixture(scope="module")
def rig():
    return ring_rig(4, distortion=(-0.08, 0.02, 0, 0, 0))


@pytest.fixture(scope="module")
def recording(rig):
    return record_people(rig, people=1, seed=3, seconds=15.0, time_offset_s=TIME_OFFSETS_S)


@pytest.fixture(scope="module")
def still_recording(rig):
    """A recording of a rig without time offsets."""
    return record_people(rig, people=2, seed=4, seconds=15.0)


def moved(rig: CameraRig, view: int, rotation_deg: float, translation_mm: float) -> CameraRig:
    camera = rig[view]
    R = exp(np.radians(rotation_deg) * np.array([0.6, 0.8, 0.0])) @ camera.pose[0]
    centre = camera.centre_mm + translation_mm * np.array([0.0, 0.6, 0.8])
    cameras = list(rig.cameras)
    cameras[view] = camera.replace(R=R, t_mm=-R @ centre)
    return CameraRig(cameras=tuple(cameras), source=rig.source)


# Tracks


def parabola(time_s: np.ndarray, score: np.ndarray | None = None) -> Tracks:
    """One track of one joint on a parabola in time."""
    xy = np.stack([0.1 + 0.3 * time_s - 0.5 * time_s**2, 0.2 - time_s + 0.25 * time_s**2], -1)[:, None, None]
    score = np.ones(len(time_s)) if score is None else score
    xy = np.where(score[:, None, None, None] > 0, xy, np.nan)
    return Tracks(focal_px=1000.0, time_s=time_s, xy=xy, score=score[:, None, None])


def test_joints_between_images_and_their_velocity_are_exact_on_a_parabola() -> None:
    rng = np.random.default_rng(0)
    time_s = np.cumsum(rng.uniform(0.02, 0.045, 60))
    score = np.where(rng.random(60) < 0.1, 0.0, rng.uniform(0.3, 1.0, 60))
    at = np.linspace(time_s[5], time_s[-6], 40)
    found = parabola(time_s, score).sample(at, np.zeros((40, 1), np.int64))
    known = found.information[:, 0, 0] > 0
    assert known.mean() > 0.9
    np.testing.assert_allclose(found.xy[known, 0, 0, 0], (0.1 + 0.3 * at - 0.5 * at**2)[known], atol=1e-9)
    np.testing.assert_allclose(found.velocity[known, 0, 0, 1], (-1 + 0.5 * at)[known], atol=1e-7)


def test_information_is_the_inverse_variance_and_does_not_depend_on_the_time_between_images() -> None:
    """Otherwise time offsets of half an image would seem to fit best."""
    rng = np.random.default_rng(1)
    time_s = np.arange(9) / 30
    at = time_s[4] + np.array([0.0, 0.25, 0.5, 0.75]) / 30
    tracks = parabola(time_s)
    information = tracks.sample(at, np.zeros((4, 1), np.int64)).information[:, 0, 0]
    assert np.ptp(information) < 0.06 * information.mean()
    noisy = dataclasses.replace(
        tracks, xy=np.repeat(tracks.xy, 4000, 1) + rng.normal(size=(9, 4000, 1, 2)), score=np.ones((9, 4000, 1))
    )
    found = noisy.sample(at, np.broadcast_to(np.arange(4000), (4, 4000))).xy[:, :, 0, 0]
    np.testing.assert_allclose(1 / found.var(1), information, rtol=0.1)


def test_samples_beyond_a_track_or_without_one_are_missing() -> None:
    tracks = parabola(np.arange(30) / 30)
    at = np.array([-0.2, 0.5, 1.3])
    assert (tracks.sample(at, np.zeros((3, 1), np.int64)).information[:, 0, 0] > 0).tolist() == [False, True, False]
    assert np.isnan(tracks.sample(at, np.full((3, 1), -1)).xy).all()


def test_tracks_bridge_short_gaps_and_end_at_long_ones(rig) -> None:
    people = walkers(2, 120, np.random.default_rng(1), stature_mm=(1600.0, 1800.0))
    # Always far apart: they are displaced by 2.4 m.
    xyz = people.xyz_mm * [0.2, 0.2, 1.0] + np.array([[0, -1200, 0], [0, 1200, 0]])[:, None]
    xy = project(rig[0], xyz)
    order = np.random.default_rng(2).integers(2, size=120)
    xy = np.where(order[:, None, None, None] == 1, xy[:, ::-1], xy)
    missed = np.zeros((120, 2), bool)
    missed[30:35] = True  # a sixth of a second
    missed[70:85] = True  # half a second
    xy[missed] = np.nan
    score = np.where(np.isfinite(xy[..., 0]), 0.9, 0.0)
    poses = Pose2D(camera="cam01", skeleton=COCO17, xy_px=xy, score=score, box_px=boxes(xy))
    tracks = track_camera(rig[0], poses, people.time_s)
    spans = np.round(tracks.span_s * 30).astype(int)
    assert sorted(map(tuple, spans.tolist())) == [(0, 69), (0, 69), (85, 119), (85, 119)]
    for k in range(4):
        t = np.flatnonzero((tracks.score[:, k] > 0).any(-1))
        person = {
            int(np.argmin(np.abs(undistort(rig[0], project(rig[0], xyz[i])) - tracks.xy[i, k]).sum((-1, -2))))
            for i in t
        }
        assert len(person) == 1, "a track is one person"


# Geometry


def exact_tracks(rig: CameraRig, people: Pose3DSequence) -> list[Tracks]:
    return [
        Tracks(
            focal_px=float(c.K[0, 0]),
            time_s=np.asarray(people.time_s),
            xy=undistort(c, project(c, people.xyz_mm)),
            score=np.isfinite(project(c, people.xyz_mm)[..., 0]).astype(float),
        )
        for c in rig
    ]


def poses_of(rig: CameraRig) -> CameraPoses:
    return CameraPoses(
        R=np.stack([c.pose[0] for c in rig]),
        t_mm=np.stack([c.pose[1] for c in rig]),
        time_offset_s=np.zeros(len(rig)),
        registered=np.ones(len(rig), bool),
    )


@pytest.fixture(scope="module")
def steady():
    """People keep still for a third of a second at a time, so that sampling between images adds no error."""
    people = walkers(2, 40, np.random.default_rng(8))
    return dataclasses.replace(people, xyz_mm=np.repeat(people.xyz_mm[::10], 10, axis=0))


def test_the_epipolar_distance_is_zero_for_exact_joints_and_measures_displacements_across_the_line(rig, steady) -> None:
    a, b = exact_tracks(rig.subset(["cam01", "cam02"]), steady)
    R = rig[1].pose[0] @ rig[0].pose[0].T
    E = essential_matrix(R, rig[1].pose[1] - R @ rig[0].pose[1])
    same = sampson_distance_px(E, a.xy, b.xy, (a.focal_px, b.focal_px))
    assert same.shape == (40, 2, 2, 17)
    for p in range(2):
        assert np.nanmax(same[:, p, p]) < 1e-6
    assert np.nanmedian(same[:, 0, 1]) > 20
    # Sampson's distance distributes the error over both images: d across the line becomes about d / sqrt(2).
    line = a.xy[:, 0] @ E[:, :2].T + E[:, 2]
    normal = line[..., :2] / np.linalg.norm(line[..., :2], axis=-1, keepdims=True)
    shifted = b.xy.copy()
    shifted[:, 0] += 3.0 / b.focal_px * normal
    displaced = sampson_distance_px(E, a.xy, shifted, (a.focal_px, b.focal_px))[:, 0, 0]
    assert (displaced < 3.0 + 1e-9).all()
    assert (displaced > 1.0).all()


def test_the_adjustment_converges_to_the_truth_without_noise(rig, steady) -> None:
    tracks = exact_tracks(rig, steady)
    true = poses_of(rig)
    at = np.array([0.15, 0.5, 0.85, 1.15])
    joints = TrackAssignment(at_s=at, track=np.broadcast_to(np.arange(2), (4, 4, 2)))
    seen = sample_tracks(tracks, true, joints)
    points = triangulate_joints(true, seen, np.array([t.focal_px for t in tracks]))
    np.testing.assert_allclose(points[1], steady.xyz_mm[15], atol=1e-6)
    step = np.zeros((4, 7))
    step[2:] = [[0.03, -0.02, 0.04, 60, -40, 50, 0], [-0.02, 0.01, 0.02, -30, 40, 80, 0]]
    free = np.zeros((4, 7), bool)
    free[2:, :6] = True
    found = adjust_people(tracks, true.retract(step), joints, free, max_steps=20)
    np.testing.assert_allclose(found.poses.R, true.R, atol=1e-6)
    np.testing.assert_allclose(found.poses.t_mm, true.t_mm, atol=1e-2)
    assert (found.poses.R[:2] == true.R[:2]).all()
    assert np.nanmax(found.residual_px) < 1e-2


def test_outliers_are_downweighted_and_do_not_move_cameras(rig, steady) -> None:
    tracks = exact_tracks(rig, steady)
    rng = np.random.default_rng(0)
    tracks = [dataclasses.replace(t, xy=t.xy + rng.normal(0, 1 / t.focal_px, t.xy.shape)) for t in tracks]
    tracks[3].xy[:, 0, 9] += 80 / tracks[3].focal_px
    at = np.linspace(0.1, 1.2, 30)
    joints = TrackAssignment(at_s=at, track=np.broadcast_to(np.arange(2), (4, 30, 2)))
    free = np.zeros((4, 7), bool)
    free[3, :6] = True
    found = adjust_people(tracks, poses_of(rig), joints, free)
    assert found.inlier[3, :, 0, 9].mean() < 0.1
    assert found.inlier[:3].mean() > 0.9
    assert np.degrees(angle_rad(found.poses.R[3] @ rig[3].pose[0].T)) < 0.05


def test_tracks_of_one_person_are_grouped_across_cameras(rig, still_recording) -> None:
    tracks = [track_camera(c, still_recording.poses2d[c.name], still_recording.time_s[c.name]) for c in rig]
    at = np.arange(0.5, 14.5, 0.2)
    people = group_tracks(tracks, poses_of(rig), at, np.full(4, 12.0))
    joints, person = assign_tracks(tracks, poses_of(rig), people, at)
    assert person.shape[1] == 2
    found = triangulate_joints(
        poses_of(rig), sample_tracks(tracks, poses_of(rig), joints), np.array([t.focal_px for t in tracks])
    )
    share = plausible_bone_share(found, person, COCO17)
    assert share > 0.9
    # Tracks of one camera that overlap in time are different persons.
    for v, t in enumerate(tracks):
        for p in range(people.count):
            spans = t.span_s[people.person[v] == p]
            spans = spans[np.argsort(spans[:, 0])]
            assert (spans[1:, 0] > spans[:-1, 1] - 0.16).all()


# World


def test_world_coordinates_are_found_from_exact_people_in_any_coordinates() -> None:
    people = walkers(2, 200, np.random.default_rng(3), stature_mm=(1700.0, 1700.0))
    R, t = exp(np.array([1.0, -2.0, 0.5])), np.array([300.0, -5000.0, 900.0])
    rig = ring_rig(3)
    cameras = tuple(c.replace(R=c.pose[0] @ R.T, t_mm=c.pose[1] - c.pose[0] @ R.T @ t) for c in rig)
    xyz = people.xyz_mm[::5] @ R.T + t
    person = np.broadcast_to(np.arange(2), (40, 2))
    found = world_from_people(CameraRig(cameras=cameras), xyz, person, COCO17)
    np.testing.assert_allclose(found.change.R[2], R @ [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found.change.points(xyz)[..., 2], people.xyz_mm[::5, ..., 2], atol=0.1)
    assert found.stature_mm == pytest.approx(1700, rel=1e-3)
    assert found.tilt_deg < 12
    assert plausible_bone_share(xyz, person, COCO17) > 0.97


def test_distorted_bodies_are_implausible() -> None:
    people = walkers(1, 100, np.random.default_rng(3))
    person = np.zeros((100, 1), np.int64)
    # A wrong pose of a camera distorts bodies like this: higher points are farther away.
    bent = people.xyz_mm / (1 + people.xyz_mm[..., 2:] / 1000)
    assert plausible_bone_share(bent, person, COCO17) < 0.8 * plausible_bone_share(people.xyz_mm, person, COCO17)
    assert plausible_bone_share(np.full_like(bent, np.nan), person, COCO17) == 0.0


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


@pytest.mark.parametrize(("rotation_deg", "translation_mm"), [(0.5, 10.0), (4.0, 150.0), (40.0, 900.0)])
def test_a_moved_camera_is_detected_and_repaired_and_the_others_stay(
    rig, still_recording, rotation_deg, translation_mm
) -> None:
    old = moved(rig, 2, rotation_deg, translation_mm)
    found = repair_from_people(old, still_recording.poses2d, still_recording.time_s)
    assert found.solved == ("cam03",)
    camera, true = found.rig["cam03"], rig["cam03"]
    assert np.degrees(angle_rad(camera.pose[0] @ true.pose[0].T)) < 0.15
    assert np.linalg.norm(camera.centre_mm - true.centre_mm) < 15
    for name in ("cam01", "cam02", "cam04"):
        assert (found.rig[name].pose[0] == old[name].pose[0]).all()
        assert (found.rig[name].pose[1] == old[name].pose[1]).all()
    assert "cam03" in found.rig.source


TURN_DEG, LITTLE_DEG = 1.0, 0.15


def perturbed(rig: CameraRig, change: str) -> CameraRig:
    if change in ("all", "one and little"):
        for view in range(len(rig)):
            axis = np.random.default_rng(view).normal(size=3)
            degrees = TURN_DEG if change == "all" or view == 2 else LITTLE_DEG
            R = exp(np.radians(degrees) * axis / np.linalg.norm(axis)) @ rig[view].pose[0]
            turned = rig[view].replace(R=R, t_mm=-R @ rig[view].centre_mm)
            rig = dataclasses.replace(rig, cameras=(*rig.cameras[:view], turned, *rig.cameras[view + 1 :]))
        return rig
    if change == "offset":
        late = rig[1].replace(time_offset_s=0.1)
        return dataclasses.replace(rig, cameras=(rig[0], late, *rig.cameras[2:]))
    return moved(rig, 2, *{"rotation": (0.6, 0.0), "position": (0.0, 100.0)}[change])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("offset", r"cam02 shifted in time by -\d+ ms; nothing else changed\."),
        ("rotation", r"cam03 turned by 0\.6 degrees; nothing else changed\."),
        ("all", r"cam01 turned by 1\.0 degrees, .*, cam04 turned by 1\.0 degrees; nothing else changed\."),
        ("one and little", r"cam03 turned by 1\.0 degrees; the others turned by up to 0\.[12] degrees\."),
        ("position", r"cam03 moved by \d+ mm and turned by 0\.\d degrees; nothing else changed\."),
    ],
)
def test_the_smallest_change_that_explains_the_people_is_made(rig, still_recording, change: str, sentence: str) -> None:
    old = perturbed(rig, change)
    found = repair_from_people(old, still_recording.poses2d, still_recording.time_s)
    assert re.fullmatch(sentence, found.notes[0]), found.notes[0]
    rotated = [np.degrees(angle_rad(a.pose[0] @ b.pose[0].T)) for a, b in zip(found.rig, rig, strict=True)]
    assert max(rotated) < 0.1
    assert max(np.linalg.norm(a.centre_mm - b.centre_mm) for a, b in zip(found.rig, rig, strict=True)) < 15
    assert max(abs(c.time_offset_s) for c in found.rig) < 0.005
    if change == "one and little":
        assert max(rotated) < LITTLE_DEG / 2
    if change in ("rotation", "all", "one and little"):
        for a, b in zip(found.rig, old, strict=True):
            np.testing.assert_allclose(a.centre_mm, b.centre_mm, atol=1e-6)
    before, after = np.array(list(found.loco_px.values())).T
    assert after.mean() < 0.8 * before.mean()
    assert [f.level for f in found.findings if f.check == "change"] == ["ok"]


def test_a_good_rig_does_not_change(rig, still_recording) -> None:
    found = repair_from_people(rig, still_recording.poses2d, still_recording.time_s)
    assert found.rig.digest == rig.digest
    assert found.solved == ()
    assert found.notes[0].startswith("Nothing has moved")
    assert all(f.level == "ok" for f in found.findings), found.findings


def test_cameras_that_predict_people_no_better_are_an_error(rig, still_recording) -> None:
    """The videos of one camera are exchanged: nothing that fits it to the others' people can be right."""
    other = record_people(rig, people=2, seed=31, seconds=15.0)
    found = repair_from_people(
        rig, still_recording.poses2d | {"cam02": other.poses2d["cam02"]}, still_recording.time_s, ("cam02",)
    )
    assert any(f.level == "error" for f in found.findings)


def test_the_time_offset_of_a_moved_camera_is_relative_to_the_others(rig) -> None:
    offsets = (0.02, 0.02, 0.07, 0.02)
    recording = record_people(rig, people=1, seed=3, seconds=15.0, time_offset_s=offsets)
    known = CameraRig(cameras=tuple(c.replace(time_offset_s=0.02) for c in moved(rig, 2, 5.0, 200.0)))
    found = repair_from_people(known, recording.poses2d, recording.time_s, ("cam03",))
    assert [c.time_offset_s for c in found.rig][:2] == [0.02, 0.02]
    assert found.rig["cam03"].time_offset_s == pytest.approx(0.07, abs=0.003)


def test_repair_refuses_what_cannot_be_determined(rig, still_recording) -> None:
    poses2d, time_s = still_recording.poses2d, still_recording.time_s
    pair = moved(rig, 1, 5.0, 100.0).subset(["cam01", "cam02"])
    with pytest.raises(CoreError, match="cannot be detected"):
        repair_from_people(pair, poses2d, time_s)
    with pytest.raises(CoreError, match="Fewer than two cameras have kept"):
        repair_from_people(rig, poses2d, time_s, ("cam01", "cam02", "cam03"))
    with pytest.raises(CoreError, match="no camera 'cam09'"):
        repair_from_people(rig, poses2d, time_s, ("cam09",))


# The verb


@pytest.fixture
def session(tmp_path, rig, recording):
    """A session with a rig whose third camera was moved, and a take with 2D poses but without images."""
    session = Session.create(tmp_path / "session")
    spare = rig[0].replace(name="spare")
    CameraRig(cameras=(*moved(rig, 2, 3.0, 100.0), spare)).save(session.layout.rig)
    frames = len(recording.time_s["cam01"])
    cameras = tuple(
        TakeCamera(name=c.name, file=f"{c.name}.mp4", size_px=c.size_px, n_frames=frames, fps=30.0) for c in rig
    )
    take = session.write_take(
        TakeManifest(name="walk", kind="motion", fps=30.0, n_frames=frames, cameras=cameras),
        Timeline(
            cameras=rig.names,
            time_s=recording.time_s["cam01"],
            frame_index=np.repeat(np.arange(frames)[:, None], 4, 1),
            frame_time_s=np.stack([recording.time_s[n] for n in rig.names], 1),
        ),
    )
    for name, poses in recording.poses2d.items():
        poses.save(take.layout.poses2d_file("exact", name))
    note_poses2d(take.layout, "exact", "exact", COCO17, {})
    return session


def test_verb_creates_a_rig_and_keeps_the_former_one(session, rig) -> None:
    params = CalibratePeopleParams(take="walk", estimator="exact", mode="new")
    result = run_calibrate_people(session, params, session.new_run("calibrate-people"), NullReporter())
    assert result["solved"] == list(rig.names)
    found = session.rig
    assert np.median(compare_rigs(found.subset(rig.names), rig).rotation_deg) < 0.1
    assert not found["spare"].posed, "a camera that did not film has no pose in the new world"
    assert (session.root / result["backup"]).is_file()
    assert result["change"] == "All cameras were solved again."
    folder = session.layout.calibration(result["calibration"])
    report = json.loads(folder.report.read_text())
    assert report["method"] == "people"
    assert report["digest"] == found.digest == CameraRig.load(folder.rig).digest
    assert set(report["rotation_error_deg"]) == set(rig.names)


def test_verb_repairs_without_adopting(session, rig) -> None:
    before = session.layout.rig.read_bytes()
    offset_rig = CameraRig(
        cameras=tuple(c.replace(time_offset_s=s) for c, s in zip(session.rig, (*TIME_OFFSETS_S, 0.0), strict=True))
    )
    offset_rig.save(session.layout.rig)
    before = session.layout.rig.read_bytes()
    params = CalibratePeopleParams(take="walk", estimator="exact", mode="repair", adopt=False)
    result = run_calibrate_people(session, params, session.new_run("calibrate-people"), NullReporter())
    assert result["solved"] == ["cam03"]
    assert result["change"].startswith("cam03 moved by")
    assert result["loco_px"]["cam03"][1] < result["loco_px"]["cam03"][0]
    assert session.layout.rig.read_bytes() == before
    repaired = CameraRig.load(session.layout.calibration(result["calibration"]).rig)
    np.testing.assert_allclose(repaired["spare"].centre_mm, rig[0].centre_mm, atol=1e-6)
    assert np.linalg.norm(repaired["cam03"].centre_mm - rig["cam03"].centre_mm) < 15


def test_verb_adopts_nothing_that_its_own_checks_call_wrong(session, rig) -> None:
    """A measured floor, 3 m above cam03: its new pose is 0.7 m under it, as the report says."""
    low = Similarity(origin_mm=np.array([0.0, 0.0, 3000.0])).rig(session.rig)
    low.save(session.layout.rig)
    before = session.layout.rig.read_bytes()
    run = session.new_run("calibrate-people")
    params = CalibratePeopleParams(take="walk", estimator="exact", moved=("cam03",))
    with pytest.raises(CoreError, match=r"The rig was not changed, for the result cannot be right: .* under the floor"):
        run_calibrate_people(session, params, run, NullReporter())
    assert session.layout.rig.read_bytes() == before
    assert json.loads(run.report.read_text())["level"] == "error"
    (stored,) = session.layout.calibration("any").root.parent.glob("*/report.json")
    assert "cannot be right" in json.loads(stored.read_text())["verdict"]


def test_the_report_of_a_rig_names_the_camera_that_people_do_not_fit(session) -> None:
    """The third camera was turned by 3 degrees and moved by 100 mm; `triangulate` notices, until the repair."""
    params = TriangulateParams(take="walk", estimator="exact")

    def fit() -> list[str]:
        run_triangulate(session, params, session.new_run("triangulate"), NullReporter())
        report = json.loads(session.layout.rig_report.read_text())
        assert (report["level"] == "ok") == all(f["level"] == "ok" for f in report["findings"])
        return [f["message"] for f in report["findings"] if f["check"] == "people_fit"]

    cameras = zip(session.rig.subset(["cam01", "cam02", "cam03", "cam04"]), TIME_OFFSETS_S, strict=True)
    known = dataclasses.replace(session.rig, cameras=tuple(c.replace(time_offset_s=s) for c, s in cameras))
    adopt_rig(session, known, session.new_run("import-rig"), NullReporter())
    (message,) = fit()
    assert message.startswith("cam03 does not fit what the other cameras see: ")
    assert "It moved (cam03 moved by" in message
    assert json.loads(session.layout.rig_report.read_text())["people_fit"]["action"] == "calibrate-people"
    repair = CalibratePeopleParams(take="walk", estimator="exact")
    run_calibrate_people(session, repair, session.new_run("calibrate-people"), NullReporter())
    assert fit() == []


def test_verb_leaves_a_good_rig_as_it_is(session, rig) -> None:
    good = CameraRig(
        cameras=tuple(c.replace(time_offset_s=s) for c, s in zip(rig, TIME_OFFSETS_S, strict=True)), source="board"
    )
    good.save(session.layout.rig)
    before = session.layout.rig.read_bytes()
    params = CalibratePeopleParams(take="walk", estimator="exact")
    result = run_calibrate_people(session, params, session.new_run("calibrate-people"), NullReporter())
    assert session.layout.rig.read_bytes() == before
    assert result["change"].startswith("Nothing has moved")
    assert (result["level"], result["calibration"], result["backup"]) == ("ok", "", "")


def test_verb_needs_intrinsics_and_cameras_of_the_take(session, rig) -> None:
    run = session.new_run("calibrate-people")
    params = CalibratePeopleParams(take="walk", estimator="exact", moved=("spare",))
    with pytest.raises(CoreError, match="did not film"):
        run_calibrate_people(session, params, run, NullReporter())
    rig.subset(["cam01", "cam02", "cam03"]).save(session.layout.rig)
    with pytest.raises(CoreError, match="intrinsics of camera 'cam04' are unknown"):
        run_calibrate_people(session, CalibratePeopleParams(take="walk", estimator="exact"), run, NullReporter())
    session.layout.rig.unlink()
    with pytest.raises(CoreError, match="intrinsics of camera 'cam01'"):
        run_calibrate_people(session, CalibratePeopleParams(take="walk", estimator="exact"), run, NullReporter())


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
