"""Verb `certify`: measurement of camera clocks in the images of a take, and their correction (sync certificate)."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np

from core.calibration.board.board_check import check_board
from core.calibration.board.calibrate import calibrate_board
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.detect_take import detect_board
from core.calibration.board.session_board import session_board
from core.calibration.people.compare import RigComparison, compare_cameras
from core.calibration.session_check import report_people_fit
from core.calibration.sync.board import MOST_LOST, BoardEvidence, clocks_by_board
from core.calibration.sync.certificate import (
    LEAST_OFFSET_S,
    CameraSync,
    ClockReport,
    FoundDrop,
    SyncCertificate,
    summarise,
)
from core.calibration.sync.estimate import MeasuredClocks
from core.calibration.sync.flash import clocks_by_flashes, find_flashes, read_brightness
from core.calibration.sync.people import PeopleEvidence, clocks_by_people
from core.config import to_mapping
from core.errors import CancelledError, CoreError
from core.files import write_json, write_yaml
from core.pipelines.params import CertifyParams
from core.pose2d.choice import choose_poses2d
from core.pose2d.excerpt import estimate_excerpt
from core.progress import Reporter, StageReporter
from core.session import RunLayout, Session, Take
from core.session.align import image_times_s
from core.session.clocks import CameraClock, describe_drift
from core.session.inputs import UPDATE
from core.session.times_table import UNKNOWN, read_image_times
from core.types.camera import CameraRig

_MOST_FRAMES = 3000  # to compare; more add no information, and do not fit into memory
_LARGEST_MS = 3_600_000.0
_LEAST_DRIFT_S = 10.0  # duration for the drift of a camera's own clock
_EXCERPT_S = 20.0  # of a take without 2D poses, in which people are detected
_BOARD_FRAMES = 400  # for the detection of the board
_ANY_MM = 50.0  # size of squares if unknown
_OF_CAMERA_S = 0.1  # offset in a take of a board up to which it belongs to the camera: `calibrate` stores it in the rig


def run_certify(session: Session, params: CertifyParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Measure the camera clocks of a take, or set their offsets; images and poses are not changed.

    Returns:
        `change` (sentence), and the content of `sync.yaml`.

    Raises:
        CoreError: Given offsets are implausible, or the images do not determine the clocks.
        CancelledError: The reporter was cancelled.
    """
    take = session.take(params.take)
    former = {c.name: c.clock for c in take.manifest.cameras}
    none = {name: CameraClock(period_s=clock.period_s) for name, clock in former.items()}
    certificate = None
    if params.reset:
        clocks = none
        take.layout.sync.unlink(missing_ok=True)
    elif params.time_offset_ms:
        offset_ms = dict(_parse(take, text) for text in params.time_offset_ms)
        clocks = {n: dataclasses.replace(c, offset_s=offset_ms.get(n, 0.0) / 1e3) for n, c in none.items()}
        certificate = _given(take, clocks)
    else:
        certificate = certified(session, _uncorrected(take), params, reporter)
        least = _OF_CAMERA_S if take.manifest.kind == "board" else 0.0
        clocks = {
            c.name: c.used(none[c.name].period_s, least_offset_s=max(least, LEAST_OFFSET_S))
            for c in certificate.cameras
        }
    if certificate is not None:
        given = certificate.method == "given"
        if not (certificate.measured or given):
            certificate.save(take.layout.sync)
            remedy = "Give the offsets yourself if you know them: --time-offset-ms CAMERA=MS."
            raise CoreError(certificate.summary, remedy)
        reporter.note(certificate.summary, "info" if certificate.good or given else "warning")
        for note in certificate.notes:
            reporter.note(note)
    set_clocks(take, clocks)
    if certificate is not None:
        certificate.save(
            take.layout.sync
        )  # after the clocks: if a first measurement is interrupted here, there is none
    changed = {n: c for n, c in clocks.items() if not _same(c, former[n])}
    change = "; ".join(f"{n} {_text(former[n])} to {_text(c)}" for n, c in changed.items())
    change = f"Clocks in {take.name}: {change}." if changed else f"The clocks in {take.name} are the same as before."
    reporter.note(change)
    if changed:
        report_people_fit(session, None, {})  # until the next triangulation
    if changed and take.poses3d_runs():
        reporter.note(f"The 3D poses of {take.name} were made with the former clocks. {UPDATE}", "warning")
    result = {"take": take.name, "change": change} | ({} if certificate is None else to_mapping(certificate))
    write_json(run.report, result)
    return result


