"""What the networks are shown: heatmaps of all views, and how they are made of 2D poses and stored heatmaps.

Legend: B batch, T frame, V view, P detection, J joint, H W heatmap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from core.errors import CoreError
from core.models.projection import to_heatmap
from core.models.render import render
from core.models.stored_heatmaps import StoredMaps
from core.types.arrays import F32
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import PANOPTIC15, convert

_ROOT = PANOPTIC15.index("mid_hip")
_HIPS = [PANOPTIC15.index("left_hip"), PANOPTIC15.index("right_hip")]


@dataclass(frozen=True, slots=True)
class Views:
    """Heatmaps of a batch of frames.

    Attributes:
        heatmaps: (B, V, J, H, W) in 0..1.
        root: (B, V, H, W) of the root network: where the mid-hip is, or a hip where the detector missed the other one.
        affine: (B, V, 2, 3) image px to heatmap px.
        view_weight: (B, V); 0 leaves a camera out.
        joints: (B, V, D, J, 2) in heatmap px of the detections that the heatmaps were drawn from.
        peak: (B, V, D, J) their heights, 0 where missing.
        stored: Joints whose heatmaps are the estimator's own; the others are drawn.
    """

    heatmaps: Tensor
    root: Tensor
    affine: Tensor
    view_weight: Tensor
    joints: Tensor
    peak: Tensor
    stored: tuple[int, ...] = ()

    def at(self, chosen: slice | Tensor) -> Views:
        """Some of the entries."""
        return Views(
            self.heatmaps[chosen],
            self.root[chosen],
            self.affine[chosen],
            self.view_weight[chosen],
            self.joints[chosen],
            self.peak[chosen],
            self.stored,
        )

    def showing(self, heatmaps: Tensor, joints: tuple[int, ...]) -> Views:
        """With heatmaps (B, V, K, H, W) of K joints that were not drawn; the root's too, where it is one of them."""
        root = heatmaps[:, :, joints.index(_ROOT)] if _ROOT in joints else self.root
        if len(joints) < len(PANOPTIC15):
            index = torch.tensor(joints, device=heatmaps.device)
            heatmaps = self.heatmaps.index_copy(2, index, heatmaps)
        return replace(self, heatmaps=heatmaps, root=root, stored=joints)

    def weighted(self, view_weight: Tensor) -> Views:
        """With other weights (B, V)."""
        return replace(self, view_weight=view_weight)

    @classmethod
    def cat(cls, parts: Sequence[Views]) -> Views:
        """One batch after the other; all with as many detections and stored joints."""
        return cls(
            torch.cat([v.heatmaps for v in parts]),
            torch.cat([v.root for v in parts]),
            torch.cat([v.affine for v in parts]),
            torch.cat([v.view_weight for v in parts]),
            torch.cat([v.joints for v in parts]),
            torch.cat([v.peak for v in parts]),
            parts[0].stored,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """2D poses of all views in the networks' joint set; P is no identity.

    Attributes:
        xy_px: (T, V, P, J, 2) image px, 0 where missing.
        score: (T, V, P, J), 0 where missing.
        view_weight: (T, V) 1 where the camera belongs to the take.
    """

    xy_px: F32
    score: F32
    view_weight: F32

    def __len__(self) -> int:
        return len(self.xy_px)

    def at(self, frames: np.ndarray) -> Detections:
        """The frames (B,) of these."""
        return Detections(self.xy_px[frames], self.score[frames], self.view_weight[frames])

    def seen_by(self, allowed: np.ndarray) -> Detections:
        """With a weight of 0 for views (V,) that are not allowed."""
        return replace(self, view_weight=self.view_weight * allowed)

    @classmethod
    def stack(
        cls, rig: CameraRig, poses2d: Mapping[str, Pose2D], frames: np.ndarray | slice = slice(None)
    ) -> Detections:
        """The poses of a take in the order of the rig; cameras without poses have weight 0.

        Args:
            rig: V cameras.
            poses2d: By camera name, all of one take.
            frames: Which of the take's frames.

        Raises:
            CoreError: No camera of the rig has poses.
        """
        picked = {name: poses2d[name] for name in rig.names if name in poses2d}
        if not picked:
            raise CoreError("No camera of the rig has 2D poses.", "Label the take first, with the rig that filmed it.")
        T = len(np.arange(max(p.n_frames for p in picked.values()))[frames])
        P = max(1, *(p.xy_px.shape[1] for p in picked.values()))
        V, J = len(rig), len(PANOPTIC15)
        xy, score = np.zeros((T, V, P, J, 2), np.float32), np.zeros((T, V, P, J), np.float32)
        weight = np.zeros((T, V), np.float32)
        for v, name in enumerate(rig.names):
            if name in picked:
                poses = picked[name]
                points, scores = convert(
                    poses.xy_px[frames].astype(np.float64),
                    poses.score[frames].astype(np.float64),
                    poses.skeleton,
                    PANOPTIC15,
                )
                people = points.shape[1]
                xy[:, v, :people], score[:, v, :people], weight[:, v] = np.nan_to_num(points), scores, 1
        return cls(xy, score, weight)


def shown_views(
    inputs: Detections,
    affine: Tensor,
    size_hw: tuple[int, int],
    sigma_px: float,
    maps: StoredMaps | None = None,
    frames: np.ndarray | None = None,
) -> Views:
    """What the networks are shown of frames of the footage.

    Args:
        inputs: B frames of 2D poses.
        affine: (B, V, 2, 3) image px to heatmap px, on the networks' device.
        size_hw: Height and width.
        sigma_px: Of the Gaussians that are drawn, in heatmap px.
        maps: The estimator's heatmaps, to be shown instead of Gaussians.
        frames: (B,) which of the stored frames these are; goes with `maps`.
    """
    xy, score, weight = (tensor(a, affine.device) for a in (inputs.xy_px, inputs.score, inputs.view_weight))
    if maps is None or frames is None:
        return render_views(xy, score, affine, weight, size_hw, sigma_px)
    everything = len(maps.joints) == len(PANOPTIC15)
    drawn = render_views(xy, score, affine, weight, (1, 1) if everything else size_hw, sigma_px)
    return drawn.showing(maps.version(frames, affine, size_hw), maps.joints)


def render_views(
    xy_px: Tensor, score: Tensor, affine: Tensor, view_weight: Tensor, size_hw: tuple[int, int], sigma_px: float
) -> Views:
    """Heatmaps drawn from 2D joints: Gaussians as high as the joint's score.

    Args:
        xy_px: (B, V, P, J, 2) image px.
        score: (B, V, P, J), 0 where missing.
        affine: (B, V, 2, 3) image px to heatmap px; an augmentation is part of it, so it is exact.
        view_weight: (B, V).
        size_hw: Height and width.
        sigma_px: In heatmap px.
    """
    xy = to_heatmap(affine, xy_px.flatten(2, 3)).view(xy_px.shape)
    root_xy, root_score = _roots(xy, score)
    return Views(
        heatmaps=render(xy, score, size_hw, sigma_px),
        root=render(root_xy, root_score, size_hw, sigma_px)[:, :, 0],
        affine=affine,
        view_weight=view_weight,
        joints=xy,
        peak=score,
    )


def _roots(xy: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, V, P, 1, 2) of the hips that were found, and the better one's score (B, V, P, 1).

    As a label of the mid-hip a single hip would be biased; to find a person within a voxel or two it is good enough,
    and a detector that misses one joint in seven would otherwise leave four views in ten without a root.
    """
    hips = xy[..., _HIPS, :]
    found = (score[..., _HIPS] > 0).float()[..., None]
    mean = (hips * found).sum(-2, keepdim=True) / found.sum(-2, keepdim=True).clamp_min(1)
    return mean, score[..., _HIPS].amax(-1, keepdim=True)


def tensor(values: np.ndarray, device: torch.device) -> Tensor:
    """A float32 copy on the device."""
    return torch.tensor(values, dtype=torch.float32).to(device)
