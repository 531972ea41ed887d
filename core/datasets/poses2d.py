"""2D poses of all views of a take, and the view batches rendered from them.

Legend: B batch, T frame, V view, P detection, J joint, H W heatmap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from core.datasets.heatmaps import HeatmapSource
from core.errors import CoreError
from core.models.view_batch import ViewBatch, float_tensor, render_view_batch
from core.types.arrays import F32
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton, convert


@dataclass(frozen=True, slots=True, eq=False)
class MultiviewPoses2D:
    """2D poses of all views in the networks' joint set; the index P carries no identity.

    Attributes:
        xy_px: (T, V, P, J, 2) image px, 0 where missing.
        score: (T, V, P, J), 0 where missing.
        view_weight: (T, V) 1 where the camera belongs to the take, 0 elsewhere.
        skeleton: Skeleton of the joints J.
    """

    xy_px: F32
    score: F32
    view_weight: F32
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.xy_px)

    def select(self, frames: np.ndarray) -> MultiviewPoses2D:
        """Return the frames (B,)."""
        return replace(self, xy_px=self.xy_px[frames], score=self.score[frames], view_weight=self.view_weight[frames])

    def with_views(self, allowed: np.ndarray) -> MultiviewPoses2D:
        """Set the weight of views (V,) that are not allowed to 0."""
        return replace(self, view_weight=self.view_weight * allowed)

    @classmethod
    def stack(
        cls,
        rig: CameraRig,
        poses2d: Mapping[str, Pose2D],
        skeleton: Skeleton,
        frames: np.ndarray | slice = slice(None),
    ) -> MultiviewPoses2D:
        """Stack the poses of a take in the order of the rig; cameras without poses have weight 0.

        Args:
            rig: V cameras.
            poses2d: 2D poses of one take by camera name.
            skeleton: Joints to convert the poses to.
            frames: Frames of the take to use.

        Raises:
            CoreError: No camera of the rig has poses.
        """
        picked = {name: poses2d[name] for name in rig.names if name in poses2d}
        if not picked:
            raise CoreError(
                "No camera of the rig has 2D poses.", "Run pose2d on the take first, with the rig that filmed it."
            )
        T = len(np.arange(max(p.n_frames for p in picked.values()))[frames])
        P = max(1, *(p.xy_px.shape[1] for p in picked.values()))
        V, J = len(rig), len(skeleton)
        xy, score = np.zeros((T, V, P, J, 2), np.float32), np.zeros((T, V, P, J), np.float32)
        weight = np.zeros((T, V), np.float32)
        for v, name in enumerate(rig.names):
            if name in picked:
                poses = picked[name]
                points, scores = convert(
                    poses.xy_px[frames].astype(np.float64),
                    poses.score[frames].astype(np.float64),
                    poses.skeleton,
                    skeleton,
                )
                people = points.shape[1]
                xy[:, v, :people], score[:, v, :people], weight[:, v] = np.nan_to_num(points), scores, 1
        return cls(xy, score, weight, skeleton)


def make_view_batch(
    inputs: MultiviewPoses2D,
    affine: Tensor,
    size_hw: tuple[int, int],
    sigma_px: float,
    maps: HeatmapSource | None = None,
    frames: np.ndarray | None = None,
) -> ViewBatch:
    """Prepare the networks' input for frames of the footage.

    Args:
        inputs: 2D poses of B frames.
        affine: (B, V, 2, 3) image px to heatmap px, on the networks' device.
        size_hw: Height and width of the heatmaps.
        sigma_px: Standard deviation of the rendered Gaussians, in heatmap px.
        maps: Heatmaps to use instead of rendered Gaussians.
        frames: (B,) frame indices in `maps`.
    """
    xy, score, weight = (float_tensor(a, affine.device) for a in (inputs.xy_px, inputs.score, inputs.view_weight))
    if maps is None or frames is None:
        return render_view_batch(xy, score, affine, weight, size_hw, sigma_px, inputs.skeleton)
    everything = inputs.skeleton.root is not None and len(maps.joints) == len(inputs.skeleton)
    drawn = render_view_batch(xy, score, affine, weight, (1, 1) if everything else size_hw, sigma_px, inputs.skeleton)
    return drawn.with_heatmaps(maps.warp(frames, affine, size_hw), maps.joints, inputs.skeleton)