def certify_recorded(session: Session, take: Take, run: RunLayout, reporter: Reporter) -> None:
    """Certify a new recording if its cameras are calibrated; failures are noted.

    Args:
        session: The session.
        take: The take.
        run: Run of the recording.
        reporter: Receives progress and notes; cancelling it leaves the take unchanged.
    """
    if len(take.cameras) < 2 or take.manifest.kind == "floor" or not rig_covers(session, take):
        return
    step = run.step("certify")
    step.root.mkdir(parents=True, exist_ok=True)
    try:
        run_certify(session, CertifyParams(take=take.name), step, reporter)
    except (CancelledError, CoreError) as error:
        reason = "it was cancelled." if isinstance(error, CancelledError) else error.message
        reporter.note(f"The synchronisation of {take.name} was not measured: {reason}", "warning")


def certified(session: Session, take: Take, params: CertifyParams, reporter: Reporter) -> SyncCertificate:
    """Measure the camera clocks of a take from its uncorrected recorded times.

    Raises:
        CoreError: The images do not contain what the method needs.
        CancelledError: The reporter was cancelled.
    """
    method = params.method
    if method == "auto":
        method = "board" if take.manifest.kind == "board" else "people" if rig_covers(session, take) else "flash"
    notes: list[str] = []
    reports, timeline = clock_reports(take), take.timeline()
    image, partial = timeline.frame_index, False
    estimator = choose_poses2d([take], params.estimator, reporter) if take.estimators() or params.estimator else ""
    if method == "board":
        found = _by_board(session, take, reporter)
    elif method == "flash":
        found = _by_flashes(take, reporter, notes)
    else:
        rig = session.rig_for(take)
        if estimator:
            poses2d, rows, share = take.poses2d(estimator, first_pass=True), np.arange(len(image)), 0.0
        else:
            rows, share = _middle_rows(timeline.time_s), 0.8
            poses2d = estimate_excerpt(take, rows, StageReporter(reporter, 0.0, share))
            partial = len(rows) < len(image)
        image = image[rows]
        evidence = PeopleEvidence(rig, poses2d, timeline.recorded_time_s[rows], image, reporter)
        try:
            found = clocks_by_people(evidence, StageReporter(reporter, share, 1 - share))
        except CoreError as error:
            if estimator or params.method == "people":
                raise
            reporter.note(f"People do not determine the clocks: {error.message}")
            method, image, partial = "flash", timeline.frame_index, False
            found = _by_flashes(take, reporter, notes)
    cameras = _cameras(take, found, image, reports)
    if partial:
        seconds = float(np.ptp(timeline.time_s[rows]))
        notes.append(f"Measured in {seconds:.0f} s of the take; once it has 2D poses, `certify` measures all of it.")
        cameras = [dataclasses.replace(c, drops=c.drops or None) for c in cameras]
    blind = [c.name for c in cameras if method == "people" and c.offset_s is not None and c.drops is None]
    if blind and not partial:
        notes.append(
            f"Missing images would not be noticed in {', '.join(blind)}, and would count as a time offset: film a "
            "longer take, with people who move in view of all cameras."
        )
    if method == "board" and any(c.offset_s is None for c in cameras):
        notes.append(
            f"More than {MOST_LOST} images lost in one place cannot be counted by a board: film people instead."
        )
    if method == "people" and estimator and any(c.offset_s is None for c in cameras):
        # People do not fit a camera that has also moved; the repair of the rig finds its offset.
        comparison = compare_take(take, estimator, rig, "", reporter, thorough=True)
        if comparison.action == "certify":
            late_s = comparison.time_offset_s
            cameras = [
                dataclasses.replace(c, offset_s=float(late_s[c.name])) if c.offset_s is None and c.name in late_s else c
                for c in cameras
            ]
            notes.append(comparison.message)
    if sum(c.offset_s is not None for c in cameras) >= 2:  # otherwise, the reasons are in the summary
        notes += dict.fromkeys(c.reason for c in cameras if c.offset_s is None and c.reason)
    return SyncCertificate(
        take=take.name,
        method=method,
        made=_now(),
        summary=summarise(cameras),
        cameras=tuple(cameras),
        notes=tuple(notes),
    )


def rig_covers(session: Session, take: Take) -> bool:
    """Return whether the session has a rig with all cameras of a take."""
    return session.rig is not None and set(take.cameras) <= set(session.rig.names)


def _middle_rows(time_s: np.ndarray) -> np.ndarray:
    """Return the frames in the middle of a take for the measurement of clocks."""
    return np.flatnonzero(np.abs(time_s - (time_s[0] + time_s[-1]) / 2) <= _EXCERPT_S / 2)


