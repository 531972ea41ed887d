"""Verb `fit-body`: bodies of a take, their joints as a result, and what becomes of both when their inputs change."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "session"))

from walking import store_poses2d, triangulate, walking_session

from core.body.models.free import free_body
from core.body.people import fit_people
from core.body.sequence import BodyMotion
from core.calibration.world import rotate_quarters
from core.errors import CancelledError, CoreError
from core.evaluation.choice import choose_result
from core.files import read_json, write_json
from core.geometry.similarity import Similarity
from core.geometry.so3 import exp
from core.pipelines.rig.adopt import move_world
from core.pipelines.verbs import verb
from core.progress import RecordingReporter
from core.session import BASELINE, Session
from core.session.inputs import outdated_bodies, outdated_evaluation, outdated_result
from core.session.naming import body_result, files_of_result, fitted_result, result_slug
from core.session.status import take_status
from core.types.skeleton import SHELF14

BODY = body_result(BASELINE)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return walking_session(tmp_path / "s")


def run(session: Session, name: str, reporter: RecordingReporter | None = None, **params: Any) -> dict[str, Any]:
    return verb(name)(session, params, session.new_run(name), reporter or RecordingReporter())


def joints(session: Session) -> np.ndarray:
    return BodyMotion.of(free_body(), session.take("walk").bodies(BASELINE)).joints_mm(0, slice(None))


def test_bodies_and_their_joints_are_stored_and_known_to_be_out_of_date(session: Session) -> None:
    take = session.take("walk")
    assert take_status(session, take)["fit-body"].state == "ready"
    result = run(session, "fit-body", take="walk")
    poses, bodies = take.poses3d(BASELINE), take.bodies(BASELINE)
    assert result["result"] == BODY and result["person_ids"] == list(poses.person_ids) == list(bodies.person_ids)
    gap = np.linalg.norm(take.poses3d(BODY).xyz_mm - poses.xyz_mm, axis=-1)
    assert np.nanmedian(gap) < 25 and np.isfinite(gap).mean() > 0.9
    assert 700 < joints(session)[:, 0, 2].mean() < 1100, "the pelvis is above the floor"
    assert take_status(session, take)["fit-body"].state == "done"
    with pytest.raises(CoreError, match="already are the joints of bodies"):
        run(session, "fit-body", take="walk", poses=BODY)

    store_poses2d(take, session.require_rig(), 2)
    triangulate(session)
    assert "have changed since bodies were fitted" in outdated_bodies(take, BASELINE)
    assert take_status(session, take)["fit-body"].state == "outdated"
    assert BODY in run(session, "update", takes=["walk"])["updated"]["walk"]
    assert (outdated_bodies(take, BASELINE), outdated_result(session, take, BODY)) == ("", ())


def test_bodies_that_were_not_evaluated_leave_the_metrics_up_to_date(session: Session) -> None:
    take = session.take("walk")
    run(session, "evaluate", take="walk")
    run(session, "fit-body", take="walk")
    assert outdated_evaluation(session, take) == ""
    run(session, "evaluate", take="walk")
    assert outdated_evaluation(session, take) == ""
    run(session, "fit-body", take="walk", people=take.poses3d(BASELINE).person_ids[:1])
    assert outdated_evaluation(session, take), "these joints of bodies are in the report"


def test_a_cancelled_fit_changes_nothing(session: Session) -> None:
    with pytest.raises(CancelledError):
        run(session, "fit-body", RecordingReporter(cancel_after=1), take="walk")
    assert session.take("walk").poses3d_runs() == [BASELINE] and session.take("walk").bodies_runs() == []


def test_bodies_move_with_the_world_but_keep_their_size(session: Session) -> None:
    run(session, "fit-body", take="walk")
    take, before = session.take("walk"), joints(session)
    turned = Similarity(R=exp(np.array([0.1, -0.2, 0.9])), origin_mm=np.array([120.0, 80.0, -210.0]))
    for change in (rotate_quarters("z", 1), turned):
        expected = change.points(joints(session))
        assert not move_world(session, change, "Changed.").bodies_outdated
        np.testing.assert_allclose(joints(session), expected, atol=2e-3)
        assert (outdated_bodies(take, BASELINE), outdated_result(session, take, BODY)) == ("", ())
    assert not np.allclose(joints(session), before)
    assert move_world(session, Similarity(scale=1.2), "Scaled.").bodies_outdated
    assert "scale of take walk has changed" in outdated_bodies(take, BASELINE)
    assert run(session, "update", takes=["walk"])["updated"] == {"walk": [BODY]}
    assert outdated_bodies(take, BASELINE) == ""


def test_the_evaluation_decides_whether_the_joints_of_bodies_are_used(session: Session) -> None:
    take = session.take("walk")
    run(session, "fit-body", take="walk")
    assert choose_result(session, take).name == BASELINE
    report = run(session, "evaluate", take="walk")
    compared = report["bodies"][BASELINE]
    assert (compared["first"], compared["second"]) == ("baseline_body", BASELINE)
    assert report["methods"]["baseline_body"]["covered"] > 0.9
    for better, name in (("", BASELINE), ("baseline", BASELINE), ("baseline_body", BODY)):
        report = read_json(take.layout.report)
        report["bodies"][BASELINE]["better"] = better
        write_json(take.layout.report, report)
        assert choose_result(session, take).name == name
    triangulate(session)
    assert choose_result(session, take).name == BASELINE, "what is out of date is not used"


def test_files_and_names_go_together(session: Session) -> None:
    run(session, "fit-body", take="walk")
    take = session.take("walk")
    bodies, source, own = take.layout.bodies(BASELINE), take.layout.poses3d(BASELINE), take.layout.poses3d(BODY)
    assert set(files_of_result(take, BASELINE)) == {bodies, source, own}
    assert set(files_of_result(take, BODY)) == {bodies, own}
    assert fitted_result(BODY) == BASELINE and fitted_result(BASELINE) == ""
    assert result_slug("20261130-140300-train-body") == "trained_20261130-140300-body"


def test_absent_people_have_no_bodies_and_few_joints_are_named(session: Session) -> None:
    poses = session.take("walk").poses3d(BASELINE)
    T = 60
    xyz = np.repeat(poses.xyz_mm[:1, :1], T, axis=0)
    xyz = np.concatenate([xyz, np.full_like(xyz, np.nan)], axis=1)
    wrist = poses.skeleton.index("left_wrist")
    xyz[20:40, 0] = np.nan  # gone for longer than is bridged
    xyz[50:53, 0] = np.nan  # and for three frames
    xyz[:10, 0, wrist] = np.nan
    xyz[5, 1, :3] = 1000.0
    poses = dataclasses.replace(
        poses,
        time_s=np.arange(T) / 30,
        xyz_mm=xyz,
        score=np.isfinite(xyz[..., 0]).astype(float),
        person_ids=(4, 7),
        covariance_mm2=None,
    )
    fitted = fit_people(free_body(), poses)
    here = np.ones(T, bool)
    here[20:40] = False
    assert fitted.bodies.person_ids == (4, 7)
    np.testing.assert_array_equal(fitted.bodies.present, np.stack([here, np.zeros(T, bool)], axis=1))
    np.testing.assert_array_equal(np.isfinite(fitted.poses.xyz_mm[:, 0, wrist, 0]), here & (np.arange(T) >= 10))
    assert (np.isfinite(fitted.poses.xyz_mm[..., 0]) == (fitted.poses.score > 0)).all()
    assert list(fitted.left_out) == [7] and "Too few joints" in fitted.left_out[7]
    with pytest.raises(CoreError, match="no person 9"):
        fit_people(free_body(), poses, people=(9,))
    shelf = dataclasses.replace(poses, skeleton=SHELF14, xyz_mm=xyz[:, :, :14], score=poses.score[:, :, :14])
    assert fit_people(free_body(), shelf, people=(7,)).missing == ("head_bottom", "head_top")
