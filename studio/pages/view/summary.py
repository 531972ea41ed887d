"""Summary of a result: presence, confidence and speed of people, and the metrics of the evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.files import read_json
from core.rendering.skeleton_geometry import person_centres_mm
from core.session import Session, Take
from core.session.inputs import outdated_evaluation
from core.types import Pose3DSequence
from core.types.arrays import F64
from studio.state.results import method_heading
from studio.viewport.scene_data import nearest_frames
from studio.widgets.playback.timeline_bar import Track

_SPEED_WINDOW_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonState:
    """One person at one frame.

    Attributes:
        name: Name shown, such as "Person 1".
        person: Column in the result; selects the colour.
        present: The person is present.
        confidence: Mean score of the known joints; 0 while absent.
        speed_m_s: Speed of the hips over a tenth of a second; NaN where unknown.
    """

    name: str
    person: int
    present: bool
    confidence: float
    speed_m_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleSummary:
    """All people of a result over the take.

    Attributes:
        names: (P,) names shown.
        present: (T, P) bool.
        confidence: (T, P) mean score of the known joints; NaN while absent.
        speed_m_s: (T, P) speeds; NaN where unknown.
    """

    names: tuple[str, ...]
    present: NDArray[np.bool_]
    confidence: F64
    speed_m_s: F64

    @classmethod
    def of(cls, poses: Pose3DSequence) -> PeopleSummary:
        """Summarize a result."""
        known = np.isfinite(poses.xyz_mm).all(-1)
        count = known.sum(-1)
        total = np.where(known, poses.score, 0.0).sum(-1)
        return cls(
            names=tuple(f"Person {i}" for i in poses.person_ids),
            present=poses.present,
            confidence=np.where(count > 0, total / np.maximum(count, 1), np.nan),
            speed_m_s=speeds_m_s(person_centres_mm(poses), poses.time_s),
        )

    def at(self, frame: int | None) -> tuple[PersonState, ...]:
        """Return the state of all people at a frame; without a frame, all are absent."""
        return tuple(
            PersonState(
                name=name,
                person=p,
                present=frame is not None and bool(self.present[frame, p]),
                confidence=0.0 if frame is None else float(np.nan_to_num(self.confidence[frame, p])),
                speed_m_s=math.nan if frame is None else float(self.speed_m_s[frame, p]),
            )
            for p, name in enumerate(self.names)
        )

    def tracks(self, poses: Pose3DSequence | None, time_s: F64) -> tuple[Track, ...]:
        """Return the people of the summarized result as tracks over other times (T,), for a timeline."""
        if poses is None:
            return ()
        index = nearest_frames(poses, time_s)
        known = index >= 0
        return tuple(
            Track(
                name=name,
                person=p,
                present=self.present[index, p] & known,
                confidence=np.where(known, self.confidence[index, p], np.nan),
            )
            for p, name in enumerate(self.names)
        )


def speeds_m_s(path_mm: F64, time_s: F64) -> F64:
    """Return speeds (T, P) of paths (T, P, 3) by central differences over about 0.1 s; NaN at gaps."""
    count = len(time_s)
    if count < 2:
        return np.full(path_mm.shape[:2], np.nan)
    reach = max(1, round(_SPEED_WINDOW_S / 2 / float(np.median(np.diff(time_s)))))
    before = np.maximum(np.arange(count) - reach, 0)
    after = np.minimum(np.arange(count) + reach, count - 1)
    distance_m = np.linalg.norm(path_mm[after] - path_mm[before], axis=-1) / 1000
    return np.asarray(distance_m / (time_s[after] - time_s[before])[:, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSummary:
    """Metrics of the evaluation of a take, ready to show.

    Attributes:
        methods: Column headings.
        rows: Name of a metric, then one cell per method.
        verdict: Verdict in one sentence, and one about bodies if there are any.
    """

    methods: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    verdict: str


_TRUTH_ROWS = (
    ("Error to truth, mean", "mpjpe_mm", "{:.1f} mm"),
    ("… missing joints included", "mpjpe_all_mm", "{:.1f} mm"),
)
_TRUTH_KEYS = {key for _, key, _ in _TRUTH_ROWS}
_ROWS = (
    ("Observed joints found", "covered", "{:.0%}"),
    ("Error over all joints, mean", "loco_percent_height_all", "{:.1f} %"),
    ("Leave-one-camera-out, median", "loco_px_median", "{:.1f} px"),
    ("… relative to height", "loco_percent_height", "{:.2f} %"),
    ("Reprojection, median", "reprojection_px_median", "{:.1f} px"),
    ("Frames with two or more people", "frames_with_two_or_more", "{:.0f}"),
    ("Identity switches", "identity_switches", "{:.0f}"),
)


def evaluation_summary(report: Mapping[str, Any]) -> EvaluationSummary | None:
    """Summarize `report.json`, or return None if it holds no metrics. Rows without any value are omitted."""
    methods = report.get("methods")
    if not isinstance(methods, Mapping) or not all(isinstance(m, Mapping) for m in methods.values()) or not methods:
        return None
    rows = []
    truth = report.get("truth")
    truth = truth if isinstance(truth, Mapping) else {}
    scored = [truth.get("methods", {}).get(name, {}) for name in methods]
    for title, key, form in (*_TRUTH_ROWS, *_ROWS):
        values = [method.get(key) for method in (scored if key in _TRUTH_KEYS else methods.values())]
        if any(_is_number(value) for value in values):
            rows.append((title, *(form.format(value) if _is_number(value) else "–" for value in values)))
    bodies = report.get("bodies")
    of_bodies = bodies.values() if isinstance(bodies, Mapping) else ()
    verdicts = [source.get("verdict") for source in (truth, report, *of_bodies) if isinstance(source, Mapping)]
    return EvaluationSummary(
        methods=tuple(method_heading(str(name)) for name in methods),
        rows=tuple(rows),
        verdict=" ".join(verdict for verdict in verdicts if isinstance(verdict, str)),
    )


def read_evaluation(session: Session, take: Take) -> EvaluationSummary | None:
    """Return the summary of the newest evaluation of a take, which says so if it is out of date; None without any.

    Raises:
        CoreError: The report is damaged.
    """
    if not take.layout.report.is_file():
        return None
    report = read_json(take.layout.report)
    summary = evaluation_summary(report) if isinstance(report, Mapping) else None
    outdated = outdated_evaluation(session, take) if summary is not None else ""
    if summary is None or not outdated:
        return summary
    return replace(summary, verdict=f"Out of date: {outdated} {summary.verdict}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
