"""Jobs shared by several real processes: the same results, and a common end in any case."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core.config import to_mapping
from core.files import write_yaml
from core.jobs import Failed, Finished, Job, JobSpec, Metric, Noted
from core.jobs.launch import Ranks
from core.pipelines.infer import run_infer
from core.pipelines.params import InferParams, Pose2DParams, TriangulateParams
from core.pipelines.pose2d import run_pose2d
from core.pipelines.triangulate import run_triangulate
from core.pose2d.config import Pose2DConfig
from core.progress import NullReporter
from core.session import Session
from core.training.presets import preset

from ..conftest import first_frames
from . import launching

NAME = "movenet_multipose"
pytestmark = pytest.mark.slow
FAST = Pose2DConfig(provider="cpu")
follow = partial(launching.follow, timeout_s=120.0)


@pytest.fixture(scope="module")
def labelled(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Return the first frames of the sample with 2D poses and the baseline."""
    root = tmp_path_factory.mktemp("together") / "session"
    shutil.copytree(sample_root, root)
    session = first_frames(Session.open(root))
    run_pose2d(session, Pose2DParams(take="two_people", pose2d=FAST), session.new_run("pose2d"), NullReporter())
    run_triangulate(session, TriangulateParams(take="two_people"), session.new_run("triangulate"), NullReporter())
    return session


def training(steps: int) -> dict[str, Any]:
    """Settings with which a training step takes milliseconds."""
    values: dict[str, Any] = to_mapping(preset("quick"))
    values["model"]["heatmap"]["long_side_px"] = 40
    values["model"]["heatmap"]["sigma_px"] = 1.0
    values["model"]["pose"]["voxels"] = 16
    values["split"] |= {"blocks": 1, "guard_s": 0.0}
    for stage in ("pose_synthetic", "ray_refiner", "pose", "finetune"):
        values[stage]["steps"] = 0
    values["root"] |= {"steps": steps, "batch": 2}
    return values | {"start": "", "measure_frames": 1, "device": "cpu"}


def train_job(session: Session, steps: int) -> Job:
    params = {"takes": ["two_people"], "training": training(steps), "processes": 2}
    return Job.start(JobSpec(verb="train", params=params), session.new_run("train").root)


def at_work(folder: Path) -> list[psutil.Process]:
    """Return the processes of the job of a folder."""
    return [p for p in psutil.process_iter(["cmdline"]) if str(folder) in (p.info["cmdline"] or [])]


def gone(folder: Path) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in at_work(folder)):
            return True
        time.sleep(0.05)
    return False


def test_shares_cover_the_work_once() -> None:
    for items in (range(0), range(1), range(7), range(64)):
        for world in (1, 2, 3, 8):
            shares = [Ranks(rank=r, world_size=world).share(items) for r in range(world)]
            assert [i for share in shares for i in share] == list(items)
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_two_processes_train_and_report_it(labelled: Session) -> None:
    job = train_job(labelled, steps=2)
    events = follow(job, lambda _: job.ended)
    assert isinstance(events[-1], Finished), job.log_tail()
    assert events[-1].result["processes"] == 2 and events[-1].result["steps"] == 2
    assert sum(isinstance(e, Noted) and "2 processes together" in e.text for e in events) == 1
    assert gone(job.folder)
    assert (job.folder / "checkpoints" / "best").is_dir()


def test_a_process_that_dies_fails_the_job_with_its_reason(labelled: Session) -> None:
    job = train_job(labelled, steps=100_000)
    follow(job, lambda events: any(isinstance(e, Metric) for e in events))
    both = at_work(job.folder)
    assert len(both) == 2
    second = next(p for p in both if p.ppid() in {other.pid for other in both})
    second.kill()
    events = follow(job, lambda _: job.ended)
    failed = events[-1]
    assert isinstance(failed, Failed) and "Process 2 of 2 ended unexpectedly" in failed.message
    assert "fewer processes" in failed.hint
    assert gone(job.folder)


def test_cancelling_stops_all_processes(labelled: Session) -> None:
    job = train_job(labelled, steps=100_000)
    follow(job, lambda events: any(isinstance(e, Metric) for e in events))
    job.cancel()
    follow(job, lambda _: job.ended)
    assert job.state == "cancelled" and gone(job.folder)
    assert (job.folder / "checkpoints" / "last").is_dir()


