"""Plausibility checks of a rig: axes, units, aim, overlap, intrinsics. Each finding has a message and a remedy.

A small reprojection error proves none of these: mirrored poses, folded distortion and swapped axes have one too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.config import to_mapping
from core.geometry import fold_radius, project, undistort
from core.geometry.capture_volume import grid, search_box, seen_by, viewed_point
from core.types.arrays import F64
from core.types.axes import Axis, rotation_to_z_up
from core.types.camera import Camera, CameraRig
from core.types.finding import Finding as Finding
from core.types.finding import FindingLevel as FindingLevel

PEOPLE_FIT = "people_fit"
"""Check of the finding on cameras that do not fit the people; key of the comparison in the report of a rig."""
_SEVERITY: dict[FindingLevel, int] = {"ok": 0, "warning": 1, "error": 2}
_DISTANCE_MM = (300.0, 40_000.0)  # plausible median distance of cameras
_TYPICAL_DISTANCE_MM = 4000.0
_MAX_HEIGHT_MM = 8000.0
_BELOW_FLOOR_MM = 50.0
_BELOW_FLOOR_SLOPE = 0.05  # of a measured floor: 3 degrees over the distance of the camera
_FOV_DEG = (12.0, 140.0)
_MAX_CENTRE_OFFSET = 0.15  # of the principal point from the image centre, as a share of the image size
_MAX_ASPECT = 0.05
_FOLD_ERROR = 0.5  # share of the way to the corner below which a fold is an error whoever was seen
_FOLDED_POINTS = 0.01  # share of the points seen in a camera beyond the fold, above which it is an error
_PLACE = (
    "The program can place it with these intrinsics: from people who walk about (calibrate-people), or on a board take "
    "(calibrate --set calibration.fixed_intrinsics=true)."
)
# Follow from poses that were read in another meaning than they have.
_OF_POSES = frozenset({"up", "floor", "aim", "overlap", "distance"})
_MIN_OVERLAP = 0.05  # share of a camera's view that another one must see too


def finding_from(values: Mapping[str, Any]) -> Finding:
    """Return a finding from its plain values in a report."""
    return Finding(**{f.name: str(values.get(f.name, "")) for f in dataclasses.fields(Finding)})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RigCheck:
    """Results of all checks of a rig.

    Attributes:
        cameras: (V,) camera names.
        findings: Findings, the most severe first.
        shared: (V, V) share of each camera's view (row) that another (column) sees too.
        middle_mm: (3,) point nearest to all optical axes.
    """

    cameras: tuple[str, ...]
    findings: tuple[Finding, ...]
    shared: F64
    middle_mm: F64

    @property
    def level(self) -> FindingLevel:
        """Most severe level of all findings."""
        return max((f.level for f in self.findings), key=lambda level: _SEVERITY[level], default="ok")

    def with_findings(self, more: Iterable[Finding]) -> RigCheck:
        """Return a copy with further findings.

        The reason of a missing pose replaces the finding that it is missing, and the finding that poses were misread
        replaces those on where the cameras are. Intrinsics are not called fine if the file holds more than was read.
        """
        added = list(more)
        explained = {f.camera for f in added if f.check == "calibrated"}
        misread = any(f.check == "poses" for f in added)
        unread = any(f.check == "file" and f.level == "error" for f in added)
        kept = [
            f
            for f in self.findings
            if not (f.check == "pose" and f.camera in explained)
            and not (misread and f.check in _OF_POSES)
            and not (unread and f.check == "intrinsics" and f.level == "ok")
        ]
        findings = sorted(added + kept, key=lambda f: -_SEVERITY[f.level])
        return dataclasses.replace(self, findings=tuple(findings))

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Warnings and errors."""
        return tuple(f for f in self.findings if f.level != "ok")

    @property
    def verdict(self) -> str:
        """One sentence that sums up the findings."""
        errors = sum(f.level == "error" for f in self.findings)
        warnings = len(self.problems) - errors
        if errors:
            return f"This calibration cannot be right: {self.findings[0].message}"
        if warnings:
            plural = "s" * (warnings > 1)
            return f"The calibration can be used, with {warnings} warning{plural}: {self.findings[0].message}"
        return "The calibration passed all checks."

    def to_mapping(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "level": self.level,
            "verdict": self.verdict,
            "cameras": list(self.cameras),
            "findings": [to_mapping(f) for f in self.findings],
            "shared": [[_or_none(share, 4) for share in row] for row in self.shared],
            "middle_mm": [_or_none(value, 1) for value in self.middle_mm],
        }


