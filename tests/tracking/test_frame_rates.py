"""The same people at any frame rate: seconds and evidence decide, not numbers of frames."""

import numpy as np
import pytest

from core.progress import NullReporter
from core.synthetic import people
from core.tracking.config import TrackingConfig
from core.tracking.track import DISCARDED, note_discarded, track_people
from core.types import COCO17, Pose3DSequence

FAST = 240


@pytest.fixture(scope="module")
def motion():
    """Ten seconds of three people of different size at 240 frames per second, the tallest first."""
    rng = np.random.default_rng(3)
    parts = [
        people.walkers(1, 10 * FAST, rng, fps=FAST, half_size_mm=600.0, stature_mm=(mm, mm + 1)).xyz_mm
        for mm in (1950, 1700, 1450)
    ]
    at = [[-1500.0, 0, 0], [0, 0, 0], [1500.0, 0, 0]]
    return np.concatenate([part + place for part, place in zip(parts, at, strict=True)], axis=1)


def shuffled(xyz, rng):
    """Noisy people of every frame in random columns, and the person (T, P) in each column."""
    order = np.argsort(rng.random(xyz.shape[:2]), axis=1)
    noisy = xyz + rng.normal(0, 15, xyz.shape)
    return np.take_along_axis(noisy, order[..., None, None], axis=1), order


def track(time_s, xyz, **settings):
    return track_people(time_s, xyz, np.isfinite(xyz[..., 0]).astype(float), COCO17, TrackingConfig(**settings))


def persons(tracked, order):
    """Return the set of persons of each track."""
    rows = np.arange(len(order))[:, None]
    whose = np.where(tracked.source >= 0, order[rows, tracked.source], -1)
    return [set(column[column >= 0].tolist()) for column in whose.T]


@pytest.mark.parametrize("fps", [240, 120, 60, 24, 10, 4, 2, 1])
def test_the_same_people_are_found_at_any_frame_rate(motion, fps):
    xyz, order = shuffled(motion[:: FAST // fps], np.random.default_rng(fps))
    tracked = track(np.arange(len(xyz)) / fps, xyz)
    assert (tracked.source >= 0).all()
    assert sorted(map(tuple, persons(tracked, order))) == [(0,), (1,), (2,)]
    assert tracked.discarded == 0


@pytest.mark.parametrize("seconds", [0.0, 1 / FAST, 2 / FAST, 1 / 30])
def test_takes_of_a_few_frames_keep_everybody(motion, seconds):
    xyz, order = shuffled(motion[: 1 + round(seconds * FAST)], np.random.default_rng(0))
    tracked = track(np.arange(len(xyz)) / FAST, xyz)
    assert sorted(map(tuple, persons(tracked, order))) == [(0,), (1,), (2,)]


@pytest.mark.parametrize("fps", [30.0, 1.0, 0.01])
def test_stills_keep_everybody_and_people_are_known_by_their_bones(motion, fps):
    rng = np.random.default_rng(7)
    moments = motion[rng.permutation(len(motion))[:12]]
    # In every still people stand elsewhere: further than anybody moves in a frame, and than the gate at 1 fps.
    place = rng.permuted(np.arange(12 * 3).reshape(12, 3), axis=1) % 3 * 4000.0 + np.arange(12)[:, None] % 2 * 9000.0
    moments = moments - moments[:, :, 11:12] * [1, 1, 0] + place[..., None, None] * [1, 0, 0]
    xyz, order = shuffled(moments, rng)
    tracked = track(np.arange(12) / fps, xyz)
    assert (tracked.source >= 0).sum() == 36
    assert len(tracked.ids) <= 5
    biggest = persons(tracked, order)[0]
    assert len(biggest) == 1


@pytest.mark.parametrize(("fps", "frames"), [(240, 31), (60, 7), (30, 3)])
def test_a_glimpse_is_discarded_at_any_frame_rate(motion, fps, frames):
    xyz = motion[:: FAST // fps, :2].copy()
    xyz[:, 1] += [0, 4000.0, 0]
    xyz[np.r_[0:20, 20 + frames : len(xyz)], 1] = np.nan
    assert frames / fps < TrackingConfig().confirm_s
    tracked = track(np.arange(len(xyz)) / fps, xyz)
    assert (tracked.ids.tolist(), tracked.discarded) == ([1], 1)
    longer = xyz.copy()
    longer[20 : 21 + frames, 1] = motion[:: FAST // fps, 1][20 : 21 + frames]
    assert len(track(np.arange(len(xyz)) / fps, longer).ids) == 2


def test_a_single_frame_of_few_joints_is_no_person(motion):
    xyz = motion[::FAST, :2].copy()
    xyz[:, 1] += [0, 6000.0, 0]
    xyz[np.arange(10) != 4, 1] = np.nan
    xyz[4, 1, 7:] = np.nan
    assert len(track(np.arange(10.0), xyz).ids) == 1
    xyz[4, 1] = motion[4 * FAST, 1] + [0, 6000.0, 0]
    assert len(track(np.arange(10.0), xyz).ids) == 2


def test_a_still_of_a_person_behind_a_table_is_a_person(motion):
    xyz = motion[:1, :2].copy()
    xyz[:, 1, 11:] = np.nan
    xyz[:, 1, :4] = np.nan
    assert len(track(np.zeros(1), xyz).ids) == 2


def test_absences_between_frames_far_apart_are_bridged(motion):
    xyz = motion[::FAST].copy()
    xyz[[3, 7], 1] = np.nan
    assert len(track(np.arange(10.0), xyz).ids) == 3


class Notes(NullReporter):
    def __init__(self):
        self.said = []

    def note(self, text, level="info"):
        self.said.append((text, level))


@pytest.mark.parametrize(("present", "level"), [(True, "info"), (False, "warning")])
def test_discarded_people_are_reported_and_what_to_set(motion, present, level):
    xyz = np.where(present, motion[:2, :1], np.nan)
    sequence = Pose3DSequence(
        skeleton=COCO17,
        time_s=np.arange(2.0),
        xyz_mm=xyz,
        score=np.isfinite(xyz[..., 0]).astype(float),
        person_ids=(1,),
        provenance={DISCARDED: 2},
    )
    notes = Notes()
    note_discarded(sequence, TrackingConfig(), notes)
    ((text, said),) = notes.said
    assert said == level
    assert "2 people" in text and "tracking.confirm_s" in text
