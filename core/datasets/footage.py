"""Footage of a rig: 2D detections as input, pseudo labels as targets, split by time. There are no 3D labels.

Legend: T frame of all takes, B batch, V view, P detection, L labelled person, J joint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from core.association.config import AssociationConfig
from core.association.labels import clean_labels
from core.datasets.config import SplitConfig
from core.datasets.heatmaps import HeatmapSource
from core.datasets.images import ImageSource
from core.datasets.poses2d import MultiviewPoses2D
from core.datasets.split import held_out, training_frames
from core.errors import CoreError
from core.types.arrays import F32, F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import Skeleton, convert


@dataclass(frozen=True, slots=True, eq=False)
class PseudoLabels:
    """2D targets for projected 3D joints.

    Attributes:
        xy_px: (T, V, L, J, 2) image px, 0 where missing.
        weight: (T, V, L, J) in 0..1, 0 where missing.
        anchor_mm: (T, L, J, 3) people triangulated without training, NaN where missing; None if not available.
    """

    xy_px: F32
    weight: F32
    anchor_mm: F32 | None = None

    @classmethod
    def raw(cls, inputs: MultiviewPoses2D) -> PseudoLabels:
        """Use all joints of the estimator, including guessed ones: the paper's soft labels."""
        return cls(inputs.xy_px, (inputs.score > 0).astype(np.float32))

    @classmethod
    def clean(
        cls, rig: CameraRig, poses2d: Mapping[str, Pose2D], people: Pose3DSequence, skeleton: Skeleton
    ) -> PseudoLabels:
        """Use only 2D joints on which all views agree: detections near the triangulated joints, and filled-in ones.

        Args:
            rig: V cameras; those without poses get no labels.
            poses2d: 2D poses of one take by camera name.
            people: People triangulated from them without training.
            skeleton: Joints of the labels.
        """
        names = [name for name in rig.names if name in poses2d]
        cleaned = clean_labels(rig.subset(names), poses2d, people, AssociationConfig())
        xy, weight = convert(
            cleaned.xy_px.astype(np.float64), cleaned.weight.astype(np.float64), people.skeleton, skeleton
        )
        T, _, P, J = weight.shape
        anchor, _ = convert(people.xyz_mm, people.score, people.skeleton, skeleton)
        labels = cls(
            np.zeros((T, len(rig), P, J, 2), np.float32),
            np.zeros((T, len(rig), P, J), np.float32),
            anchor.astype(np.float32),
        )
        at = [rig.names.index(name) for name in names]
        labels.xy_px[:, at], labels.weight[:, at] = np.nan_to_num(xy), weight
        return labels


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """Detections, labels, heatmaps and images of takes, concatenated over time.

    Attributes:
        rig: V cameras, in the order of all views.
        inputs: Detections of the 2D estimator.
        labels: Pseudo labels.
        train: (M,) indices of training frames.
        held_out: (N,) indices of held-out frames.
        maps: Stored heatmaps of the estimator, with `heatmap.source` "estimator".
        images: Images of the frames, with `heatmap.source` "backbone".
    """

    rig: CameraRig
    inputs: MultiviewPoses2D
    labels: PseudoLabels
    train: np.ndarray
    held_out: np.ndarray
    maps: HeatmapSource | None = None
    images: ImageSource | None = None

    @classmethod
    def build(
        cls,
        rig: CameraRig,
        inputs: Sequence[MultiviewPoses2D],
        labels: Sequence[PseudoLabels],
        times_s: Sequence[F64],
        split: SplitConfig,
        maps: Sequence[HeatmapSource] = (),
        images: Sequence[ImageSource] = (),
    ) -> Footage:
        """Concatenate takes, each of which is split separately.

        Args:
            rig: V cameras.
            inputs: Detections of each take.
            labels: Labels of each take.
            times_s: Times of the frames of each take.
            split: Settings of the split.
            maps: Stored heatmaps of each take, or None for all.
            images: Images of each take, or None for all.

        Raises:
            CoreError: No frame remains for training.
        """
        train = np.concatenate([training_frames(time_s, split) for time_s in times_s])
        out = np.concatenate([held_out(len(take), split) for take in inputs])
        inputs_of_all = MultiviewPoses2D(
            _join([take.xy_px for take in inputs]),
            _join([take.score for take in inputs]),
            np.concatenate([take.view_weight for take in inputs]),
            inputs[0].skeleton,
        )
        footage = cls(
            rig=rig,
            inputs=inputs_of_all,
            labels=PseudoLabels(
                _join([take.xy_px for take in labels]),
                _join([take.weight for take in labels]),
                _anchors([take.anchor_mm for take in labels]),
            ),
            train=np.flatnonzero(train & _shown(inputs_of_all)),
            held_out=np.flatnonzero(out),
            maps=ConcatHeatmaps(maps, [len(take) for take in inputs]) if maps else None,
            images=ConcatImages(images, [len(take) for take in inputs]) if images else None,
        )
        footage._check(train, times_s, split)
        return footage

    def _check(self, train: np.ndarray, times_s: Sequence[F64], split: SplitConfig) -> None:
        """Check that training is possible on the footage.

        Args:
            train: (T,) training frames of the split.
            times_s: Times of the frames of each take.
            split: Settings of the split.

        Raises:
            CoreError: No training frame meets a condition, which the message names.
        """
        shown, labelled = _shown(self.inputs), (self.labels.weight > 0).any((1, 2, 3))
        if not shown.any():
            raise CoreError(
                "No frame of these takes has detections in two views.",
                "Check the 2D poses on the View page, or choose another take.",
            )
        if not labelled.any():
            raise CoreError(
                "No person was triangulated in these takes, so that there is nothing to learn from.",
                "Triangulate the takes first and check the people on the View page, or choose another take.",
            )
        if not train.any():
            duration_s = sum(float(t[-1] - t[0]) for t in times_s)
            raise CoreError(
                f"{len(train)} frames in {duration_s:.2g} s are too few to hold some out: "
                f"all others are less than {split.guard_s:g} s away from them.",
                "Record a longer take, or set training.split.share to 0 to train on all frames without measuring.",
            )
        if not (train & shown & labelled).any():
            raise CoreError(
                f"People are in {int(labelled.sum())} of {len(train)} frames, and none of these is left to train on: "
                "they are held out, or next to frames that are.",
                "Record a longer take, or set training.split.share to 0 to train on all frames without measuring.",
            )

    def without(self, view: int) -> Footage:
        """Return the footage without the detections and labels of one camera."""
        others = np.arange(len(self.rig)) != view
        weight = self.labels.weight * others[:, None, None].astype(np.float32)
        return replace(self, inputs=self.inputs.with_views(others), labels=replace(self.labels, weight=weight))

    @classmethod
    def empty(cls, rig: CameraRig, skeleton: Skeleton) -> Footage:
        """Return footage without frames, for training on synthetic people alone."""
        V, J = len(rig), len(skeleton)
        nobody, missing = np.zeros((0, V, 1, J, 2), np.float32), np.zeros((0, V, 1, J), np.float32)
        return cls(
            rig=rig,
            inputs=MultiviewPoses2D(nobody, missing, np.zeros((0, V), np.float32), skeleton),
            labels=PseudoLabels(nobody, missing),
            train=np.empty(0, int),
            held_out=np.empty(0, int),
        )