def check_rig(rig: CameraRig, *, up: Axis = "z", seen_px: Mapping[str, F64] | None = None) -> RigCheck:
    """Check the plausibility of a rig; never raises for an implausible one.

    Args:
        rig: Rig as imported or calibrated.
        up: Up axis with which the rig's file was imported, so that a remedy can name an axis of the file.
        seen_px: (N, 2) pixels by camera name where people or boards were seen, which tell whether a fold matters.
    """
    seen = seen_px or {}
    findings = [finding for camera in rig for finding in _intrinsics(camera, seen.get(camera.name))]
    unposed = [c for c in rig if not c.posed]
    findings += [
        Finding(
            check="pose",
            level="error",
            message=f"{c.name} has no pose: only its intrinsics are calibrated.",
            remedy=_PLACE,
            camera=c.name,
        )
        for c in unposed
    ]
    shared, middle = np.full((len(rig), len(rig)), np.nan), np.full(3, np.nan)
    if len(rig) - len(unposed) >= 1:
        posed = rig.subset([c.name for c in rig if c.posed])
        middle = viewed_point(posed)
        at = [rig.names.index(n) for n in posed.names]
        shared[np.ix_(at, at)] = _shared_views(posed)
        checks: tuple[Callable[[CameraRig], Iterator[Finding]], ...] = (_distances, _floor, _doubles, _aim)
        findings += _up(posed, up)
        findings += [finding for check in checks for finding in check(posed)]
        findings += _overlap(posed, shared[np.ix_(at, at)])
    if not any(f.check == "intrinsics" for f in findings):
        findings.append(
            Finding(check="intrinsics", level="ok", message="All intrinsics are plausible up to the image corners.")
        )
    findings.sort(key=lambda f: -_SEVERITY[f.level])
    return RigCheck(cameras=rig.names, findings=tuple(findings), shared=shared, middle_mm=middle)


def _or_none(value: float, digits: int) -> float | None:
    """Return a rounded number, or None for NaN, which JSON lacks."""
    return round(float(value), digits) if np.isfinite(value) else None


def field_of_view_deg(camera: Camera) -> float:
    """Return the angle across the longer image side, without distortion."""
    i = int(np.argmax(camera.size_px))
    return float(np.degrees(2 * np.arctan(camera.size_px[i] / 2 / camera.K[i, i])))


def fold_share(camera: Camera) -> float:
    """Return the share of the way from the principal point to the farthest corner before the fold; 1 without one."""
    width, height = camera.size_px
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
    middle = camera.K[:2, 2]
    far = corners[np.argmax(((corners - middle) ** 2).sum(1))]
    if not np.isfinite(fold_radius(camera)):
        return 1.0
    steps = np.linspace(0, 1, 101)
    lost = np.isnan(undistort(camera, middle + steps[:, None] * (far - middle))).any(1)
    return float(steps[np.argmax(lost)]) if lost.any() else 1.0


def _intrinsics(camera: Camera, seen_px: F64 | None) -> Iterator[Finding]:
    def finding(level: FindingLevel, message: str, remedy: str) -> Finding:
        return Finding(check="intrinsics", level=level, message=message, remedy=remedy, camera=camera.name)

    recalibrate = "Calibrate the intrinsics again, with the board also in the corners of the image."
    width, height = camera.size_px
    fx, fy, (cx, cy) = camera.K[0, 0], camera.K[1, 1], camera.K[:2, 2]
    if not (0 <= cx < width and 0 <= cy < height):
        yield finding(
            "error",
            f"{camera.name}: the principal point ({cx:.0f}, {cy:.0f}) is outside the {width}x{height} image.",
            "Check that the calibration was made at this image size and orientation.",
        )
    elif max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > _MAX_CENTRE_OFFSET:
        yield finding(
            "warning",
            f"{camera.name}: the principal point ({cx:.0f}, {cy:.0f}) is far from the image centre.",
            recalibrate,
        )
    fov = field_of_view_deg(camera)
    if camera.distortion_model == "pinhole" and not _FOV_DEG[0] <= fov <= _FOV_DEG[1]:
        yield finding("warning", f"{camera.name}: the field of view of {fov:.0f} degrees is implausible.", recalibrate)
    if abs(fx / fy - 1) > _MAX_ASPECT:
        yield finding(
            "warning",
            f"{camera.name}: the focal lengths {fx:.0f} and {fy:.0f} px differ by more than 5 %.",
            recalibrate,
        )
    share = fold_share(camera)
    if share < 1:
        folds = f"{camera.name}: the distortion folds at {100 * share:.0f} % of the way to the image corner"
        if seen_px is None or not len(seen_px):
            yield finding("error" if share < _FOLD_ERROR else "warning", f"{folds}.", recalibrate)
            return
        beyond = float(np.isnan(undistort(camera, seen_px)).any(-1).mean())
        if beyond > _FOLDED_POINTS:
            yield finding("error", f"{folds}, and {100 * beyond:.0f} % of what it saw lies beyond.", recalibrate)
        else:
            yield finding("ok", f"{folds}, where nothing was seen.", "")


