"""Results of a former calibration: marked, refused, and made again by one verb."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walking import store_poses2d, walking_session

from core.calibration.world import rotate_quarters
from core.cli import main
from core.errors import CancelledError, CoreError
from core.files import read_json, write_yaml
from core.geometry.so3 import exp
from core.pipelines.params import TrainParams
from core.pipelines.rig.adopt import move_world, use_calibration
from core.pipelines.train import run_train
from core.pipelines.verbs import verb
from core.progress import RecordingReporter
from core.session import BASELINE, Session
from core.session.calibrations import kept_calibrations
from core.session.inputs import outdated_training, save_training_inputs, world_of_training
from core.session.moving import replace_rig
from core.session.status import session_status
from core.session.volume import active_volume
from core.types import CameraRig
from tests.tiny_training import tiny_training


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = walking_session(tmp_path / "s")
    run(session, "evaluate", take="walk")
    run(session, "export", take="walk", formats=["json"])
    return session


def run(session: Session, name: str, reporter: RecordingReporter | None = None, **params: Any) -> dict[str, Any]:
    return verb(name)(session, params, session.new_run(name), reporter or RecordingReporter())


def repair(session: Session) -> None:
    """Turn one camera by a degree."""
    rig = session.require_rig()
    first = rig[0].replace(R=exp(np.array([0.0, 0.017, 0.0])) @ rig[0].pose[0])
    replace_rig(session, dataclasses.replace(rig, cameras=(first, *rig.cameras[1:])), {"findings": []})


def states(session: Session) -> dict[str, str]:
    return {step: s.state for step, s in session_status(session).steps.items()}


def test_everything_that_depends_on_the_rig_is_marked_and_refused_until_updated(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {"triangulate": "done", "evaluate": "done", "export": "done"}
    assert states(session).items() >= expected.items()
    repair(session)
    assert states(session).items() >= dict.fromkeys(expected, "outdated").items()
    assert main(["status", str(session.root)]) == 0
    shown = capsys.readouterr().out
    assert "outdated" in shown and "selfpose update" in shown
    for name, params in (("evaluate", {"take": "walk"}), ("train", {"takes": ["walk"]}), ("export", {"take": "walk"})):
        with pytest.raises(CoreError, match="baseline of take walk is out of date") as caught:
            run(session, name, **params)
        assert "'update'" in caught.value.hint
    assert "--poses baseline" in caught.value.hint
    reporter = RecordingReporter()
    run(session, "export", reporter, take="walk", poses=BASELINE, formats=["json"])
    assert any(level == "warning" and "calibration has changed" in text for text, level in reporter.notes)

    result = run(session, "update", takes=["walk"])
    assert result == {"updated": {"walk": [BASELINE, "evaluation"]}, "left": []}
    assert states(session).items() >= (expected | {"export": "outdated"}).items()
    run(session, "export", take="walk", formats=["json"])
    assert states(session).items() >= expected.items()
    assert run(session, "update", takes=["walk"])["updated"] == {}


def test_people_of_a_former_calibration_do_not_place_the_volume_or_the_floor(session: Session) -> None:
    assert active_volume(session, ["walk"], 100.0).origin == "people"
    repair(session)
    assert active_volume(session, ["walk"], 100.0).origin == "rig"
    with pytest.raises(CoreError, match="out of date"):
        run(session, "set-world", feet_take="walk")


def test_other_2d_poses_are_marked_too(session: Session) -> None:
    store_poses2d(session.take("walk"), session.require_rig(), 2)
    assert states(session)["triangulate"] == "outdated"
    assert run(session, "update", takes=["walk"])["updated"] == {"walk": [BASELINE, "evaluation"]}
    store_poses2d(session.take("walk"), session.require_rig(), 3)
    session.take("walk").layout.poses2d_manifest("made").unlink()
    left = run(session, "update", takes=["walk"])["left"]
    assert left == ["walk: the 2D poses of made no longer exist; baseline stays out of date."]


def test_a_change_of_coordinates_leaves_the_metrics_up_to_date(session: Session) -> None:
    before = read_json(session.take("walk").layout.report)
    move_world(session, rotate_quarters("z", 1), "Rotated.")
    after = read_json(session.take("walk").layout.report)
    assert states(session).items() >= {"triangulate": "done", "evaluate": "done", "export": "outdated"}.items()
    assert {k: v for k, v in after.items() if k != "inputs"} == {k: v for k, v in before.items() if k != "inputs"}
    use_calibration(session, next(k.name for k in kept_calibrations(session) if not k.in_use))
    assert states(session)["export"] == "done"  # the files hold these coordinates
    again = read_json(session.take("walk").layout.report)["methods"]
    run(session, "evaluate", take="walk")
    now = read_json(session.take("walk").layout.report)["methods"]
    assert now["baseline"]["loco_px_median"] == pytest.approx(again["baseline"]["loco_px_median"], abs=0.01)
    assert now["baseline"]["reprojection_px_median"] == pytest.approx(
        again["baseline"]["reprojection_px_median"], abs=1e-3
    )


def test_a_second_look_of_another_rig_is_marked(session: Session) -> None:
    take = session.take("walk")
    second_look = {"request": {"rig": session.rig_for(take).digest}}
    write_yaml(take.layout.poses2d_manifest("made"), {"second_look": second_look})
    for file in take.layout.poses2d("made").glob("*.npz"):
        take.layout.second_look("made").mkdir(exist_ok=True)
        (take.layout.second_look("made") / file.name).write_bytes(file.read_bytes())
    assert states(session)["pose2d"] == "done"
    repair(session)
    assert states(session)["pose2d"] == "outdated"


def test_networks_know_their_rig_and_2d_poses(session: Session) -> None:
    take, model = session.take("walk"), session.new_run("train")
    rig = session.rig_for_all([take])
    save_training_inputs(model, [take], "made", rig)
    assert outdated_training(session, model) == () and world_of_training(session, model) is None
    change = rotate_quarters("x", 1)
    move_world(session, change, "Rotated.")
    assert outdated_training(session, model) == ()
    world = world_of_training(session, model)
    assert world is not None
    assert world.points(change.points(np.eye(3))) == pytest.approx(np.eye(3), abs=1e-6)
    store_poses2d(take, rig, 2)
    assert "2D poses" in outdated_training(session, model)[0]
    repair(session)
    assert "calibration" in outdated_training(session, model)[0]
    CameraRig(cameras=session.require_rig().cameras[1:]).save(session.layout.rig)
    assert "calibration" in outdated_training(session, model)[0]


def test_calibrations_are_listed_and_used_on_the_command_line(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["calibrations", str(session.root)]) == 0
    assert "keeps no calibration" in capsys.readouterr().out  # its rig was put there by hand
    before = session.require_rig().digest
    repair(session)
    assert main(["calibrations", str(session.root)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert len(lines) == 2 and sum("│ *" in line for line in lines) == 1
    name = next(line for line in lines if "│ *" not in line).split("│")[2].strip()
    assert main(["calibrations", str(session.root), "--use", name]) == 0
    assert session.require_rig().digest == before
    assert states(session)["triangulate"] == "done"
    assert main(["calibrations", str(session.root), "--use", "nowhere"]) == 1
    assert "lists them" in capsys.readouterr().err


def test_a_result_carries_the_rig_that_made_it_though_another_came_meanwhile(session: Session) -> None:
    class Meanwhile(RecordingReporter):
        """Reporter during whose first report the rig is repaired."""

        def progress(self, done: float, total: float, text: str = "") -> None:
            if not self.progresses:
                repair(session)
            super().progress(done, total, text)

    run(session, "triangulate", Meanwhile(), take="walk")
    assert states(session)["triangulate"] == "outdated"


@pytest.mark.slow
def test_a_training_resumes_in_its_own_world_coordinates_and_refuses_another_rig(session: Session) -> None:
    class Stops(RecordingReporter):
        """Reporter that cancels at the first metric of the training."""

        def cancelled(self) -> bool:
            return bool(self.metrics)

    params = TrainParams(takes=("walk",), training=tiny_training())
    model = session.new_run("train")
    with pytest.raises(CancelledError):
        run_train(session, params, model, Stops())
    before = CameraRig.load(model.rig).digest
    former = move_world(session, rotate_quarters("z", 1), "Rotated.")
    run_train(session, params, model, RecordingReporter())
    assert CameraRig.load(model.rig).digest == before
    assert outdated_training(session, model) == ()
    repair(session)
    run(session, "update", takes=["walk"])
    with pytest.raises(CoreError, match="cannot be resumed") as caught:
        run_train(session, params, model, RecordingReporter())
    assert "'calibrations'" in caught.value.hint
    use_calibration(session, former.kept.name)
    assert outdated_training(session, model) == ()
