"""How far each camera of a rig can be trusted, in three levels: colours of the frusta, and words for their legend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from core.errors import CoreError
from core.files import read_json
from core.session import Session
from core.types import CameraRig

Basis = Literal["left out", "own"]

_ODD_PX, _BAD_PX = 3.0, 10.0  # own reprojection error, at 1280 px width
_LEVELS = {"ok": 0, "warning": 1, "error": 2}
_WORDS = ("good", "doubtful", "bad")
_TITLES: dict[Basis, str] = {"left out": "Left-out error", "own": "Own error, not left out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReliability:
    """What is known of the cameras of a rig.

    Attributes:
        basis: "left out": the error with which the other cameras predict the board in a camera, judged as the check
            of the calibration does; "own": the reprojection error that came with the rig, which proves less.
        error_px: By camera, in px of its image; cameras of which nothing is known are missing.
        level: By camera, 0 good, 1 doubtful, 2 bad.
        unknown: Number of posed cameras of which nothing is known.
    """

    basis: Basis = "own"
    error_px: dict[str, float] = field(default_factory=dict)
    level: dict[str, int] = field(default_factory=dict)
    unknown: int = 0

    @property
    def title(self) -> str:
        """What the figures are; empty if nothing is known."""
        return _TITLES[self.basis] if self.level else ""

    def rows(self) -> list[tuple[int, str]]:
        """Each level that occurs, with a few words on it: "good: 0.5 to 1.4 px"; level 3 is not known."""
        rows = [(level, f"{_WORDS[level]}: {self._range(level)}") for level in sorted(set(self.level.values()))]
        if rows and self.unknown:
            rows.append((3, f"not known: {self.unknown} camera{'s' if self.unknown > 1 else ''}"))
        return rows

    def _range(self, level: int) -> str:
        errors = [self.error_px[name] for name, found in self.level.items() if found == level]
        low, high = f"{min(errors):.1f}", f"{max(errors):.1f}"
        return f"{low} px" if low == high else f"{low} to {high} px"


def reprojection_reliability(rig: CameraRig) -> CameraReliability:
    """From the reprojection errors that came with the rig."""
    known = {c.name: float(c.rmse_px) for c in rig if c.posed and c.rmse_px is not None and np.isfinite(c.rmse_px)}
    at_1280 = {name: 1280 * error / max(rig[name].size_px) for name, error in known.items()}
    level = {name: (error > _ODD_PX) + (error > _BAD_PX) for name, error in at_1280.items()}
    return CameraReliability(error_px=known, level=level, unknown=_others(rig, known))


def camera_reliability(session: Session, rig: CameraRig) -> CameraReliability:
    """By left-out errors where the session's report has them of this rig, else by the rig's own.

    Args:
        session: Whose report.
        rig: Its rig, or the cameras of a take of it.
    """
    try:
        stored = session.rig
        report: Any = read_json(session.layout.rig_report)
    except CoreError:
        return reprojection_reliability(rig)  # pages that need the report say that it is missing or damaged
    if stored is None or not isinstance(report, dict) or report.get("digest") != stored.digest:
        return reprojection_reliability(rig)
    return _left_out(report, rig) or reprojection_reliability(rig)


def _left_out(report: dict[str, Any], rig: CameraRig) -> CameraReliability | None:
    """What a report says of the cameras of a rig; None if it says nothing."""
    try:
        errors = report["quality"]["loco_px"]
        known = {c.name: float(errors[c.name]) for c in rig if c.posed and errors.get(c.name) is not None}
        level = dict.fromkeys(known, 0)
        for finding in report["findings"]:
            if finding["check"] == "left out" and finding.get("camera") in known:
                level[finding["camera"]] = _LEVELS[finding["level"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return (
        CameraReliability(basis="left out", error_px=known, level=level, unknown=_others(rig, known)) if known else None
    )


def _others(rig: CameraRig, known: dict[str, float]) -> int:
    return sum(c.posed and c.name not in known for c in rig)
