"""Which 2D poses the verbs take: the only ones, the user's, or none without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CoreError
from core.files import write_yaml
from core.pose2d.choice import choose_poses2d, imported_poses2d, poses2d_of_run
from core.pose2d.config import DEFAULT_ESTIMATOR
from core.progress import NullReporter, RecordingReporter
from core.session import Session, Take


def with_poses2d(session: Session, **estimated: bool) -> Take:
    """Give the take the manifests of 2D poses; the values say whether an estimator of the program made them."""
    take = session.take("two_people")
    for old in take.layout.poses2d_root.glob("*/estimator.yaml"):
        old.unlink()
    for name, own in estimated.items():
        write_yaml(take.layout.poses2d_manifest(name), {"estimator": name, **({"request": {}} if own else {})})
    return take


def test_the_only_poses_are_taken_and_named(sample_session: Session) -> None:
    reporter = RecordingReporter()
    take = with_poses2d(sample_session, openpose=False)
    assert choose_poses2d([take], "", reporter) == "openpose"
    assert "openpose" in reporter.notes[0][0]
    assert poses2d_of_run(take, "", DEFAULT_ESTIMATOR) == "openpose"
    assert poses2d_of_run(take, "", "rtmo_m") == "", "an estimator that the user sets is run"


def test_of_several_the_default_is_taken_or_the_user_is_asked(sample_session: Session) -> None:
    reporter = RecordingReporter()
    take = with_poses2d(sample_session, openpose=False, movenet_multipose=True)
    assert choose_poses2d([take], "", reporter) == DEFAULT_ESTIMATOR
    assert "openpose" in reporter.notes[0][0]
    assert choose_poses2d([take], "openpose", NullReporter()) == "openpose"
    assert imported_poses2d(take) == ["openpose"]
    assert poses2d_of_run(take, "", DEFAULT_ESTIMATOR) == "" and poses2d_of_run(take, "openpose", "") == "openpose"
    take = with_poses2d(sample_session, openpose=False, sleap=False)
    for choose in (choose_poses2d, lambda takes, name, _: poses2d_of_run(takes[0], name, DEFAULT_ESTIMATOR)):
        with pytest.raises(CoreError, match=r"several.*openpose, sleap"):
            choose([take], "", NullReporter())


def test_missing_poses_name_those_that_are_there(sample_session: Session, tmp_path: Path) -> None:
    take = with_poses2d(sample_session, openpose=False)
    with pytest.raises(CoreError, match=r"of movenet.*are those of openpose"):
        choose_poses2d([take], "movenet_multipose", NullReporter())
    with pytest.raises(CoreError, match="no 2D poses named 'opnpose'"):
        poses2d_of_run(take, "opnpose", DEFAULT_ESTIMATOR)
    with pytest.raises(CoreError, match="has no complete 2D poses"):
        choose_poses2d([with_poses2d(sample_session)], "", NullReporter())
