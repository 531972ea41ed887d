"""Tests of the Train page: its steps, plots, and what an evaluation found."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel
from rich.console import Console

from core.cli.terminal import print_report
from core.errors import CoreError
from core.files import write_yaml
from core.jobs import Finished, JobSpec, Metric, Started
from core.jobs.events import encode
from core.session import Session
from core.training.config import TrainConfig
from core.training.held_out_frame import HeldOutFrame
from core.training.presets import CARDS, PRESETS
from core.types.skeleton import PANOPTIC15
from studio.main_window import MainWindow
from studio.pages.train import presenter as train
from studio.pages.train.comparison import load_comparison
from studio.pages.train.consent_dialog import ConsentDialog
from studio.pages.train.plots import PLOTS
from studio.pages.view.evaluation.summary import evaluation_summary
from studio.pages.view.presenter import result_title
from studio.plots.found_plot import FoundPlot
from studio.state.steps import take_steps

_REPORT = {
    "take": "two_people",
    "frames": 100,
    "held_out_frames": 20,
    "people_per_frame": {"2": 100},
    "methods": {
        "baseline": {
            "label": "Triangulation, no training",
            "covered": 0.92,
            "loco_px_median": 25.0,
            "loco_px_mean": 30.0,
            "loco_percent_height": 4.0,
            "observations": 1702,
            "reprojection_px_median": 8.6,
            "people_per_frame": {"2": 97, "3": 3},
            "frames_with_two_or_more": 100,
            "identity_switches": 1,
        },
        "trained": {
            "label": "Trained",
            "covered": 0.08,
            "loco_px_median": 20.0,
            "loco_px_mean": 31.0,
            "loco_percent_height": 3.2,
            "observations": 1700,
            "reprojection_px_median": 9.0,
            "people_per_frame": {"2": 100},
            "frames_with_two_or_more": 100,
            "identity_switches": 0,
        },
    },
    "found_curves": {"percent_height": [0, 10, 20], "found": {"baseline": [0, 0.7, 0.9], "trained": [0, 0.08, 0.08]}},
    "verdict": "The trained network is better.",
}


def _click(qtbot, widget) -> None:
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def _session(window: MainWindow) -> Session:
    assert window.state.session is not None
    return window.state.session


def test_infer_uses_shipped_networks_where_none_were_trained() -> None:
    def model(networks: str, trained: bool) -> str:
        params = train.step_params(
            "infer", "walk", (), "movenet_multipose", "quick", networks=networks, trained=trained
        )
        return str(params.model)

    assert [model("", False), model("", True), model("quick", True)] == ["fast", "", "quick"]
    assert set(train.NETWORKS) == {"", "quick", "fast"}
    assert result_title("fast") == "Shipped Fast"


@pytest.mark.slow
def test_blocked_steps_show_the_reason(opened: MainWindow) -> None:
    opened.show_page("train")
    page = opened.pages["train"]
    assert page.steps["pose2d"].push.isEnabled()
    for name in ("triangulate", "train", "infer", "evaluate"):
        step = page.steps[name]
        assert not step.push.isEnabled()
        assert step.push.toolTip() == step.reason.text() != ""
        assert step.reason.isVisible()
    assert page.run_all.push.isEnabled()
    _session(opened).layout.rig.unlink()
    opened.state.refresh()
    assert page.run_all.reason == "Calibrate first."


@pytest.mark.slow
def test_2d_poses_of_another_estimator_do_not_count(opened: MainWindow) -> None:
    take = opened.state.take
    assert take is not None
    folder = take.layout.poses2d_manifest("movenet_multipose")
    folder.parent.mkdir(parents=True)
    folder.write_text("x: 1\n", encoding="utf-8")
    rows = {r.step.name: r for r in train.step_rows(take_steps(opened.state), opened.state.jobs, take, "rtmo_m")}
    assert rows["pose2d"].state == "ready"
    assert "selected 2D estimator" in rows["triangulate"].blocked
    rows = {
        r.step.name: r for r in train.step_rows(take_steps(opened.state), opened.state.jobs, take, "movenet_multipose")
    }
    assert rows["pose2d"].state == "done"
    assert not rows["triangulate"].blocked


@pytest.mark.slow
def test_a_missing_model_needs_consent_first(opened: MainWindow, qtbot) -> None:
    opened.show_page("train")
    page = opened.pages["train"]
    page.estimator.setCurrentIndex(page.estimator.findData("rtmo_m"))
    assert "Run 2D poses first" in page.run_all.reason
    _click(qtbot, page.steps["pose2d"].push)
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ConsentDialog) and w.isVisible())
    words = " ".join(label.text() for label in dialog.findChildren(QLabel))
    assert "Apache-2.0" in words
    assert "download.openmmlab.com" in words
    dialog.reject()
    assert not opened.state.jobs.jobs


@pytest.mark.slow
def test_the_2d_input_size_is_shown_and_can_be_set(opened: MainWindow) -> None:
    opened.show_page("train")
    page, take = opened.pages["train"], opened.state.take
    assert take is not None
    assert not page.input_chosen.isVisible()
    manifest = {"input": {"long_side_px": 1024, "person_px": 43.0}, "request": {"config": {"long_side_px": 1024}}}
    write_yaml(take.layout.poses2d_manifest("movenet_multipose"), manifest)
    opened.state.refresh()
    assert "1024 px, since people are only 43 px tall" in page.input_chosen.text()
    write_yaml(take.layout.poses2d_manifest("movenet_multipose"), {**manifest, "input": None})
    opened.state.refresh()
    assert page.input_chosen.text() == "These 2D poses were made with images scaled to 1024 px."
    write_yaml(
        take.layout.poses2d_manifest("movenet_multipose"), {**manifest, "second_look": {"moved": 1234, "added": 5}}
    )
    assert "A second look refined 1,234 joints" in train.input_text(take, "movenet_multipose")
    settings = train.step_params("pose2d", take.name, (), "movenet_multipose", "quick")
    assert settings.pose2d.long_side_px == 0
    started: list[object] = []
    page._start = lambda verb, params, title: started.append(params)
    page.input_size.setCurrentIndex(page.input_size.findData(1024))
    page.steps["pose2d"].push.click()
    page.run_all_steps()
    assert [params.pose2d.long_side_px for params in started] == [1024, 1024]
    page.estimator.setCurrentIndex(page.estimator.findData("rtmo_m"))
    assert not page.input_size.isEnabled()


def _finished_training(session: Session, preset: str, metrics: list[str], minutes: float = 9.2) -> None:
    """Write a finished training job as a worker does."""
    run = session.new_run("train")
    JobSpec(verb="train", params={"preset": preset}, title="Train").save(run.root)
    events = [Started(verb="train", pid=1), *(Metric(name=n, value=1 / s, step=s) for n in metrics for s in (1, 2, 3))]
    events.append(Finished(result={"minutes": minutes, "device": "CPU, 2 cores"}))
    run.events.write_text("\n".join(map(encode, events)) + "\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_training_preset_is_described(preset: str, opened: MainWindow) -> None:
    opened.show_page("train")
    page = opened.pages["train"]
    page.preset.setCurrentIndex(page.preset.findData(preset))
    assert page.preset_what.text() == CARDS[preset].what
    assert page.preset_time.text().endswith(".")
    assert page.preset_needs.isVisible() == bool(CARDS[preset].needs)
    assert CARDS[preset].needs in page.preset_needs.text()


@pytest.mark.slow
def test_training_time_is_measured_or_the_limit_or_unknown(
    opened: MainWindow, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened.pages["train"]
    page.preset.setCurrentIndex(page.preset.findData("fast"))
    jobs = opened.state.jobs
    assert train.describe_preset("quick", jobs).time.startswith("At most 14 min")
    assert "A Quick training determines the speed" in train.describe_preset("fast", jobs).time
    _finished_training(_session(opened), "fast", ["root/loss"])
    opened.state.set_session(_session(opened))
    qtbot.waitUntil(lambda: page.preset_time.text() == "Last run: 9 min on CPU, 2 cores.")
    assert train.describe_preset("quick", jobs).time.startswith("At most"), "the time of another preset does not count"
    for accelerated in (True, False):
        monkeypatch.setattr(train, "has_accelerator", lambda found=accelerated: found)
        assert train.describe_preset("paper", jobs).unmet is not accelerated
        assert not train.describe_preset("quick", jobs).unmet


@pytest.mark.slow
def test_only_plots_with_data_are_shown(opened: MainWindow, qtbot) -> None:
    session = _session(opened)
    page = opened.pages["train"]
    opened.show_page("train")

    def shown() -> list[str]:
        return [plot.title for plot, widget in page.training.plots if widget.isVisible()]

    _finished_training(session, "paper", ["backbone/loss", "root/loss", "finetune/attention", "finetune/loss"])
    opened.state.set_session(session)
    opened.show_page("train")
    own = ["Fine-tuning, confident 2D poses", "Root network, own rig", "Backbone, own images"]
    qtbot.waitUntil(lambda: shown() == own)
    _finished_training(session, "quick", ["held_out/px", "held_out/camera_px", "ray_refiner/mm"])
    opened.state.set_session(session)
    opened.show_page("train")
    qtbot.waitUntil(lambda: shown() == ["2D error on held-out frames", "Ray refiner, synthetic people"])


@pytest.mark.slow
def test_a_held_out_frame_follows_the_networks(opened: MainWindow, qtbot) -> None:
    session, held_out = _session(opened), opened.pages["train"].training.held_out
    opened.show_page("train")
    assert not held_out.isVisible()
    _finished_training(session, "quick", ["held_out/px"])
    run = session.runs()[-1]
    people = (np.full((15, 2), 100.0), np.full((15, 2), 300.0))
    people[1][:3] = np.nan
    frame = HeldOutFrame(take="two_people", camera="cam02", image=2, skeleton="panoptic15", triangulated=people)
    dataclasses.replace(frame, predicted=people[:1], step=50).save(run.held_out_frame)
    opened.state.set_session(session)
    qtbot.waitUntil(held_out.isVisible)
    size_px = session.take("two_people").camera("cam02").size_px
    image, (before,), (now,) = (
        held_out.now.image,
        held_out.before.lines,
        held_out.now.lines,
    )
    scale = image.width() / size_px[0]
    assert len(before.paths_px) == 2 * len(now.paths_px) == 2 * len(PANOPTIC15.bones)
    np.testing.assert_allclose(now.paths_px[0], 100.5 * scale - 0.5)
    assert held_out.now.caption == "Networks, step 50"

    dataclasses.replace(frame, predicted=people, step=1200).save(run.held_out_frame)
    tracked = opened.state.jobs.jobs[-1]
    opened.state.jobs.measured.emit(tracked, [Metric(name="held_out/px", value=9.0, step=1200)])
    qtbot.waitUntil(lambda: held_out.now.caption == "Networks, step 1,200")
    run.held_out_frame.write_text("{}", encoding="utf-8")
    opened.state.jobs.measured.emit(tracked, [Metric(name="held_out/px", value=9.0, step=1250)])
    qtbot.waitUntil(lambda: not held_out.isVisible())


def test_every_stage_of_training_has_a_plot() -> None:
    stages = [f.name for f in dataclasses.fields(TrainConfig) if hasattr(getattr(TrainConfig(), f.name), "steps")]
    assert {"backbone", "root", "pose_synthetic", "ray_refiner", "temporal", "pose", "finetune"} == set(stages)
    for stage in stages:
        names = [f"{stage}/{name}" for name in ("loss", "mm")]
        assert any(plot.shows(name) for plot in PLOTS for name in names), stage
    for name in ("loss", "heatmap", "joint", "anchor", "consistency", "attention", "backbone"):
        assert [plot.stage for plot in PLOTS if plot.shows(f"pose/{name}")] == ["pose"]
    for name in ("px", "camera_px"):
        assert [plot.unit for plot in PLOTS if plot.shows(f"held_out/{name}")] == ["px"]


@pytest.mark.slow
def test_baseline_and_trained_are_compared_with_a_verdict(opened: MainWindow, qtbot) -> None:
    take = opened.state.take
    assert take is not None
    take.layout.report.write_text(json.dumps(_REPORT), encoding="utf-8")
    opened.show_page("train")
    opened.state.refresh()
    page = opened.pages["train"]
    assert page.evaluation.table is not None
    qtbot.waitUntil(page.evaluation.table.isVisible)
    words = [label.text() for label in page.evaluation.findChildren(QLabel) if label.isVisible()]
    assert "The trained network is better." in words
    found = load_comparison(take)
    assert found is not None
    by_title = {row[0]: (index, row) for index, row in enumerate(found.rows)}
    index, row = by_title["Error on common joints"]
    assert row[1:] == ("25.0 px", "20.0 px")
    assert found.tones[index, 2] == "good"
    index, _ = by_title["… mean"]
    assert found.tones[index, 1] == "good"  # the baseline is better here
    index, _ = by_title["Frames with 2+ people"]
    assert not {(index, 1), (index, 2)} & set(found.tones)
    assert [by_title[f"Frames with {n} people"][1][1] for n in (2, 3)] == ["97", "3"]
    index, row = by_title["Observed joints found"]
    assert row[1:] == ("92.0 %", "8.0 %")
    assert found.tones[index, 1] == "good"
    (plot,) = page.evaluation.findChildren(FoundPlot)
    assert list(plot.curves) == ["Triangulation", "Trained"]
    np.testing.assert_allclose(plot.curves["Trained"].yData, [0, 8, 8])


def test_errors_to_the_users_truth_come_first(sample_session: Session) -> None:
    take = sample_session.take("two_people")
    truth = {
        "methods": {"baseline": {"mpjpe_mm": 63.52}, "trained": {"mpjpe_mm": 32.6}},
        "notes": ["truth.c3d is in mm.", "Truth + 1.370 s is the time of the take, found from the motion."],
        "verdict": "Against the truth, the trained networks did better.",
    }
    take.layout.report.write_text(json.dumps({**_REPORT, "truth": truth}), encoding="utf-8")
    found = load_comparison(take)
    assert found is not None
    assert found.rows[0] == ("Error to truth, mean", "63.5 mm", "32.6 mm")
    assert found.tones[0, 2] == "good"
    assert found.verdict == "Against the truth, the trained networks did better.\nThe trained network is better."
    assert "found from the motion" in found.details


def test_bodies_have_a_column_and_a_sentence(sample_session: Session) -> None:
    take = sample_session.take("two_people")
    methods = {**_REPORT["methods"], "trained_body": _REPORT["methods"]["trained"]}  # type: ignore[dict-item, index]
    bodies = {"trained": {"verdict": "The bodies are better.", "details": "The interval is wide."}}
    report = {**_REPORT, "methods": methods, "bodies": bodies}
    take.layout.report.write_text(json.dumps(report), encoding="utf-8")
    found = load_comparison(take)
    assert found is not None
    assert found.headers[-1] == "Trained,\nbodies"
    assert found.bodies == "The bodies are better."
    assert found.details.endswith("The interval is wide.")
    summary = evaluation_summary(report)
    assert summary is not None
    assert summary.verdict == "The trained network is better. The bodies are better."
    assert [finding.text for finding in summary.findings] == [summary.verdict], "an older report"
    methods["trained"] = methods["trained"] | {"loco_percent_height_all": 12.06}
    methods["trained_body"] = methods["trained_body"] | {"loco_percent_height_all": 12.0}
    bodies["trained"] |= {"first": "trained_body", "second": "trained", "better": "trained_body"}
    compared = report | {"comparison": {"first": "trained", "second": "rts", "better": None}, "methods": methods}
    summary = evaluation_summary(compared)
    assert summary is not None
    assert [(finding.token, finding.text) for finding in summary.findings] == [
        ("muted", "Training no better than smoothed triangulation"),
        ("good", "Bodies better than none: error 12.0 % of height, not 12.1 %"),
    ]
    out = Console(file=io.StringIO(), width=200)
    print_report(report, out)
    assert "The bodies are better.\nThe interval is wide." in out.file.getvalue()  # type: ignore[attr-defined]


def test_without_training_there_is_no_column_of_it(sample_session: Session) -> None:
    take = sample_session.take("two_people")
    methods = {"baseline": _REPORT["methods"]["baseline"]}  # type: ignore[index]
    take.layout.report.write_text(json.dumps({**_REPORT, "methods": methods}), encoding="utf-8")
    found = load_comparison(take)
    assert found is not None
    assert found.headers == ("", "Triangulation")
    assert {len(row) for row in found.rows} == {2}
    assert not found.tones
    take.layout.report.write_text("{}", encoding="utf-8")
    with pytest.raises(CoreError, match="damaged"):
        load_comparison(take)
