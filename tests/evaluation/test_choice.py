"""The result that is shown and exported by default is the better one as far as the program knows."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "session"))

from walking import triangulate, walking_session

from core.calibration.world import rotate_quarters
from core.evaluation.choice import choose_result, measured
from core.files import write_json
from core.pipelines.export import run_export
from core.pipelines.params import ExportParams
from core.pipelines.rig.adopt import move_world
from core.progress import RecordingReporter
from core.session import BASELINE, Session
from core.session.inputs import evaluation_inputs, result_id

RUN = "20261126-120000-train"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = walking_session(tmp_path / "s")
    give_result(session, RUN)
    return session


def give_result(session: Session, name: str) -> None:
    """Store a result as networks would: the baseline, with another provenance."""
    take = session.take("walk")
    poses = take.poses3d(BASELINE)
    provenance = {**poses.provenance, "made": f"by {name}"}
    dataclasses.replace(poses, provenance=provenance).save(take.layout.poses3d(name))


def give_report(session: Session, name: str, better: str | None, error: float = 1.0, path: Path | None = None) -> None:
    """Store the report of an evaluation; `better` None is that of two cameras."""
    take = session.take("walk")
    report: dict[str, Any] = {
        "take": "walk",
        "methods": {"baseline": {}, "trained": {"run": name, "loco_percent_height_all": error}},
        "inputs": evaluation_inputs(take, "made", session.rig_for(take), (BASELINE, name)),
    }
    if better is not None:
        report["comparison"] = {"first": "trained", "second": "baseline", "better": better}
    write_json(path or take.layout.report, report)


def chosen(session: Session) -> tuple[str, str]:
    choice = choose_result(session, session.take("walk"))
    return choice.name, " ".join(choice.notes)


def test_a_result_that_was_never_measured_is_not_taken_and_named(session: Session) -> None:
    name, notes = chosen(session)
    assert name == BASELINE
    assert notes.endswith(f"no other result is known to be better. '{RUN}' has not been evaluated on this take.")


@pytest.mark.parametrize(
    ("better", "name", "words"),
    [
        ("trained", RUN, "found them better"),
        ("baseline", BASELINE, "was not found better"),
        ("rts", BASELINE, "was not found better"),
        ("", BASELINE, "was not found better"),
        (None, BASELINE, "could not be compared"),
    ],
)
def test_the_evaluation_decides(session: Session, better: str | None, name: str, words: str) -> None:
    give_report(session, RUN, better)
    found, notes = chosen(session)
    assert found == name
    assert words in notes


def test_a_report_on_former_poses_or_another_take_decides_nothing(session: Session) -> None:
    give_report(session, RUN, "trained")
    triangulate(session)
    assert chosen(session)[0] == BASELINE
    give_report(session, RUN, "trained")
    assert chosen(session)[0] == RUN
    before = result_id(session.take("walk"), RUN)
    dataclasses.replace(session.take("walk").poses3d(RUN), provenance={"made": "again"}).save(
        session.take("walk").layout.poses3d(RUN)
    )
    assert result_id(session.take("walk"), RUN) != before
    assert measured(session, session.take("walk"), RUN) == "no"
    write_json(session.take("walk").layout.report, {"methods": {"trained": {"run": RUN}}, "take": "walk"})
    assert chosen(session)[0] == BASELINE
    session.take("walk").layout.report.write_text("{")
    assert chosen(session)[0] == BASELINE


def test_a_change_of_coordinates_keeps_the_choice(session: Session) -> None:
    give_report(session, RUN, "trained")
    move_world(session, rotate_quarters("z", 1), "Rotated.")
    assert chosen(session)[0] == RUN


def test_the_best_of_several_better_results_is_taken(session: Session) -> None:
    give_result(session, "fast")
    give_report(session, RUN, "trained", 3.0, session.layout.run(RUN).report)
    give_report(session, "fast", "trained", 2.0)
    assert chosen(session)[0] == "fast"
    give_report(session, "fast", "baseline", 2.0)
    assert chosen(session)[0] == RUN


def test_without_a_baseline_the_newest_result_is_taken_and_named(session: Session) -> None:
    session.take("walk").layout.poses3d(BASELINE).unlink()
    assert chosen(session) == (RUN, f"'{RUN}' has not been evaluated on this take.")
    session.take("walk").layout.poses3d(RUN).unlink()
    assert chosen(session) == ("", "")


def test_the_export_says_what_it_takes(session: Session) -> None:
    reporter = RecordingReporter()
    params = ExportParams(take="walk", formats=("json",))
    assert run_export(session, params, session.new_run("export"), reporter)["poses"] == BASELINE
    assert any("has not been evaluated" in str(note) for note in reporter.notes)
    give_report(session, RUN, "trained")
    assert run_export(session, params, session.new_run("export"), RecordingReporter())["poses"] == RUN
