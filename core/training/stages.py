"""What happens in one step of each stage: root, pose on synthetic people, pose on the footage.

Legend: B batch, V view, P person, L labelled person, J joint, H W heatmap, X Y Z voxel.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from core.models.affine import augment, draw_augmentation
from core.models.networks import Networks, Scene, find_people
from core.models.projection import to_heatmap
from core.models.render import render
from core.models.root_net import propose
from core.models.views import Views, shown_views, tensor
from core.training.config import PoseStage, PoseSyntheticStage, RootStage
from core.training.data import Footage
from core.training.losses import heatmap_loss, joint_loss, position_loss, root_loss
from core.training.synthetic import keep_two_views, pose_scenes, root_scenes, root_target

_RECALL_MM = 150.0
_GUESS_WEIGHT = 0.2
"""Of a synthetic joint that fewer than two views show: the body around it is all there is to tell of it."""
_MOST_CUBES = 16
"""People of one step on a CPU; a crowd is sampled."""


class Stage(Protocol):
    """One part of training.

    Attributes:
        name: In metrics and checkpoints.
        title: In words, for progress.
        steps: Optimiser steps; 0 skips it.
        learning_rate: At its highest.
    """

    name: str
    title: str
    steps: int
    learning_rate: float

    def module(self) -> nn.Module:
        """The network that is trained; everything else stays as it is."""

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """Named losses of one step; "loss" is what is minimised."""

    def figures(self, rng: np.random.Generator) -> dict[str, float]:
        """What is worth measuring now and then, besides the held-out error."""


class RootTraining:
    """SelfPose3d's root stage: synthetic roots in this rig, and consistency of augmented real heatmaps."""

    name, title = "root", "Learning where people are"

    def __init__(self, config: RootStage, networks: Networks, scene: Scene, footage: Footage) -> None:
        self.config, self.networks, self.scene, self.footage = config, networks, scene, footage
        self.steps, self.learning_rate = config.steps, config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch

    def module(self) -> nn.Module:
        return self.networks.root

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        made = root_scenes(self.scene, self.batch, self.config, rng)
        target = root_target(self.scene.space, made.roots_mm, made.visible, self.networks.config.root.sigma_mm)
        synthetic = root_loss(self._volume(made.views), target)
        losses = {"synthetic": synthetic, "loss": self.config.weight_synthetic * synthetic}
        if self.config.real_batch:
            losses["consistency"] = self._consistency(rng)
            losses["loss"] = losses["loss"] + self.config.weight_consistency * losses["consistency"]
        return losses

    def figures(self, rng: np.random.Generator) -> dict[str, float]:
        """Share of synthetic people that are found within 150 mm."""
        made = root_scenes(self.scene, self.batch, self.config, rng)
        with torch.no_grad():
            found = propose(self._volume(made.views), self.scene.space, self.networks.config.root)
        apart = torch.cdist(made.roots_mm, found.xyz_mm)
        hit = ((apart < _RECALL_MM) & found.valid[:, None]).any(-1)
        return {"synthetic_recall": float(hit[made.visible].float().mean()) if made.visible.any() else 0.0}

    def _volume(self, views: Views) -> Tensor:
        volume: Tensor = self.networks.root(self.scene.unprojector, views.root, views.affine, views.view_weight)
        return volume

    def _consistency(self, rng: np.random.Generator) -> Tensor:
        """Difference between the volume of an augmented version and that of the plain one, which is not moved."""
        moments = rng.choice(self.footage.train, self.config.real_batch)
        still = self.scene.affine.expand(len(moments), -1, -1, -1)
        plain = footage_views(self.footage, self.scene, moments, still, only_root=True)
        with torch.no_grad():
            expected = self._volume(plain)
        affine = draw_affine(self.scene, len(moments), rng)
        turned = footage_views(self.footage, self.scene, moments, affine, only_root=True)
        return root_loss(self._volume(turned), expected)