def _distances(rig: CameraRig) -> Iterator[Finding]:
    centres = np.stack([c.centre_mm for c in rig])
    if len(rig) < 2:
        yield Finding(
            check="distance",
            level="error",
            message="The rig has one camera.",
            remedy="3D needs at least two cameras: import a calibration of all of them together.",
        )
        return
    i, j = np.triu_indices(len(rig), 1)
    distance = np.linalg.norm(centres[i] - centres[j], axis=1)
    median = float(np.median(distance))
    if _DISTANCE_MM[0] <= median <= _DISTANCE_MM[1]:
        message = f"The cameras are {distance.min() / 1000:.1f} to {distance.max() / 1000:.1f} m apart."
        yield Finding(check="distance", level="ok", message=message)
        return
    log_ratio = np.log(max(median, 1e-9) / _TYPICAL_DISTANCE_MM)
    factor = min((1000.0, 100.0, 10.0, 0.1, 0.01, 0.001), key=lambda f: float(abs(log_ratio + np.log(f))))
    times = f"{factor:.0f} times larger" if factor > 1 else f"{1 / factor:.0f} times smaller"
    likely = f": they would be {median * factor / 1000:.1f} m apart if all lengths were {times}" if median else ""
    yield Finding(
        check="distance",
        level="error",
        message=f"The cameras are {_length(median)} apart, which is implausible.",
        remedy=f"Import it again with another length unit{likely}.",
    )


def _length(mm: float) -> str:
    if mm < 1000:
        return f"{mm:.3g} mm"
    return f"{mm / 1e6:.3g} km" if mm >= 1e6 else f"{mm / 1000:.3g} m"


def _up(rig: CameraRig, imported: Axis) -> Iterator[Finding]:
    """Find the world axis that is up for the cameras: most are upright and look level or down."""
    ups = np.stack([-c.pose[0][1] for c in rig])
    forward = np.stack([c.pose[0][2] for c in rig])
    score = ups.mean(0) - 0.5 * forward.mean(0)
    axis = int(np.argmax(np.abs(score)))
    name = ("-" if score[axis] < 0 else "") + "xyz"[axis]
    if name == "z":
        yield Finding(check="up", level="ok", message="The cameras are upright: z points up.")
    elif abs(score[axis]) > 1.3 * abs(score[2]) or score[2] < -0.3:
        yield Finding(
            check="up",
            level="error",
            message=f"By the orientation of the cameras, {name} points up instead of z.",
            remedy=f"Import it again with {_axis_of_file(name, imported)} as the up axis.",
        )
    else:
        yield Finding(
            check="up",
            level="warning",
            message="The up axis cannot be determined from the orientation of the cameras.",
            remedy="Check that the floor grid lies, and the poles stand, on the floor in the views.",
        )
    if score[2] > 0.3:
        for camera, up in zip(rig, ups, strict=True):
            if up[2] < -0.3:
                yield Finding(
                    check="up",
                    level="warning",
                    message=f"{camera.name} is upside down.",
                    remedy="Correct if it is mounted that way and its video is upside down too.",
                    camera=camera.name,
                )


def _axis_of_file(world: str, imported: Axis) -> str:
    """Return the name of the file's axis that became a world axis when imported with `imported` up."""
    direction = (-1.0 if world.startswith("-") else 1.0) * np.eye(3)["xyz".index(world[-1])]
    in_file = direction @ rotation_to_z_up(imported)
    axis = int(np.argmax(np.abs(in_file)))
    return ("-" if in_file[axis] < 0 else "") + "xyz"[axis]


def _floor(rig: CameraRig) -> Iterator[Finding]:
    heights = np.array([c.centre_mm[2] for c in rig])
    below = [c.name for c, z in zip(rig, heights, strict=True) if z < -_BELOW_FLOOR_MM]
    if not below and heights.max() <= _MAX_HEIGHT_MM:
        message = f"The cameras stand {heights.min() / 1000:.2f} to {heights.max() / 1000:.2f} m above the floor."
        if heights.max() > 100:
            yield Finding(check="floor", level="ok", message=message)
        else:
            yield Finding(
                check="floor",
                level="warning",
                message=f"All cameras are within {heights.max():.0f} mm of the floor.",
                remedy="Set the floor of the calibration: its origin may be a camera, or the board in the air.",
            )
    middle = viewed_point(rig)
    for name in below:
        depth_mm = -float(rig[name].centre_mm[2])
        away_mm = float(np.linalg.norm((rig[name].centre_mm - middle)[:2]))
        certain = not rig.floor_guessed and depth_mm > _BELOW_FLOOR_SLOPE * away_mm
        yield Finding(
            check="floor",
            level="error" if certain else "warning",
            message=f"{name} is {depth_mm / 1000:.2f} m under the floor{', which is a guess' * rig.floor_guessed}.",
            remedy="Set the floor on the Calibrate page: from the board on it, from three points or from people's feet."
            if rig.floor_guessed
            else "The up axis is wrong, or the origin is not on the floor: set the floor on the Calibrate page.",
            camera=name,
        )
    if heights.max() > _MAX_HEIGHT_MM:
        yield Finding(
            check="floor",
            level="warning",
            message=f"{rig.names[int(heights.argmax())]} is {_length(float(heights.max()))} above the floor.",
            remedy="Check the length unit and the origin of the calibration.",
        )


