"""Verb `export`: choice of result and formats, notes, and place of the files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from core.body.models.free import free_body
from core.cli import main
from core.errors import CancelledError, CoreError
from core.pipelines.export import run_export
from core.pipelines.params import ExportParams
from core.progress import RecordingReporter
from core.session import BASELINE, RunLayout, Session, Take, TakeManifest, Timeline
from core.session.exports.manifest import exported_files, newest_export
from core.session.inputs import bodies_provenance
from core.session.status import take_status
from core.types import COCO17, BodySequence, Pose3DSequence

T = 6


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A session with one take of one person, a baseline and two trained results."""
    session = Session.create(tmp_path / "s")
    take = session.write_take(
        TakeManifest(name="walk", kind="motion", fps=25.0, n_frames=T, cameras=()),
        Timeline(cameras=("a",), time_s=np.arange(T) / 25, frame_index=np.zeros((T, 1)), frame_time_s=np.zeros((T, 1))),
    )
    for age, name in enumerate(["20200101-late", BASELINE, "20240101-early"]):
        path = take.layout.poses3d(name)
        poses().save(path)
        os.utime(path, (1e9 - age, 1e9 - age))
    return session


def poses(time_s: np.ndarray | None = None) -> Pose3DSequence:
    return Pose3DSequence(
        skeleton=COCO17,
        time_s=np.arange(T) / 25 if time_s is None else time_s,
        xyz_mm=np.random.default_rng(0).normal(1000, 300, (T, 1, 17, 3)),
        score=np.ones((T, 1, 17)),
        person_ids=(1,),
        provenance={"rig": "feedbeef", "code_version": "7.7"},
    )


def store_bodies(take: Take, people: tuple[int, ...] = (1,)) -> None:
    """Store bodies of the baseline; only the first person has one."""
    model = free_body()
    pelvis = np.zeros((T, len(people), 3))
    rotations = np.zeros((T, len(people), len(model.joints), 3))
    pelvis[:, 1:] = rotations[:, 1:] = np.nan
    BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=np.arange(T) / 25,
        person_ids=people,
        betas=np.zeros((len(people), model.n_shape)),
        rotations_rad=rotations,
        pelvis_mm=pelvis,
        provenance=bodies_provenance(take, BASELINE),
    ).save(take.layout.bodies(BASELINE))


def run(session: Session, reporter: RecordingReporter | None = None, **params: object) -> dict:
    reporter = reporter or RecordingReporter()
    folder = RunLayout(session.root / "run")
    return run_export(session, ExportParams(take="walk", **params), folder, reporter)  # type: ignore[arg-type]


def test_all_formats_are_written_into_the_exports_of_the_session(session: Session) -> None:
    reporter = RecordingReporter()
    done = run(session, reporter)
    assert done["poses"] == BASELINE, "no result is known to be better"
    assert sum("has not been evaluated" in str(note) for note in reporter.notes) == 2
    assert Path(done["folder"]) == session.layout.exports
    names = sorted(Path(f).name for f in done["files"])
    stem = "walk_baseline"
    assert names == sorted(
        [f"{stem}.c3d", f"{stem}_P1.trc", f"{stem}.csv", f"{stem}.origin.json", f"{stem}.json", f"{stem}.nc"]
    )
    manifest = Path(done["manifest"])
    assert sorted([*names, manifest.name]) == sorted(p.name for p in session.layout.exports.iterdir())
    assert exported_files(session.layout.exports, "walk", done["poses"]) == [Path(f) for f in done["files"]]
    text = (session.layout.exports / f"{stem}.json").read_text()
    assert "feedbeef" in text and "selfpose-studio 7.7" in text and '"take": "walk"' in text


def test_without_a_trained_result_the_baseline_is_exported(session: Session) -> None:
    take = session.take("walk")
    for name in take.poses3d_runs():
        if name != BASELINE:
            take.layout.poses3d(name).unlink()
    assert run(session, formats=("csv",))["poses"] == BASELINE


def test_among_several_a_format_that_does_not_support_the_options_uses_its_defaults(
    session: Session,
) -> None:
    reporter = RecordingReporter()
    done = run(session, reporter, formats=("netcdf", "json"), units="m", up="y")
    assert len(done["files"]) == 2
    ((note, level),) = [note for note in reporter.notes if note[1] == "warning"]
    assert "NetCDF cannot be written in m" in note and "mm with z up" in note and level == "warning"
    with pytest.raises(CoreError, match="NetCDF"):
        run(session, formats=("netcdf",), units="m")


