"""Online fit of bodies to the people of a live stream.

Each pose is initialised from the previous one and tied to it; the shape is estimated from the first seconds.

Legend: P person, J joint, K observed keypoint, B shape component.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from core.body.chain import BodyChain, Poses, Targets, Tie
from core.body.fit import BodyFitConfig
from core.body.model import BodyModel
from core.body.people import joints_of_model
from core.body.shape import shape_and_offsets, shape_from_lengths
from core.body.start import initial_poses
from core.types.arrays import F32, F64
from core.types.skeleton import Skeleton

_STEPS, _FIRST_STEPS = 2, 6
_FEWEST_KEYPOINTS = 4
_SPEED_MM_S, _SPEED_RAD_S = 1000.0, 4.0  # standard deviations of velocities between frames
_FAR_MM, _FAR_KEYPOINTS = 150.0, 3  # error and number of keypoints from which a pose is re-initialised
_JUMP_MM, _JUMP_MM_S, _JUMP_S = 120.0, 4000.0, 0.2  # a jump of a keypoint, and the time for which it is ignored
_HUBER = 2.0  # later frames, which would reveal outliers, are not known yet
_SHAPE_AT_S = (0.3, 1.0, 2.0, 4.0)  # times after a person's first frame
_SAMPLE_S, _SAMPLES = 0.25, 16
_SHAPE_STEPS = 3
_FORGET_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnlineBodies:
    """Bodies at one time.

    Attributes:
        person_ids: (P,) identities.
        betas: (P, B) shape vectors.
        rotations: (P, J, 3, 3) rotation of each joint relative to its parent, that of the pelvis from body to world
            coordinates.
        pelvis_mm: (P, 3) position of the pelvis in world coordinates.
        joints_mm: (P, J, 3) joints in world coordinates.
        shaped: (P,) bool, False while the shape is a rough estimate from a single frame.
    """

    person_ids: tuple[int, ...]
    betas: F64
    rotations: F64
    pelvis_mm: F64
    joints_mm: F64
    shaped: np.ndarray


@dataclass(slots=True)
class _Person:
    """State of a person: one pose, samples of keypoints (K, 3), and the last use of each keypoint."""

    first_s: float
    seen_s: float
    poses: Poses
    betas: F64
    offsets_mm: F64
    used_s: F64
    shapes: int = 0
    samples: list[F64] = field(default_factory=list)
    sampled_s: float = -np.inf


class OnlineBodyFit:
    """Online fit of bodies to the 3D joints of people.

    Args:
        model: Body model.
        skeleton: Skeleton of the 3D joints; joints that the model lacks are ignored.
        config: Settings, of which only noise, offset and gap have an effect.
    """

    def __init__(self, model: BodyModel, skeleton: Skeleton, config: BodyFitConfig | None = None) -> None:
        self.model = model
        self._config = config or BodyFitConfig()
        names = joints_of_model(model, skeleton)
        self._columns = skeleton.indices(*names)
        self._chain = replace(BodyChain.of(model, names), huber=_HUBER)
        self._people: dict[int, _Person] = {}

    def update(
        self, time_s: float, person_ids: tuple[int, ...], xyz_mm: F64, covariance_mm2: F32 | None = None
    ) -> OnlineBodies:
        """Fit the bodies of the people of a frame.

        Args:
            time_s: Time of the frame; must increase.
            person_ids: P identities.
            xyz_mm: (P, J', 3) joints of the skeleton in world coordinates, NaN where missing.
            covariance_mm2: (P, J', 3, 3) covariance of the joints, NaN where unknown.

        Returns:
            Bodies of the people except those with too few joints. The last pose bridges short gaps.
        """
        xyz = xyz_mm[:, self._columns]
        known = np.asarray(np.isfinite(xyz).all(-1))
        enough = known.sum(1) >= _FEWEST_KEYPOINTS
        seen = np.flatnonzero(enough)
        if len(seen):
            covariance = None if covariance_mm2 is None else covariance_mm2[seen][:, self._columns]
            targets = Targets.of(xyz[seen], known[seen], self._config.noise_mm, covariance)
            self._fit(time_s, [person_ids[p] for p in seen], xyz[seen], targets)
        self._people = {n: person for n, person in self._people.items() if time_s - person.seen_s < _FORGET_S}
        held = [
            n for n in person_ids if n in self._people and time_s - self._people[n].seen_s <= self._config.max_gap_s
        ]
        return self._bodies(tuple(held))

    def _fit(self, time_s: float, numbers: list[int], xyz: F64, targets: Targets) -> None:
        fresh = [i for i, n in enumerate(numbers) if n not in self._people or self._is_lost(time_s, n)]
        for i in fresh:
            self._start(time_s, numbers[i], xyz[i : i + 1], targets.take(slice(i, i + 1)))
        going = [i for i in range(len(numbers)) if i not in fresh]
        if going:
            self._follow(time_s, [numbers[i] for i in going], xyz[going], targets.take(np.array(going)))
        self._improve_shape(time_s, numbers, xyz, targets)

    def _is_lost(self, time_s: float, number: int) -> bool:
        return time_s - self._people[number].seen_s > self._config.max_gap_s

    def _start(self, time_s: float, number: int, xyz: F64, targets: Targets) -> None:
        """Initialise the pose of a person who is new, or who returns with a known shape."""
        known = self._people.get(number)
        betas = shape_from_lengths(self._chain, xyz, targets.used) if known is None else known.betas
        offsets = np.zeros((xyz.shape[1], 3)) if known is None else known.offsets_mm
        chain = self._chain.shaped(betas, offsets)
        poses, _ = chain.refine(initial_poses(chain, xyz), targets, _FIRST_STEPS)
        if known is None:
            used_s = np.where(targets.used[0], time_s, -np.inf)
            self._people[number] = _Person(time_s, time_s, poses, betas, offsets, used_s)
        else:
            known.poses, known.seen_s = poses, time_s

    def _follow(self, time_s: float, numbers: list[int], xyz: F64, targets: Targets) -> None:
        people = [self._people[n] for n in numbers]
        chain, last = self._chain_of(people), _concatenate([person.poses for person in people])
        elapsed = np.array([max(time_s - person.seen_s, 1e-3) for person in people])[:, None]
        targets = self._without_jumps(time_s, people, chain, last, xyz, targets, elapsed)
        speed = np.full(chain.n_unknowns, _SPEED_RAD_S)
        speed[:3] = _SPEED_MM_S
        tie = Tie(last, (elapsed * speed) ** -2.0)
        poses, cost = chain.refine(last, targets, _STEPS, tie)
        gap = np.linalg.norm(chain.points(chain.bones(poses)) - targets.xyz_mm, axis=-1)
        far = np.flatnonzero((np.where(targets.used, gap, 0.0) > _FAR_MM).sum(1) >= _FAR_KEYPOINTS)
        if len(far):
            some, seen = _take_chain(chain, far), targets.take(far)
            tied = Tie(last.take(far), tie.weight[far])
            again, _new_cost = some.refine(initial_poses(some, xyz[far]), seen, _FIRST_STEPS)
            better = some.cost(again, seen, tied) < cost[far]
            chosen = poses.take(far).where(better, again)
            poses.root[far], poses.pelvis_mm[far], poses.w[far] = chosen.root, chosen.pelvis_mm, chosen.w
        for i, person in enumerate(people):
            person.poses, person.seen_s = poses.take(np.array([i])), time_s

    def _without_jumps(
        self,
        time_s: float,
        people: list[_Person],
        chain: BodyChain,
        last: Poses,
        xyz: F64,
        targets: Targets,
        elapsed: F64,
    ) -> Targets:
        """Return targets without keypoints that have just jumped, if enough remain."""
        gap = np.linalg.norm(chain.points(chain.bones(last)) - xyz, axis=-1)
        used_s = np.stack([person.used_s for person in people])
        jumped = (gap > _JUMP_MM + _JUMP_MM_S * elapsed) & (time_s - used_s < _JUMP_S)
        jumped &= ((targets.used & ~jumped).sum(1) >= _FEWEST_KEYPOINTS)[:, None]
        use = targets.used & ~jumped
        for person, row in zip(people, use, strict=True):
            person.used_s = np.where(row, time_s, person.used_s)
        return Targets(targets.xyz_mm, targets.whitening * use[..., None, None])

    def _improve_shape(self, time_s: float, numbers: list[int], xyz: F64, targets: Targets) -> None:
        """Collect samples, and update at most one person's shape per frame, to bound the time per frame."""
        due: _Person | None = None
        for i, number in enumerate(numbers):
            person = self._people[number]
            if person.shapes == len(_SHAPE_AT_S):
                continue
            if time_s - person.sampled_s >= _SAMPLE_S and len(person.samples) < _SAMPLES:
                seen = np.where(targets.used[i, :, None], xyz[i], np.nan)
                person.samples.append(seen)
                person.sampled_s = time_s
            is_due = time_s - person.first_s >= _SHAPE_AT_S[person.shapes]
            if is_due and (due is None or person.shapes < due.shapes):
                due = person
        if due is None:
            return
        due.shapes += 1
        seen = np.stack(due.samples)
        known = np.asarray(np.isfinite(seen).all(-1))
        targets = Targets.of(seen, known, self._config.noise_mm)
        chain = self._chain.shaped(shape_from_lengths(self._chain, seen, known))
        poses, _ = chain.refine(initial_poses(chain, seen), targets, _SHAPE_STEPS)
        due.betas, due.offsets_mm = shape_and_offsets(chain, poses, targets, self._config.offset_mm)
        if due.shapes == len(_SHAPE_AT_S):
            due.samples.clear()

    def _chain_of(self, people: list[_Person]) -> BodyChain:
        return self._chain.shaped(
            np.stack([person.betas for person in people]), np.stack([person.offsets_mm for person in people])
        )

    def _bodies(self, numbers: tuple[int, ...]) -> OnlineBodies:
        people = [self._people[n] for n in numbers]
        J, B = len(self.model.joints), self.model.n_shape
        if not people:
            empty = np.zeros((0, J, 3, 3))
            return OnlineBodies(
                person_ids=(),
                betas=np.zeros((0, B)),
                rotations=empty,
                pelvis_mm=np.zeros((0, 3)),
                joints_mm=empty[..., 0],
                shaped=np.zeros(0, bool),
            )
        chain, poses = self._chain_of(people), _concatenate([person.poses for person in people])
        return OnlineBodies(
            person_ids=numbers,
            betas=np.stack([person.betas for person in people]),
            rotations=chain.rotations(poses),
            pelvis_mm=poses.pelvis_mm,
            joints_mm=chain.joint_positions(chain.bones(poses)),
            shaped=np.array([person.shapes > 0 for person in people]),
        )


def _concatenate(poses: list[Poses]) -> Poses:
    return Poses(
        np.concatenate([p.root for p in poses]),
        np.concatenate([p.pelvis_mm for p in poses]),
        np.concatenate([p.w for p in poses]),
    )


def _take_chain(chain: BodyChain, people: np.ndarray) -> BodyChain:
    return replace(
        chain, rest_joints_mm=chain.rest_joints_mm[people], rest_keypoints_mm=chain.rest_keypoints_mm[people]
    )
