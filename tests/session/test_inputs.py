"""Results know their inputs: digests are stored, and changes since then are reported."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walking import store_poses2d, walking_session

from core.errors import CoreError
from core.pipelines.export import run_export
from core.pipelines.params import ExportParams
from core.progress import RecordingReporter
from core.session import BASELINE, Session, Take
from core.session.inputs import input_digests, outdated_inputs
from core.types import CameraRig


def save_rig(session: Session, rig: CameraRig) -> None:
    """Make a rig that of the session."""
    rig.save(session.layout.rig)


@pytest.fixture
def take(tmp_path: Path) -> tuple[Session, Take]:
    """A session with a rig and one triangulated take."""
    session = walking_session(tmp_path / "s")
    return session, session.take("walk")


def test_a_fresh_result_is_up_to_date(take: tuple[Session, Take]) -> None:
    session, walk = take
    provenance = walk.poses3d(BASELINE).provenance
    inputs = input_digests(walk, "made", session.rig_for(walk)).to_provenance()
    assert {**provenance, "made": ""} == {**provenance, **inputs, "made": ""}
    assert outdated_inputs(session, walk, provenance) == ()


def test_changed_inputs_are_named(take: tuple[Session, Take]) -> None:
    session, walk = take
    provenance = walk.poses3d(BASELINE).provenance
    rig = session.require_rig()
    moved = dataclasses.replace(rig[rig.names[0]], t_mm=rig[rig.names[0]].t_mm + 1.0)
    save_rig(session, dataclasses.replace(rig, cameras=(moved, *rig.cameras[1:])))
    assert outdated_inputs(session, walk, provenance) == (
        "The calibration has changed since these 3D poses were made.",
    )
    save_rig(session, rig)
    store_poses2d(walk, rig, 2)
    assert outdated_inputs(session, walk, provenance) == (
        "The 2D poses of made have changed since these 3D poses were made.",
    )
    walk.layout.poses2d_manifest("made").unlink()
    (message,) = outdated_inputs(session, walk, provenance)
    assert message.endswith("no longer exist.")
    with pytest.raises(CoreError, match="no complete 2D poses of made"):
        input_digests(walk, "made", session.rig_for(walk))


def test_export_warns_of_an_outdated_result(take: tuple[Session, Take]) -> None:
    session, walk = take
    store_poses2d(walk, session.require_rig(), 2)
    reporter = RecordingReporter()
    params = ExportParams(take="walk", poses=BASELINE, formats=("json",))
    run_export(session, params, session.new_run("export"), reporter)
    assert any("Run 'update' on the take" in str(note) for note in reporter.notes)


def test_results_without_digests_are_not_judged(take: tuple[Session, Take]) -> None:
    session, walk = take
    assert outdated_inputs(session, walk, {"method": "imported"}) == ()
