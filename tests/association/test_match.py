import dataclasses

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from core.association.config import AssociationConfig
from core.association.match import FrameAssociator, associate_take, match_take
from core.association.support import collect_detections, intersect_members
from core.association.views import stack_views
from core.errors import CancelledError, CoreError
from core.progress import NullReporter, RecordingReporter
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.types import COCO17, CameraRig, Pose2D, Pose3DSequence


def associate(rig, poses2d, truth, **settings):
    return associate_take(rig, poses2d, truth.time_s, AssociationConfig(**settings), NullReporter())


def compare(found, truth, gate_mm=150.0):
    """Frames with exactly the right people, and the errors (mm) of all their joints."""
    right, errors = np.zeros(len(truth.time_s), bool), []
    for t in range(len(right)):
        here = truth.present[t]
        apart = np.linalg.norm(found.xyz_mm[t][found.present[t]][:, None] - truth.xyz_mm[t][here][None], axis=-1)
        known = np.isfinite(apart)
        mean = np.where(known, apart, 0).sum(-1) / np.maximum(known.sum(-1), 1)
        a, b = linear_sum_assignment(mean)
        good = mean[a, b] < gate_mm
        right[t] = good.all() and mean.shape == (here.sum(), here.sum())
        errors.append(apart[a[good], b[good]].ravel())
    joined = np.concatenate(errors)
    return right, joined[np.isfinite(joined)], np.isfinite(joined).mean()


def with_scores(poses2d, change):
    """Detections with `change(camera, xy, score)` applied to copies of their arrays, in place."""
    out = {}
    for name, pose in poses2d.items():
        xy, score = pose.xy_px.copy(), pose.score.copy()
        change(name, xy, score)
        out[name] = dataclasses.replace(pose, xy_px=xy, score=score)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("scene", [people.walkers, people.crossing])
def test_four_people_five_views(scene):
    rng = np.random.default_rng(7)
    truth, rig = scene(4, 150, rng), rigs.ring_rig(5)
    found = associate(rig, observe(rig, truth, 5.0, 0.1, rng), truth)
    right, errors, share = compare(found, truth)
    assert right.mean() >= 0.99
    assert errors.mean() <= 15.0
    assert share >= 0.99


def test_exact_detections_give_exact_joints_with_distorted_cameras():
    rng = np.random.default_rng(1)
    truth = people.walkers(3, 20, rng)
    rig = rigs.ring_rig(4, distortion=(-0.1, 0.02, 1e-3, -1e-3, 0.0), size_px=rigs.PORTRAIT, fov_deg=90)
    found = associate(rig, observe(rig, truth, 0.0, 0.0, rng), truth)
    right, errors, share = compare(found, truth)
    assert right.all()
    # 2D poses are stored as float32: 1e-4 px at 1920, some micrometres in world coordinates.
    assert errors.max() < 0.01
    assert share > 0.97


@pytest.mark.slow
def test_false_detections_do_not_become_people():
    rng = np.random.default_rng(2)
    truth, rig = people.walkers(3, 100, rng), rigs.ring_rig(5)
    found = associate(rig, observe(rig, truth, 5.0, 0.05, rng, false_people=0.7), truth)
    right, errors, _ = compare(found, truth)
    assert right.mean() >= 0.98
    assert errors.mean() < 15.0


@pytest.mark.slow
def test_people_who_occlude_each_other():
    rng = np.random.default_rng(3)
    truth, rig = people.crossing(4, 150, rng), rigs.ring_rig(5)
    found = associate(rig, observe(rig, truth, 5.0, 0.0, rng, occlusion=True), truth)
    right, errors, _ = compare(found, truth)
    assert right.mean() >= 0.98
    assert errors.mean() < 18.0


@pytest.mark.slow
def test_exchanged_sides_in_one_view_are_corrected():
    rng = np.random.default_rng(4)
    truth, rig = people.walkers(2, 80, rng), rigs.ring_rig(5)
    poses2d = observe(rig, truth, 3.0, 0.0, rng)

    def exchange(name, xy, score):
        if name == "cam02":
            xy[:], score[:] = xy[:, :, list(COCO17.mirror)], score[:, :, list(COCO17.mirror)]

    right, errors, share = compare(associate(rig, with_scores(poses2d, exchange), truth), truth)
    assert right.all()
    assert errors.mean() < 10.0
    assert share > 0.99


