"""Prior of joint positions around the root, which gates a person's heatmaps and biases the soft-argmax.

Both uses depart from the paper. A 2D estimator determines which joints belong together, and heatmaps lose this: a
neighbour seen by more cameras would win every joint of the person in the cube. A person's heatmaps are therefore
rendered only from detections that fit the root (`gate`); stored heatmaps are kept only around those detections. The
soft-argmax gets a log-prior.

Legend: P person, V view, D detection, J joint, N voxel, H W heatmap.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from core.models.geometry.projection import RigProjector, to_heatmap
from core.models.geometry.render import render_heatmaps, render_ownership, render_windows
from core.models.view_batch import ViewBatch

_WIDTH, _LEAST_MM, _WIDEST_MM, _FLOOR = 1.3, 60.0, 1e4, -30.0
_GATE_AT, _GATE_SLOPE = 3.0, 2.0
"""Gate of a detection: weight 0.5 at a mean half squared distance of 3 spreads; a detection that fits has about 0.6."""
_MOST_MISFIT = 12.0
_BENEFIT = 2.0
"""Offset in favour of a person if a detection fits another person of the frame equally well."""
KNOWN_SPREAD_MM = 150.0
"""Standard deviation of known joints in the assignment of detections to them, in mm."""
_WINDOW_SIGMAS, _BORDER_SIGMAS = 3.0, 1.5
"""Half width of the window kept from a stored heatmap, and softness of the border to the next detection's joint."""