class ConcatHeatmaps:
    """Stored heatmaps of several takes of one estimator, with consecutive frame indices.

    Args:
        takes: Stored heatmaps of each take.
        lengths: Number of frames of each take.
    """

    def __init__(self, takes: Sequence[HeatmapSource], lengths: Sequence[int]) -> None:
        self.joints = takes[0].joints
        self._takes = tuple(takes)
        self._starts = np.concatenate([[0], np.cumsum(lengths)])

    def warp(self, frames: np.ndarray, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Warp heatmaps; see `HeatmapSource.warp`."""
        return _from_takes(
            self._starts,
            frames,
            lambda take, rows, local: self._takes[take].warp(local, affine[rows], size_hw),
        )


class ConcatImages:
    """Images of several takes, with consecutive frame indices.

    Args:
        takes: Images of each take.
        lengths: Number of frames of each take.
    """

    def __init__(self, takes: Sequence[ImageSource], lengths: Sequence[int]) -> None:
        self._takes = tuple(takes)
        self._starts = np.concatenate([[0], np.cumsum(lengths)])

    def warp(
        self,
        frames: np.ndarray,
        affine: Tensor,
        size_hw: tuple[int, int],
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Warp images; see `ImageSource.warp`."""
        return _from_takes(
            self._starts,
            frames,
            lambda take, rows, local: self._takes[take].warp(local, affine[rows], size_hw, transform),
        )


def _from_takes(
    starts: np.ndarray, frames: np.ndarray, read: Callable[[int, np.ndarray, np.ndarray], Tensor]
) -> Tensor:
    """Collect the results of `read` for frames (B,) of takes that start at `starts`, in the order of `frames`.

    `read` is called once per take with the index of the take, its rows in the batch and their frame indices in the
    take.
    """
    owner = np.searchsorted(starts, frames, "right") - 1
    takes = np.unique(owner)
    rows = [np.flatnonzero(owner == take) for take in takes]
    parts = [read(int(take), row, frames[row] - starts[take]) for take, row in zip(takes, rows, strict=True)]
    return torch.cat(parts)[torch.as_tensor(np.argsort(np.concatenate(rows)))]


def _shown(inputs: MultiviewPoses2D) -> np.ndarray:
    """Return (T,) bool, True where at least two views have a detection."""
    return np.asarray((inputs.score > 0).any((-2, -1)).sum(-1) >= 2)


def _anchors(parts: list[F32 | None]) -> F32 | None:
    """Concatenate the triangulated people (T, L, J, 3) of all takes, NaN where missing; None if a take has none."""
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    width = max(part.shape[1] for part in known)
    return np.concatenate(
        [np.pad(p, [(0, 0), (0, width - p.shape[1]), (0, 0), (0, 0)], constant_values=np.nan) for p in known]
    )


def _join(parts: list[F32]) -> F32:
    """Concatenate (T, V, P, ...) along time, padding where takes differ in the number of people."""
    width = max(part.shape[2] for part in parts)
    padded = [np.pad(p, [(0, (width - p.shape[2]) * (axis == 2)) for axis in range(p.ndim)]) for p in parts]
    return np.concatenate(padded)
