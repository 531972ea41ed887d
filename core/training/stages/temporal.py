"""Temporal stage: the motion of people, and the persistence of the other networks' errors over time.

A departure from the paper, which treats each frame independently. Exact synthetic people move in synthetic rigs. They
are detected with an estimator's errors and reconstructed as in inference, and the temporal refiner learns to recover
the exact motion.

Legend: B person, F frame, V view, J joint.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from core.association.config import AssociationConfig
from core.datasets.frame_people import FramePeople
from core.datasets.poses2d import MultiviewPoses2D, make_view_batch
from core.models.inference import estimate_people
from core.models.networks import Networks
from core.models.refiners.ray_refiner import inverse
from core.models.refiners.temporal_refiner import fill_gaps
from core.models.scene import CaptureScene
from core.models.view_batch import float_tensor
from core.progress import NullReporter
from core.synthetic.confusions import Confusions
from core.synthetic.estimator_errors import ErrorBank
from core.synthetic.furniture import Furniture
from core.synthetic.motion import movers
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.tracking.track import gather_tracks
from core.tracking.tracker import capped_pose_distance
from core.training.losses.inputs import PositionStep
from core.training.rigs import SyntheticRigs
from core.training.stages.config import TemporalStageConfig
from core.training.stages.stage import LossTerms, MicroBatched
from core.types.arrays import F64, I64
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17, Skeleton, convert

_STREAM = 6007
_FPS = (20.0, 60.0)
_WALKERS, _WHITE, _HIDDEN, _FURNISHED = 0.25, 0.3, 0.8, 0.6
"""Fractions of scenes with people who walk and stop, with white noise, with people who occlude each other, and with
furniture that occludes them."""
_WRONG_RIG, _FEW_VIEWS = 0.5, 0.3
"""Fractions of scenes with a slightly wrong rig, and with only a random number of the cameras."""
_LOST = 0.02
"""Fraction of people lost in a frame."""
_SAME_MM = 400.0
"""Mean joint distance in mm below which a found person matches an exact one."""
_BATCH_FRAMES = 8
_RARELY_SEEN, _RARELY_SEEN_WEIGHT = 0.3, 0.1
"""Weight of joints known in a smaller fraction of the frames, whose large errors must not dominate."""


@dataclass(frozen=True, slots=True)
class TemporalSamples:
    """Frame-by-frame results of the other networks for training of the temporal refiner.

    Attributes:
        time_s: (B, F) times.
        xyz_mm: (B, F, J, 3) joints; an estimate where they are not known.
        precision: (B, F, J, 3, 3) precisions of the joints, 1/mm².
        known: (B, F, J) bool.
        exact_mm: (B, F, J, 3) exact joints.
    """

    time_s: Tensor
    xyz_mm: Tensor
    precision: Tensor
    known: Tensor
    exact_mm: Tensor

    @classmethod
    def cat(cls, parts: list[TemporalSamples]) -> TemporalSamples:
        """Concatenate batches."""
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in cls.__slots__))


class TemporalTraining(MicroBatched):
    """Temporal refiner trained on exact synthetic people in motion: positions and their uncertainty.

    Args:
        config: Settings of the stage.
        networks: Networks; without a temporal refiner and a ray refiner the stage has no steps.
        scene: Rig and capture volume of the footage.
        rigs: Rigs for the synthetic scenes.
    """

    name, title = "temporal", "Training the temporal refiner on synthetic motion"

    def __init__(
        self, config: TemporalStageConfig, networks: Networks, scene: CaptureScene, rigs: SyntheticRigs
    ) -> None:
        self.config, self.networks, self.rigs = config, networks, rigs
        self.steps = config.steps if networks.temporal is not None and networks.ray_refiner is not None else 0
        self.learning_rate = config.learning_rate
        self.batch = config.batch
        self._terms = LossTerms("temporal", config.weights)
        self._cache: OrderedDict[int, TemporalSamples] = OrderedDict()

    def module(self) -> nn.Module:
        """See `TrainingStage.module`."""
        return self.networks.temporal if self.networks.temporal is not None else self.networks.pose

    def losses(self, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """See `TrainingStage.losses`."""
        network = self.networks.temporal
        assert network is not None  # there are no steps without it
        samples = self._draw(network.config.frames, rng)
        xyz, covariance = network(samples.time_s, samples.xyz_mm, samples.precision, samples.known)
        often = samples.known.float().mean(1, keepdim=True) > _RARELY_SEEN
        weight = torch.where(often, 1.0, _RARELY_SEEN_WEIGHT) * torch.ones_like(xyz[..., 0])
        losses = self._terms.compute(PositionStep(xyz, samples.exact_mm, weight, inverse(covariance)))
        with torch.no_grad():
            known = samples.known
            start_mm = (samples.xyz_mm - samples.exact_mm).norm(dim=-1)[known].mean()
            error_mm = (xyz - samples.exact_mm).norm(dim=-1)[known].mean()
        return {**losses, "loss": self._terms.total(losses), "mm": error_mm, "start_mm": start_mm}

    def metrics(self, rng: np.random.Generator) -> dict[str, float]:
        """See `TrainingStage.metrics`."""
        return {}

    def _draw(self, frames: int, rng: np.random.Generator) -> TemporalSamples:
        """Draw a window of the people of some scenes, rotated and possibly mirrored."""
        parts: list[TemporalSamples] = []
        while sum(len(p.xyz_mm) for p in parts) < self.batch:
            parts.append(self._scene(int(rng.integers(self.config.scenes))))
        samples = TemporalSamples.cat(parts)
        picked = torch.from_numpy(np.sort(rng.permutation(len(samples.xyz_mm))[: self.batch]))
        picked = picked.to(samples.xyz_mm.device)
        first = int(rng.integers(self.config.frames - frames + 1))
        window = TemporalSamples(
            *(getattr(samples, name)[picked, first : first + frames] for name in TemporalSamples.__slots__)
        )
        return _augmented(window, self.networks.skeleton, rng)

    def _scene(self, number: int) -> TemporalSamples:
        """Return a scene, which depends only on the run's seed and its index; recent ones are cached."""
        if number not in self._cache:
            rng = np.random.default_rng([_STREAM, self.rigs.seed, number])
            self._cache[number] = temporal_samples(self.networks, self.rigs.draw(rng), self.config, rng)
            while len(self._cache) > self.config.cache_size:
                self._cache.popitem(last=False)
        self._cache.move_to_end(number)
        return self._cache[number]


