"""Comparison of the cameras of a rig by the people in a take, to find cameras that do not fit the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from core.calibration.checks import PEOPLE_FIT, Finding
from core.calibration.people.calibrate import PeopleCalibration, repair_smallest, shift_in_time
from core.calibration.people.config import PeopleConfig
from core.calibration.people.registration import PeopleRegistration
from core.calibration.people.time_search import TimeOffsets, is_certain, search_time_offsets
from core.errors import CoreError
from core.progress import Reporter
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D

RepairAction = Literal["", "certify", "calibrate-people"]
_LOW_SHARE = 0.7  # relative to the agreement of the best camera, below which a camera is suspected
_LEAST_OFFSET_S = 0.004  # to mention
_LARGE_OFFSET_S = 0.1  # due to the start of a recording rather than to a camera


@dataclass(frozen=True, slots=True, kw_only=True)
class RigComparison:
    """Result of a comparison.

    Attributes:
        cameras: Names of the cameras that do not fit the others.
        message: Sentences on cameras that do not fit the others, and on the reason; empty if all fit.
        remedy: Sentence on the remedy; empty if no remedy is certain.
        action: Verb of the remedy; empty if there is none.
        time_offset_s: Additional time offset in s by name of each late camera.
        loco_px: Median LOCO error of each camera on held-out frames before and after the action, by name.
    """

    cameras: tuple[str, ...] = ()
    message: str = ""
    remedy: str = ""
    action: RepairAction = ""
    time_offset_s: Mapping[str, float]
    loco_px: Mapping[str, tuple[float, float]]

    @property
    def warning(self) -> str:
        """Message and remedy; empty if all cameras fit."""
        return f"{self.message} {self.remedy}".strip()

    def finding(self, take: str) -> Finding | None:
        """Return the finding for the report of the rig; None if all cameras fit."""
        if not self.message:
            return None
        message = f"{self.message} (Seen in take {take}.)"
        return Finding(check=PEOPLE_FIT, level="warning", message=message, remedy=self.remedy)

    def to_mapping(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        return {
            "cameras": list(self.cameras),
            "message": self.message,
            "remedy": self.remedy,
            "action": self.action,
            "time_offset_ms": {name: round(1e3 * s, 2) for name, s in self.time_offset_s.items()},
            "loco_px": {
                name: [round(px, 2) if np.isfinite(px) else None for px in pair] for name, pair in self.loco_px.items()
            },
        }


ALL_FIT = RigComparison(time_offset_s={}, loco_px={})
"""Result for cameras that fit or cannot be compared."""


def compare_cameras(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: Mapping[str, F64],
    biased: str,
    reporter: Reporter,
    *,
    thorough: bool = False,
) -> RigComparison:
    """Compare two or more posed cameras by the people in their views.

    A repair of the rig is tried on suspicion: a bias, a better time offset, or low agreement of a camera. Held-out
    frames decide whether it is a gain. With two cameras, or too few common views of three, time offsets count if both
    halves of the recording agree on them.

    Args:
        rig: Cameras of the take.
        poses2d: First pass of the detections by camera name.
        time_s: Recorded times (T,) of the images by camera name, s from a common start; NaN where missing.
        biased: Sentence on cameras with biased detections; empty if there are none.
        reporter: Receiver of progress, which may cancel.
        thorough: Try a repair even without suspicion.

    Raises:
        CancelledError: The reporter was cancelled.
    """
    if len(rig) < 2 or not all(camera.posed for camera in rig):
        return ALL_FIT
    try:
        work = PeopleRegistration.of(rig, poses2d, time_s, PeopleConfig(), reporter)
        start = work.rig_poses()
        offsets = search_time_offsets(work.tracks, start, work.at_s, work.tolerance_px, reporter)
        if not (thorough or biased or _suspicious(offsets, start.time_offset_s)):
            return ALL_FIT
        found = repair_smallest(work, rig, offsets.time_offset_s) if len(rig) > 2 else None
        args = work.tracks, start, work.at_s, work.tolerance_px, reporter
        if (found is None or not (found.moved or found.late)) and is_certain(offsets, *args):
            found = shift_in_time(work, rig, offsets.time_offset_s)
    except CoreError:  # too few people to compare the cameras by
        return RigComparison(message=biased, time_offset_s={}, loco_px={})
    return ALL_FIT if found is None else _assess(rig, found, biased)


def _suspicious(offsets: TimeOffsets, present_s: F64) -> bool:
    agreement = offsets.agreement[np.isfinite(offsets.agreement)]
    low = bool(len(agreement)) and bool(agreement.min() < _LOW_SHARE * agreement.max())
    return low or bool((offsets.time_offset_s != present_s).any())


def _assess(rig: CameraRig, found: PeopleCalibration, biased: str) -> RigComparison:
    """Return the comparison that follows from a repair."""
    late_s = {n: found.rig[n].time_offset_s - rig[n].time_offset_s for n in found.late}
    late_s = {n: s for n, s in late_s.items() if abs(s) >= _LEAST_OFFSET_S or n in found.moved}
    names = tuple(n for n in rig.names if n in found.moved or n in late_s)
    if not names:
        if not biased:
            return ALL_FIT
        message = f"{biased} Neither a movement nor a time offset of a camera explains it."
        remedy = "Check the intrinsics, and the 2D poses on the View page."
        return RigComparison(message=message, remedy=remedy, time_offset_s={}, loco_px=found.loco_px)
    action: RepairAction = "calibrate-people"
    if not found.moved or max(map(abs, late_s.values()), default=0.0) > _LARGE_OFFSET_S:
        action = "certify"
    pairs = {n: found.loco_px.get(n, (np.nan, np.nan)) for n in rig.names}
    before, after = ({n: pair[i] for n, pair in pairs.items()} for i in (0, 1))
    rest = [before[n] for n in rig.names if n not in names and np.isfinite(before[n])]
    # The error of one camera affects the predictions for all others.
    typical = float(np.median(rest)) if rest else np.inf
    against = f" against {typical:.0f} px" if typical < min(before[n] for n in names) else ""
    seen = f": {_numbers(names, before)}{against}" if found.loco_px else ""
    message = (
        f"{_listed(names)} {'does' if len(names) == 1 else 'do'} not fit what the other cameras see{seen}. "
        f"{_reasons(rig, found, late_s)}"
    )
    wrong = [f for f in found.findings if f.level == "error" and not (action == "certify" and f.check == "time_offset")]
    if wrong:
        message += f" A repair from these people is not plausible: {wrong[0].message}"
        return RigComparison(
            cameras=names, message=message, remedy=wrong[0].remedy, time_offset_s={}, loco_px=found.loco_px
        )
    does = "Synchronise the take with certify" if action == "certify" else "Repair the rig with calibrate-people"
    remedy = f"{does}: the expected remaining error is {_numbers(names, after)}." if found.loco_px else f"{does}."
    return RigComparison(
        cameras=names, message=message, remedy=remedy, action=action, time_offset_s=late_s, loco_px=dict(found.loco_px)
    )


def _reasons(rig: CameraRig, found: PeopleCalibration, late_s: Mapping[str, float]) -> str:
    """Return sentences on the reasons."""
    sentences = []
    if found.moved:
        many = len(found.moved) > 1
        sentences.append(f"{'They' if many else _it(found.moved, found.late)} moved ({found.notes[0].rstrip('.')}).")
    for name, offset in late_s.items():
        if found.moved and abs(offset) <= _LARGE_OFFSET_S:
            continue  # already mentioned above
        # Time stamps that are too early mean that the recording began late.
        who = name if found.moved or len(late_s) > 1 else "It"
        sentences.append(f"{who} started {abs(offset):.2f} s {'late' if offset < 0 else 'early'}.")
    return " ".join(sentences)


def _it(moved: tuple[str, ...], late: tuple[str, ...]) -> str:
    return "It" if set(late) <= set(moved) else moved[0]


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _numbers(names: tuple[str, ...], px: Mapping[str, float]) -> str:
    known = [f"{px[n]:.{0 if px[n] >= 10 else 1}f}" for n in names if np.isfinite(px[n])]
    return f"{_listed(tuple(known)) or 'unknown'} px" if known else "nobody is recognised"
