"""Identities of people who meet: held by motion and by bones."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from core.progress import NullReporter
from core.reconstruction.triangulated import Triangulator
from core.synthetic import people
from core.synthetic.confusions import Confusions
from core.synthetic.estimator_errors import ErrorBank
from core.synthetic.observe import observe
from core.synthetic.rigs import ring_rig
from core.tracking.config import TrackingConfig
from core.tracking.exchange import exchange_identities
from core.tracking.shape import BodyShape, ShapeEstimate, body_lengths_mm, same_person
from core.tracking.track import track_people
from core.tracking.tracker import PeopleFrame, Tracker
from core.types import COCO17

FPS = 30.0


def body(stature_mm, n=1, seed=0):
    """(n, 17, 3) joints of a person who walks on the spot."""
    xyz = people.walkers(1, n, np.random.default_rng(seed), stature_mm=(stature_mm, stature_mm + 1)).xyz_mm[:, 0]
    return xyz - xyz[:, 11:13].mean(1, keepdims=True) * [1, 1, 0]


def pair(statures, n, rng, noise_mm=20.0):
    """(T, 2, 17, 3) two people who walk towards each other, stay together for a second, and part."""
    x = np.interp(np.arange(n), [0, 0.4 * n, 0.6 * n, n], [2000.0, 120.0, 120.0, 2000.0])
    bodies = np.stack([body(mm, n, i) for i, mm in enumerate(statures)], 1)
    bodies[:, 0] += x[:, None, None] * [1, 0, 0]
    bodies[:, 1] -= x[:, None, None] * [1, 0, 0]
    return bodies + rng.normal(0, noise_mm, bodies.shape)


def test_shapes_tell_people_apart_as_far_as_they_differ():
    rng = np.random.default_rng(0)
    time_s = np.arange(90) / FPS

    def shape(mm, seed):
        noisy = body(mm, 90, seed) + rng.normal(0, 20, (90, 17, 3))
        return BodyShape.of(body_lengths_mm(noisy, COCO17), time_s)

    ratios = [float(same_person(shape(1700, 1), shape(mm, 2))) for mm in (1700, 1800, 1950)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 1.5
    assert ratios[2] < -1.0


def test_exchanged_sides_do_not_change_a_shape():
    xyz = body(1700)[0]
    np.testing.assert_allclose(body_lengths_mm(xyz[list(COCO17.mirror)], COCO17), body_lengths_mm(xyz, COCO17))


def test_the_running_shape_converges_at_any_frame_rate():
    rng = np.random.default_rng(1)
    true = body_lengths_mm(body(1700)[0], COCO17)
    for fps in (5.0, 30.0, 240.0):
        estimate = ShapeEstimate(true * 1.1)
        for _ in range(round(6 * fps)):
            estimate.add(true * (1 + rng.normal(0, 0.05, true.shape)), 1 / fps)
        assert np.abs(estimate.now().mm / true - 1).max() < 0.03
        assert 20 < estimate.now().count.min() < 60


def test_unknown_lengths_say_nothing():
    lengths = body_lengths_mm(body(1700)[0], COCO17)
    nothing = BodyShape.single(np.full_like(lengths, np.nan), np.zeros(()))
    assert same_person(nothing, BodyShape.single(lengths, np.zeros(()))) == 0.0
    estimate = ShapeEstimate(np.full_like(lengths, np.nan))
    estimate.add(lengths, 0.1)
    np.testing.assert_array_equal(estimate.now().mm, lengths)


@pytest.mark.parametrize("seed", range(4))
def test_people_who_meet_keep_their_identity_by_their_bones(seed):
    rng = np.random.default_rng(seed)
    xyz = pair((1900, 1550), 180, rng)
    # One of them is hidden while they are together, and each is found where the other was.
    xyz[75:95, seed % 2] = np.nan
    xyz[95:, :, :, 0] *= -1 if seed < 2 else 1
    score = np.isfinite(xyz[..., 0]).astype(float)
    source = track_people(np.arange(180) / FPS, xyz, score, COCO17, TrackingConfig()).source
    for column in source.T[:2]:
        before, after = column[:60], column[120:]
        assert set(before.tolist()) == set(after.tolist())
        assert len(set(before.tolist())) == 1


def test_an_exchange_is_put_right_only_where_bones_differ():
    rng = np.random.default_rng(5)
    for statures, right in (((1900, 1600), True), ((1750, 1750), False)):
        xyz = pair(statures, 180, rng)
        wrong = np.tile([0, 1], (180, 1))
        wrong[90:] = [1, 0]
        out = exchange_identities(wrong, np.arange(180) / FPS, xyz, np.zeros((180, 2)), COCO17, TrackingConfig())
        mended = np.array_equal(out[:60], np.tile([0, 1], (60, 1))) and np.array_equal(out[120:], out[:60])
        assert mended == right
        if not right:
            np.testing.assert_array_equal(out, wrong)


def test_right_identities_are_left_alone():
    rng = np.random.default_rng(6)
    truth = people.crossing(4, 300, rng, distance_mm=300.0)
    xyz = truth.xyz_mm + rng.normal(0, 25, truth.xyz_mm.shape)
    source = np.tile(np.arange(4), (300, 1))
    np.testing.assert_array_equal(
        exchange_identities(source, truth.time_s, xyz, np.zeros((300, 4)), COCO17, TrackingConfig()), source
    )


def test_a_second_copy_of_a_person_does_not_take_their_identity():
    rng = np.random.default_rng(8)
    one = body(1750, 60)
    tracker, ids = Tracker(TrackingConfig(), COCO17), []
    for t in range(60):
        found = [one[t] + rng.normal(0, 15, (17, 3))]
        if 30 <= t < 32:  # The copy is nearer to the prediction than the person.
            found = [found[0] + [200.0, 0, 0], one[t]]
        xyz = np.stack(found)
        ids.append(tracker.update(PeopleFrame(time_s=t / FPS, xyz_mm=xyz, score=np.ones(xyz.shape[:2]))))
    assert {i[0] for i in ids[:30]} == {i[0] for i in ids[33:]} == {1}


def test_a_wrong_pose_does_not_end_a_track():
    one = body(1750, 60)
    one[30] += [420.0, 0, 0]  # Within the gate, and so far off that the next pose is not.
    one[31:] -= [120.0, 0, 0]
    source = track_people(np.arange(60) / FPS, one[:, None], np.ones((60, 1, 17)), COCO17, TrackingConfig()).source
    assert source.shape == (60, 1) and (source == 0).all()


@pytest.mark.slow
def test_close_people_keep_their_identity_where_their_limbs_are_confused():
    rng = np.random.default_rng(503)
    truth = people.crossing(4, 300, rng, distance_mm=260.0, radius_mm=900.0)
    rig = ring_rig(5)
    poses2d = observe(
        rig,
        truth,
        miss=0.25,
        rng=rng,
        false_people=0.2,
        confusions=Confusions(borrow=0.25, swap=0.08, lost_view=0.03),
        occlusion=True,
        errors=ErrorBank.load("movenet"),
    )
    xyz = Triangulator().reconstruct(rig, poses2d, truth.time_s, NullReporter()).xyz_mm
    apart = np.linalg.norm(xyz[:, :, None] - truth.xyz_mm[:, None], axis=-1)
    known = np.isfinite(apart)
    mean = np.where(known, apart, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    near = known.any(-1) & (mean < 300.0)  # (T, Q, P)
    assert near.any(1).mean() > 0.9
    nearest = np.where(near.any(-1), np.where(near, mean, np.inf).argmin(-1), -1)
    hits = np.array([[(column == p).sum() for p in range(4)] for column in nearest.T])
    right = hits[linear_sum_assignment(-hits)].sum() / hits.sum()
    assert right > 0.9
