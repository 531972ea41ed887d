"""Self-supervised pose stage: joints found in one augmented version are compared with the 2D labels of the other.

Legend: B batch, V view, P person, L labelled person, J joint, H W heatmap.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn

from core.datasets.augmented_views import AugmentedViews, augmented_views, random_affine, warp_labels
from core.datasets.footage import Footage
from core.datasets.photometric import random_photometric
from core.models.backbone import predict_heatmaps
from core.models.geometry.projection import to_heatmap
from core.models.inference import propose_people, refine_joints
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch, float_tensor
from core.training.losses.inputs import AugmentedStep, PosePeople, PoseStep
from core.training.stages.config import PoseStageConfig
from core.training.stages.stage import LossTerms, MicroBatched
from core.training.synthetic import keep_two_views

_MAX_CUBES = 16
"""Largest number of cubes per step on a CPU, two per person; larger crowds are sampled."""
_GPU_FACTOR = 8
_TRIES = 10
_SAME_PERSON_MM = 500.0


class PoseTraining(MicroBatched):
    """Pose stage of SelfPose3d (section 3.3), with a switch for each departure from the paper.

    Args:
        config: Settings of the stage.
        networks: Networks; the root network stays unchanged.
        scene: Rig and capture volume.
        footage: Frames and pseudo labels.
        name: Name in metrics and checkpoints: "pose", or "finetune" for the last stage of the paper.
    """

    def __init__(
        self, config: PoseStageConfig, networks: Networks, scene: CaptureScene, footage: Footage, name: str = "pose"
    ) -> None:
        self.config, self.networks, self.scene, self.footage, self.name = config, networks, scene, footage, name
        self.title = "Training on the footage" if name == "pose" else "Fine-tuning on confident labels"
        self.steps = config.steps if len(footage.train) else 0
        self.learning_rate = config.learning_rate
        cpu = scene.device.type == "cpu"
        self.batch = config.batch if cpu else config.gpu_batch
        self.max_cubes = _MAX_CUBES if cpu else _GPU_FACTOR * _MAX_CUBES
        self._terms = LossTerms("pose", config.weights)
        trained = (
            networks.pose,
            networks.backbone if config.weights["backbone"] else None,
            networks.attention if config.attention == "network" else None,
            networks.ray_refiner if config.train_ray_refiner else None,
        )
        self._module = nn.ModuleList(network for network in trained if network is not None)

    def module(self) -> nn.Module:
        """See `TrainingStage.module`."""
        return self._module

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """See `TrainingStage.losses`."""
        frames, affines = self._draw(rng)
        identity = self.scene.affine.expand(len(frames), -1, -1, -1)
        plain = augmented_views(self.networks, self.footage, self.scene, frames, identity, root_only=True)
        self.networks.root.eval()
        proposed = propose_people(self.networks, self.scene, plain.views)
        picked = torch.as_tensor(np.sort(rng.permutation(len(proposed))[: max(1, self.max_cubes // 2)]))
        roots, sample = proposed.root_mm[picked], proposed.sample[picked]
        transform = random_photometric(rng) if self.config.photometric else None
        versions = [
            augmented_views(self.networks, self.footage, self.scene, frames, affine, transform=transform)
            for affine in affines
        ]
        people = self._people(frames, versions, roots, sample, rng) if len(roots) else None
        first, second = (
            self._augmented(frames, affine, version, attend=people is not None)
            for affine, version in zip(affines, versions, strict=True)
        )
        if people is not None:  # cross-affine-view projection
            second = self._projected(second, people.first_mm, sample)
            first = self._projected(first, people.second_mm, sample)
        losses = self._terms.compute(
            PoseStep(
                config=self.config,
                size_hw=self.scene.size_hw,
                sigma_px=self.scene.sigma_px,
                index=step,
                steps=self.steps,
                plain=self._augmented(frames, identity, plain, attend=False),
                first=first,
                second=second,
                people=people,
            )
        )
        if not losses:  # no people: a loss of 0 with zero gradients
            zero = sum((p.sum() * 0 for p in self._module.parameters()), roots.new_zeros(()))
            return {"nobody": zero, "loss": zero}
        return {**losses, "loss": self._terms.total(losses)}

    def set_micro_batches(self, count: int) -> None:
        """See `TrainingStage.set_micro_batches`."""
        super().set_micro_batches(count)
        self.max_cubes = max(2, -(-self.max_cubes // count))

    def reduce_batch(self) -> bool:
        """See `TrainingStage.reduce_batch`; the number of cubes is reduced first."""
        if self.max_cubes > 2 and self.max_cubes > self.batch:
            self.max_cubes //= 2
            return True
        return super().reduce_batch()

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """See `TrainingStage.metrics`."""
        return {}

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, tuple[Tensor, Tensor]]:
        """Draw frames (B,) and the affines of two versions of them.

        As in the paper, frames in which a view shows nobody, or a version loses a person, are redrawn, here from all of
        the footage; after a few attempts they are used anyway.
        """
        frames = rng.choice(self.footage.train, self.batch)
        affines = (random_affine(self.scene, self.batch, rng), random_affine(self.scene, self.batch, rng))
        for _ in range(_TRIES if self.config.redraw else 0):
            rejected = ~self._accepted(frames, affines)
            if not rejected.any():
                break
            frames = np.where(rejected, rng.choice(self.footage.train, self.batch), frames)
        return frames, affines

    def _accepted(self, frames: np.ndarray, affines: tuple[Tensor, Tensor]) -> np.ndarray:
        """Return (B,) bool: every view shows a person, and both versions show as many as the fullest view."""
        detected = (self.footage.inputs.score[frames] > 0).any(-1).sum(-1)  # (B, V)
        labelled = (self.footage.labels.weight[frames] > 0).any(-1).sum(-1).max(-1)
        accepted = (detected > 0).all(-1)
        root = list(self.scene.skeleton.root_joints)
        for affine in affines:
            _, weight = warp_labels(self.footage, self.scene, frames, affine)
            accepted &= (weight[..., root] > 0).all(-1).sum(-1).amax(-1).cpu().numpy() >= labelled
        return np.asarray(accepted)

    def _augmented(self, frames: np.ndarray, affine: Tensor, version: AugmentedViews, *, attend: bool) -> AugmentedStep:
        """Collect what the losses need of a version: labels of sufficient confidence, heatmaps, attention."""
        xy, weight = self._labels(frames, affine)
        attention = None
        network = self.networks.attention
        if attend and self.config.attention == "network" and network is not None and version.images is not None:
            attention = predict_heatmaps(network, version.images)
        return AugmentedStep(affine, xy, weight, version.heatmaps, attention)

    def _projected(self, version: AugmentedStep, xyz_mm: Tensor, sample: Tensor) -> AugmentedStep:
        """Add the projections of joints (P, J, 3) to a version."""
        uv, ahead = self.scene.projector(xyz_mm)
        xy = to_heatmap(version.affine[sample], uv)  # (P, V, J, 2)
        entries = range(len(version.affine))
        return dataclasses.replace(
            version,
            joint_xy=tuple(xy[sample == b].movedim(0, 1) for b in entries),
            joint_ahead=tuple(ahead[sample == b].movedim(0, 1).float() for b in entries),
        )

    def _labels(self, frames: np.ndarray, affine: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labels (B, V, L, J, 2) of a version and their weights (B, V, L, J), 0 below `min_confidence`."""
        xy, weight = warp_labels(self.footage, self.scene, frames, affine)
        return xy, weight * (weight >= self.config.min_confidence)

    def _people(
        self,
        frames: np.ndarray,
        versions: list[AugmentedViews],
        roots: Tensor,
        sample: Tensor,
        rng: np.random.Generator,
    ) -> PosePeople:
        """Find the joints of people around roots (P, 3) in both versions."""
        first, second, planes = self._find(versions, roots, sample, rng)
        anchor, weight = None, None
        if self.config.weights["anchor"] and self.footage.labels.anchor_mm is not None:
            anchor, weight = self._anchors(first, frames, sample)
        return PosePeople(first, second, planes, anchor, weight)

    def _find(
        self, versions: list[AugmentedViews], roots: Tensor, sample: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Find joints (P, J, 3) in both versions in one pass, with some views hidden from the network.

        Returns:
            Joints of both versions, and the predictions (2 P, 3, J, 2) of the single planes of a triplane head.
        """
        networks, scene, B = self.networks, self.scene, len(versions[0].views.heatmaps)
        available = [v.views.view_weight.cpu().numpy() > 0 for v in versions]
        kept = [keep_two_views(k & (rng.random(k.shape) >= self.config.drop_view), rng, k) for k in available]
        views = ViewBatch.cat([v.views for v in versions])
        views = views.with_weights(views.view_weight * float_tensor(np.concatenate(kept), scene.device))
        both_samples, both_roots = torch.cat([sample, sample + B]), roots.repeat(2, 1)
        if networks.config.pose.gate:
            person_views = networks.pose.prior.gate(scene.projector, views, both_roots, both_samples, scene.sigma_px)
        else:
            person_views = views.select(both_samples)
        xyz, spread, planes = networks.pose.with_planes(scene.cubes, person_views, both_roots)
        if self.config.train_ray_refiner and networks.ray_refiner is not None:
            xyz = refine_joints(networks, scene, views, person_views, xyz, spread, both_samples)[0]
        first, second = xyz.chunk(2)
        return first, second, planes

    @torch.no_grad()
    def _anchors(self, xyz_mm: Tensor, frames: np.ndarray, sample: Tensor) -> tuple[Tensor, Tensor]:
        """Return the triangulated joints (P, J, 3) nearest to each person, and weights (P, J), 0 without any."""
        triangulated = self.footage.labels.anchor_mm
        assert triangulated is not None
        anchors = float_tensor(triangulated[frames], xyz_mm.device)[sample]  # (P, L, J, 3)
        known = torch.isfinite(anchors).all(-1)
        distance = torch.where(known, (anchors - xyz_mm[:, None]).norm(dim=-1), 0.0)
        distance = torch.where(known.any(-1), distance.sum(-1) / known.sum(-1).clamp_min(1), torch.inf)
        nearest = distance.argmin(-1)
        row = torch.arange(len(xyz_mm), device=xyz_mm.device)
        weight = known[row, nearest] & (distance[row, nearest] < _SAME_PERSON_MM)[:, None]
        return torch.nan_to_num(anchors[row, nearest]), weight.expand(-1, xyz_mm.shape[1]).float()
