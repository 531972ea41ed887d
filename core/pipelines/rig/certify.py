"""Verb `certify`: time offsets of the cameras in one take, found by the people in it or given."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from core.calibration.people.compare import RigComparison, compare_cameras
from core.calibration.session_check import report_people_fit
from core.config import to_mapping
from core.errors import CoreError
from core.files import write_json, write_yaml
from core.pipelines.params import CertifyParams
from core.pose2d.choice import choose_poses2d
from core.progress import Reporter
from core.session import RunLayout, Session, Take
from core.session.align import image_times_s
from core.session.inputs import UPDATE
from core.types.camera import CameraRig

_MOST_FRAMES = 3000  # in which cameras are compared: more say nothing new, and do not fit into memory
_LARGEST_MS = 3_600_000.0


def run_certify(session: Session, params: CertifyParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Set the time offsets of the cameras of a take, which are stored in the take; no image and no pose is changed.

    Returns:
        `change` (sentence on what was done), `time_offset_ms` (offset of each camera in this take, and the one before),
        `loco_px` before and after by camera, empty for given offsets.

    Raises:
        CoreError: Given offsets that cannot be, or people who show no time offset.
        CancelledError: The reporter was cancelled.
    """
    take = session.take(params.take)
    former = {c.name: c.time_offset_s for c in take.manifest.cameras}
    comparison = None
    if params.reset:
        offsets = dict.fromkeys(former, 0.0)
    elif params.time_offset_ms:
        offsets = dict.fromkeys(former, 0.0) | {
            name: ms / 1e3 for name, ms in (_parse(take, text) for text in params.time_offset_ms)
        }
    else:
        estimator = choose_poses2d([take], params.estimator, reporter)
        comparison = compare_take(take, estimator, session.rig_for(take), "", reporter, thorough=True)
        if comparison.action != "certify":
            raise CoreError(
                comparison.message or f"The people in {take.name} show no time offset of a camera.",
                comparison.remedy or "Give the offsets yourself if you know them: --time-offset-ms CAMERA=MS.",
            )
        offsets = {name: s + comparison.time_offset_s.get(name, 0.0) for name, s in former.items()}
    set_time_offsets(take, offsets)
    changed = {n: offsets[n] for n in former if abs(offsets[n] - former[n]) > 1e-9}
    change = ", ".join(f"{n} {_ms(former[n])} to {_ms(s)}" for n, s in changed.items())
    change = f"Time offsets in {take.name}: {change}." if changed else f"The time offsets in {take.name} are the same."
    reporter.note(change)
    if changed:
        report_people_fit(session, None, {})  # until the next triangulation compares again
    if changed and take.poses3d_runs():
        reporter.note(f"The 3D poses of {take.name} were made with other offsets. {UPDATE}", "warning")
    result = {
        "take": take.name,
        "change": change,
        "time_offset_ms": {n: [round(1e3 * former[n], 2), round(1e3 * offsets[n], 2)] for n in former},
        "loco_px": comparison.to_mapping()["loco_px"] if comparison else {},
    }
    write_json(run.report, result)
    return result


def compare_take(
    take: Take, estimator: str, rig: CameraRig, biased: str, reporter: Reporter, *, thorough: bool = False
) -> RigComparison:
    """Compare the cameras of a take by the people in it; see `compare_cameras`."""
    # A second look follows the rig: only the first pass tells how the cameras stand.
    rows = _busiest_rows(take, estimator)
    poses2d = {
        name: take.poses2d(estimator, first_pass=True, cameras=[name])[name].select(rows) for name in take.cameras
    }
    times_s = {name: times[rows] for name, times in image_times_s(take.timeline()).items()}
    return compare_cameras(rig, poses2d, times_s, biased, reporter, thorough=thorough)


def _busiest_rows(take: Take, estimator: str) -> np.ndarray:
    """Return consecutive frames, at most `_MOST_FRAMES`, in which the most people were detected."""
    n_frames = take.manifest.n_frames
    if n_frames <= _MOST_FRAMES:
        return np.arange(n_frames)
    people = sum(take.poses2d(estimator, first_pass=True, cameras=[name])[name].present.sum(1) for name in take.cameras)
    total = np.concatenate([[0], np.cumsum(people)])
    first = int((total[_MOST_FRAMES:] - total[:-_MOST_FRAMES]).argmax())
    return np.arange(first, first + _MOST_FRAMES)


def set_time_offsets(take: Take, time_offset_s: dict[str, float]) -> None:
    """Store the time offset of each camera in the manifest of a take."""
    cameras = tuple(
        dataclasses.replace(c, time_offset_s=round(time_offset_s[c.name], 6)) for c in take.manifest.cameras
    )
    write_yaml(take.layout.manifest, to_mapping(dataclasses.replace(take.manifest, cameras=cameras)))


def _parse(take: Take, text: str) -> tuple[str, float]:
    """Return camera and offset in ms of "camera=ms".

    Raises:
        CoreError: Not of this form, an unknown camera, or no plausible number.
    """
    name, _, value = text.rpartition("=")
    try:
        ms = float(value)
    except ValueError:
        ms = math.nan
    if not name or not abs(ms) <= _LARGEST_MS:
        raise CoreError(f"'{text}' is no time offset.", "Give CAMERA=MS, such as cam01=-200 for 0.2 s late.")
    take.camera(name)  # raises for an unknown one
    return name, ms


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:+.0f} ms" if abs(seconds) >= 5e-4 else "0 ms"