@torch.no_grad()
def temporal_samples(
    networks: Networks, scene: CaptureScene, config: TemporalStageConfig, rng: np.random.Generator
) -> TemporalSamples:
    """Simulate people in a rig and find them with the networks, frame by frame."""
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
        confusions=Confusions().scaled(rng.uniform(0, 2), rig_factor=rng.uniform(0, 2) * (rng.random() < _WRONG_RIG)),
        occlusion=bool(rng.random() < _HIDDEN),
        errors=None if rng.random() < _WHITE else ErrorBank.load("movenet", config.error_split),
        varied=True,
        furniture=Furniture.scatter(int(rng.integers(1, 5)), 2300.0, rng) if rng.random() < _FURNISHED else None,
    )
    weight = np.ones(len(scene.rig))
    if rng.random() < _FEW_VIEWS:
        weight = (rng.permutation(len(weight)) < rng.integers(2, len(weight) + 1)).astype(float)
    found = _find(networks, scene, poses2d, people.time_s, weight)
    exact, _ = convert(coco, people.score, COCO17, networks.skeleton)  # (F, P, J, 3)
    column = _columns(found, exact)
    column[rng.random(column.shape) < _LOST] = -1

    def by_person(values: np.ndarray, missing: float) -> Tensor:
        return float_tensor(gather_tracks(values, column, missing), scene.device).transpose(0, 1)

    xyz, covariance = by_person(found.xyz_mm, np.nan), by_person(found.covariance_mm2, np.nan)
    known = xyz.isfinite().all(-1) & covariance.isfinite().all((-1, -2))
    seen = known.any(-1).any(-1)  # people who were never found give no information
    xyz, covariance, known = xyz[seen], covariance[seen], known[seen]
    precision = inverse(torch.where(known[..., None, None], covariance, torch.eye(3, device=scene.device)))
    return TemporalSamples(
        float_tensor(people.time_s, scene.device).expand(len(xyz), -1),
        fill_gaps(xyz.nan_to_num(), known),
        precision,
        known,
        float_tensor(exact, scene.device).transpose(0, 1)[seen],
    )