@pytest.mark.slow
def test_a_limb_of_another_person_in_one_view_is_an_outlier():
    rng = np.random.default_rng(5)
    truth, rig = people.walkers(2, 60, rng), rigs.ring_rig(4)
    poses2d = observe(rig, truth, 2.0, 0.0, rng)
    clean = compare(associate(rig, poses2d, truth), truth)[1]
    wrist = COCO17.index("left_wrist")

    def shift_wrist(name, xy, score):
        if name == "cam01":
            xy[:, :, wrist] += 200.0

    _, errors, _ = compare(associate(rig, with_scores(poses2d, shift_wrist), truth), truth)
    assert errors.mean() < 1.2 * clean.mean()
    assert errors.max() < 2 * clean.max() + 20.0


@pytest.mark.parametrize(
    ("n_cameras", "n_wrong", "joints"),
    [
        (4, 1, ("left_hip",)),
        (4, 1, ("left_hip", "right_hip")),
        (5, 2, ("left_hip",)),
    ],
)
def test_wrong_hips_in_a_view_do_not_hide_a_person(n_cameras, n_wrong, joints):
    rng = np.random.default_rng(5)
    truth, rig = people.walkers(2, 30, rng), rigs.ring_rig(n_cameras)
    clean = observe(rig, truth, 2.0, 0.0, rng)

    def astray(name, xy, score):
        if name in rig.names[:n_wrong]:
            angle = rng.uniform(0, 2 * np.pi, (*xy.shape[:2], len(joints)))
            xy[:, :, COCO17.indices(*joints)] += 500.0 * np.stack([np.cos(angle), np.sin(angle)], -1)

    right, errors, share = compare(associate(rig, with_scores(clean, astray), truth), truth)
    _, clean_errors, _ = compare(associate(rig, clean, truth), truth)
    assert right.all()
    assert share > 0.99
    # The hips too are right, because the view is left out.
    assert np.quantile(errors, 0.9) < 1.2 * np.quantile(clean_errors, 0.9)


@pytest.mark.parametrize(("n_cameras", "found_in"), [(3, 1.0), (4, 0.0)])
def test_two_views_suffice_only_where_there_are_three_cameras(n_cameras, found_in):
    rng = np.random.default_rng(6)
    truth, rig = people.walkers(1, 12, rng, fps=1.0), rigs.ring_rig(n_cameras)
    blind = rig.names[2:]

    def miss(name, xy, score):
        if name in blind:
            xy[:], score[:] = np.nan, 0

    found = associate(rig, with_scores(observe(rig, truth, 3.0, 0.0, rng), miss), truth)
    assert found.present.any(1).mean() == found_in


@pytest.mark.slow
def test_a_bystander_in_two_views_does_not_affect_the_others():
    rng = np.random.default_rng(6)
    inner = people.walkers(2, 60, rng)
    rig = rigs.ring_rig(4, fov_deg=40.0, radius_mm=5000.0)
    # Out of the ring, in the background of two opposite cameras only.
    away = people.walkers(1, 60, rng, half_size_mm=300.0).xyz_mm
    place = -1.1 * 5000 * (rig[0].centre_mm + rig[1].centre_mm)
    place = place / np.linalg.norm(place[:2]) * 3400.0
    truth = Pose3DSequence(
        skeleton=COCO17,
        time_s=inner.time_s,
        xyz_mm=np.concatenate([inner.xyz_mm, away + [place[0], place[1], 0]], axis=1),
        score=np.ones((60, 3, 17)),
        person_ids=(1, 2, 3),
    )
    poses2d = observe(rig, truth, 3.0, 0.0, rng)
    seen_by = sum(pose.present.sum(1).max() == 3 for pose in poses2d.values())
    assert seen_by == 2
    found = associate(rig, poses2d, truth)
    right, errors, _ = compare(found, inner)
    full, _, _ = compare(found, truth, gate_mm=300.0)
    assert (right | full).all()
    assert full.mean() > 0.9
    assert errors.mean() < 12.0


def test_single_views_give_no_people():
    rng = np.random.default_rng(7)
    truth, rig = people.walkers(1, 6, rng), rigs.ring_rig(3)
    poses2d = observe(rig, truth, 1.0, 0.0, rng)

    def blind(name, xy, score):
        if name != "cam01":
            xy[:], score[:] = np.nan, 0

    found = associate(rig, with_scores(poses2d, blind), truth)
    assert found.xyz_mm.shape == (6, 0, 17, 3)