def test_uneven_times_are_reported_for_formats_with_a_constant_rate(session: Session) -> None:
    time_s = np.array([0, 1, 2, 3, 4.4, 5.5]) / 25
    poses(time_s).save(session.take("walk").layout.poses3d(BASELINE))
    reporter = RecordingReporter()
    run(session, reporter, poses=BASELINE, formats=("csv", "trc", "json", "netcdf"))
    assert not reporter.notes, "these keep the time of each frame"
    run(session, reporter, poses=BASELINE)
    ((note, level),) = reporter.notes
    assert "not evenly spaced, but C3D stores a constant rate (24.3902 frames per second)" in note
    assert level == "warning"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"poses": "none"}, "no 3D poses 'none'.*baseline"),
        ({"formats": ("csw",)}, "csv"),
    ],
)
def test_unknown_results_and_formats_are_errors(session: Session, params: dict, words: str) -> None:
    with pytest.raises(CoreError, match=words):
        run(session, **params)
    assert list(session.layout.exports.iterdir()) == []


def test_bodies_are_exported_where_they_were_fitted_to_the_present_poses(session: Session) -> None:
    take = session.take("walk")
    with pytest.raises(CoreError, match="GLB needs joint rotations and a body mesh") as refused:
        run(session, poses=BASELINE, formats=("glb",))
    assert "fit-body" in refused.value.hint
    store_bodies(take)
    done = run(session, poses=BASELINE)
    names = {Path(file).name for file in done["files"]}
    assert {"walk_baseline.glb", "walk_baseline_P1.bvh", "walk_baseline.c3d"} <= names
    assert len(exported_files(session.layout.exports, "walk", BASELINE)) == len(names)
    assert take_status(session, take)["export"].state == "done"
    store_bodies(take)
    assert "bodies of 'baseline' have changed" in take_status(session, take)["export"].reason

    one = poses()
    two = dataclasses.replace(
        one, xyz_mm=np.repeat(one.xyz_mm, 2, 1), score=np.repeat(one.score, 2, 1), person_ids=(1, 2)
    )
    two.save(take.layout.poses3d(BASELINE))
    with pytest.raises(CoreError, match="are not those of 'baseline'"):
        run(session, poses=BASELINE, formats=("glb",))
    store_bodies(take, (1, 2))
    reporter = RecordingReporter()
    run(session, reporter, poses=BASELINE, formats=("bvh",))
    assert any("No bodies were fitted to P2" in note for note, _ in reporter.notes)

    changed = dataclasses.replace(poses(), provenance={"rig": "feedbeef", "made": "later"})
    changed.save(take.layout.poses3d(BASELINE))
    with pytest.raises(CoreError, match="have changed since bodies were fitted to them"):
        run(session, poses=BASELINE, formats=("csv", "glb"))
    reporter = RecordingReporter()
    done = run(session, reporter, poses=BASELINE)
    assert not [file for file in done["files"] if file.endswith((".glb", ".bvh"))]
    assert any("not written: GLB and BVH" in note and level == "warning" for note, level in reporter.notes)


def test_cancelling_stops_between_files(session: Session) -> None:
    with pytest.raises(CancelledError):
        run(session, RecordingReporter(cancel_after=1), formats=("csv", "json"))
    assert [p.suffix for p in session.layout.exports.iterdir() if p.suffix == ".json"] != []
    assert not (session.layout.exports / "walk_baseline.json").exists()


def test_cancelling_stops_within_a_long_file(session: Session) -> None:
    take = session.take("walk")
    store_bodies(take)
    with pytest.raises(CancelledError):
        run(session, RecordingReporter(cancel_after=3), poses=BASELINE, formats=("ply",))
    assert list(session.layout.exports.iterdir()) == [], "an unfinished folder is removed"


def test_an_export_counts_only_once_its_manifest_is_written(session: Session) -> None:
    done = run(session, poses=BASELINE, formats=("csv", "trc"))
    folder = session.layout.exports
    assert len(exported_files(folder, "walk", BASELINE)) == len(done["files"]) > 0
    with pytest.raises(CancelledError):
        run(session, RecordingReporter(cancel_after=1), poses=BASELINE, formats=("csv", "json"))
    assert exported_files(folder, "walk", BASELINE) == [] == newest_export(folder), "an export that did not end is none"
    done = run(session, poses=BASELINE, formats=("csv",))
    path = Path(done["files"][0])
    assert newest_export(session.root.rename(session.root.with_name("moved")) / "exports")[0].name == path.name
    session.root.with_name("moved").rename(session.root)
    listed = json.loads(Path(done["manifest"]).read_text())["files"][0]
    assert listed == {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.write_bytes(path.read_bytes()[:-1])
    assert path not in exported_files(folder, "walk", BASELINE)


def test_a_session_that_cannot_be_written_is_exported_to_another_folder(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session.layout.runs.rmdir()
    session.layout.runs.write_text("in the way, as a read-only disk is")
    command = ["export", str(session.root), "--take", "walk", "--poses", BASELINE, "--formats", "csv"]
    assert main(command) == 1
    shown = capsys.readouterr().err
    assert "runs" in shown and "cannot be written" in shown and "Traceback" not in shown
    assert main([*command, "--folder", str(session.root / "inside")]) == 1
    assert main([*command, "--folder", str(tmp_path / "elsewhere")]) == 0
    assert exported_files(tmp_path / "elsewhere", "walk", BASELINE)
