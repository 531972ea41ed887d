"""Whether a rig can be right: axes, units, aim, overlap, lens. Each finding is a message with its remedy.

A small reprojection error proves none of this: mirrored poses, folded distortion and swapped axes all look good in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from core.config import to_mapping
from core.geometry import fold_radius, project, undistort
from core.geometry.capture_volume import grid, search_box, seen_by, viewed_point
from core.types.arrays import F64
from core.types.axes import Axis, rotation_to_z_up
from core.types.camera import Camera, CameraRig

FindingLevel = Literal["ok", "warning", "error"]
_SEVERITY: dict[FindingLevel, int] = {"ok": 0, "warning": 1, "error": 2}
_APART_MM = (300.0, 40_000.0)
_USUAL_MM = 4000.0
_HEIGHT_MM = 8000.0
_FOV_DEG = (12.0, 140.0)
_SHARED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was checked.

    Attributes:
        check: What was checked, such as "floor".
        level: "ok", "warning" (look at it) or "error" (3D will not work).
        message: What was found.
        remedy: What to do; empty when ok.
        camera: The camera concerned, empty for the whole rig.
    """

    check: str
    level: FindingLevel
    message: str
    remedy: str = ""
    camera: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RigCheck:
    """What a look at a rig found.

    Attributes:
        cameras: (V,) names.
        findings: Worst first.
        shared: (V, V) share of what each camera (row) sees of the searched room that another (column) sees too.
        middle_mm: (3,) point that the cameras look at together.
    """

    cameras: tuple[str, ...]
    findings: tuple[Finding, ...]
    shared: F64
    middle_mm: F64

    @property
    def level(self) -> FindingLevel:
        """The worst level of all findings."""
        return max((f.level for f in self.findings), key=lambda level: _SEVERITY[level], default="ok")

    def with_findings(self, more: Iterable[Finding]) -> RigCheck:
        """The same with further findings; why a camera has no pose says more than that it has none."""
        added = list(more)
        explained = {f.camera for f in added if f.check == "calibrated"}
        kept = [f for f in self.findings if not (f.check == "pose" and f.camera in explained)]
        findings = sorted(added + kept, key=lambda f: -_SEVERITY[f.level])
        return dataclasses.replace(self, findings=tuple(findings))

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings that are not ok."""
        return tuple(f for f in self.findings if f.level != "ok")

    @property
    def verdict(self) -> str:
        """One message on the whole."""
        wrong = sum(f.level == "error" for f in self.findings)
        odd = len(self.problems) - wrong
        if wrong:
            return f"This calibration cannot be right: {self.findings[0].message}"
        if odd:
            return f"The calibration can be used; {odd} thing{'s' * (odd > 1)} to look at: {self.findings[0].message}"
        return "Nothing about this calibration is odd."

    def to_mapping(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "level": self.level,
            "verdict": self.verdict,
            "cameras": list(self.cameras),
            "findings": [to_mapping(f) for f in self.findings],
            "shared": [[_or_none(share, 4) for share in row] for row in self.shared],
            "middle_mm": [_or_none(value, 1) for value in self.middle_mm],
        }


def check_rig(rig: CameraRig, *, up: Axis = "z") -> RigCheck:
    """Looks for what cannot be right in a rig. Never raises for a strange rig: it says what is strange.

    Args:
        rig: As imported.
        up: The axis that the rig's file was imported with as up, so that a remedy can name an axis of the file.
    """
    findings = [finding for camera in rig for finding in _lens(camera)]
    unposed = [c for c in rig if not c.posed]
    findings += [
        Finding(
            check="pose",
            level="error",
            message=f"{c.name} has no place in the world: only its lens is calibrated.",
            remedy="Import a calibration with extrinsics for every camera.",
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
    if not any(f.check == "lens" for f in findings):
        findings.append(
            Finding(check="lens", level="ok", message="Every lens is plausible up to the image's corners.")
        )
    findings.sort(key=lambda f: -_SEVERITY[f.level])
    return RigCheck(cameras=rig.names, findings=tuple(findings), shared=shared, middle_mm=middle)


def _or_none(value: float, digits: int) -> float | None:
    """JSON knows no NaN."""
    return round(float(value), digits) if np.isfinite(value) else None


def field_of_view_deg(camera: Camera) -> float:
    """Angle across the longer side of the image, of the lens without its distortion."""
    i = int(np.argmax(camera.size_px))
    return float(np.degrees(2 * np.arctan(camera.size_px[i] / 2 / camera.K[i, i])))


def fold_share(camera: Camera) -> float:
    """Share of the way from the middle to the farthest corner up to which the distortion is one to one; 1 is all."""
    width, height = camera.size_px
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
    middle = camera.K[:2, 2]
    far = corners[np.argmax(((corners - middle) ** 2).sum(1))]
    if not np.isfinite(fold_radius(camera)):
        return 1.0
    steps = np.linspace(0, 1, 101)
    lost = np.isnan(undistort(camera, middle + steps[:, None] * (far - middle))).any(1)
    return float(steps[np.argmax(lost)]) if lost.any() else 1.0


def _lens(camera: Camera) -> Iterator[Finding]:
    def finding(level: FindingLevel, message: str, remedy: str) -> Finding:
        return Finding(check="lens", level=level, message=message, remedy=remedy, camera=camera.name)

    again = "Calibrate this camera's lens again, with the board also in the corners of the image."
    width, height = camera.size_px
    fx, fy, (cx, cy) = camera.K[0, 0], camera.K[1, 1], camera.K[:2, 2]
    if not (0 <= cx < width and 0 <= cy < height):
        yield finding(
            "error",
            f"{camera.name}: the lens's centre ({cx:.0f}, {cy:.0f}) lies outside the {width}x{height} image.",
            "Check that the calibration was made at this image size and not of a turned image.",
        )
    elif max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > 0.15:
        yield finding(
            "warning", f"{camera.name}: the lens's centre ({cx:.0f}, {cy:.0f}) is far from the middle.", again
        )
    fov = field_of_view_deg(camera)
    if camera.distortion_model == "pinhole" and not _FOV_DEG[0] <= fov <= _FOV_DEG[1]:
        yield finding("warning", f"{camera.name}: it sees {fov:.0f} degrees across, which no usual lens does.", again)
    if abs(fx / fy - 1) > 0.05:
        yield finding(
            "warning", f"{camera.name}: focal lengths {fx:.0f} and {fy:.0f} px differ by more than 5 %.", again
        )
    share = fold_share(camera)
    if share < 1:
        level: FindingLevel = "error" if share < 0.97 else "warning"
        yield finding(
            level, f"{camera.name}: the distortion folds back {share:.0%} of the way to the image's corner.", again
        )


def _distances(rig: CameraRig) -> Iterator[Finding]:
    centres = np.stack([c.centre_mm for c in rig])
    if len(rig) < 2:
        yield Finding(
            check="distance",
            level="error",
            message="The rig has one camera.",
            remedy="3D needs at least two: import a calibration of all cameras together.",
        )
        return
    i, j = np.triu_indices(len(rig), 1)
    apart = np.linalg.norm(centres[i] - centres[j], axis=1)
    middle = float(np.median(apart))
    if _APART_MM[0] <= middle <= _APART_MM[1]:
        message = f"The cameras are {apart.min() / 1000:.1f} to {apart.max() / 1000:.1f} m apart."
        yield Finding(check="distance", level="ok", message=message)
        return
    off = np.log(max(middle, 1e-9) / _USUAL_MM)
    factor = min((1000.0, 100.0, 10.0, 0.1, 0.01, 0.001), key=lambda f: float(abs(off + np.log(f))))
    times = f"{factor:.0f} times larger" if factor > 1 else f"{1 / factor:.0f} times smaller"
    likely = f": they would be {middle * factor / 1000:.1f} m apart if everything were {times}" if middle else ""
    yield Finding(
        check="distance",
        level="error",
        message=f"The cameras are {_length(middle)} apart, which is not how people are filmed.",
        remedy=f"Import it again with another length unit{likely}.",
    )


def _length(mm: float) -> str:
    if mm < 1000:
        return f"{mm:.3g} mm"
    return f"{mm / 1e6:.3g} km" if mm >= 1e6 else f"{mm / 1000:.3g} m"


def _up(rig: CameraRig, imported: Axis) -> Iterator[Finding]:
    """Which world axis is up for the cameras: most are held upright and look level or down."""
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
            message=f"By how the cameras are held, {name} points up instead of z.",
            remedy=f"Import it again with {_axis_of_file(name, imported)} as the axis that points up.",
        )
    else:
        yield Finding(
            check="up",
            level="warning",
            message="It cannot be told from the cameras which axis points up.",
            remedy="Look at the floor grid and the poles in the views: they must stand on the floor.",
        )
    if score[2] > 0.3:
        for camera, up in zip(rig, ups, strict=True):
            if up[2] < -0.3:
                yield Finding(
                    check="up",
                    level="warning",
                    message=f"{camera.name} hangs upside down.",
                    remedy="Right if it is mounted that way and its video is upside down too.",
                    camera=camera.name,
                )


def _axis_of_file(world: str, imported: Axis) -> str:
    """Name of the file's axis that became an axis of the world when it was imported with `imported` up."""
    direction = (-1.0 if world.startswith("-") else 1.0) * np.eye(3)["xyz".index(world[-1])]
    in_file = direction @ rotation_to_z_up(imported)
    axis = int(np.argmax(np.abs(in_file)))
    return ("-" if in_file[axis] < 0 else "") + "xyz"[axis]


