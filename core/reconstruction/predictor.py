"""3D people of a take with trained networks: heatmaps, roots, poses, refinement, then identity and paths over time.

Legend: T frame, P person, J joint, V view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from torch import Tensor

from core.datasets.take_images import filmed_images
from core.errors import CoreError
from core.models.backbone import BackboneMaps
from core.models.config import RayRefinerConfig
from core.models.device import describe, pick_device, pick_precision
from core.models.distributed import Group
from core.models.frozen import engine_name
from core.models.networks import JOINTS, LEAST_SCORE, Networks, Scene, detect
from core.models.store import Checkpoint
from core.models.stored_heatmaps import StoredMaps, TakeMaps
from core.models.views import Detections, Views, shown_views
from core.pose2d.heatmaps import open_heatmaps
from core.progress import Reporter, check
from core.reconstruction.temporal import refine_over_time
from core.session import RunLayout, Take
from core.tracking.config import TrackingConfig
from core.tracking.track import follow, track_people
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import PANOPTIC15
from core.types.volume import CaptureVolume

_FRAMES_AT_ONCE = {"cpu": 4}
_FRAMES_AT_ONCE_GPU = 32


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """People of some frames, a column each, which says nothing about identity.

    Attributes:
        xyz_mm: (T, P, J, 3), NaN where there is nobody.
        score: (T, P, J), 0 also of joints that nobody can tell.
        covariance_mm2: (T, P, J, 3, 3), NaN where missing.
    """

    xyz_mm: F64
    score: F64
    covariance_mm2: F64


class Predictor:
    """Trained networks, ready to run on any rig.

    Args:
        networks: In evaluation mode; batch norms are folded away.
        space: What the root network looks into.
        device: Where the networks are.
        name: Of the run they come from, for provenance.
        precision: What they compute in: "auto" is bf16 where the device gains by it.

        temporal: Whether the frames before and after are used, where the networks have learned to.

    Raises:
        CoreError: The device cannot compute in this precision.
    """

    def __init__(
        self,
        networks: Networks,
        volume: CaptureVolume,
        device: torch.device,
        name: str,
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        temporal: bool = True,
    ) -> None:
        self.networks, self.volume, self.device, self.name = networks, volume, device, name
        self.motion = networks.motion if temporal else None
        low = pick_precision(device, precision)
        self.networks.freeze(low)
        self.runs_on = f"{describe(device)}, {engine_name(device)}, {'fp32' if low is None else 'bf16'}"
        """In words: the device, what runs the networks there, and what they compute in."""

    @classmethod
    def load(
        cls,
        run: RunLayout,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        temporal: bool = True,
    ) -> Predictor:
        """The best checkpoint of a training run.

        Raises:
            CoreError: The run has no checkpoint, or it is damaged, or the device cannot compute in this precision.
        """
        chosen = pick_device(device)
        saved = Checkpoint.load(run.checkpoints / "best")
        return cls(saved.build(chosen), saved.volume, chosen, run.name, precision, temporal)

    def with_context(self, frames: np.ndarray, n_frames: int) -> np.ndarray:
        """The frames to predict so that `frames` come out about as they would in a whole take of `n_frames`."""
        if self.motion is None:
            return frames
        wanted = np.zeros(n_frames, bool)
        wanted[frames] = True
        return np.flatnonzero(binary_dilation(wanted, iterations=self.motion.config.frames // 4))

    def predict_take(
        self,
        take: Take,
        rig: CameraRig,
        estimator: str,
        reporter: Reporter,
        exclude_camera: str | None = None,
        frames: Sequence[int] | np.ndarray | None = None,
        tracking: TrackingConfig | None = None,
        group: Group | None = None,
    ) -> Pose3DSequence:
        """3D people of a take in Panoptic-15 joints.

        Args:
            take: Labelled with `estimator`.
            rig: The take's cameras.
            estimator: Whose 2D poses to use.
            reporter: Told of progress; asked whether to stop.
            exclude_camera: A camera that the networks must not see.
            frames: Frames to predict, increasing; all when None.
            tracking: Identity and smoothing.
            group: Processes that share the frames; only the first one gets all of them back.

        Raises:
            CoreError: The take is not labelled, it has no stored heatmaps and the networks look at those, or the
                excluded camera is unknown or leaves fewer than two.
        """
        poses2d = take.poses2d(estimator, rig)
        time_s = take.timeline().time_s
        chosen = np.arange(len(time_s)) if frames is None else np.asarray(frames, int)
        if self.networks.config.heatmap.source == "joints":
            return self.predict(rig, poses2d, time_s, reporter, exclude_camera, chosen, tracking, None, group)
        if self.networks.backbone is not None:
            with filmed_images(take, rig, self.networks.config) as images:
                seen = BackboneMaps(self.networks.backbone, images)
                return self.predict(rig, poses2d, time_s, reporter, exclude_camera, chosen, tracking, seen, group)
        with open_heatmaps(take, estimator, rig) as readers:
            maps = TakeMaps(readers)
            return self.predict(rig, poses2d, time_s, reporter, exclude_camera, chosen, tracking, maps, group)

    def predict(
        self,
        rig: CameraRig,
        poses2d: dict[str, Pose2D],
        time_s: F64,
        reporter: Reporter,
        exclude_camera: str | None = None,
        frames: np.ndarray | None = None,
        tracking: TrackingConfig | None = None,
        maps: StoredMaps | None = None,
        group: Group | None = None,
    ) -> Pose3DSequence:
        """As `predict_take`, of 2D poses by camera name and the times (T,) of their frames.

        `maps` are the stored heatmaps of the same frames, for networks that look at those.
        """
        looks_at_maps = self.networks.config.heatmap.source != "joints"
        if looks_at_maps and maps is None:
            raise CoreError(
                f"The networks of {self.name} look at heatmaps or images, and there are none here.",
                "Use networks that were trained with model.heatmap.source=joints.",
            )
        frames = np.arange(len(time_s)) if frames is None else frames
        scene = Scene(rig, self.volume, self.networks.config, self.device)
        allowed = _allowed_views(rig, exclude_camera)
        at_once = _FRAMES_AT_ONCE.get(self.device.type, _FRAMES_AT_ONCE_GPU)
        parts = []
        group = Group() if group is None else group
        share = np.array(group.ranks.share(frames.tolist()), int)
        for start in range(0, len(share), at_once):
            check(reporter)
            batch = share[start : start + at_once]
            some = Detections.stack(rig, poses2d, batch).seen_by(allowed)
            affine = scene.affine.expand(len(batch), -1, -1, -1)
            shown = maps if looks_at_maps else None
            views = shown_views(some, affine, scene.size_hw, scene.sigma_px, shown, batch)
            parts.append(self._columns(scene, views))
            reporter.progress(min(start + at_once, len(share)), len(share), f"3D poses on {self.runs_on}")
        mine = _join(parts)
        parts.clear()  # of a long take every copy counts
        found = _join(group.gather(mine))
        frames = frames if group.first else frames[:0]
        tracking = tracking or TrackingConfig()
        # What nobody can tell is better missing than somewhere.
        sure = np.where(found.score[..., None] > 0, found.xyz_mm, np.nan)
        xyz, score, ids, source = track_people(time_s[frames], sure, found.score, PANOPTIC15, tracking)
        raw, covariance = follow(found.xyz_mm, source), follow(found.covariance_mm2, source)
        del found, mine, sure
        if self.motion is not None:
            xyz, score, covariance = self._settle(time_s[frames], raw, covariance, score, tracking)
        method = {"method": "networks", "temporal": self.motion is not None}
        return Pose3DSequence(
            skeleton=PANOPTIC15,
            time_s=time_s[frames],
            xyz_mm=xyz,
            score=score,
            person_ids=tuple(int(i) for i in ids),
            covariance_mm2=covariance,
            provenance={**method, "run": self.name, "rig": rig.digest, "excluded": exclude_camera or ""},
        )

    def _settle(
        self, time_s: F64, raw: F64, covariance: F64, score: F64, tracking: TrackingConfig
    ) -> tuple[F64, F64, F64]:
        """Joints (T, P, J, 3), scores and covariances of tracked people after the learned smoother.

        It is shown what is too unsure in its frame as well: other frames may make it sure.
        """
        assert self.motion is not None
        settled = refine_over_time(self.motion, time_s, raw, covariance, tracking.max_gap_s)
        variance = np.trace(settled.covariance_mm2, axis1=-2, axis2=-1) / 3
        sure = variance <= (self.networks.config.pose.rays.most_mm or np.inf) ** 2  # NaN is not
        xyz = np.where(sure[..., None], settled.xyz_mm, np.nan)
        return xyz, np.where(sure, np.maximum(score, LEAST_SCORE), 0.0), settled.covariance_mm2

    def _columns(self, scene: Scene, views: Views) -> _Columns:
        """People of a few frames, whatever their number, in as many columns as the fullest frame needs."""
        T = len(views.heatmaps)
        people = detect(self.networks, scene, views)
        sample = people.sample.cpu().numpy()
        # The people of a frame follow each other: a person's column is the place in that row.
        counts = np.bincount(sample, minlength=T)
        column = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
        P = max(1, counts.max(initial=0))
        columns = _Columns(
            np.full((T, P, JOINTS, 3), np.nan), np.zeros((T, P, JOINTS)), np.full((T, P, JOINTS, 3, 3), np.nan)
        )
        unsure = _unsure(people.covariance_mm2, self.networks.config.pose.rays).cpu().numpy()
        columns.xyz_mm[sample, column] = people.xyz_mm.cpu().numpy()
        columns.score[sample, column] = people.score.cpu().numpy()
        if people.covariance_mm2 is not None:
            columns.covariance_mm2[sample, column] = people.covariance_mm2.cpu().numpy()
        columns.score[sample, column] *= ~unsure
        return columns


def _unsure(covariance_mm2: Tensor, config: RayRefinerConfig) -> Tensor:
    """(P, J) bool: joints of covariances (P, J, 3, 3) that the learned correction is too unsure of."""
    if not (config.enabled and config.most_mm):
        return torch.zeros(covariance_mm2.shape[:2], dtype=torch.bool)
    variance = torch.diagonal(covariance_mm2, dim1=-2, dim2=-1).mean(-1)
    return variance > config.most_mm**2


def _allowed_views(rig: CameraRig, exclude_camera: str | None) -> np.ndarray:
    """(V,) 1 where the camera may be used."""
    if exclude_camera is None:
        return np.ones(len(rig), np.float32)
    _ = rig[exclude_camera]  # says so when there is no such camera
    if len(rig) < 3:
        raise CoreError(
            f"Without {exclude_camera} only one camera is left.", "Leaving a camera out needs three or more."
        )
    return np.array([name != exclude_camera for name in rig.names], np.float32)


def _join(parts: list[_Columns]) -> _Columns:
    """Concatenates over time, filling up with nobody."""
    if not parts:
        empty = np.zeros((0, 1, JOINTS, 3))
        return _Columns(empty, empty[..., 0], np.zeros((0, 1, JOINTS, 3, 3)))
    if len(parts) == 1:
        return parts[0]
    most = max(part.xyz_mm.shape[1] for part in parts)

    def padded(values: F64, fill: float) -> F64:
        width = [(0, 0), (0, most - values.shape[1])] + [(0, 0)] * (values.ndim - 2)
        return np.pad(values, width, constant_values=fill)

    return _Columns(
        np.concatenate([padded(p.xyz_mm, np.nan) for p in parts]),
        np.concatenate([padded(p.score, 0) for p in parts]),
        np.concatenate([padded(p.covariance_mm2, np.nan) for p in parts]),
    )
