"""Texts on the duration, the progress and the results of a training."""

from __future__ import annotations

import dataclasses

from core.training.presets import CARDS, preset
from studio.jobs.bridge import JobBridge
from studio.jobs.text import duration_text, outcome_text, progress_text
from studio.jobs.tracked import TrackedJob

_SAFETY_LIMIT_MIN = 600
"""Time limit in minutes from which it is only a safeguard, not an estimate of the training time."""


def training_time(name: str, jobs: JobBridge) -> str:
    """Return a text on the training time of a preset: that of its last training, its limit, or an estimate."""
    trained = [j for j in jobs.jobs if j.verb == "train" and j.state == "finished" and "minutes" in j.result]
    same = [j for j in trained if j.job.spec.params.get("preset") == name]
    if same:
        last = max(same, key=lambda j: j.name).result
        return f"Last run: {duration_text(60 * float(last['minutes']))} on {last.get('device', 'this machine')}."
    limit_min = preset(name).max_minutes
    if limit_min < _SAFETY_LIMIT_MIN:
        return f"At most {duration_text(60 * limit_min)}; training stops at this limit."
    steps = n_steps(name)
    others = [j for j in trained if j.result.get("steps") and j.job.spec.params.get("preset") in CARDS]
    if not others:
        return f"{steps:,} steps. A Quick training determines the speed of this computer."
    last_job = max(others, key=lambda j: j.name)
    pace_s = 60 * float(last_job.result["minutes"]) / int(last_job.result["steps"])
    title = CARDS[str(last_job.job.spec.params["preset"])].title
    pace = f"at the speed of the last {title} training or slower"
    return f"At least {duration_text(steps * pace_s)}: {steps:,} steps, {pace}."


def n_steps(name: str) -> int:
    """Return the total number of training steps of a preset."""
    config = preset(name)
    skipped = () if config.model.heatmap.source == "backbone" else ("backbone",)
    stages = (getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in skipped)
    return sum(stage.steps for stage in stages if hasattr(stage, "steps"))


def training_state(job: TrackedJob | None) -> tuple[str, str]:
    """Return heading and text for a training without metrics."""
    if job is None or not (job.active or job.resumable):
        return "No training yet", "Losses and held-out metrics appear here during training."
    if not job.active:
        return "Training stopped before its first step", outcome_text(job)
    if job.step is not None and job.step[0] != "train":
        return "Training follows", f"Now: {progress_text(job)}."
    return "Training is being prepared", f"Now: {progress_text(job)}."


def training_outcome(job: TrackedJob | None) -> str:
    """Return a text on the result of a finished training; empty without one."""
    if job is None or job.state != "finished":
        return ""
    px = [metric.value for metric in job.metrics if metric.name == "held_out/px"]
    triangulated = [metric.value for metric in job.metrics if metric.name == "held_out/triangulated_px"]
    minutes = job.result.get("minutes")
    took = f"Trained in {duration_text(60 * float(minutes))}." if minutes is not None else "Trained."
    if not px:
        return f"{took} No frames were held out for an evaluation."
    first, best = f"{px[0]:.1f}", f"{min(px):.1f}"
    change = f"stayed at {first} px" if first == best else f"fell from {first} to {best} px"
    text = f"{took} The 2D error on held-out frames {change}"
    beside = f"; triangulation: {triangulated[-1]:.1f} px" if triangulated else ""
    return f"{text}{beside}. Evaluate compares the methods joint by joint."