def _floor(rig: CameraRig) -> Iterator[Finding]:
    heights = np.array([c.centre_mm[2] for c in rig])
    below = [c.name for c, z in zip(rig, heights, strict=True) if z < -50]
    if not below and heights.max() <= _HEIGHT_MM:
        message = f"The cameras stand {heights.min() / 1000:.2f} to {heights.max() / 1000:.2f} m above the floor."
        if heights.max() > 100:
            yield Finding(check="floor", level="ok", message=message)
        else:
            yield Finding(
                check="floor",
                level="warning",
                message=f"All cameras are within {heights.max():.0f} mm of the floor.",
                remedy="Set the floor of the calibration: its origin may be a camera or the board in the air.",
            )
    for name in below:
        yield Finding(
            check="floor",
            level="error",
            message=f"{name} is {-rig[name].centre_mm[2] / 1000:.2f} m under the floor.",
            remedy="The up axis is wrong, or the origin is not on the floor: set both in the program that calibrated.",
            camera=name,
        )
    if heights.max() > _HEIGHT_MM:
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
                message=f"{rig[int(i)].name} and {rig[int(j)].name} have the same place and direction.",
                remedy="One of them was not calibrated: calibrate it, or remove it from the file.",
            )


def _aim(rig: CameraRig) -> Iterator[Finding]:
    """Whether the cameras look at a common area and not away from each other, as mirrored poses do."""
    if len(rig) < 2:
        return
    centres = np.stack([c.centre_mm for c in rig])
    forward = np.stack([c.pose[0][2] for c in rig])
    if _diverge(centres, forward):
        yield Finding(
            check="aim",
            level="error",
            message="The cameras look away from each other.",
            remedy="The poses are mirrored, or stored the other way round (camera to world): check the file's format.",
        )
        return
    middle = viewed_point(rig)
    ahead = ((middle - centres) * forward).sum(1) > 0
    missed = []
    for camera, before in zip(rig, ahead, strict=True):
        pixel = project(camera, middle)
        # Half an image beyond the edge still shares ground with the others.
        size = np.array(camera.size_px)
        if not before or not np.isfinite(pixel).all() or ((pixel < -size / 2) | (pixel > 1.5 * size)).any():
            missed.append(camera.name)
            yield Finding(
                check="aim",
                level="warning",
                message=f"{camera.name} does not look at the area that the others look at.",
                remedy="Compare its floor grid with its image: if they disagree, calibrate its pose again.",
                camera=camera.name,
            )
    if not missed:
        yield Finding(check="aim", level="ok", message="All cameras look into one area.")