def _by_board(session: Session, take: Take, reporter: Reporter) -> MeasuredClocks:
    """Measure the clocks by a board."""
    board = session_board(session)
    if board.kind == "auto" and not board.square_mm:
        board = dataclasses.replace(board, square_mm=_ANY_MM)  # times do not depend on the scale
    board = check_board(take, board, reporter).board
    timeline = take.timeline()
    seen = detect_board(take, board, StageReporter(reporter, 0.0, 0.8), max_frames=_BOARD_FRAMES)
    if rig_covers(session, take):
        known = session.rig_for(take)
    else:  # a calibration from this take is accurate enough for the clocks
        known = calibrate_board(seen, CalibrateConfig(), StageReporter(reporter, 0.8, 0.0)).rig
        known = dataclasses.replace(known, cameras=tuple(dataclasses.replace(c, time_offset_s=0.0) for c in known))
    evidence = BoardEvidence(seen, timeline.recorded_time_s, timeline.frame_index, known, reporter)
    return clocks_by_board(evidence, StageReporter(reporter, 0.8, 0.2))


def _by_flashes(take: Take, reporter: Reporter, notes: list[str]) -> MeasuredClocks:
    """Measure the clocks by flashes."""
    timeline = take.timeline()
    used = [np.flatnonzero(index >= 0) for index in timeline.frame_index.T]
    # The images of a cut take are a part of its videos.
    number = [timeline.frame_index[rows, v] for v, rows in enumerate(used)]
    images = {
        name: range(int(i.min()), int(i.max()) + 1) if len(i) else range(0)
        for name, i in zip(take.cameras, number, strict=True)
    }
    flashes, rows = {}, {}
    for v, (name, brightness) in enumerate(read_brightness(take, images, reporter).items()):
        time_s, row = np.full(len(brightness), np.nan), np.zeros(len(brightness), np.int64)
        time_s[number[v] - images[name].start] = timeline.recorded_time_s[used[v], v]
        row[number[v] - images[name].start] = used[v]
        flashes[name], rows[name] = find_flashes(brightness, time_s), row
    if seen_s := [t for one in flashes.values() for t in one.time_s.tolist()]:
        notes.append(
            f"Flashes determine the clocks from {min(seen_s):.1f} s to {max(seen_s):.1f} s of the take: images lost "
            "before or after, and a single one near either end, are not detected."
        )
    return clocks_by_flashes(flashes, rows, [1 / c.fps for c in take.manifest.cameras])


def clock_reports(take: Take) -> dict[str, ClockReport]:
    """Return the summary of the recorded times of each camera of a take."""
    timeline = take.timeline()
    recorded = timeline.recorded_time_s
    earliest = float(np.nanmin(recorded))
    out = {}
    for v, camera in enumerate(take.manifest.cameras):
        rows = np.flatnonzero(timeline.frame_index[:, v] >= 0)
        time_s, image = recorded[rows, v], timeline.frame_index[rows, v]
        gaps = np.round(np.diff(time_s) * camera.fps) - np.diff(image)
        out[camera.name] = ClockReport(
            start_s=round(float(time_s[0]) - earliest, 6) if len(rows) else 0.0,
            fps=camera.fps,
            missing=int(np.maximum(gaps, 0).sum()),
            drift_ppm=_own_drift_ppm(take, camera.name),
        )
    return out


def _own_drift_ppm(take: Take, camera: str) -> float | None:
    """Return the drift of a camera's own clock relative to the shared one; None without one."""
    path = take.layout.frame_times(camera)
    if not path.exists():
        return None
    times = read_image_times(path)
    known = times.source_time_ns != UNKNOWN
    shared, own = ((t[known] - t[known][:1]) / 1e9 for t in (times.time_ns, times.source_time_ns))
    if known.sum() < 2 or shared[-1] < _LEAST_DRIFT_S:
        return None
    return round(1e6 * (float(np.polyfit(shared, own, 1)[0]) - 1), 1)