@pytest.mark.slow
def test_covariance_matches_the_errors():
    rng = np.random.default_rng(8)
    truth, rig = people.walkers(1, 200, rng), rigs.ring_rig(5)
    found = associate(rig, observe(rig, truth, 4.0, 0.0, rng, joint_miss=0.0), truth)
    off = found.xyz_mm - truth.xyz_mm
    assert np.isfinite(found.covariance_mm2).all()
    squared = np.einsum("tpji,tpjik,tpjk->tpj", off, np.linalg.inv(found.covariance_mm2), off)
    # Chi-squared of three degrees of freedom has mean 3; confidences are a rough measure of noise.
    assert 2.0 < np.mean(squared) < 4.5


def test_inconsistent_input_is_refused():
    rng = np.random.default_rng(9)
    truth, rig = people.walkers(1, 4, rng), rigs.ring_rig(3)
    poses2d = observe(rig, truth, 1.0, 0.0, rng)
    with pytest.raises(CoreError, match="no 2D poses of camera cam03"):
        associate(rig, {k: v for k, v in poses2d.items() if k != "cam03"}, truth)
    with pytest.raises(CoreError, match="two cameras"):
        associate(CameraRig(cameras=rig.cameras[:1]), poses2d, truth)
    short = poses2d["cam02"]
    short = Pose2D(
        camera="cam02",
        skeleton=COCO17,
        xy_px=short.xy_px[:2],
        score=short.score[:2],
        box_px=short.box_px[:2],
    )
    with pytest.raises(CoreError, match="do not match"):
        associate(rig, {**poses2d, "cam02": short}, truth)


def test_association_can_be_cancelled():
    rng = np.random.default_rng(10)
    truth, rig = people.walkers(1, 60, rng), rigs.ring_rig(2)
    poses2d = observe(rig, truth, 1.0, 0.0, rng)
    with pytest.raises(CancelledError):
        associate_take(rig, poses2d, truth.time_s, AssociationConfig(), RecordingReporter(cancel_after=1))


def test_a_frame_at_a_time_gives_what_the_whole_take_gives_also_after_empty_frames():
    rng = np.random.default_rng(11)
    truth, rig = people.walkers(3, 30, rng), rigs.ring_rig(4)
    gap = slice(10, 14)

    def blank(name, xy, score):
        xy[gap], score[gap] = np.nan, 0

    poses2d = with_scores(observe(rig, truth, 5.0, 0.1, rng, false_people=0.3), blank)
    config = AssociationConfig()
    views = stack_views(rig, poses2d, config)
    whole = match_take(views, truth.time_s, config, NullReporter())
    associator = FrameAssociator(views.geometry, config)
    for t, time_s in enumerate(truth.time_s):
        now = {
            name: dataclasses.replace(
                pose, xy_px=pose.xy_px[t : t + 1], score=pose.score[t : t + 1], box_px=pose.box_px[t : t + 1]
            )
            for name, pose in poses2d.items()
        }
        found = associator.update(time_s, stack_views(rig, now, config))
        assert np.array_equal(found, whole[t, : len(found)])
        assert (whole[t, len(found) :] < 0).all()
        assert (len(found) == 0) == (10 <= t < 14)


@pytest.mark.parametrize("fps", [1.0, 240.0])
def test_people_are_found_at_any_frame_rate_and_in_single_stills(fps):
    rng = np.random.default_rng(12)
    truth, rig = people.walkers(3, 24, rng, fps=fps), rigs.ring_rig(5)
    poses2d = observe(rig, truth, 4.0, 0.0, rng)
    right, _, _ = compare(associate(rig, poses2d, truth), truth)
    assert right.all()
    for t in (0, 12, 23):
        now = slice(t, t + 1)
        still = {
            name: dataclasses.replace(pose, xy_px=pose.xy_px[now], score=pose.score[now], box_px=pose.box_px[now])
            for name, pose in poses2d.items()
        }
        alone = dataclasses.replace(
            truth, time_s=truth.time_s[now], xyz_mm=truth.xyz_mm[now], score=truth.score[now], covariance_mm2=None
        )
        right, _, _ = compare(associate(rig, still, alone), alone)
        assert right.all()


def test_candidates_whom_no_two_views_support_are_nobody():
    rng = np.random.default_rng(13)
    truth, rig = people.walkers(1, 2, rng), rigs.ring_rig(3)
    views = stack_views(rig, observe(rig, truth, 2.0, 0.0, rng), AssociationConfig())
    detections = collect_detections(views.geometry, views.ideal, views.weight, AssociationConfig())[0]
    found = intersect_members(views.geometry, detections, np.zeros((0, 3), np.int64))
    assert found.shape == (0, 17, 3)
