"""Similarities: changes of world coordinates that leave every projection unchanged."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from core.geometry.so3 import exp, log, mean
from core.types.arrays import F64
from core.types.body import BodySequence
from core.types.camera import Camera, CameraRig
from core.types.pose3d import Pose3DSequence

_SAME_PX = 0.002
"""Largest shift in px up to which two rigs are equal except for a similarity; rounding causes far less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Similarity:
    """Change of world coordinates, x_new = scale * R (x_old - origin_mm).

    Attributes:
        R: (3, 3) rotation from old to new coordinates.
        origin_mm: (3,) new origin in old coordinates.
        scale: Factor for all lengths.
        floor_guessed: True if the new floor is a guess; None if the change does not affect how well it is known.
    """

    R: F64 = field(default_factory=lambda: np.eye(3))
    origin_mm: F64 = field(default_factory=lambda: np.zeros(3))
    scale: float = 1.0
    floor_guessed: bool | None = None

    def camera(self, camera: Camera) -> Camera:
        """Return the camera in new coordinates; an unposed one is unchanged."""
        if not camera.posed:
            return camera
        R, t_mm = camera.pose
        return camera.replace(R=R @ self.R.T, t_mm=self.scale * (R @ self.origin_mm + t_mm))

    def rig(self, rig: CameraRig, note: str = "") -> CameraRig:
        """Return the rig in new coordinates, with a note appended to its source."""
        source = " ".join(part for part in (rig.source, note) if part)
        guessed = rig.floor_guessed if self.floor_guessed is None else self.floor_guessed
        return dataclasses.replace(
            rig, cameras=tuple(self.camera(c) for c in rig), source=source, floor_guessed=guessed
        )

    @property
    def inverse(self) -> Similarity:
        """The change back to the old coordinates."""
        return Similarity(R=self.R.T, origin_mm=self.points(np.zeros(3)), scale=1 / self.scale)

    def poses(self, poses: Pose3DSequence) -> Pose3DSequence:
        """Return 3D poses with their covariances in new coordinates."""
        covariance = poses.covariance_mm2
        if covariance is not None:
            covariance = np.asarray(self.scale**2 * (self.R @ covariance @ self.R.T), np.float32)
        return dataclasses.replace(poses, xyz_mm=self.points(poses.xyz_mm), covariance_mm2=covariance)

    def bodies(self, bodies: BodySequence) -> BodySequence:
        """Return bodies in new coordinates, for a change without scale, since bodies keep their size."""
        rotations = bodies.rotations_rad.copy()
        rotations[:, :, 0] = log(self.R @ exp(rotations[:, :, 0].astype(np.float64)))
        return dataclasses.replace(bodies, rotations_rad=rotations, pelvis_mm=self.points(bodies.pelvis_mm))

    def points(self, xyz_mm: F64) -> F64:
        """Return points (..., 3) in new coordinates."""
        return np.asarray(self.scale * (np.asarray(xyz_mm) - self.origin_mm) @ self.R.T)


def similarity_between(old: CameraRig, new: CameraRig) -> Similarity | None:
    """Return the change of world coordinates from one rig to another, or None if the cameras changed otherwise."""
    if old.names != new.names or any(not _same_but_pose(old[name], new[name]) for name in old.names):
        return None
    posed = [c.name for c in old if c.posed]
    if len(posed) < 2:
        return None
    rotations = np.stack([new[n].pose[0].T @ old[n].pose[0] for n in posed])
    source, target = (np.stack([rig[n].centre_mm for n in posed]) for rig in (old, new))
    R = mean(rotations)
    turned, moved = (source - source.mean(0)) @ R.T, target - target.mean(0)
    spread = float((turned**2).sum())
    scale = float((turned * moved).sum()) / spread if spread > 0 else 0.0
    if scale <= 0:
        return None
    found = Similarity(R=R, origin_mm=source.mean(0) - R.T @ target.mean(0) / scale, scale=scale)
    return found if _shift_px(found.rig(old), new, posed) <= _SAME_PX else None


def _same_but_pose(a: Camera, b: Camera) -> bool:
    """Return whether two cameras differ at most in their pose."""
    return (
        a.posed == b.posed
        and a.size_px == b.size_px
        and a.distortion_model == b.distortion_model
        and np.allclose(a.K, b.K, rtol=0, atol=1e-6)
        and a.distortion.shape == b.distortion.shape
        and np.allclose(a.distortion, b.distortion, rtol=0, atol=1e-9)
        and abs(a.time_offset_s - b.time_offset_s) < 1e-9
    )


def _shift_px(a: CameraRig, b: CameraRig, posed: list[str]) -> float:
    """Return a bound on the pixel difference between two rigs, for points about as far away as the cameras."""
    centres = np.stack([b[n].centre_mm for n in posed])
    distance_mm = float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    shifts = []
    for name in posed:
        (R, t), (S, u) = a[name].pose, b[name].pose
        turned = float(np.linalg.norm(R - S))
        moved = float(np.linalg.norm(R.T @ t - S.T @ u)) / distance_mm
        shifts.append(float(b[name].K[:2].max()) * (turned + moved))
    return max(shifts)
