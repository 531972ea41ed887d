"""Verb `run` on a few frames of real footage, with networks small enough to train in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.cli import main
from core.errors import CancelledError
from core.files import read_json, read_yaml
from core.models.checkpoint import Checkpoint
from core.pipelines.params import RunParams
from core.pipelines.run import run_pipeline
from core.progress import RecordingReporter
from core.session import BASELINE, Session
from core.session.naming import body_result
from core.session.status import trained_runs
from core.session.volume import set_volume
from core.training import presets
from core.training.held_out_frame import HeldOutFrame
from core.types import VolumeSettings
from tests.tiny_training import tiny_training

FRAMES = 6


@pytest.fixture
def session(short_session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session with a few frames of the sample, and a preset that trains in seconds."""
    monkeypatch.setitem(presets.PRESETS, "tiny", tiny_training)
    return short_session


class StopsInTraining(RecordingReporter):
    """Reporter that cancels at the first metric of the training."""

    def cancelled(self) -> bool:
        return bool(self.metrics)


@pytest.mark.slow
def test_all_steps_run_and_finished_training_is_reused(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = StopsInTraining()
    with pytest.raises(CancelledError):
        run_pipeline(session, RunParams(take="two_people", preset="tiny"), session.new_run("run"), stopped)
    shares = [done for done, total, _ in stopped.progresses if total == 1.0]
    assert shares == sorted(shares), "total progress never decreases"

    command = ["run", str(session.root), "--preset", "tiny", "--formats", "json", "csv"]
    assert main(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    take = session.take("two_people")
    report = read_json(take.layout.report)
    (model,) = trained_runs(session)
    assert model.name.endswith("-run-train"), "the interrupted training resumed in its folder"
    assert read_json(model.report) == report
    assert {"baseline", "rts", "trained", "baseline_body", "trained_body"} == set(report["methods"])
    assert report["verdict"] in printed and str(take.layout.report) in printed
    results = {BASELINE, model.name}
    assert set(take.poses3d_runs()) == results | {body_result(name) for name in results}
    assert set(take.bodies_runs()) == results and set(report["bodies"]) == {"baseline", "trained"}
    exported = sorted(p.name for p in session.layout.exports.iterdir())
    assert "two_people_baseline.json" in exported and "two_people_baseline.csv" in exported
    assert take.poses3d(BASELINE).present.any(), "the footage shows people"

    held_out = HeldOutFrame.load(model.held_out_frame)
    assert held_out.predicted is not None and held_out.step == 6, "each validation rewrites it"
    camera = take.camera(held_out.camera)
    shown = np.stack(held_out.triangulated)
    inside = (np.nan_to_num(shown, nan=-1.0) >= 0) & (shown < camera.size_px)
    assert inside.all(-1).mean() > 0.5 and 0 <= held_out.image < FRAMES

    weights = next(Path(model.checkpoints).rglob("*.safetensors"))
    before = weights.stat().st_mtime_ns
    assert main(command) == 0
    assert "was trained with the same settings" in capsys.readouterr().err
    assert weights.stat().st_mtime_ns == before and trained_runs(session) == [model]

    before = Checkpoint.load(model.checkpoints / "best").volume
    set_volume(session, VolumeSettings(centre_mm=(-900, 0, 900), size_mm=(4800, 3200, 2400)), 400.0)
    assert main(command) == 0
    other = next(run for run in trained_runs(session) if run != model)
    volume = Checkpoint.load(other.checkpoints / "best").volume
    assert volume.size_mm.tolist() == [4800, 3200, 2400], "another capture volume needs another training"
    assert before.to_mapping() != volume.to_mapping()
    assert read_yaml(other.config)["training"]["volume_mm"] == [-3300, -1600, -300, 1500, 1600, 2100]
