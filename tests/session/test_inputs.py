"""Results know their inputs: digests are stored, and changes since then are reported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from core.errors import CoreError
from core.pipelines.export import run_export
from core.pipelines.params import ExportParams, TriangulateParams
from core.pipelines.triangulate import run_triangulate
from core.progress import NullReporter, RecordingReporter
from core.session import BASELINE, Session, Take, TakeCamera, TakeManifest, Timeline
from core.session.inputs import input_digests, outdated_inputs
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types import CameraRig

T = 12


def save_rig(session: Session, rig: CameraRig) -> None:
    """Make a rig that of the session."""
    rig.save(session.layout.rig)


def store_poses2d(take: Take, rig: CameraRig, seed: int) -> None:
    """Store 2D poses of a synthetic walk."""
    people = walkers(1, T, np.random.default_rng(0))
    for name, pose in observe(rig, people, 2.0, 0.0, np.random.default_rng(seed)).items():
        pose.save(take.layout.poses2d_file("made", name))
    take.layout.poses2d_manifest("made").write_text("schema: 1\n")


@pytest.fixture
def take(tmp_path: Path) -> tuple[Session, Take]:
    """A session with a rig and one triangulated take."""
    session, rig = Session.create(tmp_path / "s"), ring_rig(4)
    save_rig(session, rig)
    cameras = tuple(TakeCamera(name=c.name, file=f"{c.name}.mp4", size_px=c.size_px, fps=25.0, n_frames=T) for c in rig)
    times = np.arange(T) / 25
    take = session.write_take(
        TakeManifest(name="walk", kind="motion", fps=25.0, n_frames=T, cameras=cameras),
        Timeline(
            cameras=rig.names,
            time_s=times,
            frame_index=np.repeat(np.arange(T)[:, None], 4, 1),
            frame_time_s=np.repeat(times[:, None], 4, 1),
        ),
    )
    store_poses2d(take, rig, 1)
    run_triangulate(
        session, TriangulateParams(take="walk", estimator="made"), session.new_run("triangulate"), NullReporter()
    )
    return session, session.take("walk")


def test_a_fresh_result_is_up_to_date(take: tuple[Session, Take]) -> None:
    session, walk = take
    provenance = walk.poses3d(BASELINE).provenance
    assert {key: provenance[key] for key in ("rig", "estimator", "poses2d")} == input_digests(
        session, walk, "made"
    ).to_provenance()
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
    assert message.endswith("are gone.")
    with pytest.raises(CoreError, match="no complete 2D poses of made"):
        input_digests(session, walk, "made")


def test_export_warns_of_an_outdated_result(take: tuple[Session, Take]) -> None:
    session, walk = take
    store_poses2d(walk, session.require_rig(), 2)
    reporter = RecordingReporter()
    run_export(session, ExportParams(take="walk", formats=("json",)), session.new_run("export"), reporter)
    assert any("Run 'triangulate' on the take again." in str(note) for note in reporter.notes)


def test_results_without_digests_are_not_judged(take: tuple[Session, Take]) -> None:
    session, walk = take
    assert outdated_inputs(session, walk, {"method": "imported"}) == ()