class BodyPrior(nn.Module):
    """Gaussian per joint around the root, over bodies of any heading; uninformative until it is fitted.

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
        """Fit the prior to joints (N, J, 3) of many bodies relative to their roots, widened for unusual postures."""
        self.mean_mm.copy_(from_root_mm.mean(0))
        self.spread_mm.copy_(_WIDTH * from_root_mm.std(0).clamp_min(_LEAST_MM))

    def log_density(self, offsets_mm: Tensor) -> Tensor:
        """Return the log-density (J, N) at offsets (N, 3) from the root, up to a constant, bounded below."""
        distance = (offsets_mm - self.mean_mm[:, None]) / self.spread_mm[:, None]
        return (-0.5 * distance.square().sum(-1)).clamp_min(_FLOOR)

    def root_of(self, xyz_mm: Tensor) -> Tensor:
        """Estimate the roots (P, 3) of people from their known joints (P, J, 3), NaN where unknown.

        Each known joint votes for the root with its offset and its spread over bodies of any heading; the root joint
        and the hips have the largest weights.
        """
        known = xyz_mm.isfinite().all(-1)
        precision = self.spread_mm.amax(-1).clamp(_LEAST_MM, _WIDEST_MM).square().reciprocal() * known
        votes = torch.where(known[..., None], xyz_mm - self.mean_mm, 0.0)
        return (precision[..., None] * votes).sum(1) / precision.sum(1, keepdim=True)

    def gate(
        self,
        projector: RigProjector,
        views: ViewBatch,
        root_mm: Tensor,
        sample: Tensor,
        sigma_px: float,
        known_mm: Tensor | None = None,
    ) -> ViewBatch:
        """Render the heatmaps of single people from the detections that fit each root.

        Stored heatmaps are kept in windows around the joints of those detections; between two close joints, each keeps
        the pixels on its side. Peaks of other people vanish, while the shape of the map is preserved.

        Args:
            projector: Projector of the rig.
            views: Views of the batch.
            root_mm: (P, 3) roots.
            sample: (P,) batch entry of each person.
            sigma_px: Standard deviation of the heatmaps' Gaussians.
            known_mm: (P, J, 3) known joints, NaN for the others; None if none are known.

        Returns:
            Views with P entries.
        """
        expected, spread = root_mm[:, None] + self.mean_mm, self.spread_mm.amax(-1)
        if known_mm is not None:
            known = known_mm.isfinite().all(-1)
            expected = torch.where(known[..., None], known_mm, expected)
            spread = torch.where(known, KNOWN_SPREAD_MM, spread)
        assigned = self.assign(projector, views, expected, spread, sample)
        size_hw = (views.heatmaps.shape[-2], views.heatmaps.shape[-1])
        heatmaps = render_heatmaps(assigned.joints, assigned.peak, size_hw, sigma_px)
        if views.stored:
            stored = list(views.stored)
            whole = views.peak[sample][..., stored]
            with torch.no_grad():
                part = assigned.peak[..., stored] / whole.clamp_min(1e-6)
                around = _around(assigned.joints[..., stored, :], (whole > 0).float(), part, size_hw, sigma_px)
            # The heatmaps may carry a gradient into the backbone.
            shown = views.heatmaps[:, :, stored][sample] * around
            index = torch.tensor(stored, device=shown.device)
            heatmaps = shown if len(stored) == heatmaps.shape[2] else heatmaps.index_copy(2, index, shown)
        return replace(assigned, heatmaps=heatmaps)

    @torch.no_grad()
    def assign(
        self, projector: RigProjector, views: ViewBatch, expected_mm: Tensor, spread_mm: Tensor, sample: Tensor
    ) -> ViewBatch:
        """Weight detections by their agreement with people whose approximate joints are known.

        Args:
            projector: Projector of the rig.
            views: Views of the batch.
            expected_mm: (P, J, 3) expected joints of each person.
            spread_mm: (J,) or (P, J) standard deviations of the expected joints.
            sample: (P,) batch entry of each person.

        Returns:
            Views with P entries, whose heatmaps still contain all people.
        """
        affine, joints, peak = views.affine[sample], views.joints[sample], views.peak[sample]
        step = 50 * torch.eye(3, device=expected_mm.device)
        around = expected_mm.mean(1, keepdim=True) + torch.cat([step, -step])
        uv = to_heatmap(affine, projector(torch.cat([expected_mm, around], 1))[0])
        expected, ends = uv[:, :, :-6], uv[:, :, -6:]  # (P, V, J, 2), (P, V, 6, 2)
        px_per_mm = (ends[:, :, :3] - ends[:, :, 3:]).norm(dim=-1).amax(-1, keepdim=True) / 100
        spread_px = spread_mm.expand(len(expected), -1)[:, None] * px_per_mm  # (P, V, J)
        distance = (joints - expected[:, :, None]).square().sum(-1) / (2 * spread_px[:, :, None] ** 2)
        known = peak > 0
        # A single outlier joint does not indicate another person.
        misfit = torch.where(known, distance.clamp_max(_MOST_MISFIT), 0.0).sum(-1) / known.sum(-1).clamp_min(1)
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


def _around(joints: Tensor, seen: Tensor, assigned: Tensor, size_hw: tuple[int, int], sigma_px: float) -> Tensor:
    """Return the weights (P, V, J, H, W) in 0..1 of stored heatmaps for each person.

    Args:
        joints: (P, V, D, J, 2) heatmap px.
        seen: (P, V, D, J) 1 where a detection has the joint.
        assigned: (P, V, D, J) agreement of the detection with the person, 0 where it lacks the joint.
        size_hw: Height and width.
        sigma_px: Standard deviation of the rendered Gaussians.
    """
    near = render_windows(joints, seen, size_hw, _WINDOW_SIGMAS * sigma_px)
    return near * render_ownership(joints, assigned, seen, size_hw, _BORDER_SIGMAS * sigma_px)


def _best_of_others(misfit: Tensor, sample: Tensor) -> Tensor:
    """Return (P, V, D) the misfit of each detection to the best other person of the frame; infinite without one."""
    if len(sample) < 2:
        return torch.full_like(misfit, torch.inf)
    other = sample[:, None] == sample[None]
    other = other & ~torch.eye(len(sample), dtype=torch.bool, device=sample.device)
    return torch.where(other[..., None, None], misfit[None], torch.inf).amin(1)
