"""Verb `export`: what it picks, what it says, where it writes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from core.errors import CancelledError, CoreError
from core.pipelines.export import newest_poses, run_export
from core.pipelines.params import ExportParams
from core.progress import RecordingReporter
from core.session import BASELINE, RunLayout, Session, TakeManifest, Timeline
from core.types import COCO17, Pose3DSequence

T = 6


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A session with one take of one person, the baseline and two trained results, the later of which sorts first."""
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


def run(session: Session, reporter: RecordingReporter | None = None, **params: object) -> dict:
    reporter = reporter or RecordingReporter()
    folder = RunLayout(session.root / "run")
    return run_export(session, ExportParams(take="walk", **params), folder, reporter)  # type: ignore[arg-type]


def test_everything_goes_into_the_sessions_exports(session: Session) -> None:
    done = run(session)
    assert done["poses"] == "20200101-late" == newest_poses(session.take("walk")), "newest by its age"
    assert Path(done["folder"]) == session.layout.exports
    names = sorted(Path(f).name for f in done["files"])
    stem = "walk_20200101-late"
    assert names == sorted(
        [f"{stem}.c3d", f"{stem}_P1.trc", f"{stem}.csv", f"{stem}.origin.json", f"{stem}.json", f"{stem}.nc"]
    )
    assert names == sorted(p.name for p in session.layout.exports.iterdir())
    text = (session.layout.exports / f"{stem}.json").read_text()
    assert "feedbeef" in text and "selfpose-studio 7.7" in text and '"take": "walk"' in text


def test_without_a_trained_result_it_is_the_baseline(session: Session) -> None:
    take = session.take("walk")
    for name in take.poses3d_runs():
        if name != BASELINE:
            take.layout.poses3d(name).unlink()
    assert run(session, formats=("csv",))["poses"] == BASELINE


def test_a_format_that_cannot_follow_says_so_and_does_not_stop_the_others(session: Session) -> None:
    reporter = RecordingReporter()
    done = run(session, reporter, formats=("netcdf", "json"), units="m", up="y")
    assert len(done["files"]) == 2
    ((note, level),) = reporter.notes
    assert "NetCDF cannot be written in m" in note and "mm with z up" in note and level == "warning"
    with pytest.raises(CoreError, match="NetCDF"):
        run(session, formats=("netcdf",), units="m")


def test_uneven_times_are_told(session: Session) -> None:
    time_s = np.array([0, 1, 2, 3, 4.4, 5.5]) / 25
    poses(time_s).save(session.take("walk").layout.poses3d(BASELINE))
    reporter = RecordingReporter()
    run(session, reporter, poses=BASELINE, formats=("csv",))
    assert "not evenly spaced" in reporter.notes[0][0]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"poses": "none"}, "no 3D poses 'none'.*baseline"),
        ({"formats": ()}, "No format"),
        ({"formats": ("csw",)}, "csv"),
    ],
)
def test_what_is_not_there_is_told(session: Session, params: dict, words: str) -> None:
    with pytest.raises(CoreError, match=words):
        run(session, **params)
    assert list(session.layout.exports.iterdir()) == []


def test_cancelling_stops_between_files(session: Session) -> None:
    with pytest.raises(CancelledError):
        run(session, RecordingReporter(cancel_after=1), formats=("csv", "json"))
    assert [p.suffix for p in session.layout.exports.iterdir() if p.suffix == ".json"] != []
    assert not (session.layout.exports / "walk_20200101-late.json").exists()
