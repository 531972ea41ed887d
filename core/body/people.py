"""Bodies of all people of a 3D result, and their joints.

Legend: T frame, P person, J joint of the body model, K joint of the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.body.chain import BodyKeypoints
from core.body.fit import BodyFit, BodyFitConfig, fit_body
from core.body.model import BodyModel
from core.errors import CoreError
from core.geometry.so3 import log
from core.progress import NullReporter, Reporter, StageReporter
from core.types.arrays import F64
from core.types.body import BodySequence
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import Skeleton

_FILLED_SCORE = 0.01  # score of a joint in a gap that the body bridges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedPeople:
    """Bodies fitted to a 3D result.

    Attributes:
        bodies: Shapes and poses, with a column for every person of the result; NaN for people without body.
        poses: The result with the joints of the bodies. Joints missing for longer than the bridged gap stay missing.
        left_out: Reason by person number for people without body.
        missing: Names of joints that the body model lacks.
        off_floor_mm: Height of resting feet by person number, for people who were not set on the floor.
    """

    bodies: BodySequence
    poses: Pose3DSequence
    left_out: Mapping[int, str]
    missing: tuple[str, ...]
    off_floor_mm: Mapping[int, float]


def fit_people(
    model: BodyModel,
    poses: Pose3DSequence,
    config: BodyFitConfig | None = None,
    *,
    people: tuple[int, ...] = (),
    reporter: Reporter | None = None,
) -> FittedPeople:
    """Fit a body to each person.

    Args:
        model: Body model.
        poses: 3D joints of people.
        config: Settings.
        people: Person numbers to fit; empty for all.
        reporter: Receives progress, and may cancel.

    Raises:
        CoreError: There is no such person.
        CancelledError: The user cancelled.
    """
    config, reporter = config or BodyFitConfig(), reporter or NullReporter()
    if unknown := set(people) - set(poses.person_ids):
        numbers = ", ".join(map(str, poses.person_ids)) or "none"
        raise CoreError(f"There is no person {min(unknown)} in these 3D poses.", f"People: {numbers}.")
    names = joints_of_model(model, poses.skeleton)
    columns = poses.skeleton.indices(*names)
    T, P = poses.xyz_mm.shape[:2]
    fits: dict[int, BodyFit] = {}
    left_out = {}
    wanted = [p for p, number in enumerate(poses.person_ids) if not people or number in people]
    for done, p in enumerate(wanted):
        number = poses.person_ids[p]
        stage = StageReporter(reporter, done / len(wanted), 1 / len(wanted), f"Fitting person {number}")
        covariance = None if poses.covariance_mm2 is None else poses.covariance_mm2[:, p, columns]
        xyz = poses.xyz_mm[:, p, columns]
        try:
            fits[p] = fit_body(model, names, xyz, poses.time_s, config, covariance_mm2=covariance, reporter=stage)
        except CoreError as error:
            left_out[number] = error.message
    rotations = np.full((T, P, len(model.joints), 3), np.nan, np.float32)
    betas, pelvis = np.zeros((P, model.n_shape)), np.full((T, P, 3), np.nan)
    xyz_mm, score = np.full(poses.xyz_mm.shape, np.nan), np.zeros(poses.score.shape)
    for p, fit in fits.items():
        betas[p], pelvis[:, p], rotations[:, p] = fit.betas, fit.pelvis_mm, log(fit.rotations)
        near = _near_known(fit.used, poses.time_s, config.max_gap_s) & np.isfinite(fit.pelvis_mm[:, :1])
        xyz_mm[:, p, columns] = np.where(near[..., None], fit.keypoints_mm, np.nan)
        known = np.maximum(np.where(fit.used, poses.score[:, p, columns], 0.0), _FILLED_SCORE)
        score[:, p, columns] = np.where(near, known, 0.0)
    return FittedPeople(
        bodies=BodySequence(
            model=model.name,
            joints=model.joints,
            time_s=poses.time_s,
            person_ids=poses.person_ids,
            betas=betas,
            rotations_rad=rotations,
            pelvis_mm=pelvis,
        ),
        poses=dataclasses.replace(poses, xyz_mm=xyz_mm, score=score, covariance_mm2=None),
        left_out=left_out,
        missing=tuple(name for name in poses.skeleton.joints if name not in names),
        off_floor_mm={
            poses.person_ids[p]: fit.floor_gap_mm
            for p, fit in fits.items()
            if not fit.on_floor and np.isfinite(fit.floor_gap_mm)
        },
    )


def joints_of_model(model: BodyModel, skeleton: Skeleton) -> tuple[str, ...]:
    """Return the names of a skeleton's joints that a body model has."""
    return tuple(name for name in skeleton.joints if _known_to(model, name))


def _known_to(model: BodyModel, name: str) -> bool:
    try:
        BodyKeypoints.of(model, (name,))
    except CoreError:
        return False
    return True


def _near_known(known: np.ndarray, time_s: F64, max_gap_s: float) -> np.ndarray:
    """Return the mask (T, K) of joints that are known, or in a gap of at most `max_gap_s` between known frames."""
    frames = np.arange(len(known))[:, None]
    before = np.maximum.accumulate(np.where(known, frames, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, frames, len(known))[::-1], axis=0)[::-1]
    inside = (before >= 0) & (after < len(known))
    gap_s = time_s[np.minimum(after, len(known) - 1)] - time_s[np.maximum(before, 0)]
    interval_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    return np.asarray(inside & (known | (gap_s <= max_gap_s + 1.5 * interval_s)))
