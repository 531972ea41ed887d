import numpy as np
import pytest

from core.errors import CoreError
from core.geometry import inside, project
from core.synthetic import people, rigs
from core.synthetic.observe import observe, occluded
from core.types import COCO17, Pose3DSequence


@pytest.fixture(scope="module")
def crowd():
    return people.walkers(3, 200, np.random.default_rng(3))


def test_cameras_look_at_the_target_upright():
    rig = rigs.ring_rig(5, size_px=rigs.PORTRAIT)
    for camera in rig:
        np.testing.assert_allclose(project(camera, np.array([0, 0, 900.0])), (np.array(camera.size_px) - 1) / 2)
        above, below = project(camera, np.array([[0, 0, 1200.0], [0, 0, 600.0]]))
        assert above[1] < below[1]
    assert {round(camera.centre_mm[2]) for camera in rig} == {1700, 2300}


def test_camera_straight_above_is_refused():
    with pytest.raises(CoreError, match="straight"):
        rigs.look_at((0, 0, 3000), (0, 0, 0))


def test_random_rigs_see_the_centre():
    rng = np.random.default_rng(0)
    for _ in range(20):
        rig = rigs.random_rig(rng)
        assert 3 <= len(rig) <= 8
        assert all(inside(camera, project(camera, np.array([0, 0, 900.0]))) for camera in rig)


def test_without_noise_detections_are_exact_projections(crowd):
    rig = rigs.ring_rig(3, distortion=(-0.1, 0.02, 1e-3, -1e-3, 0.0))
    seen = observe(rig, crowd, 0.0, 0.0, np.random.default_rng(0), joint_miss=0.0)
    for camera in rig:
        exact = project(camera, crowd.xyz_mm)
        exact = np.where(inside(camera, exact)[..., None], exact, np.nan)
        found = seen[camera.name].xy_px
        distance = np.nanmean(np.linalg.norm(found[:, :, None] - exact[:, None], axis=-1), axis=-1)
        assert np.nanmax(np.nanmin(distance, axis=2)) < 1e-3


def test_noise_has_the_given_size_and_scores_reflect_it(crowd):
    rig = rigs.ring_rig(1)
    seen = observe(rig, crowd, 5.0, 0.0, np.random.default_rng(1), joint_miss=0.0)["cam01"]
    error = seen.xy_px[:, :, None] - project(rig[0], crowd.xyz_mm)[:, None]
    nearest = np.nanargmin(np.nanmean(np.abs(error), axis=(-1, -2)), axis=2)
    error = np.take_along_axis(error, nearest[:, :, None, None, None], axis=2)[:, :, 0]
    assert np.sqrt(np.nanmean(error**2)) == pytest.approx(5.0, rel=0.05)
    size = np.linalg.norm(error, axis=-1)
    good, known = seen.score > 0.7, np.isfinite(size)
    assert size[known & good].mean() < 0.6 * size[known & ~good].mean()


def test_misses_and_false_detections_have_the_given_rates(crowd):
    rig = rigs.ring_rig(4)
    rng = np.random.default_rng(2)
    full = sum(p.present.sum() for p in observe(rig, crowd, 1.0, 0.0, rng).values())
    fewer = sum(p.present.sum() for p in observe(rig, crowd, 1.0, 0.3, rng).values())
    more = sum(p.present.sum() for p in observe(rig, crowd, 1.0, 0.0, rng, false_people=0.5).values())
    assert fewer / full == pytest.approx(0.7, abs=0.04)
    assert more - full == pytest.approx(0.5 * 200 * 4, rel=0.2)


def test_the_order_of_detections_is_random(crowd):
    seen = observe(rigs.ring_rig(1), crowd, 0.0, 0.0, np.random.default_rng(4))["cam01"]
    first_hip = project(rigs.ring_rig(1)[0], crowd.xyz_mm)[:, :, 11]
    column = np.linalg.norm(first_hip - seen.xy_px[:, :1, 11], axis=-1)
    counts = np.bincount(np.nanargmin(column[np.isfinite(column).all(1)], axis=1), minlength=3)
    assert counts.min() > 30


def test_people_occlude_those_behind_them():
    xyz = people.poses(1, np.random.default_rng(0))
    both = np.stack([xyz[0], xyz[0] + [1500.0, 0, 0]])[None]
    camera = rigs.camera("front", (-4000.0, 0, 1000), (0, 0, 1000.0))
    hidden = occluded(camera, both, COCO17)
    assert not hidden[0, 0].any()
    assert hidden[0, 1].sum() >= 3
    sequence = Pose3DSequence(skeleton=COCO17, time_s=[0.0], xyz_mm=both, score=np.ones((1, 2, 17)), person_ids=(1, 2))
    rig = rigs.CameraRig(cameras=(camera,))
    seen = observe(rig, sequence, 1.0, 0.0, np.random.default_rng(0), joint_miss=0.0, occlusion=True)["front"]
    assert (seen.score > 0).sum() < 34
