import itertools

import numpy as np
import pytest

from core.association.config import AssociationConfig
from core.association.match import associate_take
from core.progress import NullReporter
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.tracking.config import TrackingConfig
from core.tracking.track import track_people
from core.types import COCO17


def shuffled(truth, rng, noise_mm=10.0, miss=0.0):
    """Return the people of every frame in random columns, with noise and misses, and their columns, -1 if missed."""
    T, P = truth.xyz_mm.shape[:2]
    order = np.argsort(rng.random((T, P)), axis=1)
    xyz = np.take_along_axis(truth.xyz_mm, order[..., None, None], axis=1)
    xyz = xyz + rng.normal(0, noise_mm, xyz.shape)
    gone = rng.random((T, P)) < miss
    xyz = np.where(gone[..., None, None], np.nan, xyz)
    score = np.where(gone[..., None], 0.0, np.ones((T, P, 17)))
    place = np.argsort(order, axis=1)
    return xyz, score, np.where(np.take_along_axis(gone, place, axis=1), -1, place)


def switches(source, place):
    """Count the changes of the true person in output columns."""
    count = 0
    for column in source.T:
        people_of_column = [int(np.flatnonzero(place[t] == c)[0]) for t, c in enumerate(column) if c >= 0]
        count += sum(a != b for a, b in itertools.pairwise(people_of_column))
    return count


@pytest.mark.parametrize("miss", [0.0, 0.15])
def test_crossing_people_keep_their_identity(miss):
    rng = np.random.default_rng(0)
    truth = people.crossing(4, 240, rng)
    xyz, score, place = shuffled(truth, rng, miss=miss)
    tracked = track_people(truth.time_s, xyz, score, COCO17, TrackingConfig())
    out, source = tracked.xyz_mm, tracked.source
    assert tracked.ids.tolist() == [1, 2, 3, 4]
    assert switches(source, place) == 0
    assert (source >= 0).sum() == (place >= 0).sum()
    rows = np.arange(240)[:, None]
    np.testing.assert_array_equal(out[source >= 0], xyz[rows, source][source >= 0])
    assert np.isnan(out[source < 0]).all()
    assert (tracked.score[source < 0] == 0).all()


@pytest.mark.slow
def test_identity_is_kept_from_detections_on():
    rng = np.random.default_rng(1)
    truth, rig = people.crossing(4, 150, rng), rigs.ring_rig(5)
    poses2d = observe(rig, truth, 5.0, 0.1, rng)
    found = associate_take(rig, poses2d, truth.time_s, AssociationConfig(), NullReporter())
    tracked = track_people(truth.time_s, found.xyz_mm, found.score, COCO17, TrackingConfig())
    xyz = tracked.xyz_mm
    assert len(tracked.ids) == 4
    apart = np.nanmean(np.linalg.norm(xyz[:, :, None, 5:] - truth.xyz_mm[:, None, :, 5:], axis=-1), axis=-1)
    seen = np.isfinite(apart).all(-1)
    assert seen.mean() >= 0.99
    nearest = np.where(seen, np.where(np.isfinite(apart), apart, np.inf).argmin(-1), -1)
    for q in range(4):
        assert len(set(nearest[:, q].tolist()) - {-1}) == 1


def test_a_person_who_is_absent_for_two_seconds_is_recognised():
    rng = np.random.default_rng(2)
    truth = people.walkers(2, 200, rng, half_size_mm=700.0, stature_mm=(1500, 1950))
    xyz, score = truth.xyz_mm.copy(), truth.score.copy()
    xyz[80:135, 0], score[80:135, 0] = np.nan, 0
    tracked = track_people(truth.time_s, xyz, score, COCO17, TrackingConfig())
    assert tracked.ids.tolist() == [1, 2]
    assert set(tracked.source[:, 0]) == {1}
    assert set(tracked.source[:, 1]) == {0, -1}


def test_people_are_distinguished_by_bone_lengths():
    rng = np.random.default_rng(3)
    tall = people.walkers(1, 60, rng, stature_mm=(1900, 1901)).xyz_mm
    small = people.walkers(1, 60, rng, stature_mm=(1300, 1301)).xyz_mm
    small = small + tall[-1:, :, 11:12] - small[:1, :, 11:12]
    xyz = np.concatenate([tall, np.full((30, 1, 17, 3), np.nan), small])
    score = np.where(np.isfinite(xyz[..., 0]), 1.0, 0.0)
    tracked = track_people(np.arange(150) / 30, xyz, score, COCO17, TrackingConfig())
    assert len(tracked.ids) == 2


def test_people_of_few_frames_are_discarded():
    truth = people.walkers(1, 60, np.random.default_rng(4))
    ghost = np.full((60, 1, 17, 3), np.nan)
    ghost[20:23] = truth.xyz_mm[20:23] + [3000.0, 0, 0]
    xyz = np.concatenate([truth.xyz_mm, ghost], axis=1)
    score = np.where(np.isfinite(xyz[..., 0]), 1.0, 0.0)
    tracked = track_people(truth.time_s, xyz, score, COCO17, TrackingConfig())
    assert tracked.ids.tolist() == [1]
    np.testing.assert_array_equal(tracked.xyz_mm, truth.xyz_mm)


def test_missing_joints_stay_missing_and_do_not_break_a_track():
    rng = np.random.default_rng(5)
    truth = people.walkers(2, 90, rng)
    gone = rng.random(truth.score.shape) < 0.3
    xyz = np.where(gone[..., None], np.nan, truth.xyz_mm)
    tracked = track_people(truth.time_s, xyz, np.where(gone, 0.0, 1.0), COCO17, TrackingConfig())
    assert len(tracked.ids) == 2
    assert np.isnan(tracked.xyz_mm[..., 0]).sum() == gone.sum()


def test_a_take_without_people_has_no_tracks():
    tracked = track_people(
        np.arange(5) / 30, np.full((5, 2, 17, 3), np.nan), np.zeros((5, 2, 17)), COCO17, TrackingConfig()
    )
    assert tracked.xyz_mm.shape == (5, 0, 17, 3)
    assert tracked.score.shape == (5, 0, 17)
    assert tracked.ids.shape == (0,)
    assert tracked.source.shape == (5, 0)


def test_a_take_of_one_frame_is_tracked():
    truth = people.walkers(2, 1, np.random.default_rng(6))
    tracked = track_people(truth.time_s, truth.xyz_mm, truth.score, COCO17, TrackingConfig())
    assert len(tracked.ids) == 2