def _diverge(centres: F64, forward: F64) -> bool:
    """Whether the optical axes meet behind the cameras instead of before them."""
    outward = ((centres - centres.mean(0)) * forward).sum(1) / np.maximum(
        np.linalg.norm(centres - centres.mean(0), axis=1), 1e-9
    )
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    normal = across.sum(0)
    if np.linalg.eigvalsh(normal)[0] < 0.02 * len(centres):
        return False  # side by side: their axes meet nowhere
    point = np.linalg.solve(normal, np.einsum("vij,vj->i", across, centres))
    depth = ((point - centres) * forward).sum(1)
    return bool(np.median(depth) < 0 and np.median(outward) > 0)


def _shared_views(rig: CameraRig) -> F64:
    """(V, V) share of each camera's view of the searched room that another has too; NaN where it sees nothing."""
    low, high = search_box(rig)
    seen = seen_by(rig, grid(low, high, 250.0)).reshape(len(rig), -1).astype(float)
    own = seen.sum(1)
    # Of a camera that looks out of the room a sliver is left: one stray point in common is no overlap.
    usual = np.maximum(own, max(0.1 * float(np.median(own)), 1.0))
    return np.asarray(np.where(own[:, None] > 0, seen @ seen.T / usual[:, None], np.nan))


def _overlap(rig: CameraRig, shared: F64) -> Iterator[Finding]:
    if len(rig) < 2:
        return
    others = np.where(np.eye(len(rig), dtype=bool), 0.0, np.nan_to_num(shared))
    best = others.max(1)
    for camera, share in zip(rig, best, strict=True):
        if share < _SHARED:
            yield Finding(
                check="overlap",
                level="error" if share == 0 else "warning",
                message=f"{camera.name} shares {share:.0%} of its view with any other camera.",
                remedy="3D needs two views of the same place: turn the camera, or check its pose.",
                camera=camera.name,
            )
    pairs = int((np.minimum(others, others.T) >= _SHARED).sum()) // 2
    total = len(rig) * (len(rig) - 1) // 2
    if (best >= _SHARED).all():
        yield Finding(check="overlap", level="ok", message=f"{pairs} of {total} pairs of cameras see common ground.")
