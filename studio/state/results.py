"""Display names of 3D results, the same on every page."""

from __future__ import annotations

import re
from datetime import datetime

from core.session import BASELINE, Take
from core.session.naming import fitted_result, given_title
from core.training.presets import CARDS, SHIPPED_PRESETS

METHODS = {
    BASELINE: "Triangulation",
    "rts": "Triangulation, smoothed",
    "trained": "Trained",
    "baseline_body": "Triangulation, bodies",
    "trained_body": "Trained, bodies",
}
"""Display name of each method in an evaluation."""


def method_heading(key: str) -> str:
    """Return the name of a method as heading of a narrow column, in one or two lines."""
    return METHODS.get(key, key).replace(", ", ",\n")


def result_title(name: str, take: Take | None = None) -> str:
    """Return the display name of a result.

    Args:
        name: Name of the result's file: "baseline", a preset, or a run.
        take: Take of the result, which may have a title by the user.

    Returns:
        The user's title, or "Triangulation", "Shipped Fast" or "Trained 26 Nov, 14:03".
    """
    given = given_title(take, name) if take is not None and name else ""
    if given or not name:
        return given or "No result"
    if source := fitted_result(name):
        return f"{result_title(source, take)}, bodies"
    if name in METHODS:
        return METHODS[name]
    if name in SHIPPED_PRESETS:
        return f"Shipped {CARDS[name].title}"
    if match := re.match(r"(\d{8}-\d{6})", name):
        made = datetime.strptime(match[1], "%Y%m%d-%H%M%S")
        return f"Trained {made.day} {made:%b}, {made:%H:%M}"
    return name


def with_titles(text: str) -> str:
    """Return a sentence with the names of runs replaced by the display names of their results."""
    return re.sub(r"\b\d{8}-\d{6}(-[a-z0-9]+)*", lambda match: f"“{result_title(match[0])}”", text)
