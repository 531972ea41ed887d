"""Protocols of methods that reconstruct tracked 3D people from 2D poses of calibrated cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from core.progress import Reporter
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence


class Reconstructor(Protocol):
    """Reconstruction method for complete takes."""

    def reconstruct(
        self,
        rig: CameraRig,
        poses2d: Mapping[str, Pose2D],
        time_s: F64,
        reporter: Reporter,
        *,
        exclude_camera: str | None = None,
    ) -> Pose3DSequence:
        """Reconstruct the people of a take.

        Args:
            rig: Posed cameras.
            poses2d: Detections by camera name, all of the same T frames.
            time_s: (T,) times.
            reporter: Receives progress and cancels.
            exclude_camera: Name of a camera to exclude, for leave-one-camera-out.

        Raises:
            CoreError: The 2D poses do not match the rig, or fewer than two cameras remain.
            CancelledError: The job was cancelled.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackedFrame:
    """3D people of one frame with identities.

    Attributes:
        time_s: Time of the frame.
        xyz_mm: (P, J, 3) joints in world coordinates, NaN where missing.
        score: (P, J) confidences in 0..1, 0 where missing.
        ids: (P,) identities, counted from 1; 0 for people with too few joints to be tracked.
    """

    time_s: float
    xyz_mm: F64
    score: F64
    ids: I64


class OnlineReconstructor(Protocol):
    """Causal reconstruction method for live streams, one frame set at a time."""

    def update(self, time_s: float, poses2d: Mapping[str, Pose2D]) -> TrackedFrame:
        """Reconstruct and track the people of the next frame set.

        Args:
            time_s: Time of the frame set, later than the previous one.
            poses2d: Detections by camera name, each of exactly one frame.
        """
        ...
