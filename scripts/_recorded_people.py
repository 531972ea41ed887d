"""People of random shape and clothes who move in the demo room with recorded motion."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from core.body.model import BodyModel
    from core.body.sequence import BodyMotion
    from core.synthetic.rendering.renderer import DressedPeople
    from core.synthetic.rendering.wardrobe import Outfit
    from core.types.arrays import F64
    from core.types.body import BodySequence

MOTION_FPS = 30.0
_REACH_MM = (2300.0, 1900.0)
"""Largest x and y of a pelvis in mm, so that people stay clear of the walls and most furniture."""
_APART_MM = 650.0
_TRIALS = 4000


def recorded_people(motion: Path, count: int, seconds: float, seed: int) -> DressedPeople:
    """Return people who repeat clips of recorded motion.

    The body model is fitted to each clip; its poses are applied to a body of another shape, whose lowest vertex is
    placed on the floor. Positions and headings are redrawn until the people stay apart and inside the room.

    Args:
        motion: npz of COCO joints (T, 17, 3) in m, z up, 30 frames per second, by name.
        count: Number of people.
        seconds: Duration in s.
        seed: Seed for motion, shapes, clothes and positions.
    """
    import numpy as np

    from core.body.models.free import free_body
    from core.body.sequence import BodyMotion
    from core.geometry.so3 import log
    from core.synthetic.recorded import RecordedPeople
    from core.synthetic.rendering.renderer import DressedPeople
    from core.types.body import BodySequence

    rng, model, n_frames = np.random.default_rng(seed), free_body(), round(seconds * MOTION_FPS)
    with np.load(motion) as file:
        names = [name for name in sorted(file.files) if len(file[name]) >= n_frames]
        chosen = [file[str(name)] for name in rng.choice(names, count, replace=False)]
    betas = np.clip(rng.normal(0, 1, (count, model.n_shape)), -2, 2)
    rotations, pelvis = [], []
    for beta, clip in zip(betas, chosen, strict=True):
        start = int(rng.integers(len(clip) - n_frames + 1))
        R, centre = _fitted(model, 1000 * clip[start : start + n_frames].astype(float), beta)
        rotations.append(R)
        pelvis.append(centre)
    turned, moved = _placed(np.stack(pelvis), rng)
    for person, turn in enumerate(turned):
        rotations[person][:, 0] = turn @ rotations[person][:, 0]
    bodies = BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=np.arange(n_frames) / MOTION_FPS,
        person_ids=tuple(range(1, count + 1)),
        betas=betas,
        rotations_rad=log(np.stack(rotations, 1)).astype(np.float32),
        pelvis_mm=np.swapaxes(moved, 0, 1),
    )
    grounded = _on_the_floor(BodyMotion.of(model, bodies))
    return DressedPeople(RecordedPeople(BodyMotion.of(model, grounded)), tuple(_outfit(rng) for _ in range(count)))


def _fitted(model: BodyModel, xyz_mm: F64, betas: F64) -> tuple[F64, F64]:
    """Return rotations (T, J, 3, 3) and pelvis positions (T, 3), scaled to the leg length of the shape."""
    import numpy as np

    from core.body.fit import fit_body
    from core.types.skeleton import COCO17

    fit = fit_body(model, COCO17.joints, xyz_mm, np.arange(len(xyz_mm)) / MOTION_FPS)
    hip, ankle = model.joints.index("left_hip"), model.joints.index("left_ankle")
    own, new = (model.rest(b[None]).joints_mm[0, [hip, ankle], 1] for b in (fit.betas, betas))
    return fit.rotations, fit.pelvis_mm * float((new[0] - new[1]) / (own[0] - own[1]))


def _placed(pelvis_mm: F64, rng: np.random.Generator) -> tuple[F64, F64]:
    """Return rotations about z (P, 3, 3) and trajectories (P, T, 3) that stay apart and inside the room."""
    import numpy as np

    best, best_cost = None, np.inf
    for _ in range(_TRIALS):
        angle = rng.uniform(0, 2 * np.pi, len(pelvis_mm))
        c, s, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
        turn = np.stack([c, -s, zero, s, c, zero, zero, zero, zero + 1], -1).reshape(-1, 3, 3)
        path = pelvis_mm @ np.swapaxes(turn, -1, -2)
        middle = (path[..., :2].min(1) + path[..., :2].max(1)) / 2
        path[..., :2] += (rng.uniform(-0.6, 0.6, middle.shape) * _REACH_MM - middle)[:, None]
        outside = np.maximum(np.abs(path[..., :2]).max(1) - _REACH_MM, 0).sum()
        gap = np.linalg.norm(path[:, None, :, :2] - path[None, :, :, :2], axis=-1).min(-1)
        close = np.maximum(_APART_MM - gap[np.triu_indices(len(gap), 1)], 0).sum()
        if outside + close < best_cost:
            best, best_cost = (turn, path), outside + close
        if not best_cost:
            break
    assert best is not None
    print(f"placed within {best_cost:.0f} mm of what was asked for")
    return best


def _on_the_floor(motion: BodyMotion) -> BodySequence:
    """Return the bodies with each person's lowest vertex over all frames on the floor, shoes included."""
    import numpy as np

    from core.synthetic.rendering.wardrobe import SOLE_MM

    some = range(0, len(motion.bodies.time_s), 10)
    lowest = np.array([motion.vertices_mm(frame)[..., 2].min(1) for frame in some]).min(0)
    shift = np.stack([0 * lowest, 0 * lowest, SOLE_MM - lowest], -1)
    return dataclasses.replace(motion.bodies, pelvis_mm=motion.bodies.pelvis_mm + shift)


def _outfit(rng: np.random.Generator) -> Outfit:
    """Return random clothes."""
    from core.synthetic.rendering.wardrobe import OUTFITS, Outfit

    def colour(low: int, high: int) -> tuple[int, int, int]:
        r, g, b = rng.integers(low, high, 3)
        return int(r), int(g), int(b)

    like = OUTFITS[int(rng.integers(len(OUTFITS)))]
    shirt = colour(40, 235)
    return Outfit(
        skin=like.skin,
        hair=colour(15, 90),
        shirt=shirt,
        stripe=shirt if rng.random() < 0.5 else colour(40, 235),
        trousers=colour(30, 140),
        shoes=colour(30, 235),
        sleeve_mm=float(rng.uniform(300, 670)),
        leg_mm=float(rng.choice([-430.0, -815.0])),
        long_hair=bool(rng.random() < 0.4),
    )