def _find(
    networks: Networks, scene: CaptureScene, poses2d: Mapping[str, Pose2D], time_s: F64, weight: F64
) -> FramePeople:
    """Find the people of a scene as in inference, with the cameras of positive weight (V,)."""
    used = scene.rig.subset([name for name, w in zip(scene.rig.names, weight, strict=True) if w > 0])
    chosen = {name: poses2d[name] for name in used.names}
    triangulated = FramePeople.triangulate(used, chosen, time_s, networks.skeleton, AssociationConfig(), NullReporter())
    detections = MultiviewPoses2D.stack(scene.rig, poses2d, networks.skeleton).with_views(weight.astype(np.float32))
    parts = []
    for start in range(0, len(time_s), _BATCH_FRAMES):
        frames = np.arange(start, min(start + _BATCH_FRAMES, len(time_s)))
        affine = scene.affine.expand(len(frames), -1, -1, -1)
        views = make_view_batch(detections.select(frames), affine, scene.size_hw, scene.sigma_px, None, frames)
        known = triangulated.frames(slice(start, start + len(frames))).known(scene.device)
        parts.append(FramePeople.of(estimate_people(networks, scene, views, known), len(frames)))
    return FramePeople.concatenate(parts, len(networks.skeleton))


def _columns(found: FramePeople, exact_mm: F64) -> I64:
    """Return the column (F, P) in which each exact person (F, P, J, 3) was found, -1 where they were not."""
    distance = capped_pose_distance(exact_mm[:, :, None], found.xyz_mm[:, None])  # (F, P, columns)
    out = np.full(exact_mm.shape[:2], -1, np.int64)
    for t, cost in enumerate(distance):
        rows, columns = linear_sum_assignment(cost)
        near = cost[rows, columns] < _SAME_MM
        out[t, rows[near]] = columns[near]
    return out


def _augmented(samples: TemporalSamples, skeleton: Skeleton, rng: np.random.Generator) -> TemporalSamples:
    """Rotate each person about the vertical, mirror half of them, and reverse time for half of them."""
    B, F = samples.known.shape[:2]
    device = samples.xyz_mm.device
    angle, flip = rng.uniform(-np.pi, np.pi, B), np.where(rng.random(B) < 0.5, -1.0, 1.0)
    c, s, zero, one = np.cos(angle), np.sin(angle), np.zeros(B), np.ones(B)
    rotation = np.stack([c, -s * flip, zero, s, c * flip, zero, zero, zero, one], -1).reshape(B, 3, 3)
    matrix, mirrored = float_tensor(rotation, device), float_tensor(flip < 0, device).bool()
    reverse = float_tensor(rng.random((B, 1)) < 0.5, device).bool()
    order = torch.arange(F, device=device)
    order = torch.where(reverse, order.flip(0), order)
    rows, mirror = torch.arange(B, device=device)[:, None], list(skeleton.mirror)

    def named(values: Tensor) -> Tensor:
        values = values[rows, order]
        return torch.where(mirrored.view(-1, *[1] * (values.ndim - 1)), values[:, :, mirror], values)

    def points(values: Tensor) -> Tensor:
        return torch.einsum("bik,bfjk->bfji", matrix, named(values))

    time_s = torch.where(reverse, samples.time_s[:, -1:] - samples.time_s.flip(1), samples.time_s)
    precision = torch.einsum("bik,bfjkl,bml->bfjim", matrix, named(samples.precision), matrix)
    return TemporalSamples(time_s, points(samples.xyz_mm), precision, named(samples.known), points(samples.exact_mm))
