"""The pose stage, self-supervised: joints found in one augmented version must fall on the 2D labels of the other.

Legend: B batch, V view, P person, L labelled person, J joint, H W heatmap.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.datasets.augmented_views import AugmentedViews, augmented_views, random_affine, warp_labels
from core.datasets.footage import Footage
from core.datasets.photometric import photometric
from core.models.backbone import predict_heatmaps
from core.models.geometry.projection import to_heatmap
from core.models.geometry.render import render_heatmaps, render_max
from core.models.inference import propose_people, refine_joints
from core.models.networks import JOINTS, ROOT, Networks
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch, float_tensor
from core.training.losses import (
    anchor_loss,
    attention_loss,
    backbone_loss,
    consistency_loss,
    heatmap_loss,
    joint_loss,
    triplane_loss,
)
from core.training.stages.config import PoseStageConfig
from core.training.stages.stage import MicroBatched
from core.training.synthetic import keep_two_views

_MOST_CUBES = 16
"""People of one step on a CPU; a crowd is sampled."""
_TRIES = 10
_SAME_PERSON_MM = 500.0


class PoseTraining(MicroBatched):
    """SelfPose3d's pose stage (section 3.3), with every departure as a setting of its own.

    Args:
        config: Weights and switches.
        networks: All; the root network stays as it is.
        scene: The rig.
        footage: Frames and labels.
        name: In metrics and checkpoints: the same stage serves for the last fine-tuning.
    """

    def __init__(
        self, config: PoseStageConfig, networks: Networks, scene: CaptureScene, footage: Footage, name: str = "pose"
    ) -> None:
        self.config, self.networks, self.scene, self.footage, self.name = config, networks, scene, footage, name
        self.title = "Learning from the footage itself" if name == "pose" else "Fine-tuning on confident labels"
        self.steps = config.steps if len(footage.train) else 0
        self.learning_rate = config.learning_rate
        cpu = scene.device.type == "cpu"
        self.batch = config.batch if cpu else config.gpu_batch
        self.most_cubes = _MOST_CUBES if cpu else 8 * _MOST_CUBES
        self._module = nn.ModuleList(
            part
            for part in (
                networks.pose,
                networks.backbone if config.weight_backbone else None,
                networks.attention if config.attention == "network" else None,
                networks.ray_refiner if config.train_ray_refiner else None,
            )
            if part is not None
        )

    def module(self) -> nn.Module:
        return self._module

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        frames, affines = self._draw(rng)
        still = self.scene.affine.expand(len(frames), -1, -1, -1)
        plain = augmented_views(self.networks, self.footage, self.scene, frames, still, root_only=True)
        self.networks.root.eval()
        roots, sample, _ = propose_people(self.networks, self.scene, plain.views)
        picked = torch.as_tensor(np.sort(rng.permutation(len(roots))[: max(1, self.most_cubes // 2)]))
        roots, sample = roots[picked], sample[picked]
        change = photometric(rng) if self.config.photometric else None
        versions = [augmented_views(self.networks, self.footage, self.scene, frames, a, change=change) for a in affines]
        losses = self._backbone(frames, still, plain, affines, versions)
        if len(roots):
            losses |= self._people(frames, affines, versions, roots, sample, rng, step)
        elif not losses:
            # Nobody is there: a loss of 0 that moves nothing.
            losses["nobody"] = sum((p.sum() * 0 for p in self._module.parameters()), roots.new_zeros(()))
        return {**losses, "loss": self._total(losses)}

    def split(self, parts: int) -> None:
        super().split(parts)
        self.most_cubes = max(2, -(-self.most_cubes // parts))

    def reduce_batch(self) -> bool:
        if self.most_cubes > 2 and self.most_cubes > self.batch:
            self.most_cubes //= 2
            return True
        return super().reduce_batch()

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        return {}

    def _total(self, losses: dict[str, Tensor]) -> Tensor:
        weights = {
            "heatmap": self.config.weight_heatmap,
            "joint": self.config.weight_joint,
            "backbone": self.config.weight_backbone,
            "anchor": self.config.weight_anchor,
            "consistency": self.config.weight_consistency,
            "planes": self.config.weight_planes,
        }
        return torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, tuple[Tensor, Tensor]]:
        """Frames (B,) and the affines of two versions of them.

        As published, frames in which a view shows nobody, or a version loses somebody, are drawn again, from all of
        the footage; after some tries they are taken as they are.
        """
        frames = rng.choice(self.footage.train, self.batch)
        affines = (random_affine(self.scene, self.batch, rng), random_affine(self.scene, self.batch, rng))
        for _ in range(_TRIES if self.config.accept else 0):
            bad = ~self._accepted(frames, affines)
            if not bad.any():
                break
            frames = np.where(bad, rng.choice(self.footage.train, self.batch), frames)
        return frames, affines

    def _accepted(self, frames: np.ndarray, affines: tuple[Tensor, Tensor]) -> np.ndarray:
        """(B,) bool: every view shows somebody, and the fullest view of each version shows as many as are known."""
        found = (self.footage.inputs.score[frames] > 0).any(-1).sum(-1)  # (B, V)
        known = (self.footage.labels.weight[frames] > 0).any(-1).sum(-1).max(-1)
        ok = (found > 0).all(-1)
        for affine in affines:
            _, weight = warp_labels(self.footage, self.scene, frames, affine)
            ok &= (weight[..., ROOT] > 0).sum(-1).amax(-1).cpu().numpy() >= known
        return np.asarray(ok)

    def _backbone(
        self,
        frames: np.ndarray,
        still: Tensor,
        plain: AugmentedViews,
        affines: tuple[Tensor, Tensor],
        versions: list[AugmentedViews],
    ) -> dict[str, Tensor]:
        """The 2D network's own error over all three versions, where there is one to train."""
        if plain.heatmaps is None or not self.config.weight_backbone:
            return {}
        errors = []
        for affine, version in zip((still, *affines), (plain, *versions), strict=True):
            assert version.heatmaps is not None
            xy, weight = self._labels(frames, affine)
            target = render_max(xy, (weight > 0).float(), self.scene.size_hw, self.scene.sigma_px)
            errors.append(
                backbone_loss(
                    version.heatmaps, target, torch.ones_like(weight[:, :, 0]), background=self.config.background
                )
            )
        return {"backbone": torch.stack(errors).mean()}

    def _people(
        self,
        frames: np.ndarray,
        affines: tuple[Tensor, Tensor],
        versions: list[AugmentedViews],
        roots: Tensor,
        sample: Tensor,
        rng: np.random.Generator,
        step: int,
    ) -> dict[str, Tensor]:
        """Losses of the joints that were found around roots (P, 3)."""
        attentions = [self._attention(version) for version in versions]
        one, other, planes = self._find(versions, roots, sample, rng)
        # Cross-affine-view projection (section 3.3): what version 1 found is drawn into version 2, and back.
        results = [
            self._compare(frames, affine, found, sample, attention, step)
            for affine, found, attention in zip(affines[::-1], (one, other), attentions[::-1], strict=True)
        ]
        heatmap, joint = (torch.stack(parts).sum() for parts in zip(*results, strict=True))
        losses = {"heatmap": heatmap, "joint": joint}
        if self.config.attention == "network":
            losses["attention"] = torch.stack([attention_loss(a) for a in attentions if a is not None]).sum()
            losses["attention"] = losses["attention"] * self._per_gaussian()
        if self.config.weight_anchor and self.footage.labels.anchor_mm is not None:
            anchor, weight = self._anchors(one, frames, sample)
            limit = self.config.anchor_mm
            losses["anchor"] = (anchor_loss(one, anchor, weight, limit) + anchor_loss(other, anchor, weight, limit)) / 2
        if self.config.weight_consistency:
            losses["consistency"] = consistency_loss(one, other)
        if self.config.weight_planes and planes is not None:
            joints = torch.cat([one, other]).detach()
            losses["planes"] = triplane_loss(planes, joints, torch.ones_like(joints[..., 0]))
        return losses

    def _find(
        self, versions: list[AugmentedViews], roots: Tensor, sample: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Joints (P, J, 3) in both versions, found in one pass; some views are hidden from the network.

        And what the planes of a plane head say of both by themselves, (2 P, 3, J, 2).
        """
        networks, scene, B = self.networks, self.scene, len(versions[0].views.heatmaps)
        kept = [v.views.view_weight.cpu().numpy() > 0 for v in versions]
        kept = [keep_two_views(k & (rng.random(k.shape) >= self.config.drop_view), rng, k) for k in kept]
        views = ViewBatch.cat([v.views for v in versions])
        views = views.with_weights(views.view_weight * float_tensor(np.concatenate(kept), scene.device))
        twice, both = torch.cat([sample, sample + B]), roots.repeat(2, 1)
        if networks.config.pose.gate:
            mine = networks.pose.prior.gate(scene.projector, views, both, twice, scene.sigma_px)
        else:
            mine = views.select(twice)
        found, spread, planes = networks.pose.with_planes(scene.cubes, mine, both)
        if self.config.train_ray_refiner and networks.ray_refiner is not None:
            found = refine_joints(networks, scene, views, mine, found, spread, twice)[0]
        one, other = found.chunk(2)
        return one, other, planes

    def _attention(self, version: AugmentedViews) -> Tensor | None:
        """What the attention network makes of a version's images, (B, V, J, H, W) in 0..1."""
        if self.config.attention != "network" or self.networks.attention is None or version.images is None:
            return None
        return predict_heatmaps(self.networks.attention, version.images)

    def _compare(
        self,
        frames: np.ndarray,
        affine: Tensor,
        found_mm: Tensor,
        sample: Tensor,
        attention: Tensor | None,
        step: int,
    ) -> tuple[Tensor, Tensor]:
        """Heatmap and joint loss of 3D joints (P, J, 3) against the labels of one version."""
        scene, size, config = self.scene, self.scene.size_hw, self.config
        target_xy, weight = self._labels(frames, affine)
        uv, ahead = scene.projector(found_mm)
        xy = to_heatmap(affine[sample], uv)  # (P, V, J, 2)
        people = [xy[sample == b].movedim(0, 1) for b in range(len(frames))]
        shown = [ahead[sample == b].movedim(0, 1).float() for b in range(len(frames))]
        drawn = torch.stack([render_heatmaps(p, s, size, scene.sigma_px) for p, s in zip(people, shown, strict=True)])
        target = render_heatmaps(target_xy, (weight > 0).float(), size, scene.sigma_px)
        heatmap = self._per_gaussian() * heatmap_loss(
            drawn,
            target,
            weight.amax(2),
            robust=config.attention == "closed",
            background=config.background,
            attention=attention,
        )
        if step < config.joint_from * self.steps or not config.weight_joint:
            return heatmap, heatmap.new_zeros(())
        gate = config.gate or float("inf")
        joint = joint_loss(people, target_xy, weight, size, gate=gate, hard=config.hard_attention)
        return heatmap, joint

    def _per_gaussian(self) -> float:
        """Turns means over pixels, tiny at any map size, into the paper's sums over a Gaussian's area."""
        H, W = self.scene.size_hw
        return float(H * W / (2 * np.pi * self.scene.sigma_px**2))

    def _labels(self, frames: np.ndarray, affine: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (B, V, L, J, 2) of a version and their weights (B, V, L, J), those that are confident enough."""
        xy, weight = warp_labels(self.footage, self.scene, frames, affine)
        return xy, weight * (weight >= self.config.least_confidence)

    @torch.no_grad()
    def _anchors(self, found_mm: Tensor, frames: np.ndarray, sample: Tensor) -> tuple[Tensor, Tensor]:
        """Triangulated joints (P, J, 3) of the people that were found, and weights (P, J): 0 where there are none."""
        triangulated = self.footage.labels.anchor_mm
        assert triangulated is not None
        anchors = float_tensor(triangulated[frames], found_mm.device)[sample]  # (P, L, J, 3)
        known = torch.isfinite(anchors).all(-1)
        apart = torch.where(known, (anchors - found_mm[:, None]).norm(dim=-1), 0.0)
        apart = torch.where(known.any(-1), apart.sum(-1) / known.sum(-1).clamp_min(1), torch.inf)
        nearest = apart.argmin(-1)
        row = torch.arange(len(found_mm), device=found_mm.device)
        weight = known[row, nearest] & (apart[row, nearest] < _SAME_PERSON_MM)[:, None]
        return torch.nan_to_num(anchors[row, nearest]), weight.expand(-1, JOINTS).float()
