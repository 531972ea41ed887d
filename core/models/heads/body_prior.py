"""Where the joints of a body lie around its root: what a person's cube may show, and what it may answer.

Two departures from the paper, both from the same few numbers. A 2D estimator says which joints belong together, and
heatmaps forget it: a neighbour whom more cameras see would win every joint of the one that is looked for. So a person's
heatmaps are drawn from those detections alone that fit the root (`gate`); of the estimator's own heatmaps it sees what
lies around them. And the soft-argmax gets a log-prior.

Legend: P person, V view, D detection, J joint, N voxel, H W heatmap.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from core.models.geometry.projection import RigProjector, to_heatmap
from core.models.geometry.render import render_heatmaps, render_ownership, render_windows
from core.models.view_batch import ViewBatch

_WIDTH, _LEAST_MM, _FLOOR = 1.3, 60.0, -30.0
_GATE_AT, _GATE_SLOPE = 3.0, 2.0
"""A detection whose joints are off by 3 in mean half squared spreads counts half; one that fits is near 0.6."""
_MOST_MISFIT = 12.0
_BENEFIT = 2.0
"""Of the doubt, when a detection fits somebody else of the same frame equally well."""
_WINDOW_SIGMAS, _BORDER_SIGMAS = 3.0, 1.5
"""Of a stored heatmap so much is shown around a detection's joint, and so soft is the border to the next one's."""


class BodyPrior(nn.Module):
    """A Gaussian a joint around the root, over bodies that face anywhere; says nothing until it is fitted.

    Args:
        joints: Number of joints.
    """

    mean_mm: Tensor
    spread_mm: Tensor

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.register_buffer("mean_mm", torch.zeros(joints, 3))
        self.register_buffer("spread_mm", torch.full((joints, 3), torch.inf))

    def fit(self, from_root_mm: Tensor) -> None:
        """Takes joints (N, J, 3) of many bodies, the root at the origin; widened for postures not thought of."""
        self.mean_mm.copy_(from_root_mm.mean(0))
        self.spread_mm.copy_(_WIDTH * from_root_mm.std(0).clamp_min(_LEAST_MM))

    def log_density(self, offsets_mm: Tensor) -> Tensor:
        """(J, N) logarithm of the density at offsets (N, 3) from the root, up to a constant, with a floor."""
        apart = (offsets_mm - self.mean_mm[:, None]) / self.spread_mm[:, None]
        return (-0.5 * apart.square().sum(-1)).clamp_min(_FLOOR)

    def gate(
        self, projector: RigProjector, views: ViewBatch, root_mm: Tensor, sample: Tensor, sigma_px: float
    ) -> ViewBatch:
        """What the views show of single people: heatmaps drawn anew from the detections that fit each root.

        Of heatmaps that are the estimator's own, windows around the joints of those detections stay, and of two joints
        close together each keeps its side: other people's peaks vanish, and the map's shape stays.

        Args:
            projector: The rig.
            views: Of the batch.
            root_mm: (P, 3).
            sample: (P,) entry of the batch that each person belongs to.
            sigma_px: Of the heatmaps' Gaussians.

        Returns:
            ViewBatch with P entries.
        """
        mine = self.assign(projector, views, root_mm[:, None] + self.mean_mm, self.spread_mm.amax(-1), sample)
        size_hw = (views.heatmaps.shape[-2], views.heatmaps.shape[-1])
        heatmaps = render_heatmaps(mine.joints, mine.peak, size_hw, sigma_px)
        if views.stored:
            own = list(views.stored)
            whole = views.peak[sample][..., own]
            with torch.no_grad():
                part = mine.peak[..., own] / whole.clamp_min(1e-6)
                around = _around(mine.joints[..., own, :], (whole > 0).float(), part, size_hw, sigma_px)
            # The maps themselves may carry a gradient, into the backbone that made them.
            shown = views.heatmaps[:, :, own][sample] * around
            index = torch.tensor(own, device=shown.device)
            heatmaps = shown if len(own) == heatmaps.shape[2] else heatmaps.index_copy(2, index, shown)
        return replace(mine, heatmaps=heatmaps)

    @torch.no_grad()
    def assign(
        self, projector: RigProjector, views: ViewBatch, expected_mm: Tensor, spread_mm: Tensor, sample: Tensor
    ) -> ViewBatch:
        """Detections as high as they fit people: everything but the heatmaps of what the views show of each of them.

        Args:
            projector: The rig.
            views: Of the batch.
            expected_mm: (P, J, 3) where each person's joints should be.
            spread_mm: (J,) or (P, J) how far they may be off.
            sample: (P,) entry of the batch that each person belongs to.

        Returns:
            ViewBatch with P entries, whose heatmaps are still those of everybody.
        """
        affine, joints, peak = views.affine[sample], views.joints[sample], views.peak[sample]
        step = 50 * torch.eye(3, device=expected_mm.device)
        around = expected_mm.mean(1, keepdim=True) + torch.cat([step, -step])
        uv = to_heatmap(affine, projector(torch.cat([expected_mm, around], 1))[0])
        expected, ends = uv[:, :, :-6], uv[:, :, -6:]  # (P, V, J, 2), (P, V, 6, 2)
        px_per_mm = (ends[:, :, :3] - ends[:, :, 3:]).norm(dim=-1).amax(-1, keepdim=True) / 100
        spread_px = spread_mm.expand(len(expected), -1)[:, None] * px_per_mm  # (P, V, J)
        apart = (joints - expected[:, :, None]).square().sum(-1) / (2 * spread_px[:, :, None] ** 2)
        known = peak > 0
        # One joint that is far off, an outlier, does not make it somebody else.
        misfit = torch.where(known, apart.clamp_max(_MOST_MISFIT), 0.0).sum(-1) / known.sum(-1).clamp_min(1)
        fits = torch.sigmoid(_GATE_SLOPE * (_GATE_AT - misfit))  # (P, V, D)
        fits = fits * torch.sigmoid(_GATE_SLOPE * (_best_of_others(misfit, sample) - misfit) + _BENEFIT)
        return ViewBatch(
            heatmaps=views.heatmaps,
            root=views.root[sample],
            affine=affine,
            view_weight=views.view_weight[sample],
            joints=joints,
            peak=peak * fits[..., None],
            stored=views.stored,
        )


def _around(joints: Tensor, seen: Tensor, mine: Tensor, size_hw: tuple[int, int], sigma_px: float) -> Tensor:
    """How much of stored heatmaps a person is shown, (P, V, J, H, W) in 0..1.

    Args:
        joints: (P, V, D, J, 2) heatmap px.
        seen: (P, V, D, J) 1 where a detection has the joint.
        mine: (P, V, D, J) how well the detection fits the person, 0 where it lacks the joint.
        size_hw: Height and width.
        sigma_px: Of the drawn Gaussians.
    """
    near = render_windows(joints, seen, size_hw, _WINDOW_SIGMAS * sigma_px)
    return near * render_ownership(joints, mine, seen, size_hw, _BORDER_SIGMAS * sigma_px)


def _best_of_others(misfit: Tensor, sample: Tensor) -> Tensor:
    """(P, V, D) how well each detection fits the other people of the same frame at best; infinite without any."""
    if len(sample) < 2:
        return torch.full_like(misfit, torch.inf)
    other = sample[:, None] == sample[None]
    other = other & ~torch.eye(len(sample), dtype=torch.bool, device=sample.device)
    return torch.where(other[..., None, None], misfit[None], torch.inf).amin(1)
