"""Texts on the progress and the outcome of jobs."""

from __future__ import annotations

import time
from datetime import datetime

from studio.jobs.tracked import TrackedJob


def duration_text(seconds: float) -> str:
    """Format a duration with at most two units."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes // 60:.0f} h {minutes % 60:.0f} min"


def progress_text(tracked: TrackedJob) -> str:
    """Return stage, progress and remaining time of a running job as text."""
    if tracked.cancel_requested_s is not None:
        return "stopping"
    if tracked.state == "starting":
        return "starting"
    parts = [tracked.text or "running"]
    if tracked.step is not None:
        parts.insert(0, f"step {tracked.step[1]} of {tracked.step[2]}")
    if tracked.fraction is not None:
        parts.append(f"{100 * tracked.fraction:.0f} %")
    if tracked.time_left_s is not None and tracked.fraction != 1:
        parts.append(f"{duration_text(tracked.time_left_s)} left")
    return " · ".join(parts)


def outcome_text(tracked: TrackedJob) -> str:
    """Return how and when a job ended as text."""
    if tracked.state == "failed":
        return tracked.failure.message if tracked.failure else "Failed."
    if tracked.state == "lost":
        return "The process died: it was killed or ran out of memory. See its log."
    text = {"finished": "Finished", "cancelled": "Cancelled"}.get(tracked.state, "")
    if tracked.started_s is not None and tracked.ended_s is not None:
        text += f" after {duration_text(tracked.ended_s - tracked.started_s)}"
    if tracked.ended_s is not None:
        when = datetime.fromtimestamp(tracked.ended_s)
        today = time.time() - tracked.ended_s < 20 * 3600
        text += f", {when:%H:%M}" if today else f", {when:%d %b %H:%M}"
    return text
