"""Reliability of the cameras of a rig in three levels: colours of the frusta and rows of their legend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from core.errors import CoreError
from core.files import read_json
from core.session import Session
from core.types import CameraRig

Basis = Literal["loco", "reprojection"]

_FAIR_PX, _POOR_PX = 3.0, 10.0  # reprojection errors above these, at 1280 px image width, are fair and poor
_UNKNOWN = 3  # row of the legend
_FINDING_LEVELS = {"ok": 0, "warning": 1, "error": 2}
_LABELS = ("good", "fair", "poor")
_TITLES: dict[Basis, str] = {"loco": "Leave-one-camera-out error", "reprojection": "Reprojection error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReliability:
    """Errors of the cameras of a rig.

    Attributes:
        basis: "loco" for leave-one-camera-out errors, with the levels of the calibration report; "reprojection" for
            the error stored with the rig, which is a weaker test.
        error_px: Error by camera name, in px of the camera's image; cameras without a known error are missing.
        level: Level by camera name: 0 good, 1 fair, 2 poor.
        n_unknown: Number of posed cameras without a known error.
    """

    basis: Basis = "reprojection"
    error_px: dict[str, float] = field(default_factory=dict)
    level: dict[str, int] = field(default_factory=dict)
    n_unknown: int = 0

    @property
    def title(self) -> str:
        """Title of the legend; empty if no error is known."""
        return _TITLES[self.basis] if self.level else ""

    def legend_rows(self) -> list[tuple[int, str]]:
        """Return each level that occurs with its range, such as "good: 0.5 to 1.4 px"; level 3 is unknown."""
        rows = [(level, f"{_LABELS[level]}: {self._range(level)}") for level in sorted(set(self.level.values()))]
        if rows and self.n_unknown:
            rows.append((_UNKNOWN, f"unknown: {self.n_unknown} camera{'s' if self.n_unknown > 1 else ''}"))
        return rows

    def _range(self, level: int) -> str:
        errors = [self.error_px[name] for name, camera_level in self.level.items() if camera_level == level]
        low, high = f"{min(errors):.1f}", f"{max(errors):.1f}"
        return f"{low} px" if low == high else f"{low} to {high} px"


def reprojection_reliability(rig: CameraRig) -> CameraReliability:
    """Rate the cameras by the reprojection errors stored with the rig."""
    known = {c.name: float(c.rmse_px) for c in rig if c.posed and c.rmse_px is not None and np.isfinite(c.rmse_px)}
    at_1280 = {name: 1280 * error / max(rig[name].size_px) for name, error in known.items()}
    level = {name: (error > _FAIR_PX) + (error > _POOR_PX) for name, error in at_1280.items()}
    return CameraReliability(error_px=known, level=level, n_unknown=_n_unknown(rig, known))


def camera_reliability(session: Session, rig: CameraRig) -> CameraReliability:
    """Rate the cameras by the session's calibration report, or by reprojection error without a report of this rig.

    Args:
        session: Session with the report.
        rig: Rig of the session, or the cameras of one of its takes.
    """
    try:
        stored = session.rig
        report: Any = read_json(session.layout.rig_report)
    except CoreError:
        return reprojection_reliability(rig)  # pages that need the report say that it is missing or damaged
    if stored is None or not isinstance(report, dict) or report.get("digest") != stored.digest:
        return reprojection_reliability(rig)
    return _loco_reliability(report, rig) or reprojection_reliability(rig)


def _loco_reliability(report: dict[str, Any], rig: CameraRig) -> CameraReliability | None:
    """Read leave-one-camera-out errors from a report; return None if it has none for the rig."""
    try:
        errors = report["quality"]["loco_px"]
        known = {c.name: float(errors[c.name]) for c in rig if c.posed and errors.get(c.name) is not None}
        level = dict.fromkeys(known, 0)
        for finding in report["findings"]:
            if finding["check"] == "loco" and finding.get("camera") in known:
                level[finding["camera"]] = _FINDING_LEVELS[finding["level"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    if not known:
        return None
    return CameraReliability(basis="loco", error_px=known, level=level, n_unknown=_n_unknown(rig, known))


def _n_unknown(rig: CameraRig, known: dict[str, float]) -> int:
    return sum(c.posed and c.name not in known for c in rig)
