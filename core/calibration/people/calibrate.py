"""Cameras from people who walk about: a first rig without a board, or new poses for cameras that were moved.

People are followed in each camera by itself. Two cameras are placed by the epipolar geometry of tracks that show the
same person, the others by resection from the joints that are known by then, and all are adjusted together, with a time offset
for each. Feet, bodies and stature then give the world frame. Two published methods go a similar way: Takahashi et al.,
Human Pose as Calibration Pattern, 2018, and Lee et al., Extrinsic Camera Calibration From a Moving Person, 2022.

Legend: V view, M frame, G person at a frame, J joint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.checks import Finding
from core.calibration.people.bundle import TIME_OFFSET, CameraPoses, PeopleSolution, TrackAssignment
from core.calibration.people.config import USUAL_STATURE_MM, PeopleConfig
from core.calibration.people.findings import Measured, judge
from core.calibration.people.moved import find_moved
from core.calibration.people.placing import Placing
from core.calibration.people.world import FloorFromPeople, world_of
from core.errors import CoreError
from core.progress import NullReporter, Reporter
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D

_LEAST_INLIERS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleCalibration:
    """Cameras as people tell them.

    Attributes:
        rig: All cameras, those that could not be placed without a pose.
        solved: Names of the cameras that were placed here; in a repair, of those that were moved.
        missing: Name to the reason of each camera that could not be placed.
        rotation_sd_deg: Standard error of each solved camera's direction.
        position_sd_mm: Of its place.
        time_offset_sd_s: Of its time offset.
        noise_px: Usual error of a detected joint with full score, per coordinate.
        inlier_share: Of a camera's joints, by name.
        joint_share: Of each joint of the skeleton, inliers among all.
        time_s: (M,) frames that were used.
        xyz_mm: (M, G, J, 3) joints of people in the rig's frame.
        who: (M, G) number of the person, -1 for nobody.
        statures_mm: (P,) of people in the rig's scale.
        findings: What to know about it.
        remarks: Sentences on what was assumed.
    """

    rig: CameraRig
    solved: tuple[str, ...]
    missing: Mapping[str, str]
    rotation_sd_deg: Mapping[str, float]
    position_sd_mm: Mapping[str, float]
    time_offset_sd_s: Mapping[str, float]
    noise_px: float
    inlier_share: Mapping[str, float]
    joint_share: Mapping[str, float]
    time_s: F64
    xyz_mm: F64
    who: I64
    statures_mm: F64
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]


def calibrate_from_people(
    lenses: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: Mapping[str, F64],
    config: PeopleConfig | None = None,
    reporter: Reporter | None = None,
) -> PeopleCalibration:
    """A rig from people alone; what is known of the cameras' poses is not looked at.

    Args:
        lenses: Cameras with their lenses.
        poses2d: Camera name to detections; P is not an identity.
        time_s: Camera name to (T,) recorded seconds of its images, from one start for all; NaN where there is none.
        config: Settings.
        reporter: Told of progress; asked whether to stop.

    Raises:
        CoreError: Fewer than two cameras with people, or no two of them that agree on any.
        CancelledError: The reporter asked to stop.
    """
    work = Placing.of(lenses, poses2d, time_s, config or PeopleConfig(), reporter or NullReporter())
    placed = work.place_all()
    joints, who, solution = work.refine(placed, work.everyone(placed.registered))
    return _first_rig(work, joints, who, solution)


def repair_from_people(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: Mapping[str, F64],
    moved: Sequence[str] = (),
    config: PeopleConfig | None = None,
    reporter: Reporter | None = None,
) -> PeopleCalibration:
    """New poses and time offsets for cameras that were moved; the others, and with them the world, stay as they are.

    Args:
        rig: As it was; an unposed camera counts as moved.
        poses2d: Camera name to detections.
        time_s: Camera name to (T,) recorded seconds of its images.
        moved: Names of the moved cameras; empty to find out.
        config: Settings.
        reporter: Told of progress; asked whether to stop.

    Raises:
        CoreError: Fewer than two cameras have stayed, it cannot be told which one moved, or none has.
        CancelledError: The reporter asked to stop.
    """
    for name in moved:
        rig[name]  # raises where there is no such camera
    work = Placing.of(rig, poses2d, time_s, config or PeopleConfig(), reporter or NullReporter())
    old = work.as_in_rig()
    at = np.array([c.name in moved for c in rig]) | ~old.registered
    if not moved and not at.any():
        at = find_moved(work, old)
    if not at.any():
        raise CoreError(
            "People's joints fit all cameras as they are: none seems to have moved.",
            "Name the moved camera if one was moved nevertheless.",
        )
    if (~at).sum() < 2:
        raise CoreError(
            "Fewer than two cameras have stayed where they were.",
            "Calibrate all cameras anew, from people or from a board.",
        )
    fixed = dataclasses.replace(old, registered=old.registered & ~at)
    placed = work.grow(fixed, fixed.registered, old)
    # A camera that was moved a little may be found from where it was, though no resection has fitted well enough.
    placed = dataclasses.replace(
        placed,
        R=np.where(placed.registered[:, None, None], placed.R, old.R),
        t_mm=np.where(placed.registered[:, None], placed.t_mm, old.t_mm),
        registered=placed.registered | old.registered,
    )
    while True:
        free = work.everyone(placed.registered & at)
        free[placed.registered & at, TIME_OFFSET] = work.config.time_offset
        joints, who, solution = work.refine(placed, free, (4.0, 2.0, 1.5))
        lost = placed.registered & at & (solution.inlier_share < _LEAST_INLIERS)
        if not lost.any():
            break
        placed = dataclasses.replace(placed, registered=placed.registered & ~lost)
    return _repaired(work, rig, at, joints, who, solution)


def _first_rig(work: Placing, joints: TrackAssignment, who: I64, solution: PeopleSolution) -> PeopleCalibration:
    """The world frame and what there is to say about a rig that was made from nothing."""
    placed = solution.placed
    if work.config.time_offset and placed.registered.any():
        placed = dataclasses.replace(
            placed, time_offset_s=placed.time_offset_s - np.median(placed.time_offset_s[placed.registered])
        )
    local = _rig(work.lenses, placed, placed.registered)
    sure = solution.agreed_mm
    world = world_of(local, sure, who, work.skeleton)
    scale, words = _scale(work.config, local, world)
    change = dataclasses.replace(world.change, scale=scale)
    rig = change.rig(local)
    rig = dataclasses.replace(rig, source=f"Calibrated from people walking. {words} {world.remark}")
    missing = {name: _reason(work, v) for v, name in enumerate(work.lenses.names) if not placed.registered[v]}
    return _result(
        work,
        rig,
        placed.registered,
        solution,
        joints,
        who,
        change.points(sure),
        scale,
        world,
        missing,
        (words, world.remark),
    )


def _repaired(
    work: Placing, rig: CameraRig, moved: np.ndarray, joints: TrackAssignment, who: I64, solution: PeopleSolution
) -> PeopleCalibration:
    """What there is to say about a rig of which some cameras were placed anew."""
    placed = solution.placed
    fresh = _rig(work.lenses, placed, placed.registered & moved)
    cameras = tuple(fresh[v] if moved[v] else rig[v] for v in range(len(rig)))
    names = [n for v, n in enumerate(rig.names) if moved[v]]
    solved = [n for v, n in enumerate(rig.names) if moved[v] and placed.registered[v]]
    words = f"Placed anew from people walking: {', '.join(solved) or 'none'}; the other cameras stayed as they were."
    out = CameraRig(cameras=cameras, created=rig.created, source=f"{rig.source} {words}".strip())
    missing = {n: _reason(work, work.lenses.names.index(n)) for n in names if n not in solved}
    sure = solution.agreed_mm
    posed = CameraRig(cameras=tuple(c for c in cameras if c.posed))
    try:
        world = world_of(posed, sure, who, work.skeleton)
    except CoreError:
        world = None  # people seen in part only: enough to place a camera in a world that is known
    return _result(work, out, placed.registered & moved, solution, joints, who, sure, 1.0, world, missing, (words,))


def _rig(lenses: CameraRig, placed: CameraPoses, views: np.ndarray) -> CameraRig:
    cameras = [
        c.replace(R=placed.R[v], t_mm=placed.t_mm[v], time_offset_s=float(placed.time_offset_s[v]), rmse_px=None)
        if views[v]
        else c.replace(R=None, t_mm=None, rmse_px=None)
        for v, c in enumerate(lenses)
    ]
    return CameraRig(cameras=tuple(cameras), created=lenses.created)


def _scale(config: PeopleConfig, rig: CameraRig, world: FloorFromPeople) -> tuple[float, str]:
    """What a length has to be multiplied by, and a sentence on why."""
    if config.distance_mm > 0:
        if len(config.between) != 2:
            raise CoreError("A distance is between two cameras.", "Name the two cameras in `between`.")
        first, second = config.between
        pair = [rig[first], rig[second]]
        apart = float(np.linalg.norm(pair[0].centre_mm - pair[1].centre_mm)) if all(c.posed for c in pair) else 0.0
        if apart < 1:
            raise CoreError(
                f"The distance of {first} and {second} cannot set the scale: one of them could not be placed.",
                "Give the distance of two other cameras, or people's stature.",
            )
        return (
            config.distance_mm / apart,
            f"The scale is from {first} and {second} being {config.distance_mm:g} mm apart.",
        )
    stature = config.stature_mm if config.stature_mm > 0 else USUAL_STATURE_MM
    how = (
        f"The scale is from people being {stature / 1000:.2f} m tall on average, as was given."
        if config.stature_mm > 0
        else f"The scale is assumed: people were taken to be {stature / 1000:.2f} m tall on average."
    )
    return stature / world.stature_mm, how


def _reason(work: Placing, view: int) -> str:
    if not work.tracks[view].count:
        return "It shows nobody for long enough."
    return "The people that it shows fit none that the other cameras agree on."


def _result(
    work: Placing,
    rig: CameraRig,
    solved: np.ndarray,
    solution: PeopleSolution,
    joints: TrackAssignment,
    who: I64,
    xyz_mm: F64,
    scale: float,
    world: FloorFromPeople | None,
    missing: dict[str, str],
    remarks: tuple[str, ...],
) -> PeopleCalibration:
    """Puts figures and findings together."""
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
        who=who,
        statures_mm=scale * world.statures_mm if world is not None else np.zeros(0),
        findings=(),
        remarks=remarks,
    )
    measured = Measured(
        rig=rig,
        missing=missing,
        rotation_sd_deg=out.rotation_sd_deg,
        position_sd_mm=out.position_sd_mm,
        time_offset_sd_s=out.time_offset_sd_s,
        time_offset=work.config.time_offset,
        noise_px=out.noise_px,
        inlier_share=share,
        frames=int((who >= 0).any(1).sum()) if who.size else 0,
        area_m2=world.area * scale**2 / 1e6 if world is not None else float("nan"),
        tilt_deg=world.tilt_deg if world is not None else float("nan"),
        scale=remarks[0] if remarks[0].startswith("The scale") else "",
    )
    return dataclasses.replace(out, findings=judge(measured))
