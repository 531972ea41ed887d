"""The stage that learns how people move, and how the errors of what the other networks find go on over time.

A departure from the paper, which sees each frame by itself. People that are known exactly move in made-up rigs, are
detected as estimators do it, found as inference finds them, and the smoother learns to give them back.

Legend: B person, F frame, V view, J joint.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.datasets.poses2d import MultiviewPoses2D
from core.models.inference import refine_joints
from core.models.networks import JOINTS, Networks
from core.models.refiners.ray_refiner import gaussian_nll, inverse
from core.models.refiners.temporal_refiner import fill_gaps
from core.models.scene import CaptureScene
from core.models.view_batch import float_tensor, render_view_batch
from core.synthetic.estimator_errors import ErrorBank
from core.synthetic.furniture import Furniture
from core.synthetic.motion import movers
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.training.rigs import SyntheticRigs
from core.training.stages.body import SPREAD_MM
from core.training.stages.config import TemporalStageConfig
from core.training.stages.stage import MicroBatched
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17, PANOPTIC15, convert

_STREAM = 6007
_MOST_NLL = 20.0
_FPS = (20.0, 60.0)
_WALKERS, _WHITE, _HIDDEN, _FURNISHED = 0.25, 0.3, 0.8, 0.6
"""Shares of scenes: with people who walk and stop, with errors that do not last, where people hide each other, and
where furniture does."""
_LOST = 0.02
_LEAST_JOINTS = 3


@dataclass(frozen=True, slots=True)
class TemporalSamples:
    """People as the other networks find them, frame by frame.

    Attributes:
        time_s: (B, F).
        xyz_mm: (B, F, J, 3) found; a guess where not known.
        precision: (B, F, J, 3, 3) 1/mm².
        known: (B, F, J) bool.
        exact_mm: (B, F, J, 3).
    """

    time_s: Tensor
    xyz_mm: Tensor
    precision: Tensor
    known: Tensor
    exact_mm: Tensor

    @classmethod
    def cat(cls, parts: list[TemporalSamples]) -> TemporalSamples:
        """One batch after the other."""
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in cls.__slots__))


class TemporalTraining(MicroBatched):
    """Supervised by exact synthetic people who move: the path, and the certainty as well."""

    name, title = "temporal", "Learning how people move"

    def __init__(
        self, config: TemporalStageConfig, networks: Networks, scene: CaptureScene, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.rigs = config, networks, rigs
        self.steps = config.steps if networks.temporal is not None and networks.ray_refiner is not None else 0
        self.learning_rate = config.learning_rate
        self.batch = config.batch
        self._held: OrderedDict[int, TemporalSamples] = OrderedDict()

    def module(self) -> nn.Module:
        return self.networks.temporal if self.networks.temporal is not None else self.networks.pose

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        network = self.networks.temporal
        assert network is not None  # no steps without it
        found = self._draw(network.config.frames, rng)
        xyz, covariance = network(found.time_s, found.xyz_mm, found.precision, found.known)
        error = xyz - found.exact_mm
        distance = (error.square().sum(-1) + 1).sqrt()
        # Joints that nobody saw for long are hard for everybody: they must not drown the others.
        weight = torch.where(found.known.float().mean(1, keepdim=True) > 0.3, 1.0, 0.1) * torch.ones_like(distance)
        certainty = gaussian_nll(error, inverse(covariance)).clamp(-_MOST_NLL, _MOST_NLL)
        loss = (distance * weight).sum() / weight.sum() / 30
        certainty = (certainty * weight).sum() / weight.sum()
        with torch.no_grad():
            known = found.known
            before = (found.xyz_mm - found.exact_mm).norm(dim=-1)[known].mean()
            after = error.norm(dim=-1)[known].mean()
        return {
            "loss": loss + self.config.weight_certainty * certainty,
            "certainty": certainty,
            "mm": after,
            "start_mm": before,
        }

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        return {}

    def _draw(self, frames: int, rng: np.random.Generator) -> TemporalSamples:
        """People of some scenes, turned and perhaps mirrored, in a stretch of their time."""
        parts: list[TemporalSamples] = []
        while sum(len(p.xyz_mm) for p in parts) < self.batch:
            parts.append(self._scene(int(rng.integers(self.config.scenes))))
        found = TemporalSamples.cat(parts)
        some = torch.from_numpy(np.sort(rng.permutation(len(found.xyz_mm))[: self.batch])).to(found.xyz_mm.device)
        first = int(rng.integers(self.config.frames - frames + 1))
        cut = TemporalSamples(
            *(getattr(found, name)[some, first : first + frames] for name in TemporalSamples.__slots__)
        )
        return _turned(cut, rng)

    def _scene(self, number: int) -> TemporalSamples:
        """What is found in a scene, which depends on the run's seed and the number alone; many stay in memory."""
        if number not in self._held:
            rng = np.random.default_rng([_STREAM, self.rigs.seed, number])
            self._held[number] = found_people(self.networks, self.rigs.draw(rng), self.config, rng)
            while len(self._held) > self.config.held:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]