class PoseSyntheticTraining:
    """Supervised by exact synthetic people in this rig; a departure from the paper that needs no label of anything."""

    name, title = "pose_synthetic", "Learning bodies from synthetic people"

    def __init__(self, config: PoseSyntheticStage, networks: Networks, scene: Scene) -> None:
        self.config, self.networks, self.scene = config, networks, scene
        self.steps, self.learning_rate = config.steps, config.learning_rate
        self.batch = config.batch if scene.device.type == "cpu" else config.gpu_batch

    def module(self) -> nn.Module:
        return self.networks.pose

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        made = pose_scenes(self.scene, self.batch, self.config, rng)
        found = pose_of(self.networks, self.scene, made.views, made.root_mm, torch.arange(self.batch))
        triangulable = made.views_of >= 2
        weight = torch.where(triangulable, 1.0, _GUESS_WEIGHT)
        with torch.no_grad():
            error_mm = (found - made.exact_mm).norm(dim=-1)[triangulable].mean() if triangulable.any() else weight.sum()
        return {"loss": position_loss(found, made.exact_mm, weight), "mm": error_mm}

    def figures(self, rng: np.random.Generator) -> dict[str, float]:
        return {}


class PoseTraining:
    """SelfPose3d's pose stage: joints found in one augmented version must fall on the 2D labels of the other."""

    name, title = "pose", "Learning from the footage itself"

    def __init__(self, config: PoseStage, networks: Networks, scene: Scene, footage: Footage) -> None:
        self.config, self.networks, self.scene, self.footage = config, networks, scene, footage
        self.steps, self.learning_rate = config.steps, config.learning_rate
        cpu = scene.device.type == "cpu"
        self.batch = config.batch if cpu else config.gpu_batch
        self.most_cubes = _MOST_CUBES if cpu else 8 * _MOST_CUBES

    def module(self) -> nn.Module:
        return self.networks.pose

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        moments = rng.choice(self.footage.train, self.batch)
        roots, sample = self._roots(moments)
        affines = (draw_affine(self.scene, self.batch, rng), draw_affine(self.scene, self.batch, rng))
        picked = np.sort(rng.permutation(len(roots))[: max(1, self.most_cubes // 2)])
        if not len(picked):
            return {"loss": sum((p.sum() * 0 for p in self.networks.pose.parameters()), roots.new_zeros(()))}
        roots, sample = roots[picked], sample[picked]
        both = self._find(moments, affines, roots, sample, rng)
        # Cross-affine-view projection (paper, section 3.3): what version 1 found is drawn into version 2, and back.
        results = [
            self._compare(moments, affine, found, sample, step)
            for affine, found in zip(affines[::-1], both, strict=True)
        ]
        heatmap, joint = (torch.stack(parts).sum() for parts in zip(*results, strict=True))
        loss = self.config.weight_heatmap * heatmap + self.config.weight_joint * joint
        return {"loss": loss, "heatmap": heatmap, "joint": joint}

    def figures(self, rng: np.random.Generator) -> dict[str, float]:
        return {}

    def _roots(self, moments: np.ndarray) -> tuple[Tensor, Tensor]:
        """The frozen root network's people in the plain version."""
        plain = self.scene.affine.expand(len(moments), -1, -1, -1)
        self.networks.root.eval()
        views = footage_views(self.footage, self.scene, moments, plain, only_root=True)
        roots, sample, _ = find_people(self.networks, self.scene, views)
        return roots, sample

    def _find(
        self,
        moments: np.ndarray,
        affines: tuple[Tensor, Tensor],
        roots: Tensor,
        sample: Tensor,
        rng: np.random.Generator,
    ) -> tuple[Tensor, ...]:
        """Joints (P, J, 3) in both versions, found in one pass; some views are hidden from the network."""
        versions = [footage_views(self.footage, self.scene, moments, affine) for affine in affines]
        kept = [v.view_weight.cpu().numpy() > 0 for v in versions]
        kept = [keep_two_views(k & (rng.random(k.shape) >= self.config.drop_view), rng) for k in kept]
        views = Views(
            heatmaps=torch.cat([v.heatmaps for v in versions]),
            root=torch.cat([v.root for v in versions]),
            affine=torch.cat([v.affine for v in versions]),
            view_weight=torch.cat([v.view_weight for v in versions]) * tensor(np.concatenate(kept), self.scene.device),
            joints=torch.cat([v.joints for v in versions]),
            peak=torch.cat([v.peak for v in versions]),
            stored=versions[0].stored,
        )
        twice = torch.cat([sample, sample + len(moments)])
        return torch.chunk(pose_of(self.networks, self.scene, views, roots.repeat(2, 1), twice), 2)

    def _compare(
        self, moments: np.ndarray, affine: Tensor, found_mm: Tensor, sample: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """Heatmap and joint loss of 3D joints (P, J, 3) against the labels of one version."""
        scene, size = self.scene, self.scene.size_hw
        target_xy, weight = footage_labels(self.footage, scene, moments, affine)
        uv, ahead = scene.projector(found_mm)
        xy = to_heatmap(affine[sample], uv)  # (P, V, J, 2)
        people = [xy[sample == b].movedim(0, 1) for b in range(len(moments))]
        shown = [ahead[sample == b].movedim(0, 1).float() for b in range(len(moments))]
        drawn = torch.stack([render(p, s, size, scene.sigma_px) for p, s in zip(people, shown, strict=True)])
        target = render(target_xy, (weight > 0).float(), size, scene.sigma_px)
        heatmap = heatmap_loss(drawn, target, weight.amax(2), robust=self.config.robust)
        # In the metrics as the paper's sums over a Gaussian's area: means over pixels are tiny at any map size.
        heatmap = heatmap * size[0] * size[1] / (2 * np.pi * scene.sigma_px**2)
        if step < self.config.joint_from * self.steps or not self.config.weight_joint:
            return heatmap, heatmap.new_zeros(())
        joint = joint_loss(people, target_xy, weight, size, gate=self.config.gate, hard=self.config.hard_attention)
        return heatmap, joint


def pose_of(networks: Networks, scene: Scene, views: Views, root_mm: Tensor, sample: Tensor) -> Tensor:
    """Joints (P, J, 3) of people around their roots (P, 3), each in an entry `sample` (P,) of the batch."""
    mine = networks.pose.prior.gate(scene.projector, views, root_mm, sample.to(scene.device), scene.sigma_px)
    found: Tensor = networks.pose(scene.projector, mine, root_mm)[0]
    return found


def draw_affine(scene: Scene, count: int, rng: np.random.Generator) -> Tensor:
    """Random augmented affines (count, V, 2, 3), one turn and zoom for all views of a sample."""
    return tensor(augment(scene.base_affine, scene.size_hw, *draw_augmentation(rng, count)), scene.device)


def footage_views(
    footage: Footage, scene: Scene, moments: np.ndarray, affine: Tensor, *, only_root: bool = False
) -> Views:
    """Input heatmaps of moments (B,) in a version with affines (B, V, 2, 3).

    The root network's map never shows the estimator's heatmaps: with `only_root` they are not even read.
    """
    maps = None if only_root else footage.maps
    return shown_views(footage.inputs.at(moments), affine, scene.size_hw, scene.sigma_px, maps, moments)


def footage_labels(footage: Footage, scene: Scene, moments: np.ndarray, affine: Tensor) -> tuple[Tensor, Tensor]:
    """Labels (B, V, L, J, 2) in heatmap px of a version, and their weights (B, V, L, J), 0 outside the heatmap."""
    xy_px = tensor(footage.labels.xy_px[moments], scene.device)
    xy = to_heatmap(affine, xy_px.flatten(2, 3)).view(xy_px.shape)
    edge = xy.new_tensor([scene.size_hw[1] - 1, scene.size_hw[0] - 1])
    on_map = ((xy >= 0) & (xy <= edge)).all(-1)
    return xy, tensor(footage.labels.weight[moments], scene.device) * on_map
