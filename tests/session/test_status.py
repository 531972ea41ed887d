"""State of the steps of a session and of a take, computed from the files on disk."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from videos import write_video

from core.files import write_json, write_yaml
from core.jobs import Cancelled, Event, Failed, Finished, JobSpec, Progressed, Started
from core.jobs.events import encode
from core.progress import NullReporter
from core.session import BASELINE, RunLayout, Session, Take
from core.session.exports.manifest import finish_export
from core.session.ingest import ingest_videos
from core.session.status import STEPS, run_outcome, session_status, take_status, trained_runs
from core.synthetic.rigs import ring_rig
from core.types import PANOPTIC15, Pose3DSequence


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


def give_rig(session: Session, n: int = 2) -> None:
    ring_rig(n, size_px=(192, 64)).save(session.layout.rig)


def give_take(session: Session, tmp_path: Path, name: str) -> Take:
    names = session.rig.names if session.rig else ("a", "b")
    videos = [write_video(tmp_path / "videos" / f"{n}.mp4", n=3) for n in names]
    return ingest_videos(session, videos, name=name, reporter=NullReporter())


def label(take: Take, estimator: str = "movenet") -> None:
    write_yaml(take.layout.poses2d_manifest(estimator), {})


def give_poses(take: Take, run: str) -> None:
    sequence = Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=np.arange(3.0),
        xyz_mm=np.zeros((3, 1, 15, 3)),
        score=np.ones((3, 1, 15)),
        person_ids=(0,),
    )
    sequence.save(take.layout.poses3d(run))


def give_run(session: Session, *events: Event, verb: str = "train", checkpoints: bool = True) -> RunLayout:
    run = session.new_run(verb)
    JobSpec(verb=verb).save(run.root)
    run.events.write_text("".join(f"{encode(e)}\n" for e in events))
    if checkpoints:
        (run.checkpoints / "best").mkdir(parents=True)
    return run


STARTED, DONE = Started(verb="train", pid=1), Finished()


def states(session: Session) -> dict[str, str]:
    return {step: s.state for step, s in session_status(session).steps.items()}


def test_new_session_needs_rig_and_take(session: Session) -> None:
    status = session_status(session)
    assert tuple(status.steps) == STEPS
    assert states(session) == dict.fromkeys(STEPS, "blocked") | {"rig": "ready", "take": "ready"}
    assert status.next is not None and status.next.step == "rig"
    assert all(s.reason.endswith(".") for s in status.steps.values())


@pytest.mark.slow
def test_all_steps_in_order(session: Session, tmp_path: Path) -> None:
    give_rig(session)
    assert states(session)["rig"] == "done"
    take = give_take(session, tmp_path, "walk")
    assert states(session) == dict.fromkeys(STEPS, "blocked") | {"rig": "done", "take": "done", "pose2d": "ready"}
    assert session_status(session)["triangulate"].reason == "Estimate 2D poses first."
    label(take)
    expected = {"pose2d": "done", "triangulate": "ready", "train": "ready", "infer": "ready"}
    assert states(session).items() >= expected.items()
    assert "shipped networks, or train first" in session_status(session)["infer"].reason
    give_poses(take, BASELINE)
    expected = {"triangulate": "done", "evaluate": "ready", "export": "ready"}
    assert states(session).items() >= expected.items()
    run = give_run(session, STARTED, DONE)
    assert states(session).items() >= {"train": "done", "infer": "ready"}.items()
    assert run.name in session_status(session)["infer"].reason
    give_poses(take, run.name)
    assert states(session)["infer"] == "done"
    write_json(take.layout.report, {})
    assert states(session)["evaluate"] == "done"
    exported = session.layout.exports / f"walk_{BASELINE}.c3d"
    exported.touch()
    assert states(session)["export"] == "ready", "without its manifest, an export was killed"
    finish_export(session.layout.exports, "walk", BASELINE, "", [exported])
    assert states(session) == dict.fromkeys(STEPS, "done") | {"fit-body": "ready"}, "bodies are optional"
    assert session_status(session).next is None
    own = {s: v.state for s, v in take_status(session, take).steps.items()}
    assert own == dict.fromkeys(STEPS, "done") | {"fit-body": "ready"}


def test_metrics_older_than_a_result_are_to_be_computed_again(session: Session, tmp_path: Path) -> None:
    give_rig(session)
    take = give_take(session, tmp_path, "walk")
    label(take)
    write_json(take.layout.report, {})
    os.utime(take.layout.report, (time.time() - 60, time.time() - 60))
    give_poses(take, BASELINE)
    assert states(session)["evaluate"] == "outdated"


def test_a_second_take_makes_the_steps_ready_again_and_is_named(session: Session, tmp_path: Path) -> None:
    give_rig(session)
    first = give_take(session, tmp_path, "a")
    label(first)
    second = give_take(session, tmp_path, "b")
    status = session_status(session)
    assert status["pose2d"].state == "ready"
    assert status["pose2d"].reason.startswith("b: ")
    assert status["train"].state == "ready"
    assert take_status(session, first)["pose2d"].state == "done"
    assert take_status(session, second)["train"].state == "blocked"


def test_a_take_of_other_cameras_gives_the_reason_why_3d_is_blocked(session: Session, tmp_path: Path) -> None:
    take = give_take(session, tmp_path, "early")
    give_rig(session)
    label(take)
    status = session_status(session)
    assert status["triangulate"].state == "blocked"
    assert "is not in the rig" in status["triangulate"].reason
    assert status["pose2d"].state == "done"


def test_damaged_files_are_reported_and_do_not_block_the_rest(session: Session, tmp_path: Path) -> None:
    take = give_take(session, tmp_path, "walk")
    session.layout.rig.write_text("no toml [")
    assert "damaged" in session_status(session)["rig"].reason
    take.layout.manifest.write_text("name: 7\n")
    status = session_status(session)
    assert "cannot be read" in status["take"].reason
    assert status["pose2d"].state == "blocked"


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        ((STARTED, DONE), True),
        ((STARTED, Failed(message="m", hint="h")), False),
        ((STARTED, Cancelled()), False),
        ((STARTED, Progressed(done=1, total=2)), False),
        ((STARTED, DONE, STARTED), False),
        ((STARTED, Cancelled(), STARTED, DONE), True),
        ((), False),
    ],
)
def test_only_finished_training_with_checkpoints_counts(
    session: Session, events: tuple[Event, ...], counts: bool
) -> None:
    run = give_run(session, *events)
    assert trained_runs(session) == ([run] if counts else [])


def test_other_runs_are_no_models(session: Session) -> None:
    give_run(session, STARTED, DONE, checkpoints=False)
    give_run(session, STARTED, DONE, verb="pose2d")
    damaged = give_run(session, STARTED, DONE)
    damaged.job.write_text("{")
    first, second = (give_run(session, STARTED, DONE) for _ in range(2))
    assert trained_runs(session) == [first, second]


def test_outcome_is_found_after_truncated_lines_and_in_long_files(session: Session) -> None:
    run = give_run(session)
    assert run_outcome(RunLayout(session.root / "nowhere")) is None
    with run.events.open("w") as file:
        for i in range(3000):
            file.write(encode(Progressed(done=i, total=3000, text="long")) + "\n")
        file.write(encode(DONE)[:20] + "\n")
        file.write(encode(Finished(result={"px": 1.5})) + "\n")
    outcome = run_outcome(run)
    assert isinstance(outcome, Finished) and outcome.result == {"px": 1.5}