def _doubles(rig: CameraRig) -> Iterator[Finding]:
    centres = np.stack([c.centre_mm for c in rig])
    forward = np.stack([c.pose[0][2] for c in rig])
    for i, j in zip(*np.triu_indices(len(rig), 1), strict=True):
        if np.linalg.norm(centres[i] - centres[j]) < 10 and forward[i] @ forward[j] > 0.999:
            yield Finding(
                check="distance",
                level="error",
                message=f"{rig[int(i)].name} and {rig[int(j)].name} have the same position and direction.",
                remedy="One of them was not calibrated: calibrate it, or remove it from the rig.",
            )


def _aim(rig: CameraRig) -> Iterator[Finding]:
    """Check that the cameras look at a common area, and not away from each other as mirrored poses do."""
    if len(rig) < 2:
        return
    centres = np.stack([c.centre_mm for c in rig])
    forward = np.stack([c.pose[0][2] for c in rig])
    if _diverge(centres, forward):
        yield Finding(
            check="aim",
            level="error",
            message="The cameras look away from each other.",
            remedy="The poses are mirrored, or camera to world instead of world to camera: check the file format.",
        )
        return
    middle = viewed_point(rig)
    ahead = ((middle - centres) * forward).sum(1) > 0
    missed = []
    for camera, in_front in zip(rig, ahead, strict=True):
        pixel = project(camera, middle)
        # Up to half an image beyond the edge, the view still overlaps with the others.
        size = np.array(camera.size_px)
        if not in_front or not np.isfinite(pixel).all() or ((pixel < -size / 2) | (pixel > 1.5 * size)).any():
            missed.append(camera.name)
            yield Finding(
                check="aim",
                level="warning",
                message=f"{camera.name} does not look at the area that the others look at.",
                remedy="Compare the floor grid with its image: if they disagree, calibrate its extrinsics again.",
                camera=camera.name,
            )
    if not missed:
        yield Finding(check="aim", level="ok", message="All cameras look into one area.")


def _diverge(centres: F64, forward: F64) -> bool:
    """Return whether the optical axes intersect behind the cameras instead of in front of them."""
    outward = ((centres - centres.mean(0)) * forward).sum(1) / np.maximum(
        np.linalg.norm(centres - centres.mean(0), axis=1), 1e-9
    )
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    normal = across.sum(0)
    if np.linalg.eigvalsh(normal)[0] < 0.02 * len(centres):
        return False  # parallel axes intersect nowhere
    point = np.linalg.solve(normal, np.einsum("vij,vj->i", across, centres))
    depth = ((point - centres) * forward).sum(1)
    return bool(np.median(depth) < 0 and np.median(outward) > 0)


def _shared_views(rig: CameraRig) -> F64:
    """Return the share (V, V) of each camera's view that another sees too; NaN where it sees nothing."""
    low, high = search_box(rig)
    seen = seen_by(rig, grid(low, high, 250.0)).reshape(len(rig), -1).astype(float)
    count = seen.sum(1)
    # A camera that looks out of the box sees a few of its points only: one of them in common is no overlap.
    reference = np.maximum(count, max(0.1 * float(np.median(count)), 1.0))
    return np.asarray(np.where(count[:, None] > 0, seen @ seen.T / reference[:, None], np.nan))


def _overlap(rig: CameraRig, shared: F64) -> Iterator[Finding]:
    if len(rig) < 2:
        return
    others = np.where(np.eye(len(rig), dtype=bool), 0.0, np.nan_to_num(shared))
    best = others.max(1)
    for camera, share in zip(rig, best, strict=True):
        if share < _MIN_OVERLAP:
            yield Finding(
                check="overlap",
                level="error" if share == 0 else "warning",
                message=f"{camera.name} shares at most {100 * share:.0f} % of its view with another camera.",
                remedy="3D needs two views of the same point: aim the camera at the others' area, or check its pose.",
                camera=camera.name,
            )
    pairs = int((np.minimum(others, others.T) >= _MIN_OVERLAP).sum()) // 2
    total = len(rig) * (len(rig) - 1) // 2
    if (best >= _MIN_OVERLAP).all():
        yield Finding(
            check="overlap", level="ok", message=f"{pairs} of {total} pairs of cameras have overlapping views."
        )