def test_no_process_outlives_the_main_one(labelled: Session) -> None:
    job = train_job(labelled, steps=100_000)
    follow(job, lambda events: any(isinstance(e, Metric) for e in events))
    first = next(p for p in at_work(job.folder) if p.ppid() not in {other.pid for other in at_work(job.folder)})
    first.kill()
    assert gone(job.folder)
    follow(job, lambda _: job.ended)
    assert job.state == "lost"


def test_processes_of_one_machine_listen_to_nobody_else(labelled: Session) -> None:
    job = train_job(labelled, steps=100_000)
    follow(job, lambda events: any(isinstance(e, Metric) for e in events))
    both = at_work(job.folder)
    listening = [c.laddr.ip for p in both for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
    assert len(both) == 2 and set(listening) <= {"127.0.0.1", "::1"}, listening
    job.cancel()
    follow(job, lambda _: job.ended)
    assert gone(job.folder)


LAUNCHING = """
import sys, time
from pathlib import Path
from core.jobs.launch import launch
with launch(2, Path(sys.argv[1])):
    print("launched", flush=True)
    time.sleep(600)
"""


def test_a_process_ends_with_its_parent_whatever_it_does(tmp_path: Path, counting_verb: None) -> None:
    run = Session.create(tmp_path / "session").new_run("count")
    JobSpec(verb="count", params={"until": 2, "pause_s": 600.0}).save(run.root)  # busy, and without a connection
    main = subprocess.Popen([sys.executable, "-c", LAUNCHING, str(run.root)])
    while not (run.root / "counter").exists():
        assert main.poll() is None
        time.sleep(0.05)
    (child,) = psutil.Process(main.pid).children()
    main.kill()
    main.wait()
    gone_processes, _ = psutil.wait_procs([child], timeout=20)
    assert gone_processes


def test_2d_and_3d_poses_equal_those_of_one_process(labelled: Session) -> None:
    take = labelled.take("two_people")
    alone = dict(take.poses2d(NAME))
    job = train_job(labelled, steps=1)
    follow(job, lambda _: job.ended)
    (take.layout.poses2d_manifest(NAME)).unlink()
    shared = Job.start(
        JobSpec(
            verb="pose2d",
            params={"take": "two_people", "pose2d": {"provider": "cpu"}, "processes": 2},
        ),
        labelled.new_run("pose2d").root,
    )
    events = follow(shared, lambda _: shared.ended)
    assert isinstance(events[-1], Finished) and not events[-1].result["cached"], shared.log_tail()
    assert (shared.folder / "process-1.log").is_file() and gone(shared.folder)
    for name, pose in take.poses2d(NAME).items():
        assert np.array_equal(pose.xy_px, alone[name].xy_px, equal_nan=True)
    run = labelled.layout.run(job.folder.name)
    run_infer(labelled, InferParams(take="two_people", run=run.name), labelled.new_run("infer"), NullReporter())
    expected = take.poses3d(run.name)
    take.layout.poses3d(run.name).unlink()
    spec = JobSpec(verb="infer", params={"take": "two_people", "run": run.name, "processes": 2})
    again = Job.start(spec, labelled.new_run("infer").root)
    events = follow(again, lambda _: again.ended)
    assert isinstance(events[-1], Finished), again.log_tail()
    found = take.poses3d(run.name)
    assert found.xyz_mm.shape == expected.xyz_mm.shape
    assert np.allclose(found.xyz_mm, expected.xyz_mm, atol=0.5, equal_nan=True)


def test_torchrun_launches_processes_from_the_command_line(labelled: Session) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--{k.replace('_', '-')}={v}" for k, v in {"nproc_per_node": 2, "master_port": port}.items()]
    config, before = labelled.root / "training.yaml", set(labelled.layout.runs.iterdir())
    write_yaml(config, {"takes": ["two_people"], "training": training(2)})
    command = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "core.cli", "train", str(labelled.root)]
    ended = subprocess.run([*command, "--config", str(config)], capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (folder,) = set(labelled.layout.runs.iterdir()) - before
    events = Job(folder).poll()
    assert isinstance(events[-1], Finished) and events[-1].result["processes"] == 2