@torch.no_grad()
def found_people(
    networks: Networks, scene: CaptureScene, config: TemporalStageConfig, rng: np.random.Generator
) -> TemporalSamples:
    """People of a new scene in this rig as the networks find them, one frame at a time."""
    count, fps = int(rng.integers(1, config.people + 1)), float(np.exp(rng.uniform(*np.log(_FPS))))
    if rng.random() < _WALKERS:
        coco = walkers(count, config.frames, rng, fps=fps, half_size_mm=1500.0, distance_mm=500.0).xyz_mm
    else:
        coco = movers(count, config.frames, rng, fps=fps, apart_mm=rng.uniform(600, 1400))
    coco = coco + scene.volume.centre_mm * (1.0, 1.0, 0.0)
    people = Pose3DSequence(
        skeleton=COCO17,
        time_s=np.arange(config.frames) / fps,
        xyz_mm=coco,
        score=np.ones(coco.shape[:-1]),
        person_ids=tuple(range(count)),
    )
    poses2d = observe(
        scene.rig,
        people,
        noise_px=rng.uniform(0.001, 0.005) * max(max(c.size_px) for c in scene.rig),
        miss=rng.uniform(0, 0.12),
        rng=rng,
        joint_miss=rng.uniform(0, 0.1),
        false_people=0.05,
        swap=0.015,
        occlusion=bool(rng.random() < _HIDDEN),
        errors=None if rng.random() < _WHITE else ErrorBank.load("movenet", config.error_split),
        varied=True,
        furniture=Furniture.scatter(int(rng.integers(1, 5)), 2300.0, rng) if rng.random() < _FURNISHED else None,
    )
    exact, _ = convert(coco, people.score, COCO17, PANOPTIC15)  # (F, P, J, 3)
    shown = MultiviewPoses2D.stack(scene.rig, poses2d)
    views = render_view_batch(
        float_tensor(shown.xy_px, scene.device),
        float_tensor(shown.score, scene.device),
        scene.affine.expand(config.frames, -1, -1, -1),
        float_tensor(shown.view_weight, scene.device),
        (1, 1),
        scene.sigma_px,
    )
    F, P = exact.shape[:2]
    level = rng.uniform(0, config.start_error_mm, (1, P, 1, 1))
    off = level * rng.standard_normal((F, P, JOINTS, 3)) + level / 2 * rng.standard_normal((F, P, 1, 3))
    near = float_tensor((exact + off).reshape(F * P, JOINTS, 3), scene.device)
    sample = torch.arange(F, device=scene.device).repeat_interleave(P)
    spread = near.new_full(near.shape[:2], SPREAD_MM)
    xyz, precision, seen = refine_joints(networks, scene, views, views.select(sample), near, spread, sample)
    lost = float_tensor(rng.random((F, P)) < _LOST, scene.device).bool()
    lost = lost | ((seen.height > 0).sum(-1) >= _LEAST_JOINTS).sum(1).view(F, P).less(2)
    known = ~lost[..., None].expand(F, P, JOINTS)

    def by_person(values: Tensor) -> Tensor:
        return values.view(F, P, *values.shape[1:]).transpose(0, 1)

    xyz, known = by_person(xyz), known.transpose(0, 1)
    return TemporalSamples(
        float_tensor(people.time_s, scene.device).expand(P, -1),
        fill_gaps(xyz, known),
        by_person(precision),
        known,
        float_tensor(exact, scene.device).transpose(0, 1),
    )


def _turned(found: TemporalSamples, rng: np.random.Generator) -> TemporalSamples:
    """Everybody turned about the vertical, half of them mirrored and half of them back to front in time."""
    B, F = found.known.shape[:2]
    device = found.xyz_mm.device
    angle, flip = rng.uniform(-np.pi, np.pi, B), np.where(rng.random(B) < 0.5, -1.0, 1.0)
    c, s, zero, one = np.cos(angle), np.sin(angle), np.zeros(B), np.ones(B)
    turn = np.stack([c, -s * flip, zero, s, c * flip, zero, zero, zero, one], -1).reshape(B, 3, 3)
    matrix, mirrored = float_tensor(turn, device), float_tensor(flip < 0, device).bool()
    backwards = float_tensor(rng.random((B, 1)) < 0.5, device).bool()
    order = torch.arange(F, device=device)
    order = torch.where(backwards, order.flip(0), order)
    rows, mirror = torch.arange(B, device=device)[:, None], list(PANOPTIC15.mirror)

    def named(values: Tensor) -> Tensor:
        values = values[rows, order]
        return torch.where(mirrored.view(-1, *[1] * (values.ndim - 1)), values[:, :, mirror], values)

    def points(values: Tensor) -> Tensor:
        return torch.einsum("bik,bfjk->bfji", matrix, named(values))

    time_s = torch.where(backwards, found.time_s[:, -1:] - found.time_s.flip(1), found.time_s)
    precision = torch.einsum("bik,bfjkl,bml->bfjim", matrix, named(found.precision), matrix)
    return TemporalSamples(time_s, points(found.xyz_mm), precision, named(found.known), points(found.exact_mm))
