"""Calibration from walking people: a new rig without a board, or the repair of a rig whose cameras were moved.

People are tracked in each camera. A first pair of cameras is registered by the epipolar geometry of tracks of the same
person, the others by resection from the joints known by then, and a bundle adjustment estimates all poses and time
offsets together. Feet, bodies and stature then define the world coordinates. Two published methods are similar:
Takahashi et al., Human Pose as Calibration Pattern, 2018, and Lee et al., Extrinsic Camera Calibration From a Moving
Person, 2022.

Legend: V view, M frame, G person at a frame, J joint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.checks import Finding
from core.calibration.people.bundle import N_UNKNOWNS, POSE, TIME_OFFSET, CameraPoses, PeopleSolution, TrackAssignment
from core.calibration.people.change import describe_change, fit_change, smallest_change
from core.calibration.people.check import check_people
from core.calibration.people.config import DEFAULT_STATURE_MM, PeopleConfig
from core.calibration.people.findings import PeopleMetrics, assess_people
from core.calibration.people.held_out import HeldOutScore, blocks_of_frames, count_joints, score_held_out
from core.calibration.people.registration import PeopleRegistration
from core.calibration.people.time_search import search_time_offsets
from core.calibration.people.world import PeopleWorld, world_from_people
from core.errors import CoreError
from core.progress import NullReporter, Reporter
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence

_MIN_INLIER_SHARE = 0.5  # of a moved camera, below which its new pose is dropped


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleCalibration:
    """Result of a calibration from people.

    Attributes:
        rig: All cameras; those that could not be registered have no pose.
        solved: Names of the cameras that were registered; in a repair, of the moved ones among them.
        missing: Reason by name of each camera that could not be registered.
        moved: Names of the cameras whose pose a repair changed, except for small compensating rotations.
        late: Names of the cameras whose time offset a repair changed.
        rotation_sd_deg: Standard error of the rotation of each solved camera, by name.
        position_sd_mm: Standard error of the camera centre, by name.
        time_offset_sd_s: Standard error of the time offset, by name.
        noise_px: Standard deviation of a joint coordinate with full score.
        inlier_share: Share of inliers among the joints of each camera, by name.
        joint_share: Share of inliers of each joint of the skeleton, by name.
        time_s: (M,) times of the frames that were used.
        xyz_mm: (M, G, J, 3) joints of people in the coordinates of the rig, NaN where missing.
        person: (M, G) person index, -1 where missing.
        statures_mm: (P,) stature of each person in the scale of the rig; NaN if unknown.
        loco_px: Median LOCO error of each camera before and after, by name, on held-out frames after a repair; empty if
            fewer than three cameras had poses.
        findings: Findings on the result.
        notes: Sentences on changes and assumptions.
    """

    rig: CameraRig
    solved: tuple[str, ...]
    missing: Mapping[str, str]
    moved: tuple[str, ...]
    late: tuple[str, ...]
    rotation_sd_deg: Mapping[str, float]
    position_sd_mm: Mapping[str, float]
    time_offset_sd_s: Mapping[str, float]
    noise_px: float
    inlier_share: Mapping[str, float]
    joint_share: Mapping[str, float]
    time_s: F64
    xyz_mm: F64
    person: I64
    statures_mm: F64
    loco_px: Mapping[str, tuple[float, float]]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def calibrate_from_people(
    cameras: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: Mapping[str, F64],
    config: PeopleConfig | None = None,
    reporter: Reporter | None = None,
) -> PeopleCalibration:
    """Calibrate the extrinsics of a rig from people alone; existing poses of the cameras are ignored.

    Args:
        cameras: Cameras with intrinsics.
        poses2d: Detections by camera name; P is not an identity.
        time_s: Recorded times (T,) of the images by camera name, s from a common start; NaN where missing.
        config: Settings; None for the defaults.
        reporter: Receiver of progress, which may cancel.

    Raises:
        CoreError: Fewer than two cameras with people, or no two cameras that agree on any person.
        CancelledError: The reporter was cancelled.
    """
    work = PeopleRegistration.of(cameras, poses2d, time_s, config or PeopleConfig(), reporter or NullReporter())
    poses = work.register_all()
    joints, person, solution = work.refine(poses, work.free_parameters(poses.registered))
    return _first_rig(work, joints, person, solution)


def repair_from_people(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: Mapping[str, F64],
    moved: Sequence[str] = (),
    config: PeopleConfig | None = None,
    reporter: Reporter | None = None,
) -> PeopleCalibration:
    """Find the smallest change of a rig that explains the joints of people; world coordinates are kept.

    Args:
        rig: Rig before the change; an unposed camera counts as moved.
        poses2d: Detections by camera name; P is not an identity.
        time_s: Recorded times (T,) of the images by camera name, s from a common start; NaN where missing.
        moved: Names of moved cameras, which get new poses and time offsets; empty to detect the change.
        config: Settings; None for the defaults.
        reporter: Receiver of progress, which may cancel.

    Raises:
        CoreError: Fewer than two cameras have not moved, or `moved` is empty and there are fewer than three cameras.
        CancelledError: The reporter was cancelled.
    """
    for name in moved:
        rig[name]  # raises for an unknown name
    work = PeopleRegistration.of(rig, poses2d, time_s, config or PeopleConfig(), reporter or NullReporter())
    old = work.rig_poses()
    is_moved = np.array([c.name in moved for c in rig]) | ~old.registered
    if is_moved.any():
        return _register_moved(work, rig, old, is_moved)
    found = search_time_offsets(work.tracks, old, work.at_s, work.tolerance_px, work.reporter)
    return repair_smallest(work, rig, found.time_offset_s)


def repair_smallest(work: PeopleRegistration, rig: CameraRig, time_offset_s: F64) -> PeopleCalibration:
    """Find the smallest change of a rig whose cameras all have a pose.

    Args:
        work: The recording.
        rig: Rig before the change.
        time_offset_s: (V,) time offsets to try first, see `search_time_offsets`.

    Raises:
        CoreError: There are fewer than three cameras.
        CancelledError: The reporter was cancelled.
    """
    old = work.rig_poses()
    change = smallest_change(work, old, time_offset_s)
    joints, person, solution = fit_change(work, old, change.start, change.free, work.at_s, given=change.given)
    note = describe_change(rig.names, change.free, change.given, solution.poses, old)
    comparison = (change.before, change.after)
    changed = change.free.any(1) | change.given
    result = _changed(work, rig, changed, joints, person, solution, note, comparison)
    return dataclasses.replace(
        result,
        moved=tuple(n for v, n in enumerate(rig.names) if change.free[v, POSE].any()),
        late=tuple(n for v, n in enumerate(rig.names) if change.free[v, TIME_OFFSET]),
    )


def shift_in_time(work: PeopleRegistration, rig: CameraRig, time_offset_s: F64) -> PeopleCalibration:
    """Change only the time offsets of two or more posed cameras.

    Args:
        work: The recording.
        rig: Rig before the change.
        time_offset_s: (V,) time offsets to within an image period, which are refined if they differ from those of the
            rig.

    Raises:
        CoreError: The cameras agree on no person.
        CancelledError: The reporter was cancelled.
    """
    old = work.rig_poses()
    free = np.zeros((len(rig), N_UNKNOWNS), bool)
    free[:, TIME_OFFSET] = late = time_offset_s != old.time_offset_s
    start, given = dataclasses.replace(old, time_offset_s=time_offset_s), np.zeros(len(rig), bool)
    joints, person, solution = fit_change(work, old, start, free, work.at_s, given=given)
    note = describe_change(rig.names, free, given, solution.poses, old)
    comparison = _compare(work, old, solution.poses)
    result = _changed(work, rig, late, joints, person, solution, note, comparison)
    return dataclasses.replace(result, late=tuple(n for v, n in enumerate(rig.names) if late[v]))


def _register_moved(
    work: PeopleRegistration, rig: CameraRig, old: CameraPoses, is_moved: np.ndarray
) -> PeopleCalibration:
    """Register the named and the unposed cameras from the others."""
    if (~is_moved).sum() < 2:
        raise CoreError(
            "Fewer than two cameras have kept their pose.", "Calibrate all cameras, from people or from a board."
        )
    fixed = dataclasses.replace(old, registered=old.registered & ~is_moved)
    poses = work.extend(fixed, fixed.registered, old)
    # A slightly moved camera may converge from its old pose even if no resection found enough support.
    poses = dataclasses.replace(
        poses,
        R=np.where(poses.registered[:, None, None], poses.R, old.R),
        t_mm=np.where(poses.registered[:, None], poses.t_mm, old.t_mm),
        registered=poses.registered | old.registered,
    )
    while True:
        free = work.free_parameters(poses.registered & is_moved)
        free[poses.registered & is_moved, TIME_OFFSET] = work.config.time_offset
        joints, person, solution = work.refine(poses, free, (4.0, 2.0, 1.5))
        lost = poses.registered & is_moved & (solution.inlier_share < _MIN_INLIER_SHARE)
        if not lost.any():
            break
        poses = dataclasses.replace(poses, registered=poses.registered & ~lost)
    solved = ", ".join(n for v, n in enumerate(rig.names) if is_moved[v] and poses.registered[v])
    note = f"New poses from walking people: {solved or 'none'}; the other cameras are unchanged."
    comparison = _compare(work, old, solution.poses)
    return _changed(work, rig, is_moved, joints, person, solution, note, comparison)


def _first_rig(
    work: PeopleRegistration, joints: TrackAssignment, person: I64, solution: PeopleSolution
) -> PeopleCalibration:
    """Return the result of a first calibration: world coordinates, scale, metrics."""
    poses = solution.poses
    if work.config.time_offset and poses.registered.any():
        median = np.median(poses.time_offset_s[poses.registered])
        poses = dataclasses.replace(poses, time_offset_s=poses.time_offset_s - median)
    local = _rig(work.cameras, poses, poses.registered)
    agreed = solution.agreed_mm
    world = world_from_people(local, agreed, person, work.skeleton)
    scale, scale_note = _scale(work.config, local, world)
    change = dataclasses.replace(world.change, scale=scale)
    rig = change.rig(local)
    rig = dataclasses.replace(rig, source=f"Calibrated from walking people. {scale_note} {world.note}")
    missing = {name: _reason(work, v) for v, name in enumerate(work.cameras.names) if not poses.registered[v]}
    return _result(
        work,
        rig,
        poses.registered,
        solution,
        joints,
        person,
        change.points(agreed),
        scale,
        world,
        missing,
        (scale_note, world.note),
        _compare(work, work.rig_poses(), poses),
    )


def _changed(
    work: PeopleRegistration,
    rig: CameraRig,
    changed: np.ndarray,
    joints: TrackAssignment,
    person: I64,
    solution: PeopleSolution,
    note: str,
    comparison: tuple[HeldOutScore, HeldOutScore] | None,
) -> PeopleCalibration:
    """Return the result of a change: the rig with new poses of the changed cameras, metrics."""
    poses = solution.poses
    new = _rig(work.cameras, poses, poses.registered & changed)
    cameras = tuple(new[v] if changed[v] else rig[v] for v in range(len(rig)))
    source = f"{rig.source} {note}".strip() if changed.any() else rig.source
    out = dataclasses.replace(rig, cameras=cameras, source=source)
    missing = {n: _reason(work, v) for v, n in enumerate(rig.names) if changed[v] and not poses.registered[v]}
    agreed = solution.agreed_mm
    posed = CameraRig(cameras=tuple(c for c in cameras if c.posed))
    try:
        world = world_from_people(posed, agreed, person, work.skeleton)
    except CoreError:
        world = None  # partly visible people suffice to register a camera in known world coordinates
    solved = poses.registered & changed
    return _result(work, out, solved, solution, joints, person, agreed, 1.0, world, missing, (note,), comparison)


def _compare(
    work: PeopleRegistration, former: CameraPoses, poses: CameraPoses
) -> tuple[HeldOutScore, HeldOutScore] | None:
    """Return the scores before and after for poses fitted to all frames; None without former poses."""
    if former.registered.sum() < 3:
        return None
    block = blocks_of_frames(work.at_s)
    count = count_joints(work, former, work.at_s, block)
    before, after = (score_held_out(work, p, work.at_s, block, count) for p in (former, poses))
    return before, after


def _rig(cameras: CameraRig, poses: CameraPoses, views: np.ndarray) -> CameraRig:
    """Return the cameras with the poses of these views; the others are unposed."""
    posed = tuple(
        c.replace(R=poses.R[v], t_mm=poses.t_mm[v], time_offset_s=float(poses.time_offset_s[v]), rmse_px=None)
        if views[v]
        else c.replace(R=None, t_mm=None, rmse_px=None)
        for v, c in enumerate(cameras)
    )
    return CameraRig(cameras=posed, created=cameras.created)


def _scale(config: PeopleConfig, rig: CameraRig, world: PeopleWorld) -> tuple[float, str]:
    """Return the factor for all lengths, and a sentence on its source."""
    if config.distance_mm > 0:
        if len(config.between) != 2:
            raise CoreError(
                f"`between` names {len(config.between)} cameras, expected 2.",
                "Name the two cameras that the measured distance refers to.",
            )
        first, second = config.between
        pair = [rig[first], rig[second]]
        distance = float(np.linalg.norm(pair[0].centre_mm - pair[1].centre_mm)) if all(c.posed for c in pair) else 0.0
        if distance < 1:
            raise CoreError(
                f"The distance of {first} and {second} cannot set the scale: one of them could not be registered.",
                "Give the distance of two other cameras, or people's stature.",
            )
        return (
            config.distance_mm / distance,
            f"The scale is from the measured distance of {first} and {second}, {config.distance_mm:g} mm.",
        )
    stature = config.stature_mm if config.stature_mm > 0 else DEFAULT_STATURE_MM
    note = (
        f"The scale is from the given mean stature, {stature / 1000:.2f} m."
        if config.stature_mm > 0
        else f"The scale is assumed: a mean stature of {stature / 1000:.2f} m."
    )
    return stature / world.stature_mm, note


def _reason(work: PeopleRegistration, view: int) -> str:
    if not work.tracks[view].count:
        return "The camera sees no person for long enough."
    return "The people in its view match none of those in the other cameras."


def _result(
    work: PeopleRegistration,
    rig: CameraRig,
    solved: np.ndarray,
    solution: PeopleSolution,
    joints: TrackAssignment,
    person: I64,
    xyz_mm: F64,
    scale: float,
    world: PeopleWorld | None,
    missing: dict[str, str],
    notes: tuple[str, ...],
    comparison: tuple[HeldOutScore, HeldOutScore] | None,
) -> PeopleCalibration:
    """Return the result with metrics and findings."""
    names = [n for v, n in enumerate(rig.names) if solved[v]]
    covariance = {n: solution.covariance[rig.names.index(n)] for n in names}
    seen = np.isfinite(solution.residual_px)
    share = {
        n: float(solution.inlier[v].sum() / max(seen[v].sum(), 1)) for v, n in enumerate(rig.names) if rig[n].posed
    }
    rms = {
        n: float(np.sqrt(np.mean(solution.residual_px[v][solution.inlier[v]] ** 2)))
        for v, n in enumerate(rig.names)
        if solved[v] and solution.inlier[v].any()
    }
    cameras = tuple(c.replace(rmse_px=round(rms[c.name], 3)) if c.name in rms else c for c in rig)
    rig = dataclasses.replace(rig, cameras=cameras)
    out = PeopleCalibration(
        rig=rig,
        solved=tuple(names),
        missing=missing,
        moved=(),
        late=(),
        rotation_sd_deg={n: float(np.degrees(np.sqrt(np.trace(c[:3, :3])))) for n, c in covariance.items()},
        position_sd_mm={n: float(scale * np.sqrt(np.trace(c[3:6, 3:6]))) for n, c in covariance.items()},
        time_offset_sd_s={n: float(np.sqrt(c[TIME_OFFSET, TIME_OFFSET])) for n, c in covariance.items()},
        noise_px=solution.sigma_px,
        inlier_share=share,
        joint_share={
            name: float(solution.inlier[..., j].sum() / max(seen[..., j].sum(), 1))
            for j, name in enumerate(work.skeleton.joints)
        },
        time_s=joints.at_s,
        xyz_mm=xyz_mm,
        person=person,
        statures_mm=scale * world.statures_mm if world is not None else np.zeros(0),
        loco_px=_loco_px(rig, *comparison) if comparison is not None else {},
        findings=(),
        notes=notes,
    )
    metrics = PeopleMetrics(
        rig=rig,
        missing=missing,
        rotation_sd_deg=out.rotation_sd_deg,
        position_sd_mm=out.position_sd_mm,
        time_offset_sd_s=out.time_offset_sd_s,
        time_offset=work.config.time_offset,
        noise_px=out.noise_px,
        inlier_share=share,
        frames=int((person >= 0).any(1).sum()) if person.size else 0,
        area_m2=world.area * scale**2 / 1e6 if world is not None else float("nan"),
        tilt_deg=world.tilt_deg if world is not None else float("nan"),
        scale=notes[0] if notes[0].startswith("The scale") else "",
        change="" if notes[0].startswith("The scale") else notes[0],
        comparison=comparison,
    )
    sequence = Pose3DSequence(
        skeleton=work.skeleton,
        time_s=joints.at_s,
        xyz_mm=xyz_mm,
        score=np.isfinite(xyz_mm[..., 0]).astype(float),
        person_ids=tuple(range(xyz_mm.shape[1])),
    )
    return dataclasses.replace(out, findings=(*assess_people(metrics), *check_people(rig, sequence)))


def _loco_px(rig: CameraRig, before: HeldOutScore, after: HeldOutScore) -> dict[str, tuple[float, float]]:
    pairs = zip(rig.names, before.median_px, after.median_px, strict=True)
    return {name: (float(old), float(new)) for name, old, new in pairs}
