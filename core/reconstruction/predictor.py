"""Reconstruction with trained networks: heatmaps, roots, poses, refinement, then tracking and temporal refinement.

People found by association without networks are merged with the proposals of the root network, so that recall is at
least that of either.

Letters in shapes: T time, P person, J joint, V view.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from scipy.ndimage import binary_dilation

from core.association.config import AssociationConfig
from core.association.match import FrameAssociator
from core.association.robust import triangulate_people
from core.association.views import ViewGeometry, stack_views
from core.datasets.frame_people import FramePeople
from core.datasets.heatmaps import BackboneHeatmaps, HeatmapSource, StoredHeatmaps
from core.datasets.poses2d import MultiviewPoses2D, make_view_batch
from core.datasets.take_images import streamed_images
from core.errors import CoreError
from core.geometry.accuracy import expected_error_mm
from core.geometry.similarity import Similarity
from core.models.checkpoint import Checkpoint
from core.models.device import describe_device, pick_device, pick_precision
from core.models.distributed import Group
from core.models.engine import engine_name
from core.models.inference import LEAST_SCORE, estimate_people
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.pose2d.heatmaps import open_heatmaps
from core.progress import Reporter, StageReporter, check
from core.reconstruction.reconstructor import TrackedFrame
from core.reconstruction.temporal import refine_tracks
from core.session import RunLayout, Take
from core.tracking.config import TrackingConfig
from core.tracking.limits import person_error_mm
from core.tracking.track import DISCARDED, gather_tracks, track_people
from core.tracking.tracker import PeopleFrame, Tracker
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.volume import CaptureVolume

_BATCH_FRAMES = {"cpu": 4}
_BATCH_FRAMES_GPU = 32
_EXPECTED_ERRORS = 3.0
"""Multiple of the expected error of the rig up to which the standard deviation of a joint is accepted."""
_ASSOCIATION_SHARE = 0.1
"""Fraction of the progress bar for association, about its fraction of the time."""


class Predictor:
    """Reconstructor with trained networks, for any rig; see `Reconstructor`.

    Args:
        networks: Networks in evaluation mode; their batch norms are folded.
        volume: Capture volume of the root network.
        device: Device of the networks.
        name: Name of the training run, for provenance.
        precision: Arithmetic of the networks; "auto" is bf16 on devices that benefit from it.
        temporal: Use the temporal refiner if the run has one.
        association: Settings of association and triangulation.

    Raises:
        CoreError: The device does not support this precision.
    """

    def __init__(
        self,
        networks: Networks,
        volume: CaptureVolume,
        device: torch.device,
        name: str,
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        temporal: bool = True,
        association: AssociationConfig | None = None,
    ) -> None:
        self.association = association or AssociationConfig()
        self.networks, self.volume, self.device, self.name = networks, volume, device, name
        self.temporal = networks.temporal if temporal else None
        self.world: Similarity | None = None
        """Transform from the world coordinates of the given rigs to those of the training, if needed."""
        low = pick_precision(device, precision)
        self.networks.freeze(low)
        self.runs_on = f"{describe_device(device)}, {engine_name(device)}, {'fp32' if low is None else 'bf16'}"
        """Device, inference engine and arithmetic, for messages."""

    @classmethod
    def load(
        cls,
        run: RunLayout,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        temporal: bool = True,
    ) -> Predictor:
        """Load the best checkpoint of a training run.

        Raises:
            CoreError: The run has no checkpoint, it is damaged, or the device does not support this precision.
        """
        chosen = pick_device(device)
        saved = Checkpoint.load(run.checkpoints / "best")
        return cls(saved.build(chosen), saved.volume, chosen, run.name, precision, temporal)

    def with_context(self, frames: np.ndarray, n_frames: int) -> np.ndarray:
        """Add the neighbours that temporal refinement needs for results in `frames` close to those of a full run.

        Args:
            frames: (F,) indices of the frames of interest.
            n_frames: Number of frames of the take.
        """
        if self.temporal is None:
            return frames
        wanted = np.zeros(n_frames, bool)
        wanted[frames] = True
        return np.flatnonzero(binary_dilation(wanted, iterations=self.temporal.config.frames // 4))

    def reconstruct_take(
        self,
        take: Take,
        rig: CameraRig,
        estimator: str,
        reporter: Reporter,
        *,
        exclude_camera: str | None = None,
        frames: Sequence[int] | np.ndarray | None = None,
        tracking: TrackingConfig | None = None,
        group: Group | None = None,
    ) -> Pose3DSequence:
        """Reconstruct the people of a take in the joint set of the networks, reading heatmaps or images if needed.

        Args:
            take: Take with 2D poses of `estimator`.
            rig: Cameras of the take.
            estimator: Name of the 2D estimator.
            reporter: Receives progress and cancels.
            exclude_camera: Name of a camera to exclude.
            frames: Increasing indices of the frames to predict; all if None.
            tracking: Settings of tracking.
            group: Processes that share the frames; only the main process returns all of them.

        Raises:
            CoreError: The take has no 2D poses or lacks the heatmaps that the networks read, or the excluded camera is
                unknown or leaves fewer than two.
        """
        poses2d = take.poses2d(estimator, rig)
        time_s = take.timeline().time_s
        chosen = np.arange(len(time_s)) if frames is None else np.asarray(frames, int)

        def reconstruct(maps: HeatmapSource | None) -> Pose3DSequence:
            return self.reconstruct(
                rig,
                poses2d,
                time_s,
                reporter,
                exclude_camera=exclude_camera,
                frames=chosen,
                tracking=tracking,
                maps=maps,
                group=group,
            )

        if self.networks.config.heatmap.source == "joints":
            return reconstruct(None)
        if self.networks.backbone is not None:
            with streamed_images(take, rig, self.networks.config, reporter) as images:
                return reconstruct(BackboneHeatmaps(self.networks.backbone, images, self.networks.skeleton))
        with open_heatmaps(take, estimator, rig) as readers:
            return reconstruct(StoredHeatmaps(readers, self.networks.skeleton))

    def reconstruct(
        self,
        rig: CameraRig,
        poses2d: Mapping[str, Pose2D],
        time_s: F64,
        reporter: Reporter,
        *,
        exclude_camera: str | None = None,
        frames: np.ndarray | None = None,
        tracking: TrackingConfig | None = None,
        maps: HeatmapSource | None = None,
        group: Group | None = None,
    ) -> Pose3DSequence:
        """Reconstruct people from 2D poses; see `Reconstructor` and `reconstruct_take`.

        Args:
            rig: Posed cameras.
            poses2d: 2D poses by camera name.
            time_s: (T,) times of all frames.
            reporter: Receives progress and cancels.
            exclude_camera: Name of a camera to exclude.
            frames: Increasing indices of the frames to predict; all if None.
            tracking: Settings of tracking.
            maps: Stored heatmaps of the same frames, for networks that read them.
            group: Processes that share the frames.
        """
        if self._needs_maps and maps is None:
            raise CoreError(
                f"The networks of {self.name} read heatmaps or images, and there are none here.",
                "Use networks that were trained with model.heatmap.source=joints.",
            )
        frames = np.arange(len(time_s)) if frames is None else frames
        digest, rig = rig.digest, rig if self.world is None else self.world.rig(rig)
        scene = CaptureScene(rig, self.volume, self.networks.config, self.device)
        allowed = _allowed_views(rig, exclude_camera)
        batch_size = _BATCH_FRAMES.get(self.device.type, _BATCH_FRAMES_GPU)
        batches, skeleton = [], self.networks.skeleton
        group = Group() if group is None else group
        share = np.array(group.ranks.share(range(len(frames))), int)
        # Every process associates all frames, because the result depends on previous frames.
        known = self._triangulate(
            rig, poses2d, time_s, frames, StageReporter(reporter, 0.0, _ASSOCIATION_SHARE), allowed
        )
        reporter = StageReporter(reporter, _ASSOCIATION_SHARE, 1 - _ASSOCIATION_SHARE)
        for start in range(0, len(share), batch_size):
            check(reporter)
            rows = share[start : start + batch_size]
            batch = frames[rows]
            detections = MultiviewPoses2D.stack(rig, poses2d, skeleton, batch).with_views(allowed)
            triangulated = None if known is None else known.frames(rows)
            batches.append(self._detect(scene, detections, maps, batch, triangulated))
            reporter.progress(min(start + batch_size, len(share)), len(share), f"3D poses on {self.runs_on}")
        local = FramePeople.concatenate(batches, len(skeleton))
        batches.clear()  # Limits the memory for a long take.
        people = FramePeople.concatenate(group.gather(local), len(skeleton))
        frames = frames if group.is_main else frames[:0]
        tracking = tracking or TrackingConfig()
        error_mm = person_error_mm(_used(rig, allowed), people.xyz_mm)
        tracked = track_people(time_s[frames], people.certain_mm, people.score, skeleton, tracking, error_mm)
        xyz, score = tracked.xyz_mm, tracked.score
        covariance = gather_tracks(people.covariance_mm2, tracked.source)
        with_uncertain = None if self.temporal is None else gather_tracks(people.xyz_mm, tracked.source)
        del people, local
        if with_uncertain is not None:
            limit_mm = self._limit_mm(_used(rig, allowed), with_uncertain)
            xyz, score, covariance = self._refine_tracks(
                time_s[frames], with_uncertain, covariance, score, limit_mm, tracking
            )
        method = {"method": "networks", "temporal": self.temporal is not None}
        found = Pose3DSequence(
            skeleton=skeleton,
            time_s=time_s[frames],
            xyz_mm=xyz,
            score=score,
            person_ids=tuple(int(i) for i in tracked.ids),
            covariance_mm2=np.asarray(covariance, np.float32),
            provenance={
                **method,
                DISCARDED: tracked.discarded,
                "run": self.name,
                "rig": digest,
                "excluded": exclude_camera or "",
            },
        )
        return found if self.world is None else self.world.inverse.poses(found)

    def online(self, rig: CameraRig, tracking: TrackingConfig | None = None) -> OnlinePredictor:
        """Return an online reconstructor for a live stream of posed cameras.

        Raises:
            CoreError: The networks read heatmaps or images.
        """
        return OnlinePredictor(self, rig, tracking or TrackingConfig())

    @property
    def _needs_maps(self) -> bool:
        return self.networks.config.heatmap.source != "joints"

    def _limit_mm(self, rig: CameraRig, xyz_mm: F64) -> F64:
        """Return the maximum standard deviation (...) of reported joints of people (..., J, 3); infinite for no limit.

        The limit grows with the expected error of the rig, because joints far from the cameras are less certain without
        being wrong.
        """
        config = self.networks.config.pose.ray_refiner
        if not (config.enabled and config.max_std_mm):
            return np.full(xyz_mm.shape[:-2], np.inf)
        known = np.isfinite(xyz_mm).all(-1, keepdims=True)
        middle = np.where(known, xyz_mm, 0.0).sum(-2) / np.maximum(known.sum(-2), 1)
        expected_mm = expected_error_mm(rig, middle) / np.sqrt(3)  # of a coordinate
        return np.asarray(np.fmax(config.max_std_mm, _EXPECTED_ERRORS * expected_mm))

    def _refine_tracks(
        self, time_s: F64, xyz_mm: F64, covariance: F64, score: F64, limit_mm: F64, tracking: TrackingConfig
    ) -> tuple[F64, F64, F64]:
        """Return joints (T, P, J, 3), scores and covariances of tracked people after temporal refinement.

        Joints whose standard deviation exceeds `limit_mm` (T, P) both before and after refinement are missing. The
        input includes uncertain joints, because other frames may reduce their uncertainty.
        """
        assert self.temporal is not None
        refined = refine_tracks(self.temporal, time_s, xyz_mm, covariance, tracking.max_gap_s)
        certain = (_std_mm(refined.covariance_mm2) <= limit_mm[..., None]) | (score > 0)  # False for NaN.
        xyz = np.where(certain[..., None], refined.xyz_mm, np.nan)
        return xyz, np.where(certain, np.maximum(score, LEAST_SCORE), 0.0), refined.covariance_mm2

    def _triangulate(
        self,
        rig: CameraRig,
        poses2d: Mapping[str, Pose2D],
        time_s: F64,
        frames: np.ndarray,
        reporter: Reporter,
        allowed: np.ndarray,
    ) -> FramePeople | None:
        """Return the triangulated people of some frames in the joint set of the networks; None with one camera."""
        used = _used(rig, allowed * [name in poses2d for name in rig.names])
        if len(used) < 2 or not len(frames):
            return None
        chosen = {name: poses2d[name].select(frames) for name in used.names}
        return FramePeople.triangulate(used, chosen, time_s[frames], self.networks.skeleton, self.association, reporter)

    def _detect(
        self,
        scene: CaptureScene,
        detections: MultiviewPoses2D,
        maps: HeatmapSource | None,
        frames: np.ndarray,
        triangulated: FramePeople | None,
    ) -> FramePeople:
        """Return the people of a batch of frames, in as many columns as the largest number per frame.

        Args:
            scene: Rig and capture volume.
            detections: 2D poses of B frames.
            maps: Stored heatmaps, for networks that read them.
            frames: (B,) frame indices in `maps`.
            triangulated: People triangulated from the same detections, if any.
        """
        affine = scene.affine.expand(len(frames), -1, -1, -1)
        views = make_view_batch(
            detections, affine, scene.size_hw, scene.sigma_px, maps if self._needs_maps else None, frames
        )
        known = None if triangulated is None else triangulated.known(self.device)
        people = estimate_people(self.networks, scene, views, known)
        used = _used(scene.rig, detections.view_weight.max(0))
        limit_mm = self._limit_mm(used, people.xyz_mm.cpu().numpy().astype(float))
        # Triangulated joints are certain at any score, because views agree on them. NaN compares as False.
        unsure = (_std_mm(people.covariance_mm2.cpu().numpy()) > limit_mm[:, None]) & ~people.known.cpu().numpy()
        score = people.score.masked_fill(torch.from_numpy(unsure).to(self.device), 0.0)
        return FramePeople.of(dataclasses.replace(people, score=score), len(views.heatmaps))


class OnlinePredictor:
    """Online reconstructor with networks and tracker; see `OnlineReconstructor`.

    Tracks are not joined across long gaps. Temporal refinement is not applied, because it needs later frames.
    """

    def __init__(self, predictor: Predictor, rig: CameraRig, tracking: TrackingConfig) -> None:
        if predictor._needs_maps:
            raise CoreError(
                f"The networks of {predictor.name} read heatmaps or images, which a live stream of 2D poses lacks.",
                "Use networks that were trained with model.heatmap.source=joints.",
            )
        rig = rig if predictor.world is None else predictor.world.rig(rig)
        self._predictor, self._rig = predictor, rig
        self._scene = CaptureScene(rig, predictor.volume, predictor.networks.config, predictor.device)
        self._tracker = Tracker(tracking, predictor.networks.skeleton)
        self._associator: FrameAssociator | None = None

    def update(self, time_s: float, poses2d: Mapping[str, Pose2D]) -> TrackedFrame:
        """Reconstruct and track the people of the next frame set; see `OnlineReconstructor`."""
        detections = MultiviewPoses2D.stack(self._rig, poses2d, self._predictor.networks.skeleton)
        triangulated = self._triangulate(time_s, poses2d)
        people = self._predictor._detect(self._scene, detections, None, np.zeros(1, int), triangulated)
        error_mm = person_error_mm(self._rig, people.xyz_mm[0])
        frame = PeopleFrame(time_s=time_s, xyz_mm=people.certain_mm[0], score=people.score[0], error_mm=error_mm)
        ids = self._tracker.update(frame)
        world = self._predictor.world
        xyz_mm = frame.xyz_mm if world is None else world.inverse.points(frame.xyz_mm)
        return TrackedFrame(time_s=time_s, xyz_mm=xyz_mm, score=frame.score, ids=ids)

    def _triangulate(self, time_s: float, poses2d: Mapping[str, Pose2D]) -> FramePeople | None:
        """Return the triangulated people of the next frame set; None while a camera is missing."""
        if any(name not in poses2d for name in self._rig.names):
            return None
        config = self._predictor.association
        views = stack_views(self._rig, poses2d, config)
        skeleton = views.geometry.skeleton
        if self._associator is None:
            self._associator = FrameAssociator(ViewGeometry.build(self._rig, skeleton, config), config)
        people = triangulate_people(views, self._associator.update(time_s, views)[None])
        found = FramePeople(people.xyz_mm, people.score, np.asarray(people.covariance_mm2, np.float64))
        return found.converted(skeleton, self._predictor.networks.skeleton)


def _std_mm(covariance_mm2: np.ndarray) -> np.ndarray:
    """Return the RMS standard deviation (...) per axis of covariances (..., 3, 3); NaN where they are."""
    return np.asarray(np.sqrt(np.trace(covariance_mm2, axis1=-2, axis2=-1) / 3))


def _used(rig: CameraRig, allowed: np.ndarray) -> CameraRig:
    """Return the rig of the cameras with non-zero weights (V,)."""
    return rig.subset([name for name, use in zip(rig.names, allowed, strict=True) if use])


def _allowed_views(rig: CameraRig, exclude_camera: str | None) -> np.ndarray:
    """Return weights (V,) of the cameras, 0 for the excluded one."""
    if exclude_camera is None:
        return np.ones(len(rig), np.float32)
    _ = rig[exclude_camera]  # Raises for an unknown camera.
    if len(rig) < 3:
        raise CoreError(
            f"Without {exclude_camera} only one camera is left.", "Excluding a camera needs three cameras or more."
        )
    return np.array([name != exclude_camera for name in rig.names], np.float32)
