"""Parts of the calibration from people: tracks, epipolar distances, adjustment, world coordinates."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.calibration.people.bundle import (
    CameraPoses,
    TrackAssignment,
    adjust_people,
    sample_tracks,
    triangulate_joints,
)
from core.calibration.people.matching import assign_tracks, group_tracks
from core.calibration.people.tracks import Tracks, track_camera
from core.calibration.people.world import plausible_bone_share, world_from_people
from core.geometry import essential_matrix, project, sampson_distance_px, undistort
from core.geometry.so3 import angle_rad, exp
from core.synthetic.observe import boxes
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types import COCO17, CameraRig, Pose2D, Pose3DSequence

pytestmark = pytest.mark.slow


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
