"""Reconstruction without training: multi-view association, robust triangulation, tracking, plausibility filters.

The result of `Triangulator.reconstruct` is the baseline of a take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.association.config import AssociationConfig
from core.association.match import FrameAssociator, associate_take
from core.association.robust import triangulate_people
from core.association.views import ViewGeometry, stack_views
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.progress import Reporter
from core.reconstruction.reconstructor import TrackedFrame
from core.tracking.config import TrackingConfig
from core.tracking.limits import person_error_mm
from core.tracking.plausible import implausible_joints
from core.tracking.smooth import smooth
from core.tracking.track import DISCARDED, gather_tracks, track_people
from core.tracking.tracker import PeopleFrame, Tracker
from core.types.arrays import F64, read_only
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D, StoredPose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import Skeleton


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangulator:
    """Reconstructor by association and triangulation; see `Reconstructor`.

    Attributes:
        association: Settings of association and triangulation.
        tracking: Settings of tracking, plausibility filters and smoothing.
    """

    association: AssociationConfig = field(default_factory=AssociationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    @classmethod
    def from_baseline(cls, provenance: Mapping[str, Any]) -> Triangulator:
        """Build a triangulator with the settings in the provenance of a baseline.

        Raises:
            CoreError: The baseline was made by a version with other settings.
        """
        settings = provenance.get("config", {})
        try:
            return cls(
                association=from_mapping(AssociationConfig, settings.get("association", {})),
                tracking=from_mapping(TrackingConfig, settings.get("tracking", {})),
            )
        except CoreError as error:
            raise CoreError(
                f"The baseline was made by another version of the program: {error}", "Run 'triangulate' on it again."
            ) from error

    def reconstruct(
        self,
        rig: CameraRig,
        poses2d: Mapping[str, Pose2D | StoredPose2D],
        time_s: F64,
        reporter: Reporter,
        *,
        exclude_camera: str | None = None,
    ) -> Pose3DSequence:
        """Reconstruct the people of a take; see `Reconstructor`.

        Joints with implausible bone lengths or speeds are removed. The result is smoothed according to the settings.
        """
        if exclude_camera is not None:
            _ = rig[exclude_camera]  # Raises for an unknown camera.
            rig = rig.subset([name for name in rig.names if name != exclude_camera])
        people = associate_take(rig, poses2d, time_s, self.association, reporter)
        error_mm = person_error_mm(rig, people.xyz_mm, people.covariance_mm2)
        tracked = track_people(time_s, people.xyz_mm, people.score, people.skeleton, self.tracking, error_mm)
        error_mm = gather_tracks(error_mm, tracked.source, missing=0.0)
        # Arrays are released early and modified in place to limit the memory for a long take.
        skeleton, provenance, covariance = people.skeleton, people.provenance, people.covariance_mm2
        del people
        implausible = implausible_joints(time_s, tracked.xyz_mm, skeleton, self.tracking, error_mm)
        xyz_mm, score = tracked.xyz_mm, tracked.score
        xyz_mm[implausible], score[implausible] = np.nan, 0.0
        del implausible
        if covariance is not None:
            covariance = read_only(gather_tracks(covariance, tracked.source))
        config = {"association": to_mapping(self.association), "tracking": to_mapping(self.tracking)}
        sequence = Pose3DSequence(
            skeleton=skeleton,
            time_s=time_s,
            xyz_mm=read_only(xyz_mm),
            score=read_only(score),
            person_ids=tuple(tracked.ids.tolist()),
            covariance_mm2=covariance,
            provenance={**provenance, "config": config, DISCARDED: tracked.discarded},
        )
        return smooth(sequence, self.tracking)

    def online(self, rig: CameraRig, skeleton: Skeleton) -> OnlineTriangulator:
        """Return an online reconstructor for a live stream of posed cameras with detections in `skeleton`."""
        return OnlineTriangulator(rig, skeleton, self)


class OnlineTriangulator:
    """Online reconstructor by triangulation; see `OnlineReconstructor`.

    Tracks are not joined across long gaps and joints are not checked for plausibility, because both need later frames.
    """

    def __init__(self, rig: CameraRig, skeleton: Skeleton, settings: Triangulator) -> None:
        self._rig, self._settings = rig, settings
        self._associator = FrameAssociator(
            ViewGeometry.build(rig, skeleton, settings.association), settings.association
        )
        self._tracker = Tracker(settings.tracking, skeleton)

    def update(self, time_s: float, poses2d: Mapping[str, Pose2D]) -> TrackedFrame:
        """Reconstruct and track the people of the next frame set; see `OnlineReconstructor`."""
        views = stack_views(self._rig, poses2d, self._settings.association)
        members = self._associator.update(time_s, views)
        people = triangulate_people(views, members[None])
        error_mm = person_error_mm(self._rig, people.xyz_mm[0], people.covariance_mm2[0])
        frame = PeopleFrame(time_s=time_s, xyz_mm=people.xyz_mm[0], score=people.score[0], error_mm=error_mm)
        ids = self._tracker.update(frame)
        return TrackedFrame(time_s=time_s, xyz_mm=frame.xyz_mm, score=frame.score, ids=ids)
