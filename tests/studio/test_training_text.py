"""Tests of what the Train page says about a training, and of its plots with few points."""

from __future__ import annotations

from pathlib import Path

import pyqtgraph as pg
from PySide6.QtWidgets import QApplication

from core.jobs import Finished, Job, JobSpec, Metric, Started, StatusChanged
from core.jobs.events import Event
from studio.jobs.bridge import JobBridge
from studio.jobs.tracked import TrackedJob
from studio.pages.train.plots import PLOTS
from studio.pages.train.training_text import n_steps, training_outcome, training_state, training_time
from studio.plots.loss_plot import LossPlot


def _job(
    folder: Path, *events: Event, state: str = "running", preset: str = "quick", verb: str = "train"
) -> TrackedJob:
    folder.mkdir(parents=True, exist_ok=True)
    JobSpec(verb=verb, params={"preset": "quick"}, title="Train").save(folder)
    tracked = TrackedJob(Job(folder))
    for event in events:
        tracked.apply(event)
    tracked.job._state = state  # type: ignore[assignment]
    return tracked


def _px(*values: float, name: str = "held_out/px") -> list[Metric]:
    return [Metric(name=name, value=value, step=50 * i) for i, value in enumerate(values)]


def test_the_held_out_plot_has_the_level_of_triangulation(dressed: QApplication, qtbot) -> None:
    spec = PLOTS[0]
    plot = LossPlot(spec.title, spec.unit, labels=spec.labels, reference=spec.reference)
    qtbot.addWidget(plot)
    plot.add(_px(5.25, name="held_out/triangulated_px"))
    plot.redraw()
    assert plot.level == 5.25
    assert plot.names == []  # a level alone makes no plot
    plot.add(_px(9.0))
    plot.redraw()
    assert plot.names == ["held_out/px"]
    assert "triangulation: 5.2 px" in plot.plotItem.titleLabel.text
    (line,) = (item for item in plot.plotItem.items if isinstance(item, pg.InfiniteLine))
    assert line.value() == 5.25
    plot.reset()
    assert plot.level is None
    assert not any(isinstance(item, pg.InfiniteLine) for item in plot.plotItem.items)


def test_one_point_is_drawn_as_a_dot(dressed: QApplication, qtbot) -> None:
    plot = LossPlot("Loss", logarithmic=True)
    qtbot.addWidget(plot)
    plot.add(_px(9.0))
    plot.redraw()
    (curve,) = plot._curves.values()
    assert curve.opts["symbol"] == "o"
    plot.add([Metric(name="held_out/px", value=8.0 / s, step=50 * s) for s in range(1, 9)])
    plot.redraw()
    assert curve.opts["symbol"] is None


def test_losses_have_names_for_people() -> None:
    for plot in PLOTS:
        if plot.unit == "loss":
            assert set(plot.only) <= set(plot.labels), plot.title


def test_a_training_that_runs_is_not_called_none(tmp_path: Path) -> None:
    assert training_state(None)[0] == "No training yet"
    assert training_state(_job(tmp_path / "a"))[0] == "Training is being prepared"
    steps = StatusChanged(values={"step": "pose2d", "number": 1, "steps": 6})
    heading, text = training_state(_job(tmp_path / "b", steps, verb="run"))
    assert heading == "Training follows"
    assert "step 1 of 6" in text
    assert training_state(_job(tmp_path / "c", state="finished"))[0] == "No training yet"
    assert "stopped" in training_state(_job(tmp_path / "d", state="cancelled"))[0]


def test_a_training_ends_with_a_sentence(tmp_path: Path) -> None:
    assert not training_outcome(None)
    assert not training_outcome(_job(tmp_path / "a", *_px(9.0, 8.0)))
    ended = Finished(result={"minutes": 6.0, "steps": 330})
    level = _px(5.9, name="held_out/triangulated_px")
    better = _job(tmp_path / "b", *level, *_px(12.3, 5.5, 6.0), ended, state="finished")
    assert training_outcome(better).startswith(
        "Trained in 6 min. The 2D error on held-out frames fell from 12.3 to 5.5 px; triangulation: 5.9 px."
    )
    worse = _job(tmp_path / "c", *_px(5.0, 7.0), ended, state="finished")
    assert "stayed at 5.0 px." in training_outcome(worse)
    assert "No frames were held out" in training_outcome(_job(tmp_path / "d", ended, state="finished"))


def test_the_time_of_a_long_training_is_estimated_before_it_starts(tmp_path: Path, dressed: QApplication) -> None:
    jobs = JobBridge()
    assert training_time("fast", jobs).startswith(f"{n_steps('fast'):,} steps. A Quick training determines")
    started, ended = Started(verb="train", pid=1), Finished(result={"minutes": 5.5, "steps": 330, "device": "CPU"})
    jobs.jobs.append(_job(tmp_path / "a", started, ended, state="finished"))
    assert training_time("quick", jobs) == "Last run: 6 min on CPU."
    hours = n_steps("fast") / 3600
    assert training_time("fast", jobs).startswith(f"At least {int(hours)} h ")
    assert "last Quick training" in training_time("paper", jobs)
    assert n_steps("paper") > n_steps("fast") > n_steps("quick") == 330