def _cameras(take: Take, found: MeasuredClocks, image: np.ndarray, reports: dict[str, ClockReport]) -> list[CameraSync]:
    """Return the entries of the certificate by camera."""
    out = []
    for v, name in enumerate(take.cameras):
        fit = found.fit
        drops = tuple(
            FoundDrop(
                image=int(image[j.row, v]),
                count=round(j.count),
                fewest=j.fewest if j.fewest < j.most else None,
                most=j.most if j.fewest < j.most else None,
                earliest=int(image[j.earliest, v]),
                latest=int(image[j.latest, v]),
            )
            for j in found.jumps
            if j.view == v
        )
        out.append(
            CameraSync(
                name=name,
                offset_s=_known(fit.offset_s[v], 6),
                offset_sd_s=_known(fit.offset_sd_s[v], 6),
                drift_ppm=_known(fit.drift_ppm[v], 2),
                drift_sd_ppm=_known(fit.drift_sd_ppm[v], 2),
                drops=drops if drops or found.drops_seen[v] else None,
                clock=reports[name],
                reason=found.reason[v],
            )
        )
    return out


def _known(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def _given(take: Take, clocks: dict[str, CameraClock]) -> SyncCertificate:
    """Return the certificate of given offsets."""
    reports = clock_reports(take)
    cameras = tuple(CameraSync(name=n, offset_s=c.offset_s, clock=reports[n]) for n, c in clocks.items())
    summary = f"The time offsets of {take.name} were given, not measured."
    return SyncCertificate(take=take.name, method="given", made=_now(), summary=summary, cameras=cameras)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _uncorrected(take: Take) -> Take:
    """Return the take with uncorrected recorded times."""
    cameras = tuple(
        dataclasses.replace(c, time_offset_s=0.0, time_drift_ppm=0.0, drops=()) for c in take.manifest.cameras
    )
    return Take(take.layout, dataclasses.replace(take.manifest, cameras=cameras))


def compare_take(
    take: Take, estimator: str, rig: CameraRig, biased: str, reporter: Reporter, *, thorough: bool = False
) -> RigComparison:
    """Compare the cameras of a take by its people; see `compare_cameras`."""
    # The second look depends on the rig, so only the first pass is unbiased.
    rows = _busiest_rows(take, estimator)
    poses2d = {
        name: take.poses2d(estimator, first_pass=True, cameras=[name])[name].select(rows) for name in take.cameras
    }
    times_s = {name: times[rows] for name, times in image_times_s(take.timeline()).items()}
    return compare_cameras(rig, poses2d, times_s, biased, reporter, thorough=thorough)


def _busiest_rows(take: Take, estimator: str) -> np.ndarray:
    """Return the consecutive frames, at most `_MOST_FRAMES`, with the most detected people."""
    n_frames = take.manifest.n_frames
    if n_frames <= _MOST_FRAMES:
        return np.arange(n_frames)
    people = sum(take.poses2d(estimator, first_pass=True, cameras=[name])[name].present.sum(1) for name in take.cameras)
    total = np.concatenate([[0], np.cumsum(people)])
    first = int((total[_MOST_FRAMES:] - total[:-_MOST_FRAMES]).argmax())
    return np.arange(first, first + _MOST_FRAMES)


def set_clocks(take: Take, clocks: dict[str, CameraClock]) -> None:
    """Store clock errors in the manifest of a take."""
    cameras = tuple(
        dataclasses.replace(
            c,
            time_offset_s=round(clocks[c.name].offset_s, 6),
            time_drift_ppm=round(clocks[c.name].drift_ppm, 2),
            drops=clocks[c.name].drops,
        )
        for c in take.manifest.cameras
    )
    write_yaml(take.layout.manifest, to_mapping(dataclasses.replace(take.manifest, cameras=cameras)))


def _parse(take: Take, text: str) -> tuple[str, float]:
    """Parse "camera=ms" to camera name and offset in ms.

    Raises:
        CoreError: The text has another form, the camera is unknown, or the number is implausible.
    """
    name, _, value = text.rpartition("=")
    try:
        ms = float(value)
    except ValueError:
        ms = math.nan
    if not name or not abs(ms) <= _LARGEST_MS:
        raise CoreError(f"'{text}' is not a time offset.", "Give CAMERA=MS, such as cam01=-200 for 0.2 s late.")
    take.camera(name)  # raises for an unknown camera
    return name, ms


def _same(a: CameraClock, b: CameraClock) -> bool:
    return a.drops == b.drops and abs(a.offset_s - b.offset_s) < 1e-9 and abs(a.drift_ppm - b.drift_ppm) < 1e-6


def _text(clock: CameraClock) -> str:
    parts = [f"{1e3 * clock.offset_s:+.1f} ms" if abs(clock.offset_s) >= 5e-5 else "0 ms"]
    parts += [describe_drift(clock.drift_ppm)] if clock.drift_ppm else []
    lost = sum(d.count for d in clock.drops)
    parts += [f"{lost} missing image{'s' if lost > 1 else ''}"] if lost else []
    return ", ".join(parts)
