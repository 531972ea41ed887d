"""Marker trajectories of a file, and the joints of people made of them.

Letters in shapes: T time, P person, M marker, J joint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.evaluation.truth.names import joint_of_marker
from core.types.arrays import F64

MM_PER_UNIT: Mapping[str, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
_LEAST_EXTENT_MM, _LARGEST_EXTENT_MM = 150.0, 3500.0  # Of a person's markers; beyond these the unit is another.
_SAME_TIME_S = 1e-4
_MIN_JOINTS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkerFile:
    """Content of one file.

    Attributes:
        name: Name of the file.
        time_s: (T,) times, increasing.
        people: P names.
        markers: M names.
        xyz: (T, P, M, 3) positions in the unit of the file, NaN where missing. Exactly 0, 0, 0 is how many programs
            write a missing marker, and becomes NaN.
        unit: Length unit that the file states, or empty.
        notes: What had to be assumed, in sentences.
    """

    name: str
    time_s: F64
    people: tuple[str, ...]
    markers: tuple[str, ...]
    xyz: F64
    unit: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        missing = (self.xyz == 0).all(-1, keepdims=True)
        object.__setattr__(self, "xyz", np.where(missing, np.nan, self.xyz))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TruthMotion:
    """True joints of people, in the coordinates and on the clock of their file.

    Attributes:
        time_s: (T,) times, increasing.
        joints: J names, those of `core.types.skeleton`.
        people: P names.
        xyz_mm: (T, P, J, 3), NaN where missing.
        unmatched: Markers that are none of the joints known here.
        notes: What was read and what had to be assumed, in sentences.
    """

    time_s: F64
    joints: tuple[str, ...]
    people: tuple[str, ...]
    xyz_mm: F64
    unmatched: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def rate_hz(self) -> float:
        """Frames per second by the median interval; 0 with fewer than two frames."""
        return float(1 / np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else 0.0


def truth_motion(files: Sequence[MarkerFile]) -> TruthMotion:
    """Make the joints of all people of one or several files; a file is a person or more, all files are on one clock.

    Raises:
        CoreError: Fewer than three markers are joints known here, or no marker is ever seen.
    """
    used: dict[str, None] = {}
    unmatched: dict[str, None] = {}
    for file in files:
        for marker in file.markers:
            joint = joint_of_marker(marker)
            (unmatched if joint is None else used)[marker if joint is None else joint] = None
    joints = tuple(used)
    if len(joints) < _MIN_JOINTS:
        raise CoreError(
            f"Of the markers {', '.join([*used, *unmatched][:12])} only {len(joints)} are joints known here.",
            "Name them like COCO, Panoptic or OpenSim, such as left_knee, LKnee, or L_knee.",
        )
    time_s = _merged_times(files)
    people, columns, notes = [], [], []
    for file in files:
        rows = np.clip(np.searchsorted(time_s, file.time_s - _SAME_TIME_S), 0, len(time_s) - 1)
        scale, note = _mm_per_unit(file)
        notes += [*file.notes, note]
        xyz = np.full((len(time_s), len(file.people), len(joints), 3), np.nan)
        for m, marker in enumerate(file.markers):
            joint = joint_of_marker(marker)
            if joint is not None:
                xyz[rows, :, joints.index(joint)] = file.xyz[:, :, m] * scale
        columns.append(xyz)
        people += [name if len(files) == 1 else f"{file.name} {name}".strip() for name in file.people]
    xyz_mm = np.concatenate(columns, 1)
    present = np.asarray(np.asarray(np.isfinite(xyz_mm).all(-1)).any((0, 2)))
    if not present.any():
        raise CoreError(f"{files[0].name} has no position of any joint.", "Export the markers with their positions.")
    names = tuple(name for name, seen in zip(people, present, strict=True) if seen)
    return TruthMotion(
        time_s=time_s,
        joints=joints,
        people=names,
        xyz_mm=xyz_mm[:, present],
        unmatched=tuple(unmatched),
        notes=tuple(notes),
    )


def _merged_times(files: Sequence[MarkerFile]) -> F64:
    times = np.sort(np.concatenate([file.time_s for file in files]))
    return times[np.diff(times, prepend=-np.inf) > _SAME_TIME_S]


def _mm_per_unit(file: MarkerFile) -> tuple[float, str]:
    """Return the millimetres of a unit of the file, and a sentence about it."""
    with np.errstate(invalid="ignore"):
        xyz = file.xyz[:, :, [joint_of_marker(marker) is not None for marker in file.markers]]
        known = np.asarray(np.isfinite(xyz).all(-1))
        low = np.where(known[..., None], xyz, np.inf).min(2)
        high = np.where(known[..., None], xyz, -np.inf).max(2)
        extents = (high - low).max(-1)[known.sum(2) >= max(2, known.shape[2] // 2)]
    extent = float(np.median(extents)) if len(extents) else np.nan
    fitting = [u for u, mm in MM_PER_UNIT.items() if _LEAST_EXTENT_MM <= extent * mm <= _LARGEST_EXTENT_MM]
    if file.unit in fitting or (file.unit and not fitting):
        return MM_PER_UNIT[file.unit], f"{file.name} is in {file.unit}."
    if not fitting:
        raise CoreError(
            f"The markers of {file.name} extend over {extent:.3g}, which is a person in neither mm, cm nor m.",
            "Export the trajectories of one person's joints in mm, cm or m.",
        )
    # Of mm and cm, or cm and m, that with the size nearer to that of a person.
    unit = min(fitting, key=lambda u: abs(np.log(extent * MM_PER_UNIT[u] / 1500.0)))
    said = f"states {file.unit}, which is no person's size; it was read" if file.unit else "states no unit; it was read"
    return MM_PER_UNIT[unit], f"{file.name} {said} in {unit}, since a person's markers extend over {extent:.3g}."
