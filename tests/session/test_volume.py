"""Active capture volume: set by the user, or derived from the rig and the people."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.errors import CoreError
from core.geometry.capture_volume import capture_volume
from core.pipelines.volume import pinned_volume, training_volume, with_volume
from core.progress import NullReporter, RecordingReporter
from core.session import BASELINE, Session
from core.session.volume import active_volume, as_settings, seen_share, set_volume
from core.synthetic.rigs import ring_rig
from core.training.presets import preset
from core.types import PANOPTIC15, CaptureVolume, Pose3DSequence, SyntheticRange, VolumeSettings

TAKE = "two_people"


def put_people(session: Session, middle_mm: tuple[float, float] = (-900.0, 0.0)) -> None:
    """A baseline of one person who moves within a metre of a point."""
    take = session.take(TAKE)
    xyz = np.random.default_rng(0).uniform((-500, -500, 0), (500, 500, 1700), (100, 1, 15, 3))
    Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=take.timeline().time_s,
        xyz_mm=xyz + (*middle_mm, 0),
        score=np.ones((100, 1, 15)),
        person_ids=(1,),
    ).save(take.layout.poses3d(BASELINE))


def test_the_volume_is_derived_from_rig_and_people(sample_session: Session) -> None:
    alone = active_volume(sample_session, [TAKE], 100.0)
    assert alone.origin == "rig"
    expected = capture_volume(sample_session.require_rig(), spacing_mm=100.0)
    assert alone.volume.to_mapping() == expected.to_mapping()
    put_people(sample_session)
    around = active_volume(sample_session, [TAKE], 100.0)
    assert around.origin == "people"
    assert around.volume.size_mm[0] < expected.size_mm[0] and around.volume.contains(np.array([-900.0, 0, 900]))
    assert around.seen_share > alone.seen_share > 0.5
    assert active_volume(sample_session, [], 100.0).origin == "rig", "people of takes that were not named do not count"


def test_the_users_volume_is_used_until_it_is_removed(sample_session: Session) -> None:
    put_people(sample_session)
    derived = active_volume(sample_session, [TAKE], 120.0)
    volume = dataclasses.replace(
        derived.chosen, size_mm=(3000.0, 2400.0, 2200.0), synthetic=SyntheticRange(side_share=0.2)
    )
    set_volume(sample_session, volume, 120.0)
    used = active_volume(sample_session, [TAKE], 120.0)
    assert used.origin == "set" and not used.other_rig
    assert used.volume.size_mm.tolist() == [3000, 2400, 2200] and used.chosen.synthetic.side_share == 0.2
    assert used.chosen.spacing_mm is None, "the settings of training go on deciding"
    sample_session.set_volume(None)
    again = active_volume(sample_session, [TAKE], 120.0)
    assert again.origin == "people" and again.volume.to_mapping() == derived.volume.to_mapping()
    sample_session.set_volume(None)  # forgetting twice is no error


def test_a_volume_for_another_calibration_is_reported(sample_session: Session) -> None:
    put_people(sample_session)
    set_volume(sample_session, active_volume(sample_session, [TAKE], 120.0).chosen, 120.0)
    rig = sample_session.require_rig()
    moved = dataclasses.replace(rig, cameras=(rig[0].replace(t_mm=np.array(rig[0].t_mm) + 5), *rig.cameras[1:]))
    moved.save(sample_session.layout.rig)
    assert active_volume(sample_session, [TAKE], 120.0).other_rig
    reporter = RecordingReporter()
    training_volume(sample_session, [TAKE], preset("quick"), reporter)
    assert any("another calibration" in text for text, _ in reporter.notes)


def test_a_volume_that_no_camera_sees_is_refused(sample_session: Session) -> None:
    away = VolumeSettings(centre_mm=(90_000.0, 0.0, 900.0), size_mm=(3000.0, 3000.0, 2200.0))
    with pytest.raises(CoreError, match="No two cameras"):
        set_volume(sample_session, away, 100.0)
    sample_session.set_volume(away)  # as a hand-written file would
    with pytest.raises(CoreError, match="No two cameras"):
        training_volume(sample_session, [TAKE], preset("quick"), NullReporter())
    with pytest.raises(CoreError, match="voxels"):
        set_volume(sample_session, dataclasses.replace(away, size_mm=(20_000.0, 20_000.0, 2200.0)), 20.0)


def test_seen_share_counts_what_two_cameras_see() -> None:
    rig = ring_rig(5)
    everywhere = CaptureVolume.between((-300, -300, 500), (300, 300, 1200), 100.0)
    assert seen_share(rig, everywhere) == 1.0
    nowhere = CaptureVolume.between((50_000, 0, 0), (51_000, 1000, 1000), 100.0)
    assert seen_share(rig, nowhere) == 0.0
    huge = CaptureVolume.between((-50_000, -50_000, 0), (50_000, 50_000, 2000), 1000.0)
    assert 0 < seen_share(rig, huge) < 0.1


def test_a_training_uses_the_volume_that_was_set_and_stores_it(sample_session: Session) -> None:
    put_people(sample_session)
    ranges = SyntheticRange(side_share=0.1, lowest_mm=100.0, highest_mm=400.0)
    volume = VolumeSettings(
        centre_mm=(-900.0, 0.0, 900.0), size_mm=(3000.0, 2400.0, 2200.0), spacing_mm=150.0, synthetic=ranges
    )
    set_volume(sample_session, volume, 120.0)
    config = preset("quick")
    used = with_volume(config, training_volume(sample_session, [TAKE], config, NullReporter()))
    assert used.volume_mm == (-2400, -1200, -200, 600, 1200, 2000)
    assert used.model.root.spacing_mm == 150.0
    assert (used.root.side_share, used.root.lowest_mm, used.root.highest_mm) == (0.1, 100.0, 400.0)
    own = dataclasses.replace(config, volume_mm=(-2000.0, -1000.0, 0.0, 0.0, 1000.0, 2000.0))
    explicit = with_volume(own, training_volume(sample_session, [TAKE], own, NullReporter()))
    assert explicit == own, "settings that name a space go over the session's"


def test_a_derived_volume_leaves_the_settings_unchanged(sample_session: Session) -> None:
    put_people(sample_session)
    config = preset("quick")
    chosen = training_volume(sample_session, [TAKE], config, NullReporter())
    expected = active_volume(sample_session, [TAKE], config.model.root.spacing_mm).volume
    volume = chosen.volume(999.0)
    assert volume.voxels == expected.voxels
    np.testing.assert_allclose(volume.low_mm, expected.low_mm, atol=1e-9)
    used = with_volume(config, chosen)
    assert dataclasses.replace(used, volume_mm=()) == config


def test_a_run_keeps_its_initial_volume(sample_session: Session) -> None:
    put_people(sample_session)
    config, run = preset("quick"), sample_session.new_run("train")
    first = pinned_volume(sample_session, [TAKE], config, run, NullReporter())
    put_people(sample_session, (-1500.0, 100.0))
    other = dataclasses.replace(as_settings(first.volume(120.0)), size_mm=(3000.0, 2400.0, 2200.0))
    set_volume(sample_session, other, 120.0)
    again = pinned_volume(sample_session, [TAKE], config, run, NullReporter())
    assert again == first
    np.testing.assert_array_equal(again.volume(1.0).low_mm, first.volume(1.0).low_mm)
    assert pinned_volume(sample_session, [TAKE], config, sample_session.new_run("train"), NullReporter()) != first
