"""Synthetic people who walk, stop for actions, and cross each other's paths without collisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.synthetic.body import Posture, body_joints
from core.types.arrays import F64, I64
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17, Skeleton, convert

Action = Literal["stand", "reach", "crouch", "sit", "wave", "turn"]
ACTIONS: tuple[Action, ...] = ("stand", "reach", "crouch", "sit", "wave", "turn")

STRIDE = 0.83
"""Length of a stride (two steps) relative to stature, at a comfortable pace."""
_RELAX_S = 0.35  # Time constant of speed and heading.
_MAX_TURN_RAD_S, _MAX_SPEED_MM_S = 4.0, 1600.0
_ARRIVED_MM, _STUCK_S = 150.0, 1.5  # A goal that is blocked for longer is given up.


@dataclass(frozen=True, slots=True, eq=False)
class _Paths:
    """Trajectories on the floor: positions (T, P, 2) mm, headings (T, P) rad, speeds (T, P) mm/s."""

    floor_mm: F64
    heading_rad: F64
    speed_mm_s: F64


def walkers(
    n_people: int,
    n_frames: int,
    rng: np.random.Generator,
    *,
    fps: float = 30.0,
    half_size_mm: float = 1800.0,
    distance_mm: float = 650.0,
    stature_mm: tuple[float, float] = (1500.0, 1950.0),
    skeleton: Skeleton = COCO17,
) -> Pose3DSequence:
    """Generate people who walk between random places in a square around the origin, and perform an action at each.

    Args:
        n_people: Number of people P.
        n_frames: Number of frames T.
        rng: Random generator; the same state gives the same people.
        fps: Frames per second.
        half_size_mm: Half the edge of the square.
        distance_mm: Smallest distance of two mid-hips.
        stature_mm: Range of body heights.
        skeleton: Skeleton of the result.

    Raises:
        CoreError: The square is too small for so many people.
    """
    if n_people > 1 and n_people * (1.5 * distance_mm) ** 2 > (2 * half_size_mm) ** 2:
        raise CoreError(f"The square is too small for {n_people} people.", "Increase half_size_mm or reduce n_people.")
    start = _scatter(n_people, half_size_mm, distance_mm, rng)
    goals = rng.uniform(-half_size_mm, half_size_mm, (n_people, 4 + n_frames, 2))
    pause_s = rng.uniform(0.6, 2.5, (n_people, goals.shape[1]))
    paths, busy = _walk(start, goals, pause_s, n_frames, fps, distance_mm, rng)
    return _perform(paths, busy, rng.uniform(*stature_mm, n_people), fps, skeleton, rng)


def crossing(
    n_people: int,
    n_frames: int,
    rng: np.random.Generator,
    *,
    fps: float = 30.0,
    radius_mm: float = 1700.0,
    distance_mm: float = 500.0,
    stature_mm: tuple[float, float] = (1550.0, 1900.0),
    skeleton: Skeleton = COCO17,
) -> Pose3DSequence:
    """Generate people who walk across a circle and back, and all meet near its centre."""
    angle = 2 * np.pi * (np.arange(n_people) + rng.uniform(-0.2, 0.2, n_people)) / n_people
    start = radius_mm * np.stack([np.cos(angle), np.sin(angle)], -1)
    there_and_back = np.resize([-1.0, 1.0], n_frames + 4)
    goals = start[:, None] * there_and_back[None, :, None]
    paths, busy = _walk(start, goals, np.zeros(goals.shape[:2]), n_frames, fps, distance_mm, rng)
    return _perform(paths, busy, rng.uniform(*stature_mm, n_people), fps, skeleton, rng)


def poses(
    n: int,
    rng: np.random.Generator,
    *,
    stature_mm: tuple[float, float] = (1000.0, 2000.0),
    skeleton: Skeleton = COCO17,
) -> F64:
    """Generate random poses (n, J, 3) in mm with random headings and the mid-hip above the origin.

    Half are common: walking, standing, sitting, reaching. The others use the full range of the joints, some in the air,
    some on the ground. Limb proportions vary.
    """
    phase = rng.uniform(0, 2 * np.pi, n)
    still = _action_postures(rng.integers(len(ACTIONS), size=n), rng.uniform(0, 4, n), rng.integers(2, size=n))
    common = gait_posture(phase, rng.uniform(0, 1.3, n)).blend(still, rng.uniform(0, 1, n))
    posture = common.blend(free_postures(n, rng), np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0.3, 1.0, n)))
    stature = rng.uniform(*stature_mm, n)
    heading = rng.uniform(-np.pi, np.pi, n)
    xyz = vary_proportions(body_joints(stature, posture, np.zeros((n, 2)), np.zeros(n)), rng)
    xyz = _jump_and_fall(xyz, stature, rng)
    c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
    x, y, z = np.moveaxis(xyz, -1, 0)
    xyz = np.stack([c * x - s * y, s * x + c * y, z], -1)
    hips = xyz[:, [COCO17.index("left_hip"), COCO17.index("right_hip")]].mean(1, keepdims=True)
    xyz = xyz - hips * (1.0, 1.0, 0.0)
    return convert(xyz, np.ones(xyz.shape[:-1]), COCO17, skeleton)[0]


def free_postures(n: int, rng: np.random.Generator) -> Posture:
    """Draw independent postures from the full range of the joints, with more weight on the middle of the range."""

    def angle(low: float, high: float) -> F64:
        return np.asarray(low + (high - low) * rng.beta(1.3, 1.3, n))

    def pair(low: float, high: float) -> tuple[F64, F64]:
        return angle(low, high), angle(low, high)

    return Posture(
        lean=angle(-0.4, 1.4) * rng.choice([0.4, 1.0], n),
        sway=angle(-0.4, 0.4),
        twist=angle(-0.7, 0.7),
        hip=pair(-0.5, 1.9),
        spread=pair(-0.15, 0.8),
        knee=pair(0.0, 2.3),
        shoulder=pair(-0.9, 3.1),
        raise_=pair(-0.4, 1.6),
        elbow=pair(0.0, 2.4),
        look=angle(-0.9, 0.9),
        nod=angle(-0.4, 0.7),
    )


_TREE = tuple(
    (COCO17.index(joint), tuple(COCO17.index(j) for j in parent.split()))
    for joint, parent in (
        *(
            (f"{side}_{joint}", parent)
            for side in ("left", "right")
            for joint, parent in (("hip", "left_hip right_hip"),)
        ),
        *((f"{side}_knee", f"{side}_hip") for side in ("left", "right")),
        *((f"{side}_ankle", f"{side}_knee") for side in ("left", "right")),
        *((f"{side}_elbow", f"{side}_shoulder") for side in ("left", "right")),
        *((f"{side}_wrist", f"{side}_elbow") for side in ("left", "right")),
    )
)
"""Joints and their parents; two parents stand for their mean."""
_LIMB_SIGMA, _WIDTH_SIGMA = 0.05, 0.10


def vary_proportions(xyz: F64, rng: np.random.Generator) -> F64:
    """Scale the limbs and widths of bodies (n, ..., 17, 3) by some percent, symmetrically and constant per body."""
    out = xyz.copy()
    one = (len(xyz), *[1] * (xyz.ndim - 2))  # one factor per body
    left, right = (COCO17.index(f"{side}_shoulder") for side in ("left", "right"))
    hips = [COCO17.index(f"{side}_hip") for side in ("left", "right")]
    upper = [j for j in range(len(COCO17)) if "shoulder" in COCO17.joints[j] or j < 5]
    trunk = xyz[..., [left, right], :].mean(-2, keepdims=True) - xyz[..., hips, :].mean(-2, keepdims=True)
    out[..., upper, :] += trunk * rng.normal(0, _LIMB_SIGMA, (*one, 1))
    middle, width = out[..., [left, right], :].mean(-2), 1 + rng.normal(0, _WIDTH_SIGMA, one)
    for j in (left, right):
        out[..., j, :] = middle + width * (out[..., j, :] - middle)
    factor = {name: 1 + rng.normal(0, _LIMB_SIGMA, one) for name in ("hip", "knee", "ankle", "elbow", "wrist")}
    factor["hip"] = 1 + rng.normal(0, _WIDTH_SIGMA, one)
    result = out.copy()
    for joint, parents in _TREE:  # parents first, so that a longer bone moves all its descendants
        bone = xyz[..., joint, :] - xyz[..., list(parents), :].mean(-2)
        base = xyz[..., list(parents), :].mean(-2) if len(parents) > 1 else result[..., parents[0], :]
        result[..., joint, :] = base + factor[COCO17.joints[joint].split("_")[1]] * bone
    return result


def _jump_and_fall(xyz: F64, stature: F64, rng: np.random.Generator) -> F64:
    """Lift or tilt some bodies (n, 17, 3), which jump, lie, crawl or fall."""
    n = len(xyz)
    tilt = np.where(rng.random(n) < 0.08, rng.uniform(-1.6, 1.6, n), rng.normal(0, 0.06, n))
    axis = rng.uniform(-np.pi, np.pi, n)
    c, s = np.cos(axis)[:, None], np.sin(axis)[:, None]
    x, y, z = np.moveaxis(xyz, -1, 0)
    along, across = c * x + s * y, -s * x + c * y
    ct, st = np.cos(tilt)[:, None], np.sin(tilt)[:, None]
    along, z = ct * along + st * z, -st * along + ct * z
    tilted = np.stack([c * along - s * across, s * along + c * across, z], -1)
    jump = np.where(rng.random(n) < 0.06, rng.uniform(0, 0.4, n), 0.0)
    tilted[..., 2] += (0.039 * stature - tilted[..., 2].min(1) + jump * stature)[:, None]
    return tilted


def _scatter(n: int, half: float, distance: float, rng: np.random.Generator) -> F64:
    """Return places (n, 2) in the square at least `distance` apart: random ones, then pushed apart."""
    places = rng.uniform(-half, half, (n, 2))
    for _ in range(500):
        moved = np.clip(_push_apart(places, 1.2 * distance, rng), -half, half)
        if np.allclose(moved, places, atol=1e-6):
            break
        places = moved
    return _push_apart(places, distance, rng, passes=50)


def _push_apart(places: F64, distance: float, rng: np.random.Generator, passes: int = 1) -> F64:
    """Separate pairs of positions (P, 2) that are too close, moving each by half the missing distance."""
    for _ in range(passes):
        gap = places[:, None] - places[None, :]
        length = _length(gap)
        np.fill_diagonal(length, np.inf)
        if (length >= distance - 1e-6).all():
            break
        # Coincident people have no direction between them, so a random one is used.
        gap = np.where(length[..., None] < 1e-6, rng.normal(size=gap.shape), gap)
        unit = gap / np.maximum(np.linalg.norm(gap, axis=-1, keepdims=True), 1e-9)
        places = places + (unit * np.maximum(distance - length, 0.0)[..., None] * 0.5).sum(1)
    return places


def _walk(
    start: F64, goals: F64, pause_s: F64, n_frames: int, fps: float, distance: float, rng: np.random.Generator
) -> tuple[_Paths, F64]:
    """Simulate trajectories on the floor: people head for their goals, evade to the right, and keep their distance.

    Returns:
        The trajectories, and the seconds (T, P) spent at the current stop, 0 while walking.
    """
    n = len(start)
    pace = rng.uniform(900.0, 1400.0, n)
    at, velocity = start.copy(), np.zeros((n, 2))
    towards = goals[:, 0] - start
    heading = np.arctan2(towards[:, 1], towards[:, 0])
    goal, waited, stuck = np.zeros(n, np.int64), np.zeros(n), np.zeros(n)
    history: list[tuple[F64, F64, F64, F64]] = []
    dt, everyone = 1 / fps, np.arange(n)
    for _ in range(n_frames):
        towards = goals[everyone, goal] - at
        far = _length(towards)
        arrived = (far < _ARRIVED_MM) | (stuck > _STUCK_S) | (waited > 0)
        waited = np.where(arrived, waited + dt, 0.0)
        finished = arrived & (waited >= pause_s[everyone, goal])
        goal, waited = goal + finished, np.where(finished, 0.0, waited)
        speed = np.where(arrived, 0.0, pace * np.clip(far / 400.0, 0.3, 1.0))
        wanted = towards / np.maximum(far, 1e-9)[:, None] * speed[:, None]
        wanted = wanted + _sidestep(at, wanted, distance) * (speed > 0)[:, None]
        velocity = velocity + (wanted - velocity) * min(1.0, dt / _RELAX_S)
        velocity = velocity * np.minimum(1.0, _MAX_SPEED_MM_S / np.maximum(_length(velocity), 1e-9))[:, None]
        moved = _push_apart(at + velocity * dt, distance, rng, passes=50)
        velocity = 0.5 * velocity + 0.5 * (moved - at) / dt
        at = moved
        pace_now = _length(velocity)
        stuck = np.where(arrived | (pace_now > 150.0), 0.0, stuck + dt)
        rotation = np.arctan2(velocity[:, 1], velocity[:, 0]) - heading
        rotation = (rotation + np.pi) % (2 * np.pi) - np.pi
        rotation = np.clip(rotation * dt / _RELAX_S, -_MAX_TURN_RAD_S * dt, _MAX_TURN_RAD_S * dt)
        heading = heading + np.where(pace_now > 200.0, rotation, 0.0)
        history.append((at, heading, pace_now, waited))
    places, headings, speeds, busy = (np.stack(column) for column in zip(*history, strict=True))
    return _Paths(places, headings, speeds), busy


def _length(vectors: F64) -> F64:
    return np.asarray(np.linalg.norm(vectors, axis=-1))


def _sidestep(at: F64, wanted: F64, distance: float) -> F64:
    """Return evasive velocities (P, 2): away from people nearby, and to the right, so that no deadlock arises."""
    gap = at[:, None] - at[None, :]
    length = _length(gap)
    np.fill_diagonal(length, np.inf)
    strength = np.clip(1.0 - (length - distance) / (1.2 * distance), 0.0, 1.0)[..., None]
    away = gap / np.maximum(length, 1e-9)[..., None]
    ahead = (-(away * wanted[:, None]).sum(-1) > 0)[..., None]
    right = np.stack([wanted[:, 1], -wanted[:, 0]], -1)[:, None]
    return np.asarray((strength * (500.0 * away + 0.9 * right * ahead)).sum(1))


def _perform(
    paths: _Paths, busy_s: F64, stature: F64, fps: float, skeleton: Skeleton, rng: np.random.Generator
) -> Pose3DSequence:
    """Animate bodies along the trajectories: the gait follows the speed, an action is performed at every stop."""
    T, P = busy_s.shape
    stride = STRIDE * stature
    speed = _smooth(paths.speed_mm_s, fps)
    cycle = 2 * np.pi * np.cumsum(speed / stride, axis=0) / fps + rng.uniform(0, 2 * np.pi, P)
    gait = gait_posture(cycle, speed / 1200.0)
    # A stop begins where the waiting time rises from 0; each stop has its own action.
    begins = (busy_s > 0) & (np.vstack([np.zeros((1, P)), busy_s[:-1]]) <= 0)
    stop = np.cumsum(begins, axis=0)
    # The time of the action continues while it fades out after the stop.
    frame = np.arange(T)[:, None]
    seconds = (frame - np.maximum.accumulate(np.where(begins, frame, 0), axis=0)) / fps
    kinds = rng.integers(len(ACTIONS), size=(T + 1, P))
    hands = rng.integers(2, size=(T + 1, P))
    everyone = np.arange(P)[None]
    # Smoothed over time to blend actions.
    action = _action_postures(kinds[stop, everyone], seconds, hands[stop, everyone])
    action = action.map(lambda angle: _smooth(angle, fps))
    weight = _smooth(_ease(busy_s), fps)
    turning = np.where(kinds[stop, everyone] == ACTIONS.index("turn"), 0.9 * np.sin(1.5 * seconds), 0.0)
    heading = paths.heading_rad + _smooth(turning, fps) * weight
    xyz = body_joints(np.broadcast_to(stature, (T, P)), gait.blend(action, weight), paths.floor_mm, heading)
    points, score = convert(xyz, np.ones((T, P, len(COCO17))), COCO17, skeleton)
    return Pose3DSequence(
        skeleton=skeleton,
        time_s=np.arange(T) / fps,
        xyz_mm=points,
        score=score,
        person_ids=tuple(range(1, P + 1)),
        provenance={"method": "synthetic"},
    )


def gait_posture(cycle: F64, vigour: F64) -> Posture:
    """Return walking postures at phases `cycle` of the stride; `vigour` 0 is standing, 1 a comfortable pace."""
    amount = np.clip(vigour, 0.0, 1.4)
    opposite = cycle + np.pi

    def knee(phase: F64) -> F64:
        # Flexion is largest during the swing, a quarter cycle before the foremost point.
        return np.asarray(0.08 + amount * 0.80 * np.clip(np.cos(phase), 0.0, None) ** 2)

    def arm(phase: F64) -> F64:
        return np.asarray(0.05 - 0.40 * amount * np.sin(phase))

    return Posture(
        lean=np.asarray(0.03 + 0.05 * amount),
        sway=np.asarray(0.03 * amount * np.sin(cycle)),
        twist=np.asarray(0.10 * amount * np.sin(cycle)),
        hip=(0.06 + 0.38 * amount * np.sin(cycle), 0.06 + 0.38 * amount * np.sin(opposite)),
        spread=(np.full_like(cycle, 0.03), np.full_like(cycle, 0.03)),
        knee=(knee(cycle), knee(opposite)),
        shoulder=(arm(cycle), arm(opposite)),
        raise_=(np.full_like(cycle, 0.10), np.full_like(cycle, 0.10)),
        elbow=(0.25 + 0.25 * amount * (1 - np.sin(cycle)), 0.25 + 0.25 * amount * (1 - np.sin(opposite))),
        look=np.asarray(0.15 * np.sin(0.31 * cycle)),
        nod=np.full_like(cycle, 0.08),
    )


def _action_postures(kind: I64, seconds: F64, hand: I64) -> Posture:
    """Return postures (...) after `seconds` of the actions `kind` (index into ACTIONS) with the left or right hand."""
    shape = np.shape(seconds)
    beat = np.sin(2 * np.pi * 0.9 * seconds)

    def of(**by_action: F64 | float) -> F64:
        out = np.zeros(shape)
        for name, value in by_action.items():
            out = np.where(kind == ACTIONS.index(name), value, out)
        return out

    def arm(values: F64, rest: F64, side: int) -> F64:
        return np.asarray(np.where(hand == side, values, rest))

    hip, knee = of(crouch=1.75, sit=1.45, reach=0.1), of(crouch=2.25, sit=1.45, reach=0.15)
    spread = 0.05 + of(crouch=0.25, sit=0.12)
    busy = of(reach=1.9 + 0.35 * beat, wave=1.2, crouch=0.9, sit=0.5)
    idle = of(reach=0.1, wave=0.05, crouch=0.8, sit=0.45)
    out_busy, out_idle = 0.12 + of(reach=0.25, wave=0.9 + 0.15 * beat), np.full(shape, 0.12)
    bent, straight = 0.25 + of(wave=1.4 + 0.5 * beat, crouch=0.5, sit=0.9), 0.25 + of(crouch=0.5, sit=0.9)
    return Posture(
        lean=0.05 + of(reach=0.25 + 0.1 * beat, crouch=0.55, sit=0.12),
        sway=0.03 * beat,
        twist=of(reach=0.3, turn=0.4 * beat) * np.where(hand == 0, -1.0, 1.0),
        hip=(hip, hip),
        spread=(spread, spread),
        knee=(knee, knee),
        shoulder=(arm(busy, idle, 0), arm(busy, idle, 1)),
        raise_=(arm(out_busy, out_idle, 0), arm(out_busy, out_idle, 1)),
        elbow=(arm(bent, straight, 0), arm(bent, straight, 1)),
        look=0.3 * beat + of(turn=0.5 * beat),
        nod=0.1 + of(crouch=0.2, reach=-0.2),
    )


def _ease(busy_s: F64) -> F64:
    """Return the weight of the action, which rises over the first 0.8 s of a stop."""
    x = np.clip(busy_s / 0.8, 0.0, 1.0)
    return np.asarray(x * x * (3 - 2 * x))


def _smooth(values: F64, fps: float) -> F64:
    """Apply a moving average of about 0.4 s over time (T, P)."""
    half = max(1, round(0.2 * fps))
    kernel = np.ones(2 * half + 1) / (2 * half + 1)
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)
