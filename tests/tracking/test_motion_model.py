"""The motion model of the tracker in exact numbers: constant velocity, its time constant, and the gates."""

import numpy as np
import pytest

from core.errors import CoreError
from core.synthetic import people
from core.tracking.config import TrackingConfig
from core.tracking.track import track_people
from core.tracking.tracker import PeopleFrame, Tracker
from core.types import COCO17

FPS = 20.0


@pytest.fixture(scope="module")
def body():
    """(17, 3) joints of one person who stands at the origin."""
    return people.walkers(1, 1, np.random.default_rng(0)).xyz_mm[0, 0]


def moving(body, x_mm, y_mm=0.0):
    """(T, 17, 3) joints of a rigid person at positions x (T,), NaN where absent."""
    x = np.asarray(x_mm, float)
    return body + np.stack([x, np.broadcast_to(y_mm, x.shape), np.zeros(x.shape)], -1)[:, None]


def track(columns, time_s=None, **settings):
    """Tracks of people (T, P, 17, 3)."""
    xyz = np.stack(columns, 1)
    time_s = np.arange(len(xyz)) / FPS if time_s is None else time_s
    score = np.isfinite(xyz[..., 0]).astype(float)
    tracked = track_people(time_s, xyz, score, COCO17, TrackingConfig(**settings))
    return tracked.ids, tracked.source


def test_people_who_pass_each_other_are_separated_by_velocity(body):
    # 3 m/s at 20 fps: 150 mm a frame, so that after crossing each is nearest to where the other was.
    x = 3000.0 * (np.arange(21) - 10.4) / FPS
    ids, source = track([moving(body, x), moving(body, -x, 20.0)])
    assert ids.tolist() == [1, 2]
    assert (source == [0, 1]).all()


def test_people_who_cross_while_missing_continue_at_constant_velocity(body):
    x = 2000.0 * (np.arange(41) - 20) / FPS
    x[16:25] = np.nan  # 0.45 s between measurements, 900 mm apart
    ids, source = track([moving(body, x), moving(body, -x, 20.0)], stitch_gap_s=0.0)
    assert ids.tolist() == [1, 2]
    seen = np.isfinite(x)
    assert (source[seen] == [0, 1]).all()
    assert (source[~seen] == -1).all()


@pytest.mark.parametrize(("beyond_mm", "people"), [(-1.0, 1), (1.0, 2)])
def test_the_gate_is_centred_at_the_prediction_and_grows_while_a_person_is_missing(body, beyond_mm, people):
    config = TrackingConfig()
    v, n, gap = 1200.0, 30, 0.4
    last = v * (n - 1) / FPS
    memory = 1 - np.exp(-(n - 1) / FPS / 0.15)
    # The gate grows from the last measurement to the previous frame.
    missing = np.full(round(gap * FPS) - 1, np.nan)
    reach = config.max_distance_mm + config.drift_mm_s * (gap - 1 / FPS)
    back = last + v * memory * gap + reach + beyond_mm
    x = np.r_[v * np.arange(n) / FPS, missing, np.full(6, back)]
    ids, source = track([moving(body, x)], stitch_gap_s=0.0)
    assert len(ids) == people
    assert (source[:n, 0] == 0).all()
    assert (source[-6:, -1] == 0).all()


@pytest.mark.parametrize(("beyond_mm", "people"), [(-1.0, 1), (1.0, 2)])
def test_stitching_predicts_over_the_longest_gap_of_a_track(body, beyond_mm, people):
    config = TrackingConfig()
    v, n, gap = 1200.0, 30, 2.0
    last = v * (n - 1) / FPS
    memory = 1 - np.exp(-(n - 1) / FPS / 0.15)
    reach = config.max_distance_mm + config.drift_mm_s * (gap - 1 / FPS)
    back = last + v * memory * config.max_gap_s + reach + beyond_mm
    x = np.r_[v * np.arange(n) / FPS, np.full(round(gap * FPS) - 1, np.nan), np.full(6, back)]
    ids, _ = track([moving(body, x)])
    assert len(ids) == people


def test_a_track_ends_after_the_longest_gap(body):
    config = TrackingConfig()
    for gap_frames, tracks in ((10, 1), (11, 2)):
        assert (gap_frames / FPS <= config.max_gap_s) == (tracks == 1)
        x = np.r_[np.zeros(8), np.full(gap_frames - 1, np.nan), np.zeros(8)]
        assert len(track([moving(body, x)], stitch_gap_s=0.0)[0]) == tracks


def frame(time_s, *poses):
    """People (J, 3) of one frame."""
    xyz = np.stack(poses)
    return PeopleFrame(time_s=time_s, xyz_mm=xyz, score=np.isfinite(xyz[..., 0]).astype(float))


def test_velocity_converges_exponentially_at_any_frame_times(body):
    times = np.cumsum(np.r_[1.0, np.random.default_rng(1).uniform(0.01, 0.3, 12)])
    velocity = np.array([1200.0, -300.0, 50.0])
    tracker = Tracker(TrackingConfig(), COCO17)
    for t in times:
        assert tracker.update(frame(t, body + velocity * (t - times[0]))).tolist() == [1]
    (track,) = tracker.active
    reached = velocity * (1 - np.exp(-(times[-1] - times[0]) / 0.15))
    np.testing.assert_allclose(track.velocity_mm_s, reached, rtol=1e-9)
    expected = body + velocity * (times[-1] - times[0]) + 0.25 * reached
    np.testing.assert_allclose(track.predict(times[-1] + 0.25), expected, rtol=1e-9)


def test_velocity_is_the_median_over_joints(body):
    tracker = Tracker(TrackingConfig(), COCO17)
    tracker.update(frame(0.0, body))
    moved = body + [60.0, 0, 0]
    moved[9] += [0, 400.0, 0]
    tracker.update(frame(0.1, moved))
    gain = 1 - np.exp(-0.1 / 0.15)
    np.testing.assert_allclose(tracker.active[0].velocity_mm_s, [600.0 * gain, 0, 0], atol=1e-9)


def test_missing_joints_move_with_the_person(body):
    tracker = Tracker(TrackingConfig(), COCO17)
    tracker.update(frame(0.0, body))
    for n in (1, 2):
        partial = body + [70.0 * n, 0, 0]
        partial[9] = np.nan
        tracker.update(frame(0.1 * n, partial))
    np.testing.assert_allclose(tracker.active[0].xyz_mm[9], body[9] + [140.0, 0, 0], atol=1e-9)


def test_people_with_fewer_than_three_joints_get_no_identity(body):
    two, three = np.full_like(body, np.nan), np.full_like(body, np.nan)
    two[:2], three[:3] = body[:2], body[:3] + 3000.0
    assert Tracker(TrackingConfig(), COCO17).update(frame(0.0, two, three)).tolist() == [0, 1]


def test_frames_out_of_order_are_refused(body):
    tracker = Tracker(TrackingConfig(), COCO17)
    tracker.update(frame(1.0, body))
    with pytest.raises(CoreError, match="in order of time"):
        tracker.update(frame(1.0, body))


def test_a_tracker_forgets_ended_tracks(body):
    tracker = Tracker(TrackingConfig(), COCO17)
    for n in range(200):
        tracker.update(frame(n / FPS, body + [5000.0 * n, 0, 0]))
    assert len(tracker.active) <= 11
