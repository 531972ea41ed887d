"""Bodies of a take: file, and the same joints and surfaces as the model gives directly."""

from pathlib import Path

import numpy as np
import pytest

from core.body.model import BODY_TO_WORLD
from core.body.models.free import free_body
from core.body.sequence import BodyMotion
from core.errors import CoreError
from core.geometry.so3 import exp, log
from core.types import BodySequence


def _bodies(n_frames: int = 5) -> BodySequence:
    model, rng = free_body(), np.random.default_rng(0)
    rotations = rng.normal(0, 0.3, (n_frames, 2, len(model.joints), 3))
    rotations[:, :, 0] = log(exp(rotations[:, :, 0]) @ BODY_TO_WORLD)
    pelvis = rng.normal(0, 1000, (n_frames, 2, 3))
    rotations[1, 0], pelvis[1, 0] = np.nan, np.nan
    return BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=np.arange(n_frames) / 30,
        person_ids=(3, 7),
        betas=rng.normal(0, 1, (2, model.n_shape)),
        rotations_rad=rotations,
        pelvis_mm=pelvis,
        provenance={"poses": "baseline"},
    )


def test_file_round_trip(tmp_path: Path) -> None:
    bodies = _bodies()
    bodies.save(tmp_path / "bodies.nc")
    read = BodySequence.load(tmp_path / "bodies.nc")
    assert (read.model, read.joints, read.person_ids) == (bodies.model, bodies.joints, bodies.person_ids)
    assert read.provenance == bodies.provenance
    for name in ("time_s", "betas", "rotations_rad", "pelvis_mm"):
        np.testing.assert_array_equal(getattr(read, name), getattr(bodies, name))
    (tmp_path / "bodies.nc").write_bytes((tmp_path / "bodies.nc").read_bytes()[:500])
    with pytest.raises(CoreError, match="does not contain bodies"):
        BodySequence.load(tmp_path / "bodies.nc")


def test_surfaces_and_joints_of_those_who_are_present() -> None:
    bodies, model = _bodies(), free_body()
    motion = BodyMotion.of(model, bodies)
    assert motion.people(0).tolist() == [0, 1] and motion.people(1).tolist() == [1]
    vertices = motion.vertices_mm(1)
    assert vertices.shape == (1, len(model.template_mm), 3)
    rest = model.rest(bodies.betas[1:])
    bones = model.transforms(rest.joints_mm, exp(bodies.rotations_rad[1, 1:].astype(float)), bodies.pelvis_mm[1, 1:])
    np.testing.assert_allclose(vertices, model.skin(rest.vertices_mm, bones)[0], atol=1e-3)
    joints = motion.joints_mm(0, slice(None))
    assert np.isnan(joints[1]).all() and np.isfinite(joints[[0, 2, 3, 4]]).all()
    np.testing.assert_allclose(joints[:, 0], bodies.pelvis_mm[:, 0], atol=1e-9)


def test_bodies_of_another_model_are_refused() -> None:
    bodies = _bodies()
    other = BodySequence(
        model="smpl",
        joints=bodies.joints,
        time_s=bodies.time_s,
        person_ids=bodies.person_ids,
        betas=bodies.betas,
        rotations_rad=bodies.rotations_rad,
        pelvis_mm=bodies.pelvis_mm,
    )
    with pytest.raises(CoreError, match="body model 'smpl'"):
        BodyMotion.of(free_body(), other)
